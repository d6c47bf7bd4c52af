"""Drift detection as AWS answers it: differences as rows, waiting, endpoints that have none."""

from __future__ import annotations

from typing import Any

import pytest

from ncap_iac.deploy.drift import Drift, Watch, detect_drift
from ncap_iac.errors import AwsError, NcapError, WaitTimeoutError
from tests.command.fake_stacks import FakeStacks, FakeTime

RUNNING = {"DetectionStatus": "DETECTION_IN_PROGRESS"}


def resource(status: str, *differences: dict[str, str]) -> dict[str, Any]:
    return {
        "LogicalResourceId": "Bucket",
        "PhysicalResourceId": "kalman-lds",
        "ResourceType": "AWS::S3::Bucket",
        "StackResourceDriftStatus": status,
        "PropertyDifferences": list(differences),
    }


def watch(time: FakeTime) -> Watch:
    return Watch(time.clock, time.sleep, timeout_s=30, pause_s=2)


def test_each_property_that_differs_is_told_with_both_values() -> None:
    stacks = FakeStacks(detection=[RUNNING, RUNNING])
    difference = {"PropertyPath": "/Versioning/Status", "ExpectedValue": "Enabled", "ActualValue": "Suspended"}
    nested = {"PropertyPath": "/Tags/0", "ExpectedValue": '{"b":1,"a":2}', "ActualValue": "null"}
    stacks.found_drifts["a"] = [resource("MODIFIED", difference, nested), resource("IN_SYNC"), resource("NOT_CHECKED")]
    time = FakeTime()
    found = detect_drift("a", stacks, watch(time))
    assert [(it.property, it.expected, it.found) for it in found.drifts] == [
        ("Versioning/Status", "Enabled", "Suspended"),
        ("Tags/0", '{"a": 2, "b": 1}', ""),
    ]
    assert (found.checked, found.failed, time.now) == (2, "", 4.0)


def test_a_resource_that_is_gone_is_drift() -> None:
    stacks = FakeStacks(found_drifts={"a": [resource("DELETED")]})
    (drift,) = detect_drift("a", stacks, watch(FakeTime())).drifts
    assert drift == Drift("a", "Bucket", "AWS::S3::Bucket", "kalman-lds", "", "there", "deleted")


def test_a_detection_that_could_not_see_everything_says_so() -> None:
    failed = {"DetectionStatus": "DETECTION_FAILED", "DetectionStatusReason": "no permission to read"}
    found = detect_drift("a", FakeStacks(detection=[failed]), watch(FakeTime()))
    assert (found.drifts, found.failed) == ((), "no permission to read")


def test_an_endpoint_without_detection_is_told_from_a_failure() -> None:
    stacks = FakeStacks(refusing=[AwsError("InvalidAction: nothing", code="InvalidAction")])
    with pytest.raises(NcapError, match="has no drift detection"):
        detect_drift("a", stacks, watch(FakeTime()))
    stacks = FakeStacks(refusing=[AwsError("Throttling: slow down", code="Throttling")])
    with pytest.raises(AwsError, match="slow down"):
        detect_drift("a", stacks, watch(FakeTime()))


def test_waiting_for_a_detection_ends() -> None:
    with pytest.raises(WaitTimeoutError):
        detect_drift("a", FakeStacks(detection=[RUNNING] * 100), watch(FakeTime()))
