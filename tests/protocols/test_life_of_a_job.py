"""From submission to end marker: the usual ways, failures, retries, cancelling."""

from __future__ import annotations

import json

import pytest

from tests.fakes.platform import FakePlatform

JOB = "job__kalman-lds_1"


def test_one_dataset_becomes_one_instance_and_ends_well(platform: FakePlatform) -> None:
    platform.upload()
    platform.submit()
    (instance,) = platform.instances
    assert "STEP 4/4 (Initialize Processing): DONE" in platform.result(JOB, "certificate")
    platform.clock.advance(seconds=30)
    platform.change(instance, "running")
    assert json.loads(platform.text(f"logs/active/{instance}.json"))["end"] is None
    platform.clock.advance(minutes=10)
    platform.end(instance, job=JOB)
    assert platform.result(JOB, "end").startswith("SUCCEEDED\n\ndemo/inputs/x.csv: succeeded.")
    record = json.loads(platform.text(f"logs/demo/{instance}.json"))
    assert record["start"] == "2026-11-22T10:00:00Z"
    assert record["end"] == "2026-11-22T10:10:30Z"
    assert platform.stored("logs/active/") == []
    committed, spent = platform.budget()
    assert committed == spent == round(record["cost"] * 1_000_000)
    assert platform.in_flight() == 0
    assert len(platform.session.published) == 1


def test_the_launch_is_as_the_contract_says(platform: FakePlatform) -> None:
    platform.upload(["x.csv", "y.csv"], config={"latents": 3, "__duration__": 30})
    platform.submit(dataname=["demo/inputs/x.csv", "demo/inputs/y.csv"])
    (launch,) = platform.session.launches
    assert (launch["MinCount"], launch["MaxCount"]) == (1, 2)
    assert launch["UserData"] == (
        f"#!/bin/sh\nshutdown -h +45\nneurocaas-boot s3://kalman-lds/demo/jobs/{JOB}/launch-1.json\nshutdown -h now\n"
    )
    assert launch["IamInstanceProfile"] == {"Name": "neurocaas-instance-demo"}
    tags = {tag["Key"]: tag["Value"] for tag in launch["TagSpecifications"][0]["Tags"]}
    assert {"PriceTracking": "On", "Timeout": "30", "group": "demo", "job": JOB, "launch": "1"}.items() <= tags.items()
    manifest = json.loads(platform.text(f"demo/jobs/{JOB}/launch-1.json"))
    assert manifest["durationMinutes"] == 30
    assert [item["label"] for item in manifest["attempts"]] == ["x.csv", "y.csv"]
    assert manifest["config"]["key"] == "demo/configs/c.json"
    disk = {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
    assert launch["BlockDeviceMappings"] == [{"DeviceName": "/dev/xvda", "Ebs": disk}]


def test_a_larger_dataset_size_enlarges_the_volume_and_the_reservation(platform: FakePlatform) -> None:
    platform.upload(config={"latents": 3})
    platform.submit()
    plain, _ = platform.budget()
    platform.put("demo/configs/c.json", {"latents": 3, "__dataset_size__": 7})
    platform.submit(timestamp="2")
    assert platform.session.launches[1]["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 27
    assert platform.budget()[0] > 2 * plain


def test_the_certificate_shows_a_row_a_dataset_while_the_job_runs(platform: FakePlatform) -> None:
    platform.upload(["x.csv", "y.csv"])
    platform.submit(dataname=["demo/inputs/x.csv", "demo/inputs/y.csv"])
    first, _ = platform.instances
    platform.report(
        first, job=JOB, status="IN PROGRESS", reason=None, std={"0": "a | b\n", "1": "EM 3/30\n", "2": " \n"}
    )
    platform.change(first, "running")
    lines = platform.result(JOB, "certificate").splitlines()
    assert lines[1] == lines[4] == "=" * 16
    assert lines[2] == (
        "DATANAME: demo/inputs/x.csv | STATUS: IN PROGRESS | TIME: 2026_11_22_10_00_00"
        " | LAST COMMAND: EM 3/30 | CPU_USAGE: 97.5 %"
    )
    assert lines[3].startswith("DATANAME: demo/inputs/y.csv | STATUS: INITIALIZING | TIME: ")
    assert lines[7] == ""
    assert set(lines[8]) == {"+"}
    log = lines[11:]
    assert log[0] == "REQUEST START TIME: 2026-11-22 10:00:00 GMT\t[+0:00:00.00]"
    assert log[1].startswith("ANALYSIS VERSION ID: v-0123456789abcdef\t")
    assert log[2].startswith("JOB ID: 1\t")
    assert any("BUDGET REMAINING: $299" in line for line in log)


def test_a_job_with_one_good_and_one_bad_dataset_is_partial(platform: FakePlatform) -> None:
    platform.upload(["x.csv", "y.csv"])
    platform.submit(dataname=["demo/inputs/x.csv", "demo/inputs/y.csv"])
    good, bad = platform.instances
    platform.end(good, job=JOB)
    assert platform.end_markers() == []
    platform.end(bad, job=JOB, label="y.csv", status="FAILED", reason=3, failure="user-code", message=None)
    end = platform.result(JOB, "end")
    assert end.startswith("PARTIAL\n")
    assert "demo/inputs/y.csv: user-code: the analysis ended with exit code 3." in end
    assert "STATUS: FAILED" in platform.result(JOB, "certificate")


@pytest.mark.parametrize(
    ("report", "failure"),
    [
        ({"status": "FAILED", "reason": 137, "failure": "out-of-memory"}, "out-of-memory"),
        ({"status": "FAILED", "reason": 28, "failure": "disk-full"}, "disk-full"),
        ({"status": "FAILED", "reason": 1, "failure": "no such class"}, "user-code"),
        ({"status": "FAILED", "reason": "odd", "failure": 7}, "user-code"),
        ({"status": "SUCCESS", "reason": 4}, "user-code"),
    ],
)
def test_a_failure_is_told_by_its_class(platform: FakePlatform, report: dict[str, object], failure: str) -> None:
    platform.upload()
    platform.submit()
    platform.end(platform.instances[0], job=JOB, **report)
    assert platform.result(JOB, "end").startswith("FAILED\n")
    assert f"x.csv: {failure}: " in platform.result(JOB, "end")
    assert len(platform.instances) == 1


def test_a_lost_instance_is_replaced_once_and_paid_from_the_reservation(platform: FakePlatform) -> None:
    platform.upload()
    platform.submit()
    reserved, _ = platform.budget()
    platform.clock.advance(minutes=5)
    platform.end(platform.instances[0])
    assert platform.budget()[0] == reserved
    assert platform.resume_all() == 1
    first, second = platform.instances
    certificate = platform.result(JOB, "certificate")
    assert "attempt 1 ended (lost-instance:" in certificate
    manifest = json.loads(platform.text(f"demo/jobs/{JOB}/launch-2.json"))
    assert manifest["attempts"][0]["attempt"] == 2
    assert 50 <= manifest["durationMinutes"] < 60
    platform.clock.advance(minutes=5)
    platform.end(second)
    assert platform.resume_all() == 0
    assert platform.result(JOB, "end").startswith("FAILED\n\ndemo/inputs/x.csv: lost-instance: ")
    assert "User initiated shutdown" in platform.result(JOB, "end"), "EC2's own reason is passed on"
    committed, spent = platform.budget()
    costs = [json.loads(platform.text(f"logs/demo/{it}.json"))["cost"] for it in (first, second)]
    assert committed == spent == round(sum(costs) * 1_000_000)
    assert committed <= reserved


def test_a_report_of_the_first_attempt_says_nothing_about_the_second(platform: FakePlatform) -> None:
    platform.upload()
    platform.submit()
    first = platform.instances[0]
    platform.end(first, job=JOB, status="FAILED", reason=1, failure="boot", message="no disk")
    platform.resume_all()
    platform.end(platform.instances[1])
    assert "lost-instance" in platform.result(JOB, "end")


@pytest.mark.parametrize("told", ["cancelled", "spot"])
def test_an_instance_told_to_go_off_by_nobody_of_ours_is_replaced(platform: FakePlatform, told: str) -> None:
    """It reports that it had to stop; only the control plane knows that no user and no limit asked for it."""
    platform.upload()
    platform.submit()
    platform.end(platform.instances[0], job=JOB, status="FAILED", reason=143, failure=told)
    assert platform.resume_all() == 1
    assert len(platform.instances) == 2
    platform.end(platform.instances[1], job=JOB, attempt=2)
    assert platform.result(JOB, "end").startswith("SUCCEEDED")


def test_an_instance_lost_late_is_not_replaced_for_money_that_is_not_there(platform: FakePlatform) -> None:
    platform.upload()
    platform.submit()
    platform.clock.advance(minutes=45)
    platform.end(platform.instances[0])
    assert platform.session.invoked == []
    assert "not tried again, for its reservation is nearly spent" in platform.result(JOB, "end")


def test_a_run_of_49_hours_costs_49_hours(platform: FakePlatform) -> None:
    platform.deploy(maxDurationMinutes=60 * 72)
    platform.upload()
    platform.submit()
    platform.clock.advance(hours=49)
    platform.end(platform.instances[0], job=JOB)
    record = json.loads(platform.text(f"logs/demo/{platform.instances[0]}.json"))
    assert record["cost"] == pytest.approx(49 * (0.1008 + 20 * 0.08 / 730), rel=1e-6)


def test_cancelling_ends_the_instances_and_then_the_job(platform: FakePlatform) -> None:
    platform.upload(["x.csv", "y.csv"])
    platform.submit(dataname=["demo/inputs/x.csv", "demo/inputs/y.csv"])
    platform.clock.advance(minutes=3)
    platform.deliver(
        platform.event_for(
            "demo/submissions/c-submit.json", platform.put("demo/submissions/c-submit.json", {"cancel": JOB})
        )
    )
    assert platform.living() == []
    for instance in platform.instances:
        platform.change(instance, "shutting-down")
        platform.change(instance, "terminated")
    end = platform.result(JOB, "end")
    assert end.startswith("CANCELLED\n\nThe job was cancelled at the request of its group.")
    assert "x.csv: cancelled: " in end
    assert platform.session.invoked == []
    committed, spent = platform.budget()
    assert committed == spent > 0
    assert platform.in_flight() == 0


@pytest.mark.parametrize("job", ["job__kalman-lds_unknown", JOB, ""])
def test_cancelling_an_unknown_or_foreign_job_changes_nothing(platform: FakePlatform, job: str) -> None:
    platform.upload()
    platform.submit()
    before = platform.stored()
    key = "lab2/submissions/submit.json"
    platform.deliver(platform.event_for(key, platform.put(key, {"cancel": job})))
    assert platform.stored() == sorted([*before, key])
    assert len(platform.living()) == 1


def test_the_version_a_submission_names_is_the_one_that_runs(platform: FakePlatform) -> None:
    platform.deploy(versionId="v-00000000000000aa", instanceTypes=["c7i.large"], volumeGib=33)
    platform.upload()
    platform.submit(version="v-00000000000000aa")
    assert platform.session.launches[0]["InstanceType"] == "c7i.large"
    assert "ANALYSIS VERSION ID: v-00000000000000aa" in platform.result(JOB, "certificate")


def test_datasets_of_one_basename_and_submissions_of_one_timestamp_keep_apart(platform: FakePlatform) -> None:
    keys = platform.upload(["a/x.csv", "b/x.csv", "b/x-2.csv"])
    platform.submit(dataname=keys)
    platform.submit(dataname=keys[0])
    labels = [item["label"] for item in json.loads(platform.text(f"demo/jobs/{JOB}/launch-1.json"))["attempts"]]
    assert labels == ["x.csv", "x-3.csv", "x-2.csv"]
    assert json.loads(platform.text(f"demo/jobs/{JOB}-2/launch-1.json"))["job"] == f"{JOB}-2"
    assert len(platform.instances) == 4


def test_a_folder_becomes_its_datasets(platform: FakePlatform) -> None:
    platform.upload(["day1/x.csv", "day1/deep/y.csv", "day10/z.csv"])
    platform.put("demo/inputs/day1/", b"")
    platform.submit(dataname="demo/inputs/day1/")
    manifest = json.loads(platform.text(f"demo/jobs/{JOB}/launch-1.json"))
    assert [item["dataset"] for item in manifest["attempts"]] == [
        "demo/inputs/day1/deep/y.csv",
        "demo/inputs/day1/x.csv",
    ]


def test_a_dataset_named_thrice_is_analysed_once_and_the_user_is_told(platform: FakePlatform) -> None:
    platform.upload()
    platform.submit(dataname=["demo/inputs/x.csv"] * 3)
    assert len(platform.instances) == 1
    assert "NOTE: 2 repeated datasets left out" in platform.result(JOB, "certificate")
