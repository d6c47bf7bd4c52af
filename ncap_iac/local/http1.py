"""HTTP/1.1 as the edge needs it: heads as bytes, bodies as streams. Nothing here knows AWS.

Strict where leniency would let two readers disagree about where a message ends (RFC 9112 sections 2.2, 6.1, 11.2).
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

PIECE = 1 << 18
"""Bytes moved at a time."""
_JOINED = 1 << 16
_LONGEST_HEAD = 1 << 16
_LONGEST_CHUNK_LINE = 1 << 12
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)


class ProtocolError(Exception):
    """A message that cannot be understood in exactly one way."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ConnectionGoneError(Exception):
    """The other side closed the connection in the middle of a message."""


class Framing(Enum):
    """How a body's end is found."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


@dataclass(frozen=True)
class Body:
    """What follows a head."""

    framing: Framing
    length: int = 0


NO_BODY = Body(Framing.NONE)


@dataclass(frozen=True)
class Head:
    """First line, split at its first two spaces, and the header fields in order."""

    first: tuple[bytes, bytes, bytes]
    fields: tuple[tuple[bytes, bytes], ...]

    @cached_property
    def _by_name(self) -> dict[bytes, list[bytes]]:
        found: dict[bytes, list[bytes]] = {}
        for name, value in self.fields:
            found.setdefault(name.lower(), []).append(value)
        return found

    def all(self, name: bytes) -> list[bytes]:
        """Every value of a field; `name` in lower case."""
        return self._by_name.get(name, [])

    def get(self, name: bytes) -> bytes:
        """The values of a field joined by commas; empty without any."""
        return b", ".join(self.all(name))

    def says(self, name: bytes, word: bytes) -> bool:
        """Whether a list field holds this word, whatever its case."""
        return word in (part.strip() for part in self.get(name).lower().split(b","))


def parse_head(raw: bytes) -> Head:
    """A head without its final empty line. Raises ProtocolError."""
    first, *rest = raw.split(b"\r\n")
    words = first.split(b" ", 2)
    if len(words) < 2 or raw.count(b"\n") != len(rest) or raw.count(b"\r") != len(rest) or b"\0" in raw:
        raise ProtocolError("malformed message head")
    fields = []
    for line in rest:
        found = _FIELD.fullmatch(line)
        if not found:
            raise ProtocolError("malformed header field")
        fields.append((found[1], found[2]))
    return Head((words[0], words[1], words[2] if len(words) > 2 else b""), tuple(fields))


def _stated_body(head: Head) -> Body | None:
    lengths = set(head.all(b"content-length"))
    encodings = head.get(b"transfer-encoding").lower()
    if encodings and lengths:
        raise ProtocolError("both Transfer-Encoding and Content-Length")
    if encodings:
        if encodings.strip() != b"chunked":
            raise ProtocolError("Transfer-Encoding other than chunked", status=501)
        return Body(Framing.CHUNKED)
    if not lengths:
        return None
    if len(lengths) > 1:
        raise ProtocolError("Content-Length more than once")
    text = lengths.pop()
    if not (text.isdigit() and len(text) < 16):
        raise ProtocolError("Content-Length is not a number")
    return Body(Framing.LENGTH, int(text)) if int(text) else NO_BODY


def request_body(head: Head) -> Body:
    """How the body of a request ends. Raises ProtocolError."""
    return _stated_body(head) or NO_BODY


def response_body(head: Head, method: bytes) -> Body:
    """How the body of the answer to `method` ends. Raises ProtocolError."""
    status = head.first[1]
    if method == b"HEAD" or status in (b"204", b"304") or status.startswith(b"1"):
        return NO_BODY
    return _stated_body(head) or Body(Framing.CLOSE)


class Wire:
    """A connected socket with the bytes read ahead of need."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._ahead = bytearray()
        self._piece = bytearray(0)
        self._held = b""

    def close(self) -> None:
        """Close; a thread that waits on it wakes up."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it, after what was held."""
        if self._held:
            held, self._held = self._held, b""
            if len(data) > _JOINED:
                self.socket.sendall(held)
            else:
                data = held + data
        self.socket.sendall(data)

    def hold(self, data: bytes) -> None:
        """Send this together with what is sent next, which is certain to come."""
        self._held += data

    def _more(self) -> bool:
        data = self.socket.recv(1 << 16)
        self._ahead += data
        return bool(data)

    def read_head(self) -> Head | None:
        """The next message's head, or None if the connection ended before it began.

        Raises ProtocolError and ConnectionGoneError.
        """
        searched = 0
        while True:
            if not searched:
                while self._ahead.startswith(b"\r\n"):
                    del self._ahead[:2]
            end = self._ahead.find(b"\r\n\r\n", max(searched - 3, 0))
            if 0 <= end <= _LONGEST_HEAD:
                raw = bytes(self._ahead[:end])
                del self._ahead[: end + 4]
                return parse_head(raw)
            searched = len(self._ahead)
            if searched > _LONGEST_HEAD:
                raise ProtocolError("message head too long", status=431)
            if not self._more():
                if self._ahead:
                    raise ConnectionGoneError("in a message head")
                return None

    def read_body(self, body: Body, *, limit: int) -> bytes:
        """A body as a whole, chunks joined. Raises ProtocolError (413) above `limit` bytes."""
        if body.framing is Framing.LENGTH and body.length > limit:
            raise ProtocolError(f"request larger than {limit} bytes", status=413)
        collected = _Collected(limit)
        self.copy_body(body, collected, unwrap=True)
        return bytes(collected.data)

    def copy_body(self, body: Body, target: Sink, *, unwrap: bool = False) -> None:
        """Move a body piece by piece, as it is on the wire; `unwrap`: without the framing of chunks.

        Raises ConnectionGoneError if this side ends early, OSError of the target's.
        """
        if body.framing is Framing.LENGTH:
            self._copy(body.length, target)
        elif body.framing is Framing.CHUNKED:
            self._copy_chunks(target, unwrap=unwrap)
        elif body.framing is Framing.CLOSE:
            self._copy(None, target)

    def _copy(self, length: int | None, target: Sink) -> None:
        left = length
        if self._ahead:
            ready = self._ahead if left is None else self._ahead[:left]
            target.send(ready)
            taken = len(ready)
            self._ahead = self._ahead[taken:]
            left = None if left is None else left - taken
        if not self._piece:
            self._piece = bytearray(PIECE)
        view = memoryview(self._piece)
        while left is None or left > 0:
            got = self.socket.recv_into(view, PIECE if left is None else min(left, PIECE))
            if not got:
                if left is None:
                    return
                raise ConnectionGoneError("in a body")
            target.send(view[:got])
            left = None if left is None else left - got

    def _line(self) -> bytes:
        while (end := self._ahead.find(b"\r\n")) < 0:
            if len(self._ahead) > _LONGEST_CHUNK_LINE:
                raise ProtocolError("chunk line too long")
            if not self._more():
                raise ConnectionGoneError("in a chunk line")
        line = bytes(self._ahead[:end])
        del self._ahead[: end + 2]
        return line

    def _copy_chunks(self, target: Sink, *, unwrap: bool) -> None:
        while True:
            line = self._line()
            digits = line.split(b";", 1)[0].strip()
            if not digits or len(digits) > 15 or not all(byte in b"0123456789abcdefABCDEF" for byte in digits):
                raise ProtocolError("malformed chunk size")
            size = int(digits, 16)
            if not size:
                break
            if not unwrap:
                target.send(line + b"\r\n")
            self._copy(size, target)
            if self._line():
                raise ProtocolError("malformed end of chunk")
            if not unwrap:
                target.send(b"\r\n")
        while self._line():
            """Trailers say nothing the edge or the base uses."""
        if not unwrap:
            target.send(b"0\r\n\r\n")


class _Collected:
    """A sink in memory with a limit."""

    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self._limit = limit

    def send(self, data: bytes | bytearray | memoryview) -> None:
        if len(self.data) + len(data) > self._limit:
            raise ProtocolError(f"request larger than {self._limit} bytes", status=413)
        self.data += data


Sink = Wire | _Collected


def render_head(first: bytes, fields: tuple[tuple[bytes, bytes], ...] | list[tuple[bytes, bytes]]) -> bytes:
    """A head as it goes on the wire."""
    lines = [first, *(name + b": " + value for name, value in fields), b"", b""]
    return b"\r\n".join(lines)
