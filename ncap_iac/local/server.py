"""The edge: the one door of the local cloud. Takes connections, decides who answers, keeps the streams moving.

Listens on loopback only. Knows HTTP and credential scopes, no service.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ncap_iac.local.base import FORBIDDEN_PATHS, Address
from ncap_iac.local.desk import LARGEST_REQUEST, Desk
from ncap_iac.local.doorwatch import WATCHED, DoorWatch
from ncap_iac.local.faultdoor import FAULTS_PATH, FaultDoor
from ncap_iac.local.http1 import ConnectionGoneError, ProtocolError, Wire, render_head, request_body
from ncap_iac.local.proxy import BaseGoneError, Upstream, answer_head
from ncap_iac.local.queryapi import Reply
from ncap_iac.local.request import Request, check_request, plain_path

HEALTH_PATH = b"/_neurocaas/health"
_BACKLOG = 1024
_BREATH_S = 0.1
_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    412: b"Precondition Failed",
    413: b"Content Too Large",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
}
_log = logging.getLogger(__name__)


def listen(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0: any free one. Raises OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


class Edge:
    """Serves connections, each in its own thread, until stopped."""

    def __init__(
        self,
        listener: socket.socket,
        base: Address,
        desk: Desk,
        watch: DoorWatch,
        health: Callable[[], Mapping[str, Any]],
        *,
        faults: FaultDoor | None = None,
    ) -> None:
        self._listener = listener
        self._base = base
        self._desk = desk
        self._watch = watch
        self._health = health
        self._faults = faults
        self._lock = threading.Lock()
        self._open: set[Wire] = set()
        self._stopping = False
        self._acceptor = threading.Thread(target=self._accept, name="edge", daemon=True)

    def start(self) -> None:
        """Begin to take connections."""
        self._acceptor.start()

    def stop(self) -> None:
        """Take no more connections and end those there are. May be called twice."""
        with self._lock:
            self._stopping = True
            wires = list(self._open)
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            """Not every system wakes accept() this way; closing does on the others."""
        self._listener.close()
        for wire in wires:
            wire.close()
        if self._acceptor.is_alive():
            self._acceptor.join(2.0)

    def _accept(self) -> None:
        while not self._stopping:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if not self._stopping:
                    _log.error("no more connections for a moment: %s", error)
                    time.sleep(_BREATH_S)
                continue
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(Wire(connection),), daemon=True).start()
            except (OSError, RuntimeError) as error:
                _log.error("a connection was dropped: %s", error)
                connection.close()

    def _serve(self, wire: Wire) -> None:
        with self._lock:
            if self._stopping:
                wire.close()
                return
            self._open.add(wire)
        upstream = Upstream(self._base)
        try:
            while self._serve_one(wire, upstream):
                """Next request of the same connection."""
        except (ConnectionGoneError, OSError):
            """The client is gone, or the base in the middle of an answer: the client sees the broken connection."""
        except Exception:
            _log.exception("connection failed")
        finally:
            upstream.close()
            wire.close()
            with self._lock:
                self._open.discard(wire)

    def _serve_one(self, wire: Wire, upstream: Upstream) -> bool:
        """One request; False when the connection has to end."""
        try:
            head = wire.read_head()
            if head is None:
                return False
            request = Request(head)
            check_request(request)
            more = self._dispatch(request, wire, upstream)
            return more and not head.says(b"connection", b"close")
        except ProtocolError as error:
            self._refuse(wire, error.status, str(error))
        except BaseGoneError as error:
            _log.error("the base does not answer: %s", error)
            self._refuse(wire, 502, "the local cloud's emulator does not answer; see the log")
        return False

    def _dispatch(self, request: Request, wire: Wire, upstream: Upstream) -> bool:
        if self._faults is not None and request.path == FAULTS_PATH:
            self._reply(wire, self._faults.answer(request, self._body(request, wire)), "")
            return True
        service = request.scope.service if request.scope else ""
        by_target = bool(request.head.get(b"x-amz-target")) and self._desk.shares(request, b"")
        if by_target or service in self._desk.services:
            reply, request_id = self._desk.answer(request, self._body(request, wire))
            self._reply(wire, reply, request_id)
            return True
        if request.path == HEALTH_PATH:
            self._body(request, wire)
            self._reply(wire, Reply(200, "application/json", json.dumps(self._health()).encode()), "")
            return True
        if plain_path(request.path).startswith(FORBIDDEN_PATHS):
            raise ProtocolError("not a path of the local cloud", status=404)
        if service in WATCHED:
            body = self._body(request, wire)
            if self._desk.shares(request, body):
                reply, request_id = self._desk.answer(request, body)
                self._reply(wire, reply, request_id)
                return True
            answer_to, answer = upstream.exchange(request, body)
            self._note(request, body, int(answer_to.first[1]), answer)
            wire.send(answer_head(answer_to, len(answer), request.method) + answer)
            return True
        try:
            return upstream.forward(request, wire)
        finally:
            self._watch.passed(request)

    def _note(self, request: Request, body: bytes, status: int, answer: bytes) -> None:
        """Learn before the client can act on the answer; what cannot be read must not cost the client its answer."""
        try:
            self._watch.saw(request, body, status, answer)
        except Exception:
            _log.exception("an answer of %s was not understood", request.scope)

    def _body(self, request: Request, wire: Wire) -> bytes:
        body = request_body(request.head)
        if request.head.says(b"expect", b"100-continue"):
            wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return wire.read_body(body, limit=LARGEST_REQUEST)

    def _reply(self, wire: Wire, reply: Reply, request_id: str, *, close: bool = False) -> None:
        fields = [(b"Content-Type", reply.content_type.encode()), (b"Content-Length", str(len(reply.body)).encode())]
        if request_id:
            fields.append((b"x-amzn-RequestId", request_id.encode()))
        if close:
            fields.append((b"Connection", b"close"))
        first = b"HTTP/1.1 %d %s" % (reply.status, _REASONS.get(reply.status, b"Error"))
        wire.send(render_head(first, fields) + reply.body)

    def _refuse(self, wire: Wire, status: int, message: str) -> None:
        """Say no to what never became a request to a service, and end the connection."""
        code = "BadGateway" if status == 502 else "InvalidRequest"
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        try:
            self._reply(wire, Reply(status, "application/xml", text.encode()), "", close=True)
        except OSError:
            """The client did not wait for it."""
