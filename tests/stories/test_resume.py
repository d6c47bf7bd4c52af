"""One dataset of three fails; its member resumes the job with a good config, and only that one runs again."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.stories.laboratory import Laboratory, wait_for_end

pytestmark = [
    pytest.mark.cloud,
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds processes in /proc"),
]

BUCKET = "faulty"
AS_MEMBER = ("--as", "demo-member", "--output", "json")
DATASET = "demo/inputs/resume-two.txt"
SLOW_S = 20
"""Long enough to find the one process among three that shall die."""


@pytest.fixture(scope="module")
def partial(laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A job of three datasets whose second one was killed, and the folder its files are in."""
    folder = tmp_path_factory.mktemp("resume")
    for name in ("resume-one", "resume-two", "resume-three"):
        (folder / f"{name}.txt").write_text(name)
    for name, seconds in (("resume-slow", SLOW_S), ("resume-quick", 0)):
        (folder / f"{name}.json").write_text(json.dumps({"mode": "copy", "seconds": seconds}))
    data = [str(folder / f"resume-{name}.txt") for name in ("one", "two", "three")]
    words = ("job", "submit", BUCKET, "--data", *data, "--config", str(folder / "resume-slow.json"))
    job = laboratory.ncap(*words, *AS_MEMBER).data["job"]
    os.kill(workflow_process(laboratory, b"resume-two.txt"), signal.SIGKILL)
    end = wait_for_end(laboratory.client("s3"), BUCKET, "demo", job, patience_s=120)
    assert end.splitlines()[0] == "PARTIAL", end
    return job, folder


def workflow_process(laboratory: Laboratory, name: bytes) -> int:
    """Host process id of the workflow script that works on a dataset."""
    instances = bytes(laboratory.home / "clouds" / laboratory.cloud / "instances")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            data = [word for word in words if word.startswith(instances) and word.endswith(name)]
            if entry.name.isdigit() and b"workflow.py" in words and data:
                return int(entry.name)
        time.sleep(0.1)
    raise AssertionError("the dataset does not start")


def launched_for(laboratory: Laboratory, first: str, resumed: str) -> list[dict[str, Any]]:
    """All instances any resumption of a job ever had, as their usage records tell."""
    s3 = laboratory.client("s3")
    listed = [
        item["Key"]
        for prefix in ("logs/demo/", "logs/active/")
        for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    ]
    records = [json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in listed]
    found = [record for record in records if f"/{first}-resume-" in record["jobpath"]]
    assert {record["jobpath"] for record in found} == {f"demo/results/{resumed}"}
    return found


def test_a_member_resumes_only_what_failed_once_and_then_nothing_is_left(
    laboratory: Laboratory, partial: tuple[str, Path]
) -> None:
    job, folder = partial
    resume = ("job", "resume", job)
    good = ("--config", str(folder / "resume-quick.json"))

    seen = laboratory.ncap(*resume, "--dry-run", *AS_MEMBER).data
    assert [(item["dataset"], item["failure"]) for item in seen["datasets"]] == [(DATASET, "out-of-memory")]
    assert (seen["config"], seen["configHasChanged"]) == ("demo/configs/resume-slow.json", False)
    assert (seen["asked"], seen["versionId"]) == (False, version_of(laboratory, job))

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: laboratory.ncap(*resume, *good, *AS_MEMBER, check=False), range(2)))
    (first,) = [ran.data for ran in both if ran.code == 0]
    (second,) = [ran.err for ran in both if ran.code == 2]
    assert first["next"] == f"{job}-resume-1"
    assert first["next"] in second

    laboratory.ncap("job", "status", first["next"], "--watch", "--timeout", "120", *AS_MEMBER)
    assert [record["datapath"] for record in launched_for(laboratory, job, first["next"])] == [DATASET]
    laboratory.ncap("job", "results", first["next"], "-o", str(folder / "second"), *AS_MEMBER)
    assert (folder / "second" / "resume-two_copy.txt").read_text() == "resume-two"
    assert version_of(laboratory, first["next"]) == version_of(laboratory, job)

    again = laboratory.ncap(*resume, "--watch", *AS_MEMBER)
    assert (again.data["asked"], again.data["datasets"]) == (False, [])
    assert again.data["resumedBy"] == [first["next"]]


def version_of(laboratory: Laboratory, job: str) -> str:
    found: str = laboratory.ncap("job", "status", job, *AS_MEMBER, check=False).data["versionId"]
    return found


def test_strangers_are_told_whose_affair_it_is(laboratory: Laboratory, partial: tuple[str, Path]) -> None:
    job, _ = partial
    theirs = laboratory.ncap("job", "resume", job, "--as", "neighbour-member", check=False)
    assert theirs.code == 4
    assert "there is no job" in theirs.err
    climbing = laboratory.ncap("job", "resume", job, "--as", "neighbour-member", "--group", "demo", check=False)
    assert climbing.code == 3
    assert "Only a job's own group may" in climbing.err
    operator = laboratory.ncap("job", "resume", job, "--group", "neighbours", check=False)
    assert operator.code == 4
    assert "a job of group demo" in operator.err
