"""Signatures made by botocore's own signers are accepted; anything changed afterwards is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ncap_iac.local.http1 import Head
from ncap_iac.local.request import Request
from ncap_iac.local.signature import SignatureError, verify

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY = "AKIAIOSFODNN7EXAMPLE"
BODY = b"Action=RunInstances&Version=2016-11-15"


def as_received(signed: AWSRequest, body: bytes) -> Request:
    """What arrives at the edge when botocore sends this request."""
    if "Host" not in signed.headers:
        signed.headers["Host"] = urlsplit(signed.url).netloc
    prepared = signed.prepare()
    target = prepared.url.split("/", 3)[3]
    fields = tuple((str(name).encode(), str(value).encode()) for name, value in prepared.headers.items())
    return Request(Head((prepared.method.encode(), b"/" + target.encode(), b"HTTP/1.1"), fields))


def signed_post(url: str = "http://127.0.0.1:4566/", *, token: str | None = None, body: bytes = BODY) -> Request:
    request = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    SigV4Auth(Credentials(KEY, SECRET, token), "ec2", "us-east-1").add_auth(request)
    return as_received(request, body)


def presigned_get(url: str, *, token: str | None = None, expires: int = 60) -> Request:
    request = AWSRequest("GET", url)
    SigV4QueryAuth(Credentials(KEY, SECRET, token), "ec2", "us-east-1", expires=expires).add_auth(request)
    return as_received(request, b"")


def check(
    request: Request, body: bytes = b"", *, secret: str = SECRET, token: str | None = None, later: float = 0
) -> None:
    verify(request, body, secret=secret, token=token, now=datetime.now(UTC) + timedelta(seconds=later))


def refusal(request: Request, body: bytes = b"", **more: object) -> str:
    with pytest.raises(SignatureError) as caught:
        check(request, body, **more)  # type: ignore[arg-type]
    return caught.value.code


def changed(request: Request, name: bytes, value: bytes) -> Request:
    fields = tuple((key, value if key.lower() == name else old) for key, old in request.head.fields)
    return Request(Head(request.head.first, fields))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:4566/",
        "http://localhost:4566/a%20b/c?x=1&y=%2F%20&x=0&flag",
        "http://localhost:4566/a/../b/./c//d/",
        "http://localhost:4566/%C3%BCmlaut?%D0%BA=%D0%B7&plus=%2B",
    ],
)
def test_a_request_signed_by_botocore_is_accepted_whatever_its_path_and_query(url: str) -> None:
    check(signed_post(url), BODY)


def test_a_presigned_request_is_accepted() -> None:
    check(presigned_get("http://127.0.0.1:4566/?Action=DescribeInstances&Version=2016-11-15"))


@pytest.mark.parametrize("path", ["/bucket/a%20b%2Bc/d.txt", "/bucket//x/../y", "/bucket/%C3%BC"])
def test_paths_of_s3_are_not_normalized(path: str) -> None:
    request = AWSRequest("PUT", f"http://localhost:4566{path}", data=b"data")
    S3SigV4Auth(Credentials(KEY, SECRET), "s3", "eu-west-1").add_auth(request)
    check(as_received(request, b"data"), b"data")


def test_a_session_token_is_part_of_the_credentials() -> None:
    check(signed_post(token="token=="), BODY, token="token==")
    check(presigned_get("http://127.0.0.1:4566/?Action=A", token="token=="), token="token==")
    assert refusal(signed_post(token="other"), BODY, token="token==") == "InvalidClientTokenId"
    assert refusal(signed_post(), BODY, token="token==") == "InvalidClientTokenId"
    assert refusal(signed_post(token="token=="), BODY) == "InvalidClientTokenId"


def test_a_wrong_secret_is_refused() -> None:
    assert refusal(signed_post(), BODY, secret="another") == "SignatureDoesNotMatch"
    assert refusal(presigned_get("http://127.0.0.1:4566/?a=b"), secret="another") == "SignatureDoesNotMatch"


def test_a_changed_body_header_path_or_query_is_refused() -> None:
    request = signed_post("http://127.0.0.1:4566/?a=b")
    assert refusal(request, BODY + b"&DryRun=true") == "SignatureDoesNotMatch"
    assert refusal(changed(request, b"host", b"localhost:4566"), BODY) == "SignatureDoesNotMatch"
    for target in (b"/?a=c", b"/x?a=b", b"/?a=b&c=d"):
        other = Request(Head((b"POST", target, b"HTTP/1.1"), request.head.fields))
        assert refusal(other, BODY) == "SignatureDoesNotMatch"
    assert refusal(Request(Head((b"PUT", b"/?a=b", b"HTTP/1.1"), request.head.fields)), BODY) == "SignatureDoesNotMatch"


def test_a_stated_payload_hash_is_compared_with_the_payload() -> None:
    request = AWSRequest("POST", "http://localhost:4566/", data=BODY)
    S3SigV4Auth(Credentials(KEY, SECRET), "s3", "us-east-1").add_auth(request)
    received = as_received(request, BODY)
    check(received, BODY)
    assert refusal(received, b"another body") == "SignatureDoesNotMatch"


def test_a_signature_that_leaves_the_payload_out_is_refused() -> None:
    request = AWSRequest("GET", "http://localhost:4566/key")
    S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", "us-east-1").add_auth(request)
    assert refusal(as_received(request, b""), b"smuggled") == "SignatureDoesNotMatch"


@pytest.mark.parametrize("later", [901, -901])
def test_the_clocks_may_differ_by_fifteen_minutes(later: int) -> None:
    check(signed_post(), BODY, later=later * 0.99)
    assert refusal(signed_post(), BODY, later=later * 1.01) == "RequestExpired"


def test_a_presigned_request_expires() -> None:
    request = presigned_get("http://127.0.0.1:4566/?a=b", expires=30)
    check(request, later=28)
    assert refusal(request, later=32) == "RequestExpired"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"authorization", b"AWS4-HMAC-SHA256 Credential=AKIA/20250101/us-east-1/ec2/aws4_request"),
        (b"authorization", b"Basic dXNlcjpwYXNz"),
        (b"x-amz-date", b"yesterday"),
    ],
)
def test_an_incomplete_signature_is_refused(name: bytes, value: bytes) -> None:
    assert refusal(changed(signed_post(), name, value), BODY) in {
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
    }


def test_a_request_without_a_signature_is_refused() -> None:
    request = Request(Head((b"POST", b"/", b"HTTP/1.1"), ((b"Host", b"localhost"),)))
    assert refusal(request, BODY) == "MissingAuthenticationToken"


def test_the_scopes_date_is_the_requests_date() -> None:
    request = signed_post()
    today = request.scope.date.encode() if request.scope else b""
    value = request.head.get(b"authorization").replace(today, b"20200101")
    assert refusal(changed(request, b"authorization", value), BODY) == "SignatureDoesNotMatch"
