"""Submissions that name a version: what of it is run, what stays today's, and that a job never changes its version."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import submit_start
from jobmanager.errors import VersionError
from jobmanager.settings import Settings
from jobmanager.version import Versions, parse_version, version_ids
from tests.fakes.aws_session import CrashError
from tests.fakes.platform import FUNCTION, VERSION_ID, FakeClock, FakePlatform, version_document

OLD = "v-00000000000000aa"
NEWER = "v-00000000000000bb"
JOB = "job__kalman-lds_1"
OLD_IMAGE = "ami-00000000000000aaa"
OLD_SCHEMA = {"type": "object", "properties": {"gain": {"type": "number"}}, "required": ["gain"]}
OLD_FIELDS: dict[str, Any] = {
    "versionId": OLD,
    "imageId": OLD_IMAGE,
    "environment": "iae:kalman-lds@sha256:" + "a" * 64,
    "command": "run {} {} {} {}",
    "workingDirectory": "bin",
    "instanceTypes": ["c7i.large"],
    "allowedInstanceTypes": [],
    "volumeGib": 33,
    "maxDurationMinutes": 15,
    "parametersSchema": OLD_SCHEMA,
}


def deploy_old(platform: FakePlatform, **changes: Any) -> None:
    platform.deploy(**(OLD_FIELDS | changes))


def submit_old(platform: FakePlatform, **fields: Any) -> None:
    platform.upload(config={"gain": 0.5})
    platform.submit(version=OLD, **fields)


def serve(platform: FakePlatform, event: Any, version_id: str) -> None:
    """Deliver to a function that serves another version by default."""
    submit_start.run(event, platform.services, version_id=version_id, function=FUNCTION)


def test_a_named_version_runs_with_its_image_command_machines_disk_and_limits(memory: FakePlatform) -> None:
    deploy_old(memory, rootDevice="/dev/sda1")
    submit_old(memory)
    (launch,) = memory.session.launches
    assert (launch["ImageId"], launch["InstanceType"]) == (OLD_IMAGE, "c7i.large")
    (disk,) = launch["BlockDeviceMappings"]
    assert (disk["DeviceName"], disk["Ebs"]["VolumeSize"]) == ("/dev/sda1", 33)
    manifest = json.loads(memory.text(f"demo/jobs/{JOB}/launch-1.json"))
    assert manifest["versionId"] == OLD
    assert manifest["environment"] == OLD_FIELDS["environment"]
    assert (manifest["command"], manifest["workingDirectory"]) == ("run {} {} {} {}", "bin")
    assert manifest["durationMinutes"] == 15


def test_certificate_ledger_and_usage_record_carry_the_version(memory: FakePlatform) -> None:
    deploy_old(memory, commit="c" * 40)
    submit_old(memory)
    certificate = memory.result(JOB, "certificate")
    assert f"ANALYSIS VERSION ID: {OLD} (git commit {'c' * 40})" in certificate
    assert f"version {OLD} as asked for; the current one is {VERSION_ID}" in certificate
    assert f"ENVIRONMENT: {OLD_FIELDS['environment']}, c7i.large" in certificate
    (instance,) = memory.instances
    memory.change(instance, "running")
    assert json.loads(memory.text(f"logs/active/{instance}.json"))["version"] == OLD
    memory.end(instance, job=JOB)
    assert json.loads(memory.text(f"logs/demo/{instance}.json"))["version"] == OLD
    assert memory.result(JOB, "end").startswith("SUCCEEDED")


def test_parameters_are_checked_against_the_named_version(memory: FakePlatform) -> None:
    deploy_old(memory)
    memory.upload(config={"latents": 3})
    memory.submit(version=OLD)
    assert "gain" in memory.result(JOB, "end")
    memory.submit(timestamp="2")
    assert len(memory.session.launches) == 1


def test_naming_the_default_version_is_the_same_as_naming_none(memory: FakePlatform) -> None:
    memory.upload()
    memory.submit(version=VERSION_ID)
    assert "as asked for" not in memory.result(JOB, "certificate")
    assert memory.session.launches[0]["ImageId"] == memory.image


def test_money_and_the_number_of_instances_are_those_of_today(memory: FakePlatform) -> None:
    memory.deploy(deployLimit=1, maxCostUsd="7")
    deploy_old(memory, deployLimit=1000, maxCostUsd="1000000")
    keys = memory.upload(["x.csv", "y.csv"], config={"gain": 0.5})
    memory.submit(version=OLD, dataname=keys)
    assert len(memory.instances) == 1
    assert "of a budget of $7.00" in memory.result(JOB, "certificate")


@pytest.mark.parametrize(
    ("today", "then", "words"),
    [
        (["lab2"], ["demo"], "group 'demo' may not use this analysis"),
        (["demo"], ["lab2"], f"version '{OLD}' of this analysis is not for group 'demo'"),
    ],
)
def test_a_group_needs_to_be_in_both_versions(
    memory: FakePlatform, today: list[str], then: list[str], words: str
) -> None:
    memory.deploy(groups=today)
    deploy_old(memory, groups=then)
    submit_old(memory)
    assert memory.result(JOB, "end").startswith("REJECTED")
    assert words in memory.result(JOB, "end")
    assert memory.instances == []


@pytest.mark.parametrize(
    ("said", "near"),
    [
        ("v-00000000000000ab", f"; did you mean '{OLD}'?"),
        ("v-01", f"; did you mean '{VERSION_ID}'?"),
        ("../../demo/configs/c", "does not exist; leave"),
        ("v-ffffffffffffffff", "does not exist; leave"),
    ],
)
def test_an_unknown_version_is_refused_with_the_nearest_and_how_to_list(
    memory: FakePlatform, said: str, near: str
) -> None:
    deploy_old(memory)
    memory.upload()
    memory.submit(version=said)
    end = memory.result(JOB, "end")
    assert end.startswith(f"REJECTED\n\nversion '{said}' of this analysis does not exist")
    assert near in end
    assert "`ncap blueprint versions kalman-lds`" in end
    assert memory.instances == []


def test_a_job_in_the_queue_keeps_its_version_when_the_default_changes(memory: FakePlatform) -> None:
    memory.session.refusals = dict.fromkeys(("m7i.large", "m6i.large"), "VcpuLimitExceeded")
    memory.upload()
    memory.submit()
    memory.deploy(versionId=NEWER, imageId="ami-00000000000000bbb", volumeGib=99, instanceTypes=["r7i.large"])
    memory.session.refusals = {}
    memory.sweep(minutes=6)
    for call in memory.session.invoked:
        serve(memory, json.loads(call["Payload"]), NEWER)
    (launch,) = memory.session.launches
    assert (launch["ImageId"], launch["InstanceType"]) == (memory.image, "m7i.large")
    assert launch["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 20
    assert json.loads(memory.text(f"demo/jobs/{JOB}/launch-1.json"))["versionId"] == VERSION_ID


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_redelivery_after_a_change_of_the_default_repeats_the_very_same_launch(
    memory: FakePlatform, dies: str
) -> None:
    memory.upload()
    event = memory.submission()

    def die(_: int, service: str, operation: str) -> None:
        if operation == "run_instances":
            raise CrashError

    setattr(memory.session, dies, die)
    with pytest.raises(CrashError):
        memory.deliver(event)
    setattr(memory.session, dies, None)
    memory.deploy(versionId=NEWER, imageId="ami-00000000000000bbb", volumeGib=99, instanceTypes=["r7i.large"])
    serve(memory, event, NEWER)
    (launch,) = memory.session.launches
    assert (launch["ImageId"], launch["InstanceType"]) == (memory.image, "m7i.large")
    assert len(memory.instances) == 1
    assert memory.result(JOB, "certificate").count(VERSION_ID) == 1
    assert NEWER not in memory.result(JOB, "certificate")


def test_what_is_started_at_once_follows_the_default_of_now(memory: FakePlatform) -> None:
    memory.deploy(deployLimit=1)
    memory.submit(dataname=memory.upload(["x.csv", "y.csv"]))
    memory.deploy(versionId=NEWER, deployLimit=5)
    memory.sweep(minutes=2)
    for call in memory.session.invoked:
        serve(memory, json.loads(call["Payload"]), NEWER)
    assert len(memory.instances) == 2


def test_disks_are_encrypted_with_the_own_key_where_there_is_one() -> None:
    environ = {"LEDGER_TABLE": "t", "ANALYSIS_BUCKET": "b", "VERSION_ID": "v"}
    key = "arn:aws:kms:us-east-1:123456789012:key/1"
    assert Settings.from_environ(environ, submit=True).volume_key is None
    assert Settings.from_environ(environ | {"VOLUME_KEY_ARN": ""}, submit=True).volume_key is None
    assert Settings.from_environ(environ | {"VOLUME_KEY_ARN": key}, submit=True).volume_key == key


def test_the_own_key_reaches_the_launch(memory: FakePlatform) -> None:
    memory.services = replace(memory.services, volume_key="arn:aws:kms:us-east-1:123456789012:key/1")
    memory.upload()
    memory.submit()
    assert memory.session.launches[0]["BlockDeviceMappings"][0]["Ebs"]["KmsKeyId"].endswith("key/1")


def test_a_version_is_read_once_and_again_after_a_few_minutes() -> None:
    reads: list[str] = []
    image = "ami-1"

    def read(bucket: str, key: str) -> bytes:
        reads.append(key)
        return json.dumps(version_document(imageId=image)).encode()

    clock = FakeClock()
    versions = Versions(read, clock)
    assert versions.need("kalman-lds", VERSION_ID).image_id == "ami-1"
    image = "ami-2"
    assert versions.need("kalman-lds", VERSION_ID).image_id == "ami-1"
    assert reads == [f"versions/{VERSION_ID}.json"]
    clock.advance(minutes=6)
    assert versions.need("kalman-lds", VERSION_ID).image_id == "ami-2"


def test_a_document_under_the_key_of_another_version_is_no_version() -> None:
    body = json.dumps(version_document(imageId="ami-1")).encode()
    versions = Versions(lambda bucket, key: body, FakeClock())
    with pytest.raises(VersionError, match=f"describes {VERSION_ID}"):
        versions.get("kalman-lds", OLD)


def test_a_version_without_a_root_device_has_that_of_amazons_images() -> None:
    assert parse_version(json.dumps(version_document(imageId="ami-1")).encode()).root_device == "/dev/xvda"


def test_only_version_documents_count_among_keys() -> None:
    keys = [f"versions/{OLD}.json", "versions/README.txt", "versions/v-1.json", f"demo/{OLD}.json"]
    assert version_ids(keys) == (OLD,)
