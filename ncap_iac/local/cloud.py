"""The life of a local cloud: up, in the foreground or the background, seen from outside, down.

Light to import: what answers requests is imported when a cloud starts in this process.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncap_iac import __version__
from ncap_iac.errors import CloudError
from ncap_iac.local.base import Base, BaseError, BaseSettings, choose_address
from ncap_iac.local.base_environment import BaseEnvironmentError, base_interpreter
from ncap_iac.local.cloud_record import CloudRecord, RootKeys, read_record, root_keys, write_record
from ncap_iac.local.filelock import LockedError, exclusive
from ncap_iac.local.paths import CloudPlaces, Places

if TYPE_CHECKING:
    from ncap_iac.local.assembly import Parts, ServiceMaker

DEFAULT_PORT = 4566
DEFAULT_REGION = "us-east-1"
ACCOUNT_ID = "000000000000"
NEEDED_BYTES = 500_000_000
_ELSEWHERE = "Set NEUROCAAS_HOME to a folder elsewhere."
_START_TIMEOUT_S = 60.0
_SHOWN_LINES = 15
_LOG_BYTES = 5_000_000


class CloudRunningError(CloudError):
    """The cloud runs already."""


@dataclass(frozen=True)
class RunningCloud:
    """A cloud in this process."""

    record: CloudRecord
    _base: Base
    _parts: Parts
    _stack: ExitStack

    @property
    def endpoint(self) -> str:
        """Where clients connect."""
        return self.record.endpoint

    @property
    def credentials(self) -> RootKeys:
        """The root's."""
        return RootKeys(self.record.access_key_id, self.record.secret_access_key)

    def is_healthy(self) -> bool:
        """Whether the emulator is still there."""
        return self._base.is_alive()

    def stop(self) -> None:
        """End everything: instances, the edge, the emulator. Returns when no process is left. May be called twice."""
        self._stack.close()


@dataclass(frozen=True)
class LocalCloud:
    """The local cloud as a user of this computer has it: any number of clouds, by name."""

    places: Places
    environment: Mapping[str, str]
    say: Callable[[str], None]
    """Tells a person what takes time."""
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    """Room left where a folder is."""

    def up(
        self,
        name: str,
        *,
        port: int = DEFAULT_PORT,
        region: str = DEFAULT_REGION,
        make_services: ServiceMaker | None = None,
    ) -> RunningCloud:
        """Start a cloud in this process; port 0: any free one.

        Raises CloudError, and CloudRunningError if it runs already.
        """
        place = self.places.cloud(name)
        with ExitStack() as stack:
            self._prepare(place)
            self._hold(place, stack)
            stack.enter_context(_logging_to(place.log))
            listener = _listen(port)
            stack.callback(listener.close)
            keys = root_keys(place.keys)
            base = self._start_base(place, listener.getsockname()[1], region, keys)
            stack.callback(base.stop)
            parts = self._assemble(place, listener, base, region, make_services)
            self._begin(parts, base, stack)
            record = CloudRecord(
                name=name,
                pid=os.getpid(),
                endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}",
                region=region,
                account_id=ACCOUNT_ID,
                access_key_id=keys.access_key_id,
                secret_access_key=keys.secret_access_key,
                started=time.time(),
            )
            write_record(place.record, record)
            stack.callback(place.record.unlink, missing_ok=True)
            return RunningCloud(record, base, parts, stack.pop_all())

    def _prepare(self, place: CloudPlaces) -> None:
        try:
            place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            place.folder.chmod(0o700)
            place.instances.mkdir(exist_ok=True, mode=0o700)
            free = self.free_bytes(place.folder)
        except OSError as error:
            raise CloudError(str(error), where=str(place.folder), hint=_ELSEWHERE) from error
        if free < NEEDED_BYTES:
            raise CloudError(
                f"only {free / 1e6:.0f} MB are free, the local cloud needs {NEEDED_BYTES / 1e6:.0f} MB",
                where=str(place.folder),
                hint=f"Make room. {_ELSEWHERE}",
            )

    def _hold(self, place: CloudPlaces, stack: ExitStack) -> None:
        try:
            stack.enter_context(exclusive(place.lock, timeout_s=2.0))
        except LockedError as error:
            record = read_record(place.record)
            where = f" at {record.endpoint} (process {record.pid})" if record else ""
            raise CloudRunningError(f"the local cloud '{place.folder.name}' runs already{where}") from error

    def _start_base(self, place: CloudPlaces, port: int, region: str, keys: RootKeys) -> Base:
        try:
            python = base_interpreter(self.places, self.environment, self.say)
            base = Base(
                BaseSettings(
                    python=python,
                    folder=place.base,
                    address=choose_address(place.socket),
                    edge_port=port,
                    region=region,
                    account_id=ACCOUNT_ID,
                    access_key_id=keys.access_key_id,
                    secret_access_key=keys.secret_access_key,
                )
            )
            base.start(self.environment)
        except (BaseEnvironmentError, OSError) as error:
            raise CloudError(str(error)) from error
        return base

    def _assemble(
        self, place: CloudPlaces, listener: socket.socket, base: Base, region: str, make_services: ServiceMaker | None
    ) -> Parts:
        from ncap_iac.local.assembly import Setting, assemble, local_services

        settings = base.settings
        setting = Setting(
            name=place.folder.name,
            version=__version__,
            region=region,
            account_id=ACCOUNT_ID,
            folder=place.folder,
            images=self.places.images,
            keys=RootKeys(settings.access_key_id, settings.secret_access_key),
        )
        return assemble(setting, listener, settings.address, base.save, make_services or local_services)

    def _begin(self, parts: Parts, base: Base, stack: ExitStack) -> None:
        """Start the parts; the stack ends them in the opposite order."""
        stack.callback(parts.store.close)
        try:
            base.wait_healthy()
        except BaseError as error:
            raise CloudError(str(error)) from error
        parts.snapshots.start()
        stack.callback(parts.snapshots.stop)
        parts.edge.start()
        stack.callback(parts.edge.stop)
        parts.events.start()
        stack.callback(parts.events.stop)
        for service in parts.services:
            service.start()
            stack.callback(service.stop)

    def start(self, name: str, *, port: int = DEFAULT_PORT, region: str = DEFAULT_REGION) -> CloudRecord:
        """Start a cloud in a process of its own and wait until it answers.

        Raises CloudError with the end of its log, and CloudRunningError if it runs already.
        """
        place = self.places.cloud(name)
        running = self.status(name)
        if running is not None:
            raise CloudRunningError(f"the local cloud '{name}' runs already at {running.endpoint}")
        self._prepare(place)
        try:
            base_interpreter(self.places, self.environment, self.say)
        except BaseEnvironmentError as error:
            raise CloudError(str(error)) from error
        command = [sys.executable, "-m", "ncap_iac.local", "--name", name, "--port", str(port), "--region", region]
        command += ["--data", str(self.places.data), "--cache", str(self.places.cache)]
        with place.log.open("ab") as log:
            begin = log.tell()
            process = subprocess.Popen(
                command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            record = read_record(place.record)
            if record is not None and record.pid == process.pid:
                return record
            if process.poll() is not None:
                raise CloudError(f"the local cloud '{name}' did not start:\n{_log_since(place.log, begin)}")
            time.sleep(0.02)
        process.terminate()
        raise CloudError(
            f"the local cloud '{name}' took longer than {_START_TIMEOUT_S:.0f} s to start; log: {place.log}"
        )

    def status(self, name: str) -> CloudRecord | None:
        """The running cloud, or None. A record that a killed cloud left behind does not count."""
        place = self.places.cloud(name)
        record = read_record(place.record)
        return record if record is not None and _is_held(place.lock) else None

    def names(self) -> list[str]:
        """All clouds that have a folder, running or not."""
        if not self.places.clouds.is_dir():
            return []
        return sorted(folder.name for folder in self.places.clouds.iterdir() if folder.is_dir())

    def down(self, name: str, *, timeout_s: float = 30.0) -> bool:
        """Stop a cloud that runs in another process; False if none ran. By force after `timeout_s`."""
        place = self.places.cloud(name)
        record = self.status(name)
        if record is None:
            return False
        for sign, patience_s in ((signal.SIGTERM, timeout_s), (getattr(signal, "SIGKILL", signal.SIGTERM), 5.0)):
            _signal(record.pid, sign)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                if not _is_held(place.lock) and _has_ended(record.pid):
                    place.record.unlink(missing_ok=True)
                    return True
                time.sleep(0.05)
        raise CloudError(f"process {record.pid} of the local cloud '{name}' does not end; log: {place.log}")


def _signal(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        """It ended by itself."""


def _has_ended(pid: int) -> bool:
    try:
        if hasattr(os, "WNOHANG"):
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # Only a child of ours would stay as a zombie.
        os.kill(pid, 0)
    except OSError:
        return True
    return False


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    try:
        with exclusive(lock, timeout_s=0.0):
            return False
    except LockedError:
        return True


def _listen(port: int) -> socket.socket:
    from ncap_iac.local.server import listen

    try:
        return listen(port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CloudError(
                f"port {port} on 127.0.0.1 is in use",
                hint="Stop what uses it, or choose another with --port (0: any free one).",
            ) from error
        raise CloudError(f"port {port} on 127.0.0.1 cannot be used: {error}") from error


def _log_since(path: Path, begin: int) -> str:
    text = path.read_bytes()[begin:].decode(errors="replace")
    return "\n".join(text.strip().splitlines()[-_SHOWN_LINES:])


class _logging_to:  # noqa: N801
    """While inside, what the local cloud's modules log goes to the cloud's log file."""

    def __init__(self, path: Path) -> None:
        self._handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=2)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._logger = logging.getLogger("ncap_iac.local")

    def __enter__(self) -> None:
        self._logger.addHandler(self._handler)
        self._logger.setLevel(logging.INFO)

    def __exit__(self, *_: Any) -> None:
        self._logger.removeHandler(self._handler)
        self._handler.close()


def serve(cloud: RunningCloud, ended: threading.Event) -> bool:
    """Keep a cloud running until `ended` is set, then stop it. False if its emulator ended by itself."""
    try:
        while not ended.wait(0.5):
            if not cloud.is_healthy():
                return False
        return True
    finally:
        cloud.stop()


def end_on_signals(ended: threading.Event) -> None:
    """Let SIGINT, SIGTERM and SIGHUP set `ended`. Call it in the main thread."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: ended.set())
