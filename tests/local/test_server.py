"""The edge as a door: what passes unchanged, what it answers itself, what it keeps out."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

from tests.local.edge_rig import ROOT_KEY, Rig, running_edge


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running_edge(tmp_path) as running:
        yield running


def connection(rig: Rig) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", rig.port, timeout=10)


def until(condition: object, timeout_s: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def test_requests_and_answers_pass_unchanged(rig: Rig) -> None:
    asking = connection(rig)
    asking.request("PUT", "/a%20b//c?x=%2F&y", body=b"data", headers={"X-Amz-Meta-Name": "v", "Host": "localhost:1"})
    answer = asking.getresponse()
    assert (answer.status, answer.read()) == (200, b"data")
    seen = rig.base.seen[0]
    assert (seen.method, seen.path, seen.body) == ("PUT", "/a%20b//c?x=%2F&y", b"data")
    assert (seen.headers["Host"], seen.headers["X-Amz-Meta-Name"]) == ("localhost:1", "v")


def test_the_base_is_told_that_the_way_was_safe_and_nothing_else_about_it(rig: Rig) -> None:
    asking = connection(rig)
    asking.request("GET", "/", headers={"X-Forwarded-Proto": "gopher", "Connection": "keep-alive", "TE": "trailers"})
    asking.getresponse().read()
    assert rig.base.seen[0].headers["X-Forwarded-Proto"] == "https"
    assert not {"connection", "te"} & {name.lower() for name in rig.base.seen[0].headers}


def test_one_connection_carries_many_requests(rig: Rig) -> None:
    asking = connection(rig)
    asking.connect()
    local = asking.sock.getsockname()
    for number in range(5):
        asking.request("POST", f"/{number}", body=str(number).encode())
        assert asking.getresponse().read() == str(number).encode()
        asking.request("HEAD", "/head")
        answer = asking.getresponse()
        assert (answer.read(), answer.headers["Content-Length"]) == (b"", "5")
    assert asking.sock.getsockname() == local


def test_a_connection_that_the_base_ended_is_made_again(rig: Rig) -> None:
    asking = connection(rig)
    for path in ("/hang-up", "/"):
        asking.request("GET", path)
        assert asking.getresponse().read() == b"hello"
        time.sleep(0.05)


def test_an_upload_flows_while_it_is_still_being_sent(rig: Rig) -> None:
    half = b"x" * 3_000_000
    with rig.connect() as sending:
        sending.sendall(b"PUT /big HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (2 * len(half)))
        sending.sendall(half)
        assert until(lambda: sum(map(len, rig.base.pieces)) == len(half))
        sending.sendall(half)
        assert until(lambda: rig.base.seen)
    assert rig.base.seen[0].body == half * 2


def test_chunks_of_an_upload_arrive_as_they_were(rig: Rig) -> None:
    asking = connection(rig)
    asking.request("PUT", "/c", body=iter([b"one", b"two" * 100_000]), encode_chunked=True)
    assert asking.getresponse().read() == b"one" + b"two" * 100_000
    assert rig.base.seen[0].headers["Transfer-Encoding"] == "chunked"


def test_a_download_flows_while_the_base_still_writes(rig: Rig) -> None:
    rig.base.gate.clear()
    asking = connection(rig)
    asking.request("GET", "/chunked")
    answer = asking.getresponse()
    assert answer.read1(100) == b"first"
    rig.base.gate.set()
    assert answer.read() == b"second"
    asking.request("GET", "/again")
    assert asking.getresponse().read() == b"hello"


def test_an_answer_that_ends_with_its_connection_ends_with_ours(rig: Rig) -> None:
    asking = connection(rig)
    asking.request("GET", "/until-close")
    answer = asking.getresponse()
    assert answer.headers["Connection"] == "close"
    assert answer.read() == b"all there is"


def test_a_client_that_expects_100_is_told_to_go_on(rig: Rig) -> None:
    with rig.connect() as sending:
        sending.sendall(b"PUT /e HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert sending.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sending.sendall(b"data")
        assert sending.recv(1000).startswith(b"HTTP/1.1 200")
    assert "Expect" not in rig.base.seen[0].headers


def test_a_client_that_goes_away_in_an_upload_leaves_nothing_behind(rig: Rig) -> None:
    with rig.connect() as sending:
        sending.sendall(b"PUT /gone HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nonly this")
        assert until(lambda: rig.base.pieces)
    asking = connection(rig)
    asking.request("GET", "/")
    assert asking.getresponse().read() == b"hello"


@pytest.mark.parametrize(
    "host",
    [b"evil.example.org", b"localhost.example.org:80", b"10.0.0.1", b"127.0.0.1.example.org", b"", b"169.254.169.254"],
)
def test_names_that_are_not_this_computer_are_refused(rig: Rig, host: bytes) -> None:
    answer = rig.ask(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
    assert answer.startswith(b"HTTP/1.1 403")
    assert not rig.base.seen


@pytest.mark.parametrize("host", [b"127.0.0.1:4566", b"localhost", b"[::1]:80", b"bucket.localhost:1", b"127.0.0.2"])
def test_names_of_this_computer_are_accepted(rig: Rig, host: bytes) -> None:
    assert rig.ask(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", b"403"),
        (b"GET / HTTP/1.1\r\n\r\n", b"403"),
        (b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", b"505"),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", b"400"),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"400",
        ),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"400"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +1\r\n\r\na", b"400"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", b"431"),
    ],
)
def test_messages_that_two_readers_could_read_differently_are_refused(rig: Rig, raw: bytes, status: bytes) -> None:
    answer = rig.ask(raw)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in answer
    assert not rig.base.seen


@pytest.mark.parametrize("path", ["/_ministack/reset", "/%5Fministack/reset", "/_localstack/health", "/_ministack"])
def test_the_emulators_own_doors_stay_shut(rig: Rig, path: str) -> None:
    asking = connection(rig)
    asking.request("POST", path)
    assert asking.getresponse().status == 404
    assert not rig.base.seen


def test_health_tells_the_name(rig: Rig) -> None:
    asking = connection(rig)
    asking.request("GET", "/_neurocaas/health")
    assert json.loads(asking.getresponse().read()) == {"name": "rig"}


def test_a_base_that_is_gone_is_an_error_not_a_hang(rig: Rig) -> None:
    rig.base.shutdown()
    rig.base.server_close()
    answer = rig.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 502")


def test_a_service_of_the_edge_gets_the_call_and_its_answer_arrives(rig: Rig) -> None:
    found = rig.client("ec2").describe_regions(RegionNames=["us-east-1"])
    assert [region["RegionName"] for region in found["Regions"]] == ["us-east-1"]
    call = rig.service.calls[0]
    assert (call.operation, call.parameters, call.region) == (
        "DescribeRegions",
        {"RegionNames": ["us-east-1"]},
        "us-east-1",
    )
    assert (call.caller.kind, call.caller.access_key_id) == ("root", ROOT_KEY)
    assert call.request_id == found["ResponseMetadata"]["RequestId"]
    assert not rig.base.seen


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_presigned_call_to_a_service_of_the_edge_works(rig: Rig, method: str) -> None:
    parameters = {"RegionNames": ["us-east-1"]}
    url = rig.client("ec2").generate_presigned_url("describe_regions", Params=parameters, HttpMethod=method)
    asking = connection(rig)
    asking.request(method, "/" + url.split("/", 3)[3])
    assert asking.getresponse().status == 200
    assert rig.service.calls[0].parameters == {"RegionNames": ["us-east-1"]}


def test_a_services_error_is_the_clients(rig: Rig) -> None:
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound.*no such instance"):
        rig.client("ec2").terminate_instances(InstanceIds=["i-1"])


def test_a_services_mistake_is_a_logged_500(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(ClientError) as caught:
        rig.client("ec2").stop_instances(InstanceIds=["i-1"])
    assert caught.value.response["Error"]["Code"] == "InternalFailure"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "a mistake in the service" in caplog.text
    assert "a mistake" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "secret"), [(ROOT_KEY, "wrong"), ("AKIANOBODYNOBODYNOBO", "any"), ("ASIANOBODYNOBODYNOBO", "any")]
)
def test_a_service_of_the_edge_answers_nobody_it_cannot_verify(rig: Rig, key: str, secret: str) -> None:
    with pytest.raises(ClientError) as caught:
        rig.client("ec2", key, secret).describe_regions()
    assert caught.value.response["Error"]["Code"] == "AuthFailure"
    assert not rig.service.calls


def test_a_request_too_large_for_a_service_is_refused_before_it_is_read(rig: Rig) -> None:
    scope = b"Authorization: AWS4-HMAC-SHA256 Credential=A/20250101/us-east-1/ec2/aws4_request\r\n"
    answer = rig.ask(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + scope + b"Content-Length: 999999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")


def test_stopping_ends_every_connection(rig: Rig) -> None:
    with rig.connect() as idle:
        assert until(lambda: rig.edge._open)
        rig.edge.stop()
        assert idle.recv(10) == b""
    with pytest.raises((EndpointConnectionError, HTTPClientError)):
        rig.client("ec2").describe_regions()


def test_a_slow_client_does_not_keep_others_waiting(rig: Rig) -> None:
    rig.base.gate.clear()
    slow = threading.Thread(target=lambda: rig.ask(b"GET /chunked HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    slow.start()
    assert until(lambda: rig.base.seen)
    assert rig.client("ec2").describe_regions()["Regions"]
    rig.base.gate.set()
    slow.join()
