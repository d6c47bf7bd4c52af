"""One HTTP request as the edge sees it before it knows what is asked: parts, credential scope, loopback check."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import unquote, unquote_to_bytes

from ncap_iac.local.http1 import Head, ProtocolError

_HEADER_SCOPE = re.compile(rb"Credential=([^/,\s]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_QUERY_SCOPE = re.compile(rb"([^/]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")


@dataclass(frozen=True)
class Scope:
    """What a SigV4 signature says it is for."""

    access_key_id: str
    date: str
    region: str
    service: str


@dataclass(frozen=True)
class Request:
    """A request's head, parsed. Its target is a path: proxies' absolute form is refused."""

    head: Head

    @property
    def method(self) -> bytes:
        """`GET`, …, as sent."""
        return self.head.first[0]

    @cached_property
    def path(self) -> bytes:
        """As sent, still encoded, without the query."""
        return self.head.first[1].partition(b"?")[0]

    @cached_property
    def query(self) -> bytes:
        """As sent, still encoded."""
        return self.head.first[1].partition(b"?")[2]

    @cached_property
    def parameters(self) -> list[tuple[str, str]]:
        """The query's pairs, decoded, in order."""
        pairs = (part.partition(b"=") for part in self.query.split(b"&") if part)
        return [(_decoded(name), _decoded(value)) for name, _, value in pairs]

    @cached_property
    def scope(self) -> Scope | None:
        """The credential scope of the header or of a presigned query; None for unsigned requests."""
        found = _HEADER_SCOPE.search(self.head.get(b"authorization"))
        if not found and b"X-Amz-Credential=" in self.query:
            credential = dict(self.parameters).get("X-Amz-Credential", "")
            found = _QUERY_SCOPE.fullmatch(credential.encode())
        return Scope(*(part.decode("latin-1") for part in found.groups())) if found else None

    @property
    def is_presigned(self) -> bool:
        """Whether the signature is in the query."""
        return not self.head.get(b"authorization") and b"X-Amz-Signature=" in self.query


def _decoded(text: bytes) -> str:
    return unquote(text.replace(b"+", b" ").decode("latin-1"))


def check_request(request: Request) -> None:
    """Refuse what no AWS client sends and a web page of another site might. Raises ProtocolError."""
    method, target, version = request.head.first
    if version != b"HTTP/1.1":
        raise ProtocolError("only HTTP/1.1 is spoken here", status=505)
    if not method.isalpha() or not (target.startswith(b"/") or (method == b"OPTIONS" and target == b"*")):
        raise ProtocolError("malformed request line")
    if not is_loopback(request.head):
        raise ProtocolError("the local cloud answers to loopback names only (127.0.0.1, localhost)", status=403)


def is_loopback(head: Head) -> bool:
    """Whether the Host field names this computer: a name that an outside name server controls never does.

    This is what keeps a page in a browser from reaching the cloud by DNS rebinding.
    """
    hosts = head.all(b"host")
    return len(hosts) == 1 and _is_loopback_name(hosts[0].decode("latin-1").lower())


@lru_cache(maxsize=256)
def _is_loopback_name(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        # `bucket.127.0.0.1`, S3's virtual-host style on an address: no name server is asked for that.
        return bool(re.fullmatch(r"[a-z0-9.-]+\.127\.0\.0\.1", name))


def plain_path(path: bytes) -> bytes:
    """The path with its escapes decoded, for comparison with known paths only."""
    return unquote_to_bytes(path)
