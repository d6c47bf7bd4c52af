"""Passes requests on to the base and its answers back, as streams. Changes nothing a signature covers."""

from __future__ import annotations

import select

from ncap_iac.local.base import Address
from ncap_iac.local.http1 import (
    Body,
    ConnectionGoneError,
    Framing,
    Head,
    ProtocolError,
    Wire,
    render_head,
    request_body,
    response_body,
)
from ncap_iac.local.request import Request

_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"expect", b"x-forwarded-proto")
)
_LARGEST_WATCHED = 1 << 26


class BaseGoneError(Exception):
    """The base does not answer."""


class Upstream:
    """One client's connection to the base, kept open between requests."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._wire: Wire | None = None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _ready(self) -> Wire:
        if self._wire is not None and select.select([self._wire.socket], [], [], 0)[0]:
            self.close()  # The base ended it while it was idle.
        if self._wire is None:
            try:
                self._wire = Wire(self._address.connect())
            except OSError as error:
                raise BaseGoneError(str(error)) from error
        return self._wire

    def forward(self, request: Request, client: Wire) -> bool:
        """Pass one request and its answer; say whether the client may send another one.

        Raises BaseGoneError before anything was sent back, ConnectionGoneError after.
        """
        body = request_body(request.head)
        self._send(request, body, client)
        head, answer = self._answer(request.method)
        send = client.hold if answer.framing is Framing.LENGTH else client.send
        send(_answer_head(head, answer))
        wire = self._ready_wire()
        try:
            wire.copy_body(answer, client)
        except (ConnectionGoneError, ProtocolError, OSError):
            self.close()
            raise
        self._end(head, answer)
        return answer.framing is not Framing.CLOSE

    def exchange(self, request: Request, body: bytes) -> tuple[Head, bytes]:
        """One request whose body is known, its answer as a whole. Raises BaseGoneError."""
        wire = self._ready()
        try:
            wire.send(_request_head(request, Body(Framing.LENGTH, len(body))) + body)
        except OSError as error:
            self.close()
            raise BaseGoneError(str(error)) from error
        head, answer = self._answer(request.method)
        try:
            data = self._ready_wire().read_body(answer, limit=_LARGEST_WATCHED)
        except (ConnectionGoneError, ProtocolError, OSError) as error:
            self.close()
            raise BaseGoneError(str(error)) from error
        self._end(head, answer)
        return head, data

    def _send(self, request: Request, body: Body, client: Wire) -> None:
        wire = self._ready()
        try:
            send = wire.hold if body.framing is Framing.LENGTH else wire.send
            send(_request_head(request, body))
        except OSError as error:
            self.close()
            raise BaseGoneError(str(error)) from error
        if body.framing is Framing.NONE:
            return
        if request.head.says(b"expect", b"100-continue"):
            client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            client.copy_body(body, wire)
        except (ConnectionGoneError, ProtocolError, OSError):
            self.close()
            raise

    def _ready_wire(self) -> Wire:
        if self._wire is None:
            raise BaseGoneError("connection closed")
        return self._wire

    def _answer(self, method: bytes) -> tuple[Head, Body]:
        wire = self._ready_wire()
        try:
            head = wire.read_head()
            while head is not None and head.first[1].startswith(b"1"):
                head = wire.read_head()
            if head is None:
                raise ConnectionGoneError("before an answer")
            return head, response_body(head, method)
        except (ConnectionGoneError, ProtocolError, OSError) as error:
            self.close()
            raise BaseGoneError(str(error)) from error

    def _end(self, head: Head, answer: Body) -> None:
        if answer.framing is Framing.CLOSE or head.says(b"connection", b"close"):
            self.close()


def _request_head(request: Request, body: Body) -> bytes:
    """The client's head without what concerns the first connection only.

    `X-Forwarded-Proto: https` because loopback never leaves the computer: policies with `aws:SecureTransport`
    mean eavesdroppers on a network, and there is none.
    """
    method, target, _ = request.head.first
    fields = [field for field in request.head.fields if field[0].lower() not in _HOP_BY_HOP]
    if body.framing is Framing.LENGTH and not request.head.all(b"content-length"):
        fields = [field for field in fields if field[0].lower() != b"transfer-encoding"]
        fields.append((b"Content-Length", str(body.length).encode()))
    fields.append((b"X-Forwarded-Proto", b"https"))
    return render_head(b" ".join((method, target, b"HTTP/1.1")), fields)


def _answer_head(head: Head, answer: Body) -> bytes:
    fields = [field for field in head.fields if field[0].lower() not in _HOP_BY_HOP]
    if answer.framing is Framing.CLOSE:
        fields.append((b"Connection", b"close"))
    return render_head(_status_line(head), fields)


def answer_head(head: Head, length: int, method: bytes) -> bytes:
    """The head of an answer that was read as a whole."""
    fields = [field for field in head.fields if field[0].lower() not in _HOP_BY_HOP]
    if method != b"HEAD":
        fields = [field for field in fields if field[0].lower() not in (b"transfer-encoding", b"content-length")]
        fields.append((b"Content-Length", str(length).encode()))
    return render_head(_status_line(head), fields)


def _status_line(head: Head) -> bytes:
    return b" ".join((b"HTTP/1.1", *head.first[1:])).rstrip()
