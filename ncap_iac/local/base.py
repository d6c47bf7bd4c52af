"""The emulator behind the edge, as a child process: started, asked for snapshots, stopped.

All that we know about this one emulator is here and in `base_launcher.py`; the rest of the edge speaks AWS to it.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

LAUNCHER = Path(__file__).with_name("base_launcher.py")
FORBIDDEN_PATHS = (b"/_ministack", b"/_localstack", b"/_aws/sqs", b"/_aws/ses", b"/_aws/sns")
"""The emulator's own doors: without authentication, some can wipe everything. The edge keeps them shut."""
_HEALTH_PATH = "/_ministack/health"
_SHOWN_LINES = 15
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH")
_START_TIMEOUT_S = 30.0
_LONGEST_DYING_S = 1.0


class BaseError(Exception):
    """The emulator did not start; the message holds the end of its log."""


@dataclass(frozen=True)
class Address:
    """Where the emulator listens: a Unix socket where there are any, else a loopback port."""

    path: Path | None
    port: int = 0

    @property
    def bind(self) -> str:
        """As the launcher's argument."""
        return f"unix:{self.path}" if self.path else f"127.0.0.1:{self.port}"

    def connect(self, timeout_s: float | None = None) -> socket.socket:
        """A connection. Raises OSError."""
        if self.path is None:
            connection = socket.create_connection(("127.0.0.1", self.port), timeout_s)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout_s)
            connection.connect(str(self.path))
        except BaseException:
            connection.close()
            raise
        return connection


def choose_address(path: Path) -> Address:
    """A Unix socket that only this user reaches; a free loopback port on Windows. Raises OSError."""
    if hasattr(socket, "AF_UNIX") and sys.platform != "win32":
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.chmod(0o700)
        if path.parent.lstat().st_uid != os.getuid() or path.parent.is_symlink():
            raise PermissionError(f"{path.parent} belongs to somebody else")
        return Address(path)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return Address(None, probe.getsockname()[1])


@dataclass(frozen=True)
class BaseSettings:
    """What one emulator process is started with."""

    python: Path
    folder: Path
    address: Address
    edge_port: int
    region: str
    account_id: str
    access_key_id: str
    secret_access_key: str = field(repr=False)

    @property
    def log(self) -> Path:
        """What the emulator says."""
        return self.folder / "base.log"

    def environment(self, ours: Mapping[str, str]) -> dict[str, str]:
        """The child's whole environment. What Lambda functions inherit is in here, so nothing of ours leaks."""
        return {
            **{name: ours[name] for name in _KEPT_VARIABLES if name in ours},
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.edge_port}",
            "AWS_DEFAULT_REGION": self.region,
            "BIND_HOST": "127.0.0.1",
            "DOCKER_HOST": f"unix://{self.folder / 'no-docker'}",
            "GATEWAY_PORT": str(self.edge_port),
            "HOME": str(self.folder / "home"),
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "MINISTACK_ACCOUNT_ID": self.account_id,
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": self.region,
            "PERSIST_STATE": "1",
            "PYTHONUNBUFFERED": "1",
            "S3_DATA_DIR": str(self.folder / "s3"),
            "S3_PERSIST": "1",
            "SFTP_ENABLED": "0",
            "STATE_DIR": str(self.folder / "state"),
            "TMPDIR": str(self.folder / "tmp"),
        }


class Base:
    """One emulator process in its own session."""

    def __init__(self, settings: BaseSettings) -> None:
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._words = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process, once started; also its session and group."""
        return self._process.pid if self._process else None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the process; it is not ready yet when this returns."""
        folder = self.settings.folder
        for part in (folder, folder / "s3", folder / "state", folder / "home", folder / "tmp"):
            part.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.settings.address.path:
            self.settings.address.path.unlink(missing_ok=True)  # One that is about to end must not answer for this one.
        with self.settings.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.settings.python), str(LAUNCHER), self.settings.address.bind],
                env=self.settings.environment(environment),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_healthy(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Wait until it answers. Raises BaseError."""
        deadline = time.monotonic() + timeout_s
        while not self._healthy():
            if self._process is None or self._process.poll() is not None:
                raise BaseError(f"the emulator ended while starting:\n{self._log_end()}")
            if time.monotonic() > deadline:
                raise BaseError(f"the emulator did not answer within {timeout_s:.0f} s:\n{self._log_end()}")
            time.sleep(0.01)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def save(self) -> None:
        """Ask for a snapshot of its state on disk; returns at once."""
        with self._words:
            if self._process is None or self._process.stdin is None or self._process.stdin.closed:
                return
            try:
                self._process.stdin.write(b"save\n")
                self._process.stdin.flush()
            except OSError:
                """It is gone; whoever talks to it next will see that."""

    def stop(self, timeout_s: float = 15.0) -> None:
        """End it, with its state saved; by force after `timeout_s`. Its Lambda processes end with it."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with self._words:
            if process.stdin:
                process.stdin.close()
        _end_group(process.pid)

    def _healthy(self) -> bool:
        try:
            connection = self.settings.address.connect(2.0)
        except OSError:
            return False
        with connection:
            connection.sendall(f"GET {_HEALTH_PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            response = http.client.HTTPResponse(connection)
            try:
                response.begin()
                return response.status == 200
            except (OSError, http.client.HTTPException):
                return False

    def _log_end(self) -> str:
        try:
            text = self.settings.log.read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-_SHOWN_LINES:]) + f"\n(log: {self.settings.log})"


def _end_group(group: int) -> None:
    if sys.platform == "win32":
        return
    deadline = time.monotonic() + _LONGEST_DYING_S
    with suppress(ProcessLookupError, PermissionError):  # Nobody is left in it.
        while time.monotonic() < deadline:
            os.killpg(group, signal.SIGKILL)
            time.sleep(0.005)


@dataclass(frozen=True)
class FunctionCredentials:
    """The credentials the emulator gives one Lambda function's processes."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    principal_arn: str
    role_name: str


def function_credentials(function_arn: str, function_name: str, role_arn: str) -> FunctionCredentials:
    """As the pinned version derives them (its `core/lambda_runtime.py`, `execution_credentials`); no call tells."""
    digest = hashlib.sha256(f"{function_arn}:{role_arn}".encode()).hexdigest()
    account_id = function_arn.split(":")[4]
    role_name = role_arn.rsplit("/", 1)[-1]
    return FunctionCredentials(
        access_key_id=f"ASIA{digest[:16].upper()}",
        secret_access_key=hashlib.sha256(f"secret:{digest}".encode()).hexdigest(),
        session_token=hashlib.sha256(f"token:{digest}".encode()).hexdigest(),
        principal_arn=f"arn:aws:sts::{account_id}:assumed-role/{role_name}/{function_name[:64]}",
        role_name=role_name,
    )
