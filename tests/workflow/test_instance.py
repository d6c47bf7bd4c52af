"""Metadata service, usage readings and the start of the tool, against real servers and processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workflow.rig import PROTOCOLS, MetadataFront, Rig, serving
from workflow.metadata import Identity, MetadataError, MetadataService, metadata_endpoint
from workflow.usage import UsageMeter, folder_bytes


def test_identity_is_read_with_a_session_token(rig: Rig) -> None:
    service = MetadataService(rig.metadata_url + "/", sleep=lambda _: None)
    assert service.identity() == Identity("i-0123456789abcdef0", 0, "us-east-1")
    assert not service.has_spot_notice()
    rig.metadata["spot/instance-action"] = "{}"
    assert service.has_spot_notice()


def test_a_metadata_service_that_stumbles_is_asked_again() -> None:
    pauses: list[float] = []
    answers = {"instance-id": "i-1", "ami-launch-index": "3", "placement/region": "eu-west-1"}

    with serving(MetadataFront, answers=answers, refusals=[503, 503]) as url:
        assert MetadataService(url, sleep=pauses.append).identity().launch_index == 3
    assert pauses == [0.2, 0.4]


def test_silence_is_told_with_what_was_asked() -> None:
    with serving(MetadataFront, answers={}, refusals=[403] * 9) as url, pytest.raises(MetadataError, match=r"id.*403"):
        MetadataService(url, sleep=lambda _: None).identity()


def test_the_endpoint_is_the_sdk_standard_one() -> None:
    assert metadata_endpoint({}) == "http://169.254.169.254"
    assert metadata_endpoint({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}) == "http://127.0.0.1:1"


def test_usage_counts_the_processes_of_the_session_and_no_others(tmp_path: Path) -> None:
    script = "import time; a = bytearray(80_000_000)\nwhile True: sum(range(10_000))"
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True) as child:
        meter = UsageMeter(child.pid, folder=tmp_path, cores=1, clock=time.monotonic)
        other = UsageMeter(os.getpid() + 10_000_000, folder=tmp_path, cores=1, clock=time.monotonic)
        time.sleep(0.6)
        usage = meter.sample()
        child.kill()
    assert usage.memory_mb is not None
    assert 80 < usage.memory_mb < 400
    assert usage.cpu_percent is not None
    assert usage.cpu_percent > 5
    assert other.sample().memory_mb is None


def test_without_proc_nothing_is_claimed(tmp_path: Path) -> None:
    meter = UsageMeter(1, folder=tmp_path, cores=1, clock=time.monotonic, proc=tmp_path / "no-proc")
    usage = meter.sample()
    assert (usage.memory_mb, usage.cpu_percent) == (None, None)


def test_disk_counts_what_is_allocated(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"x" * 100_000)
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 10**9)
    assert 100_000 <= folder_bytes(tmp_path) < 200_000


@pytest.mark.parametrize("module", ["workflow.boot", "workflow.cli"])
def test_starting_a_command_does_not_import_the_sdk_or_yaml(module: str) -> None:
    slow = {"boto3", "botocore", "s3transfer", "yaml"}
    script = f"import sys, {module}; print(sorted({slow} & set(sys.modules)))"
    shown = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(PROTOCOLS)}, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
