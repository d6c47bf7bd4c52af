"""Checks AWS Signature Version 4, in the header and in a presigned query. Pure: secret, request and time are given.

Formula: "Authenticating Requests (AWS Signature Version 4)" of the Amazon S3 API reference and "Create a signed AWS
API request" of the IAM user guide.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from ncap_iac.local.request import Request, Scope

CLOCK_SKEW = timedelta(minutes=15)
_LONGEST_PRESIGN = timedelta(days=7)
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=[^,\s]+,\s*SignedHeaders=([a-z0-9;:._-]+),\s*Signature=([0-9a-f]{64})\s*"
)


class SignatureError(Exception):
    """A request that its signature does not cover; `code` is AWS's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class _Signature:
    """The parts of a signature, wherever they stood."""

    scope: Scope
    signed_headers: tuple[str, ...]
    signature: str
    date: str
    token: str
    lifetime: timedelta | None
    """Of a presigned request; None for a header signature."""


def verify(request: Request, body: bytes, *, secret: str, token: str | None, now: datetime) -> None:
    """Raise SignatureError unless the request was signed with this secret (and session token), and lately."""
    parts = _read(request)
    _check_time(parts, now)
    if not hmac.compare_digest(parts.token.encode(), (token or "").encode()):
        raise SignatureError("InvalidClientTokenId", "The security token included in the request is invalid.")
    expected = _sign(secret, parts.scope, _string_to_sign(parts, _canonical_request(request, parts, body)))
    if not hmac.compare_digest(expected, parts.signature):
        raise SignatureError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )


def _read(request: Request) -> _Signature:
    scope = request.scope
    if scope is None:
        raise SignatureError("MissingAuthenticationToken", "Request is missing Authentication Token")
    parts = _read_query(request, scope) if request.is_presigned else _read_header(request, scope)
    if not {"host"} <= set(parts.signed_headers):
        raise SignatureError("SignatureDoesNotMatch", "The signature must cover the host header.")
    if parts.date[:8] != scope.date:
        raise SignatureError("SignatureDoesNotMatch", "The date of the credential scope is not the request's date.")
    return parts


def _read_header(request: Request, scope: Scope) -> _Signature:
    found = _AUTHORIZATION.fullmatch(request.head.get(b"authorization").decode("latin-1"))
    if not found:
        raise SignatureError("IncompleteSignature", "The Authorization header is not a complete AWS4-HMAC-SHA256 one.")
    return _Signature(
        scope=scope,
        signed_headers=tuple(found[1].split(";")),
        signature=found[2],
        date=request.head.get(b"x-amz-date").decode("latin-1"),
        token=request.head.get(b"x-amz-security-token").decode("latin-1"),
        lifetime=None,
    )


def _read_query(request: Request, scope: Scope) -> _Signature:
    query = dict(request.parameters)
    seconds = query.get("X-Amz-Expires", "")
    if query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256" or not (seconds.isascii() and seconds.isdigit()):
        raise SignatureError("IncompleteSignature", "The query is not a complete AWS4-HMAC-SHA256 one.")
    return _Signature(
        scope=scope,
        signed_headers=tuple(query.get("X-Amz-SignedHeaders", "").split(";")),
        signature=query.get("X-Amz-Signature", ""),
        date=query.get("X-Amz-Date", ""),
        token=query.get("X-Amz-Security-Token", ""),
        lifetime=min(timedelta(seconds=int(seconds[:7])), _LONGEST_PRESIGN),
    )


def _check_time(parts: _Signature, now: datetime) -> None:
    try:
        signed_at = datetime.strptime(parts.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise SignatureError("IncompleteSignature", "X-Amz-Date must be like 20250131T235959Z.") from error
    lifetime = CLOCK_SKEW if parts.lifetime is None else parts.lifetime
    if signed_at > now + CLOCK_SKEW:
        raise SignatureError("RequestExpired", f"Signature not yet current: {parts.date} is later than this clock.")
    if now > signed_at + lifetime:
        raise SignatureError("RequestExpired", f"Signature expired: {parts.date} is too long ago.")


def _canonical_request(request: Request, parts: _Signature, body: bytes) -> str:
    payload = request.head.get(b"x-amz-content-sha256").decode("latin-1")
    actual = hashlib.sha256(body).hexdigest()
    if re.fullmatch("[0-9a-f]{64}", payload) and payload != actual:
        raise SignatureError("SignatureDoesNotMatch", "x-amz-content-sha256 is not the SHA-256 of the body.")
    return "\n".join(
        [
            request.method.decode("latin-1"),
            _canonical_path(request.path, parts.scope.service),
            _canonical_query(request),
            *(f"{name}:{_canonical_header(request, name)}" for name in parts.signed_headers),
            "",
            ";".join(parts.signed_headers),
            actual,
        ]
    )


def _canonical_path(path: bytes, service: str) -> str:
    """The path, normalized and encoded once more, except for S3."""
    if service == "s3":
        return quote(unquote_to_bytes(path), safe="/-_.~")
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    slash = b"/" if path.endswith(b"/") and parts else b""
    return quote(b"/" + b"/".join(parts) + slash, safe="/-_.~")


def _canonical_query(request: Request) -> str:
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in request.parameters
        if name != "X-Amz-Signature"
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


def _canonical_header(request: Request, name: str) -> str:
    values = request.head.all(name.encode("latin-1"))
    if not values:
        raise SignatureError("SignatureDoesNotMatch", f"The signed header {name} is not in the request.")
    return ",".join(" ".join(value.decode("latin-1").split()) for value in values)


def _string_to_sign(parts: _Signature, canonical: str) -> str:
    scope = f"{parts.scope.date}/{parts.scope.region}/{parts.scope.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return "\n".join(["AWS4-HMAC-SHA256", parts.date, scope, digest])


def _sign(secret: str, scope: Scope, text: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
