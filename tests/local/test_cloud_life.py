"""From up to down: in processes of their own, side by side, killed, busy, full."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.errors import CloudError
from ncap_iac.local.cloud import CloudRunningError, LocalCloud, serve
from ncap_iac.local.cloud_record import CloudRecord, read_record
from ncap_iac.local.paths import CloudNameError
from tests.local.cloud_rig import local_cloud, root_client, running_cloud, until
from tests.local.edge_rig import client

pytestmark = pytest.mark.cloud


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalCloud]:
    """Clouds in processes of their own."""
    running = local_cloud(tmp_path)
    try:
        yield running
    finally:
        for name in running.names():
            running.down(name, timeout_s=10)


def of(record: CloudRecord, service: str) -> Any:
    return client(record.endpoint, service, record.access_key_id, record.secret_access_key)


def descendants(pid: int) -> list[int]:
    """All processes below one, itself included, in whatever session."""
    rows = [line.split() for line in subprocess.check_output(["ps", "-eo", "pid=,ppid=,stat="], text=True).splitlines()]
    found = {pid}
    while more := {int(row[0]) for row in rows if int(row[1]) in found and row[2][0] != "Z"} - found:
        found |= more
    return sorted(found)


def running(pids: list[int]) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=", "-p", ",".join(map(str, pids))], capture_output=True, text=True, check=False
    ).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(row[0]) for row in rows if row[1][0] != "Z"]


def make_state(record: CloudRecord) -> None:
    of(record, "s3").create_bucket(Bucket="kept")
    of(record, "s3").put_object(Bucket="kept", Key="k", Body=b"object")
    of(record, "ssm").put_parameter(Name="/kept", Value="parameter", Type="String")


def state(record: CloudRecord) -> tuple[bytes, str]:
    body = of(record, "s3").get_object(Bucket="kept", Key="k")["Body"].read()
    return body, of(record, "ssm").get_parameter(Name="/kept")["Parameter"]["Value"]


def test_a_cloud_comes_up_goes_down_and_comes_back_with_its_state_and_keys(local: LocalCloud) -> None:
    assert local.status("default") is None
    first = local.start("default", port=0)
    assert local.status("default") == first
    make_state(first)
    processes = descendants(first.pid)
    assert len(processes) >= 2
    assert local.down("default")
    assert local.status("default") is None
    assert not running(processes)
    assert not local.down("default")

    second = local.start("default", port=0)
    assert (second.access_key_id, second.secret_access_key) == (first.access_key_id, first.secret_access_key)
    assert state(second) == (b"object", "parameter")


def test_state_survives_a_kill_of_every_process(local: LocalCloud) -> None:
    record = local.start("default", port=0)
    make_state(record)
    saved = local.places.cloud("default").base / "state" / "ssm.json"
    assert until(lambda: saved.exists() and "parameter" in saved.read_text())
    for pid in reversed(descendants(record.pid)):
        os.kill(pid, signal.SIGKILL)
    assert until(lambda: local.status("default") is None)
    assert read_record(local.places.cloud("default").record) is not None
    assert state(local.start("default", port=0)) == (b"object", "parameter")


def test_a_cloud_whose_edge_was_killed_can_be_started_again_at_once(local: LocalCloud) -> None:
    record = local.start("default", port=0)
    make_state(record)
    processes = descendants(record.pid)
    os.kill(record.pid, signal.SIGKILL)
    assert until(lambda: local.status("default") is None)
    again = local.start("default", port=0)
    assert state(again) == (b"object", "parameter")
    assert until(lambda: not running(processes))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_every_process(local: LocalCloud, name: str) -> None:
    record = local.start("default", port=0)
    processes = descendants(record.pid)
    os.kill(record.pid, getattr(signal, name))
    assert until(lambda: not running(processes))
    assert not local.places.cloud("default").record.exists()


def test_two_clouds_run_side_by_side(local: LocalCloud) -> None:
    one, two = local.start("one", port=0), local.start("two", port=0)
    of(one, "s3").create_bucket(Bucket="only-in-one")
    assert not of(two, "s3").list_buckets()["Buckets"]
    assert one.access_key_id != two.access_key_id
    assert local.names() == ["one", "two"]
    assert local.down("one")
    assert local.status("two") == two


def test_a_cloud_that_runs_is_not_started_twice(local: LocalCloud) -> None:
    record = local.start("default", port=0)
    with pytest.raises(CloudRunningError, match=record.endpoint):
        local.start("default", port=0)
    with pytest.raises(CloudRunningError, match=record.endpoint):
        local.up("default", port=0)


def test_a_busy_port_is_named_with_what_to_do(local: LocalCloud) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CloudError, match=f"port {port} on 127.0.0.1 is in use") as caught:
            local.up("default", port=port, make_services=lambda surroundings: [])
        assert "--port" in caught.value.hint
        with pytest.raises(CloudError, match=f"(?s)did not start.*port {port} on 127.0.0.1 is in use.*--port"):
            local.start("default", port=port)
    assert local.status("default") is None


def test_a_full_disk_is_named_with_what_to_do(local: LocalCloud) -> None:
    full = replace(local, free_bytes=lambda path: 12_000_000)
    with pytest.raises(CloudError, match="only 12 MB are free") as caught:
        full.up("default", port=0)
    assert "NEUROCAAS_HOME" in caught.value.hint


def test_a_cloud_whose_emulator_dies_says_so_and_ends(local: LocalCloud) -> None:
    record = local.start("default", port=0)
    processes = descendants(record.pid)
    listed = subprocess.check_output(["ps", "-ww", "-eo", "pid=,ppid=,args="], text=True).splitlines()
    (base,) = [int(row.split()[0]) for row in listed if "base_launcher" in row and int(row.split()[1]) == record.pid]
    os.kill(base, signal.SIGKILL)
    assert until(lambda: not running(processes))
    assert local.status("default") is None
    assert "emulator behind the local cloud ended unexpectedly" in local.places.cloud("default").log.read_text()


def test_a_failed_start_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(surroundings: object) -> list[Any]:
        raise CloudError("the services cannot be made")

    with pytest.raises(CloudError, match="cannot be made"):
        local_cloud(tmp_path).up("default", port=0, make_services=fail)
    assert len(descendants(os.getpid())) <= 2  # this process and its ps
    with running_cloud(tmp_path, "default") as (cloud, _):
        assert root_client(cloud, "sts").get_caller_identity()["Account"] == "000000000000"


def test_a_cloud_in_this_process_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    ended = threading.Event()
    cloud = local_cloud(tmp_path).up("default", port=0, make_services=lambda surroundings: [])
    threading.Timer(0.2, ended.set).start()
    assert serve(cloud, ended)
    assert not cloud.is_healthy()


@pytest.mark.parametrize("name", ["", "../other", "UPPER", "a" * 32, "-x", "a/b"])
def test_names_that_cannot_be_folders_everywhere_are_refused(local: LocalCloud, name: str) -> None:
    with pytest.raises(CloudNameError, match="a-z"):
        local.status(name)


def test_importing_it_imports_no_aws_library() -> None:
    code = "import sys, ncap_iac.local.cloud; print([name for name in sys.modules if name.startswith('boto')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
