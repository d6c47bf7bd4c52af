"""The local cloud as a product: restarts, kills, two at once, busy ports, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.laboratory import Laboratory, make_home

pytestmark = pytest.mark.cloud


@pytest.fixture
def own(laboratory: Laboratory, tmp_path: Path) -> Iterator[Laboratory]:
    """A cloud of this test's own, nothing deployed."""
    found = Laboratory(project=laboratory.project, home=make_home(tmp_path / "home"), cloud="own")
    yield found
    found.ncap("local", "down", "--name", "own", check=False)


def up(own: Laboratory) -> None:
    own.ncap("local", "up", "--background", "--name", own.cloud, "--port", "0")


def processes_of(folder: Path) -> list[int]:
    """Processes whose command line or environment names the cloud's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if bytes(folder) in text:
            found.append(int(entry.name))
    return found


def wait_until_none(folder: Path) -> None:
    deadline = time.monotonic() + 15
    while left := processes_of(folder):
        assert time.monotonic() < deadline, f"processes left: {left}"
        time.sleep(0.1)


def fill(own: Laboratory) -> None:
    s3 = own.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="a/b c.txt", Body=b"kept")
    own.client("iam").create_user(UserName="kept")
    own.client("dynamodb").create_table(
        TableName="kept",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    own.client("dynamodb").put_item(TableName="kept", Item={"pk": {"S": "row"}})


def all_is_there(own: Laboratory) -> None:
    assert own.client("s3").get_object(Bucket="kept", Key="a/b c.txt")["Body"].read() == b"kept"
    assert own.client("iam").get_user(UserName="kept")["User"]["UserName"] == "kept"
    assert own.client("dynamodb").get_item(TableName="kept", Key={"pk": {"S": "row"}})["Item"]["pk"]["S"] == "row"


def test_everything_is_there_after_a_restart(own: Laboratory) -> None:
    up(own)
    fill(own)
    own.ncap("local", "down", "--name", "own")
    wait_until_none(own.home / "clouds" / "own")

    up(own)

    all_is_there(own)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_everything_is_there_after_a_kill(own: Laboratory) -> None:
    up(own)
    fill(own)
    time.sleep(6)  # the snapshot of what is not an object is at most five seconds old
    os.kill(own.record()["pid"], signal.SIGKILL)
    wait_until_none(own.home / "clouds" / "own")

    up(own)

    all_is_there(own)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_control_c_in_the_foreground_leaves_no_process(own: Laboratory) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ncap_iac", "local", "up", "--name", "own", "--port", "0"],
        env=own.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    record = own.home / "clouds" / "own" / "cloud.json"
    deadline = time.monotonic() + 30
    while not record.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0].decode()
        time.sleep(0.1)

    os.killpg(process.pid, signal.SIGINT)

    process.communicate(timeout=20)
    wait_until_none(own.home / "clouds" / "own")
    assert not record.exists()


def test_two_clouds_side_by_side_do_not_see_each_other(laboratory: Laboratory, own: Laboratory) -> None:
    up(own)
    own.client("s3").create_bucket(Bucket="only-here")

    names = [b["Name"] for b in laboratory.client("s3").list_buckets()["Buckets"]]

    assert "only-here" not in names
    status = own.ncap("local", "status", "--output", "json").data
    assert json.dumps(status).count("own") >= 1


def test_a_busy_port_is_said_in_words(own: Laboratory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]

        done = own.ncap("local", "up", "--background", "--name", "own", "--port", str(port), check=False)

    assert done.code == 7
    assert str(port) in done.err
    assert "--port" in done.err
    assert "Traceback" not in done.err


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads the kernel's socket tables")
def test_everything_listens_on_loopback_only(laboratory: Laboratory) -> None:
    """Sockets of all processes of the cloud, from the kernel's tables."""
    folder = laboratory.home / "clouds" / laboratory.cloud
    inodes = {
        _target(link)[8:-1]
        for pid in [laboratory.record()["pid"], *processes_of(folder)]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink() and _target(link).startswith("socket:[")
    }
    listening = [
        fields[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and fields[9] in inodes
    ]
    assert listening
    assert [address for address in listening if not address.startswith("0100007F:")] == []


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
