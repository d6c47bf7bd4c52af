"""Launches: queues, limits, capacity, quota, and many datasets."""

from __future__ import annotations

import json

import pytest

from tests.fakes.aws_session import CrashError, refuse
from tests.fakes.platform import FakePlatform, deployed_platform

JOB = "job__kalman-lds_1"


def _submit(platform: FakePlatform, count: int, **fields: object) -> None:
    platform.submit(dataname=platform.upload([f"{k:04d}.csv" for k in range(count)]), **fields)


def _attempts(platform: FakePlatform) -> list[str]:
    return [str(row["state"]) for row in platform.rows("JOB#") if str(row["sk"]).startswith("ATTEMPT#")]


def test_fewer_instances_than_asked_leave_the_rest_in_the_queue(platform: FakePlatform) -> None:
    platform.session.grants = [2]
    _submit(platform, 5)
    assert sorted(_attempts(platform)) == ["LAUNCHING"] * 2 + ["QUEUED"] * 3
    assert platform.in_flight() == 2
    assert "launch 1: 2 of 5 instances" in platform.result(JOB, "certificate")
    platform.sweep(minutes=3)
    assert platform.resume_all() == 1
    assert _attempts(platform) == ["LAUNCHING"] * 5
    manifest = json.loads(platform.text(f"demo/jobs/{JOB}/launch-2.json"))
    assert [item["index"] for item in manifest["attempts"]] == [2, 3, 4]


def test_without_capacity_the_next_type_is_tried(platform: FakePlatform) -> None:
    platform.session.refusals = {"m7i.large": "InsufficientInstanceCapacity"}
    _submit(platform, 2)
    assert [launch["InstanceType"] for launch in platform.session.launches] == ["m6i.large"]
    platform.end(platform.instances[0])
    record = json.loads(platform.text(f"logs/demo/{platform.instances[0]}.json"))
    assert (record["instance-type"], record["price"]) == ("m6i.large", 0.096)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("InsufficientInstanceCapacity", "AWS has no free instance of this analysis's types"),
        ("Unsupported", "AWS has no free instance of this analysis's types"),
        ("VcpuLimitExceeded", "this AWS account's quota for such instances is used up (VcpuLimitExceeded)"),
    ],
)
def test_without_any_instance_the_job_waits_and_starts_later(platform: FakePlatform, code: str, words: str) -> None:
    platform.session.refusals = dict.fromkeys(("m7i.large", "m6i.large"), code)
    _submit(platform, 2)
    assert _attempts(platform) == ["QUEUED"] * 2
    assert platform.in_flight() == 0
    certificate = platform.result(JOB, "certificate")
    assert words in certificate
    assert "====" not in certificate
    platform.sweep(minutes=6)
    assert platform.resume_all() == 1
    assert platform.result(JOB, "certificate").count(words) == 1
    platform.session.refusals = {}
    platform.sweep(minutes=6)
    platform.resume_all()
    assert _attempts(platform) == ["LAUNCHING"] * 2


def test_a_queue_that_never_moves_ends_after_a_day(platform: FakePlatform) -> None:
    platform.session.refusals = dict.fromkeys(("m7i.large", "m6i.large"), "VcpuLimitExceeded")
    _submit(platform, 2)
    platform.sweep(minutes=24 * 60 + 1)
    assert platform.result(JOB, "end").startswith("FAILED\n\ndemo/inputs/0000.csv: quota: no instance became free")
    assert platform.budget() == (0, 0)


def test_instances_aws_will_never_start_fail_the_job_in_words(platform: FakePlatform) -> None:
    platform.session.refusals = {"m7i.large": "InvalidAMIID.NotFound"}
    _submit(platform, 2)
    end = platform.result(JOB, "end")
    assert end.startswith("FAILED\n\nAWS refuses to start instances: InvalidAMIID.NotFound: refused by the test.")
    assert "0000.csv: boot: " in end
    assert platform.budget() == (0, 0)
    assert platform.in_flight() == 0


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "InternalError", "Unavailable"])
def test_a_launch_aws_is_too_busy_for_waits_and_is_made_with_the_same_token(platform: FakePlatform, code: str) -> None:
    platform.session.refusals = {"m7i.large": code}
    _submit(platform, 1)
    assert platform.result(JOB, "certificate").count("AWS is too busy to start instances") == 1
    platform.sweep(minutes=1)
    assert platform.resume_all() == 1
    assert platform.result(JOB, "certificate").count("AWS is too busy to start instances") == 1
    platform.session.refusals = {}
    platform.sweep(minutes=1)
    platform.resume_all()
    assert _attempts(platform) == ["LAUNCHING"]
    assert [row["number"] for row in platform.rows("JOB#") if str(row["sk"]).startswith("LAUNCH#")] == [1]


def test_above_the_deploy_limit_datasets_wait_and_follow(platform: FakePlatform) -> None:
    platform.deploy(deployLimit=2)
    _submit(platform, 3)
    platform.submit(timestamp="2", dataname="demo/inputs/0000.csv")
    assert platform.in_flight() == 2
    assert len(platform.instances) == 2
    platform.end(platform.instances[0], job=JOB, label="0000.csv")
    assert platform.resume_all() == 1
    assert len(platform.instances) == 3
    for instance, label in zip(platform.instances[1:], ("0001.csv", "0002.csv"), strict=True):
        platform.end(instance, job=JOB, label=label)
    assert platform.result(JOB, "end").startswith("SUCCEEDED")
    platform.resume_all()
    platform.sweep(minutes=3)
    platform.resume_all()
    assert len(platform.instances) == 4


def test_a_deploy_limit_of_zero_starts_nothing(platform: FakePlatform) -> None:
    platform.deploy(deployLimit=0)
    _submit(platform, 1)
    assert platform.instances == []
    assert _attempts(platform) == ["QUEUED"]


def test_a_launch_repeated_with_other_parameters_finds_its_instances(platform: FakePlatform) -> None:
    event = platform.submission(dataname=platform.upload(["x.csv"]))

    def dies(_: int, service: str, operation: str) -> None:
        if operation == "run_instances":
            raise refuse("RunInstances", "InternalError")

    platform.session.after = dies
    platform.deliver(event)
    platform.session.after = None
    (token,) = platform.session.tokens
    platform.session.tokens[token][0]["ImageId"] = "ami-00000000000000000"
    platform.deliver(event)
    assert len(platform.instances) == 1
    assert _attempts(platform) == ["LAUNCHING"]


def test_cancelling_in_the_queue_ends_the_job_at_once(platform: FakePlatform) -> None:
    platform.session.refusals = dict.fromkeys(("m7i.large", "m6i.large"), "VcpuLimitExceeded")
    _submit(platform, 2)
    key = "demo/submissions/c-submit.json"
    platform.deliver(platform.event_for(key, platform.put(key, {"cancel": JOB})))
    assert platform.result(JOB, "end").startswith("CANCELLED")
    assert platform.budget() == (0, 0)


def test_cancelling_while_a_launch_hangs_leaves_nothing_running(platform: FakePlatform) -> None:
    event = platform.submission(dataname=platform.upload(["x.csv"]))

    def dies(_: int, service: str, operation: str) -> None:
        if operation == "run_instances":
            raise refuse("RunInstances", "InternalError")

    platform.session.after = dies
    platform.deliver(event)
    platform.session.after = None
    key = "demo/submissions/c-submit.json"
    platform.deliver(platform.event_for(key, platform.put(key, {"cancel": JOB})))
    assert platform.living() == []
    platform.change(platform.instances[0], "terminated")
    assert platform.result(JOB, "end").startswith("CANCELLED")
    assert platform.in_flight() == 0


@pytest.mark.benchmark
def test_250_datasets_become_three_launches_and_one_job(platform: FakePlatform) -> None:
    _submit(platform, 250)
    assert [launch["MaxCount"] for launch in platform.session.launches] == [100, 100, 50]
    assert _attempts(platform) == ["LAUNCHING"] * 250
    assert len(platform.rows("INSTANCE#")) == 250


@pytest.mark.chaos
def test_a_large_job_survives_a_crash_after_any_call() -> None:
    for k in range(1, 40):
        with deployed_platform() as platform:
            event = platform.submission(dataname=platform.upload([f"{n:04d}.csv" for n in range(120)]))
            platform.session.calls.clear()

            def dies(number: int, service: str, operation: str, wanted: int = k) -> None:
                if number == wanted:
                    raise CrashError

            platform.session.after = dies
            try:
                platform.deliver(event)
                return
            except CrashError:
                platform.session.after = None
                platform.services = platform.fresh_services()
                platform.deliver(event)
            assert len(platform.instances) == platform.in_flight() == 120
            assert _attempts(platform) == ["LAUNCHING"] * 120
    pytest.fail("more calls than foreseen")
