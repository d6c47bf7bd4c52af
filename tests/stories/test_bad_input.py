"""What a user does wrong, or what goes wrong under them: always words, an end, and nothing left running."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.stories.laboratory import Laboratory, wait_for_end

pytestmark = pytest.mark.cloud

BUCKET = "faulty"


def upload(s3: Any, group: str, config: Mapping[str, object] | str, name: str) -> str:
    """A config in the group's folder; its key."""
    key = f"{group}/configs/{name}.json"
    s3.put_object(Bucket=BUCKET, Key=key, Body=config if isinstance(config, str) else json.dumps(config))
    return key


def certificate(s3: Any, group: str, job: str) -> str:
    text: str = s3.get_object(Bucket=BUCKET, Key=f"{group}/results/{job}/logs/certificate.txt")["Body"].read().decode()
    return text


def live_instances(laboratory: Laboratory) -> list[str]:
    pages = (
        laboratory.client("ec2")
        .get_paginator("describe_instances")
        .paginate(
            Filters=[
                {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
                {"Name": "tag:analysis", "Values": [BUCKET]},
            ]
        )
    )
    return [i["InstanceId"] for page in pages for r in page["Reservations"] for i in r["Instances"]]


def until_none_lives(laboratory: Laboratory, patience_s: float = 30) -> None:
    deadline = time.monotonic() + patience_s
    while live_instances(laboratory):
        assert time.monotonic() < deadline, "an instance is left"
        time.sleep(0.2)


@pytest.fixture
def s3(laboratory: Laboratory) -> Any:
    """The member's own client."""
    client = laboratory.client("s3", laboratory.member_key("demo-member"))
    client.put_object(Bucket=BUCKET, Key="demo/inputs/a.txt", Body=b"one")
    return client


def submit(s3: Any, name: str, **fields: object) -> str:
    body = {"dataname": "demo/inputs/a.txt", "configname": "demo/configs/copy.json", "timestamp": name, **fields}
    s3.put_object(Bucket=BUCKET, Key=f"demo/submissions/{name}_submit.json", Body=json.dumps(body))
    return f"job__{BUCKET}_{name}"


REFUSALS: dict[str, tuple[dict[str, object], str]] = {
    "missing-dataset": ({"dataname": "demo/inputs/nowhere.txt"}, "demo/inputs/nowhere.txt"),
    "foreign-dataset": ({"dataname": "neighbours/inputs/theirs.txt"}, "neighbours"),
    "climbing-dataset": ({"dataname": "demo/inputs/../../neighbours/inputs/theirs.txt"}, ".."),
    "empty-list": ({"dataname": []}, "dataname"),
    "wrong-type": ({"dataname": 7}, "7"),
    "absurd-instance": ({"instance_type": "u-24tb1.metal"}, "u-24tb1.metal"),
    "bad-parameter": ({"configname": "demo/configs/bad.json"}, "mode"),
    "negative-duration": ({"configname": "demo/configs/negative.json"}, "__duration__"),
    "config-is-not-json": ({"configname": "demo/configs/broken.json"}, "broken.json"),
}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_a_refused_submission_says_why_and_ends_at_once(laboratory: Laboratory, s3: Any, name: str) -> None:
    fields, word = REFUSALS[name]
    upload(s3, "demo", {"mode": "copy"}, "copy")
    upload(s3, "demo", {"mode": "dance"}, "bad")
    upload(s3, "demo", {"mode": "copy", "__duration__": -5}, "negative")
    upload(s3, "demo", '{"mode": "copy"', "broken")
    neighbour = laboratory.client("s3", laboratory.member_key("neighbour-member"))
    neighbour.put_object(Bucket=BUCKET, Key="neighbours/inputs/theirs.txt", Body=b"secret")

    job = submit(s3, name, **fields)

    end = wait_for_end(s3, BUCKET, "demo", job)
    assert end.splitlines()[0] == "REJECTED"
    assert word in end
    assert word in certificate(s3, "demo", job)
    assert "Traceback" not in certificate(s3, "demo", job)
    assert live_instances(laboratory) == []
    status = laboratory.ncap("job", "status", job, "--analysis", BUCKET, "--as", "demo-member", check=False)
    assert status.code == 1


def test_a_broken_submit_file_still_gets_an_answer(laboratory: Laboratory, s3: Any) -> None:
    before = {p["Prefix"] for p in prefixes(s3)}

    s3.put_object(Bucket=BUCKET, Key="demo/submissions/broken_submit.json", Body=b'{"dataname": "demo/inputs/a.txt", ')

    deadline = time.monotonic() + 30
    while not (fresh := {p["Prefix"] for p in prefixes(s3)} - before):
        assert time.monotonic() < deadline, "no answer to a broken submit file"
        time.sleep(0.2)
    job = fresh.pop().split("/")[-2]
    assert wait_for_end(s3, BUCKET, "demo", job).startswith("REJECTED")
    assert "JSON" in certificate(s3, "demo", job)


def prefixes(s3: Any) -> list[Any]:
    found: list[Any] = s3.list_objects_v2(Bucket=BUCKET, Prefix="demo/results/", Delimiter="/").get(
        "CommonPrefixes", []
    )
    return found


@pytest.mark.parametrize(
    ("mode", "reason", "words"),
    [("exit-3", 3, "exit"), ("kill-self", 137, "kill")],
)
def test_a_workflow_that_fails_ends_the_job_in_words(
    laboratory: Laboratory, s3: Any, mode: str, reason: int, words: str
) -> None:
    config = upload(s3, "demo", {"mode": mode}, mode)

    job = submit(s3, f"ends-{mode}", configname=config)

    end = wait_for_end(s3, BUCKET, "demo", job)
    assert end.splitlines()[0] == "FAILED"
    assert words in end.lower()
    key = f"demo/results/{job}/logs/DATASET_NAME:a.txt_STATUS.txt"
    status = json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    assert (status["status"], status["reason"]) == ("FAILED", reason)
    assert f"mode {mode}" in "".join(status["std"].values())
    assert "| STATUS: FAILED |" in certificate(s3, "demo", job)
    assert laboratory.ncap("job", "status", job, "--analysis", BUCKET, "--as", "demo-member", check=False).code == 1
    until_none_lives(laboratory)


def test_one_failure_among_good_datasets_is_partial_and_keeps_the_results(laboratory: Laboratory, s3: Any) -> None:
    config = upload(s3, "demo", {"mode": "copy"}, "copy")
    s3.put_object(Bucket=BUCKET, Key="demo/inputs/weird name + é.txt", Body=b"two")

    job = submit(
        s3,
        "odd: names (1)".replace("(", "").replace(")", ""),
        configname=config,
        dataname=["demo/inputs/a.txt", "demo/inputs/weird name + é.txt"],
    )

    assert wait_for_end(s3, BUCKET, "demo", job).splitlines()[0] == "SUCCEEDED"
    names = [
        o["Key"].rsplit("/", 1)[1]
        for o in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"demo/results/{job}/process_results/")["Contents"]
    ]
    assert {"a_copy.txt", "weird name + é_copy.txt", "copy.json", "update.txt", "end.txt"} <= set(names)


def test_a_cancelled_job_stops_its_instances(laboratory: Laboratory, s3: Any) -> None:
    config = upload(s3, "demo", {"mode": "copy", "seconds": 300}, "slow")
    job = submit(s3, "to-be-cancelled", configname=config)
    deadline = time.monotonic() + 30
    while not live_instances(laboratory):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    laboratory.ncap("job", "cancel", job, "--analysis", BUCKET, "--as", "demo-member", "--yes")

    assert wait_for_end(s3, BUCKET, "demo", job).splitlines()[0] == "CANCELLED"
    until_none_lives(laboratory)


def test_a_killed_instance_is_tried_once_more_and_then_reported(laboratory: Laboratory, s3: Any) -> None:
    """Nobody but the hypervisor knows: the machine is gone without a word, twice."""
    config = upload(s3, "demo", {"mode": "copy", "seconds": 300}, "slow")
    job = submit(s3, "loses-its-machine", configname=config)

    killed: set[str] = set()
    deadline = time.monotonic() + 60
    while len(killed) < 2 and time.monotonic() < deadline:
        for instance in set(live_instances(laboratory)) - killed:
            laboratory.client("ec2").terminate_instances(InstanceIds=[instance])
            killed.add(instance)
        time.sleep(0.1)

    end = wait_for_end(s3, BUCKET, "demo", job)
    assert end.splitlines()[0] == "FAILED"
    assert len(killed) == 2
    until_none_lives(laboratory)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds processes in /proc")
def test_a_killed_process_of_an_instance_is_told_in_words(laboratory: Laboratory, s3: Any) -> None:
    """Only the workflow dies, as when memory runs out: the tool beside it reports, and nothing is tried again."""
    config = upload(s3, "demo", {"mode": "copy", "seconds": 300}, "slow")
    job = submit(s3, "loses-its-process", configname=config)
    deadline = time.monotonic() + 30
    while not (found := workflow_processes(laboratory)):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    for process in found:
        os.kill(process, signal.SIGKILL)

    end = wait_for_end(s3, BUCKET, "demo", job)
    assert end.splitlines()[0] == "FAILED"
    assert "killed" in end
    until_none_lives(laboratory)


def workflow_processes(laboratory: Laboratory) -> list[int]:
    """Host process ids of running workflow scripts of this cloud."""
    instances = bytes(laboratory.home / "clouds" / laboratory.cloud / "instances")
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if entry.name.isdigit() and b"workflow.py" in words and any(word.startswith(instances) for word in words):
            found.append(int(entry.name))
    return found


def test_the_same_submit_file_put_again_runs_no_second_job(laboratory: Laboratory, s3: Any) -> None:
    """A new version of the object is another submission; the same timestamp gets a folder of its own."""
    config = upload(s3, "demo", {"mode": "copy"}, "copy")
    first = submit(s3, "twice", configname=config)
    assert wait_for_end(s3, BUCKET, "demo", first).startswith("SUCCEEDED")

    submit(s3, "twice", configname=config)

    assert wait_for_end(s3, BUCKET, "demo", f"{first}-2").startswith("SUCCEEDED")
