"""What the sweeper repairs, and what it leaves alone."""

from __future__ import annotations

import json

import pytest

from jobmanager.errors import AwsError
from jobmanager.sweeping import sweep
from tests.fakes.aws_session import real_client, refuse
from tests.fakes.platform import FakePlatform

JOB = "job__kalman-lds_1"


def _run(platform: FakePlatform) -> str:
    platform.upload()
    platform.submit()
    platform.change(platform.instances[0], "running")
    return platform.instances[0]


def test_an_instance_past_its_limit_is_ended_and_its_dataset_timed_out(platform: FakePlatform) -> None:
    instance = _run(platform)
    platform.report(instance, job=JOB, status="IN PROGRESS", reason=None)
    platform.sweep(minutes=79)
    assert platform.living() == [instance]
    platform.sweep(minutes=2)
    assert platform.living() == []
    platform.sweep(minutes=1)
    assert platform.result(JOB, "end").startswith(
        "FAILED\n\ndemo/inputs/x.csv: timeout: stopped at its limit of 60 minutes."
    )
    assert platform.session.invoked == []


def test_a_machine_that_ended_itself_at_its_limit_is_a_timeout_too(platform: FakePlatform) -> None:
    instance = _run(platform)
    platform.clock.advance(minutes=75)
    platform.end(instance)
    assert "x.csv: timeout: " in platform.result(JOB, "end")


def test_an_instance_ec2_does_not_show_yet_is_not_lost(platform: FakePlatform) -> None:
    instance = _run(platform)
    platform.session.hidden = {instance}
    platform.sweep(minutes=4)
    assert platform.session.invoked == []
    platform.session.hidden = set()
    platform.sweep(minutes=30)
    assert platform.stored(f"logs/demo/{instance}") == []


def test_an_instance_gone_without_a_trace_is_closed_and_replaced(platform: FakePlatform) -> None:
    instance = _run(platform)
    platform.session.hidden = {instance}
    platform.sweep(minutes=10)
    assert json.loads(platform.text(f"logs/demo/{instance}.json"))["outcome"] == "lost-instance"
    assert platform.resume_all() == 1


def test_a_stopped_instance_is_terminated(platform: FakePlatform) -> None:
    instance = _run(platform)
    real_client("ec2").stop_instances(InstanceIds=[instance])
    platform.change(instance, "stopped")
    assert platform.living() == []


def test_a_stopped_instance_whose_event_was_lost_is_terminated(platform: FakePlatform) -> None:
    instance = _run(platform)
    real_client("ec2").stop_instances(InstanceIds=[instance])
    platform.sweep(minutes=1)
    assert platform.living() == []


def _stranger(platform: FakePlatform, **tags: str) -> str:
    described = [{"Key": name, "Value": value} for name, value in tags.items()]
    made = real_client("ec2").run_instances(
        ImageId=platform.image,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": described}],
    )
    instance = str(made["Instances"][0]["InstanceId"])
    platform.session.launch_times[instance] = platform.clock()
    return instance


def test_an_orphan_is_ended_after_ten_minutes_and_not_before(platform: FakePlatform) -> None:
    orphan = _stranger(platform, PriceTracking="On", job="job__x", launch="1", group="demo", analysis="kalman-lds")
    platform.sweep(minutes=9)
    assert platform.living() == [orphan]
    platform.sweep(minutes=2)
    assert platform.living() == []


def test_instances_that_are_not_of_a_job_are_left_alone(platform: FakePlatform) -> None:
    mine = {_stranger(platform, PriceTracking="On", OwnerArn="x"), _stranger(platform, job="x", launch="1")}
    platform.sweep(minutes=60)
    assert set(platform.living()) == mine


def test_events_of_instances_that_are_not_ours_are_ignored(platform: FakePlatform) -> None:
    instance = _stranger(platform, Name="somebody's")
    for state in ("running", "stopped", "shutting-down", "terminated"):
        platform.change(instance, state)
        platform.change("i-0123456789abcdef0", state)
    assert platform.living() == [instance]
    assert platform.rows("INSTANCE#") == []


def test_an_instance_that_hangs_after_its_attempt_was_closed_is_ended(platform: FakePlatform) -> None:
    instance = _run(platform)
    platform.report(instance, job=JOB)
    platform.change(instance, "shutting-down")
    assert platform.living() == [instance]
    platform.sweep(minutes=1)
    assert platform.living() == []


def test_certificates_of_running_jobs_are_refreshed_once_a_minute(platform: FakePlatform) -> None:
    instance = _run(platform)
    platform.report(instance, job=JOB, status="IN PROGRESS", reason=None, std={"0": "EM 1/30\n"})
    platform.sweep(minutes=1)
    assert "LAST COMMAND: EM 1/30" in platform.result(JOB, "certificate")
    platform.report(instance, job=JOB, status="IN PROGRESS", reason=None, std={"0": "EM 2/30\n"})
    platform.sweep(minutes=0.5)
    assert "LAST COMMAND: EM 1/30" in platform.result(JOB, "certificate")
    platform.sweep(minutes=0.5)
    assert "LAST COMMAND: EM 2/30" in platform.result(JOB, "certificate")


def test_one_thing_that_cannot_be_repaired_does_not_keep_the_others(platform: FakePlatform) -> None:
    first = _run(platform)
    platform.submit(timestamp="2")
    second = platform.instances[1]
    for instance, job in ((first, JOB), (second, "job__kalman-lds_2")):
        platform.report(instance, job=job)
        platform.vanish(instance)
    faults = [refuse("GetObject", "InternalError")]

    def strike(_: int, service: str, operation: str) -> None:
        if operation == "get_object" and faults:
            raise faults.pop()

    platform.session.before = strike
    with pytest.raises(AwsError, match="InternalError"):
        platform.sweep(minutes=1)
    assert len(platform.end_markers()) == 1
    platform.sweep(minutes=1)
    assert len(platform.end_markers()) == 2


def test_two_sweeps_at_once_do_no_harm(platform: FakePlatform) -> None:
    instance = _run(platform)
    platform.report(instance, job=JOB)
    platform.vanish(instance)
    platform.clock.advance(minutes=1)
    rival = platform.fresh_services()

    def also_sweep(number: int, service: str, operation: str) -> None:
        if operation == "describe_instances":
            platform.session.after = None
            sweep(rival)

    platform.session.after = also_sweep
    platform.sweep()
    assert len(platform.end_markers()) == 1
    assert platform.in_flight() == 0
    assert len(platform.session.published) == 1
