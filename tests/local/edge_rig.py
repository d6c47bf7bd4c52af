"""A real edge in front of a small HTTP server that stands for the base, with one toy service of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from ncap_iac.local.authorization import Guard
from ncap_iac.local.base import Address
from ncap_iac.local.desk import Desk
from ncap_iac.local.doorwatch import DoorWatch
from ncap_iac.local.identity import Credential, Vault
from ncap_iac.local.principals import Principals
from ncap_iac.local.server import Edge, listen
from ncap_iac.local.service import Call, Caller, Permission, ServiceError
from ncap_iac.local.store import Store

ACCOUNT = "000000000000"
ROOT_KEY, ROOT_SECRET = "AKIAROOTROOTROOTROOT", "root-secret"


@dataclass
class Seen:
    """One request as the stand-in for the base got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class StandIn(BaseHTTPRequestHandler):
    """Echoes bodies, streams, misbehaves on request."""

    protocol_version = "HTTP/1.1"
    server: BaseStandIn

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.server.pieces.append(parts[-1])
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        left = int(self.headers.get("Content-Length") or 0)
        data = b""
        while left:
            piece = self.rfile.read1(min(left, 1 << 16))
            if not piece:
                break
            self.server.pieces.append(piece)
            data += piece
            left -= len(piece)
        return data

    def _any(self) -> None:
        body = self._body()
        self.server.seen.append(Seen(self.command, self.path, dict(self.headers.items()), body))
        status, answer = self.server.answer(self.command, self.path, body)
        self.send_response(status)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (b"first", b"second"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.server.gate.wait(5)
            self.wfile.write(b"0\r\n\r\n")
            return
        if self.path == "/until-close":
            self.end_headers()
            self.wfile.write(b"all there is")
            self.close_connection = True
            return
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)
        if self.path == "/hang-up":
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet."""


class BaseStandIn(ThreadingHTTPServer):
    """What the edge passes requests on to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StandIn)
        self.seen: list[Seen] = []
        self.pieces: list[bytes] = []
        self.gate = threading.Event()
        self.answers: dict[bytes, bytes] = {}
        self.gate.set()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of some tests."""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        for part, answer in self.answers.items():
            if part in body:
                return 200, answer
        return 200, body or b"hello"


class ToyService:
    """Enough of EC2 to see what the edge does with a service."""

    name = "ec2"

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def start(self) -> None:
        """Nothing to take up."""

    def stop(self) -> None:
        """Nothing to end."""

    def permissions(self, call: Call) -> Sequence[Permission]:
        return [Permission(f"ec2:{call.operation}", "*")]

    def perform(self, call: Call) -> Mapping[str, Any]:
        self.calls.append(call)
        if call.operation == "DescribeRegions":
            return {"Regions": [{"RegionName": call.region}]}
        if call.operation == "TerminateInstances":
            raise ServiceError("InvalidInstanceID.NotFound", "no such instance")
        raise RuntimeError("a mistake in the service")


@dataclass
class Rig:
    """An edge that runs, and all around it."""

    port: int
    base: BaseStandIn
    service: ToyService
    vault: Vault
    edge: Edge
    changes: list[str] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def ask(self, raw: bytes) -> bytes:
        """What one connection answers until it ends or is silent for half a second."""
        with self.connect() as connection:
            connection.sendall(raw)
            connection.settimeout(0.5)
            parts = []
            try:
                while piece := connection.recv(1 << 16):
                    parts.append(piece)
            except TimeoutError:
                pass
        return b"".join(parts)

    def client(self, service: str, key: str = ROOT_KEY, secret: str = ROOT_SECRET, token: str | None = None) -> Any:
        return client(self.endpoint, service, key, secret, token)


def client(endpoint: str, service: str, key: str, secret: str, token: str | None = None) -> Any:
    """A boto3 client that tries once."""
    with _making:
        return _session().client(
            service,
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=20),
        )


_making = threading.Lock()


@lru_cache(maxsize=1)
def _session() -> Any:
    """One for all: what it has read of AWS's models serves every client."""
    return boto3.session.Session()


@contextmanager
def running_edge(folder: Path, iam: Callable[[str], Any] | None = None) -> Iterator[Rig]:
    """Both servers, stopped at the end."""
    base = BaseStandIn()
    threading.Thread(target=base.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    store = Store(folder / "edge.db")
    root = Credential(Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "root", "", ROOT_KEY), ROOT_SECRET)
    vault = Vault(store, root, lambda: [], time.time)
    service = ToyService()
    changes: list[str] = []
    watch = DoorWatch(
        vault,
        iam_changed=lambda: changes.append("iam"),
        rules_changed=lambda: changes.append("rules"),
        base_changed=lambda: changes.append("base"),
    )
    principals = Principals(iam or _no_iam)
    listener = listen(0)
    port = int(listener.getsockname()[1])
    edge = Edge(
        listener,
        Address(None, base.server_port),
        Desk([service], Guard(vault, principals, time.time)),
        watch,
        lambda: {"name": "rig"},
    )
    edge.start()
    try:
        yield Rig(port, base, service, vault, edge, changes)
    finally:
        edge.stop()
        base.shutdown()
        base.server_close()
        store.close()


def _no_iam(service: str) -> Any:
    raise AssertionError("IAM is not needed here")
