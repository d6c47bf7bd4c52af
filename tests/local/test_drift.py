"""Drift: what is told of a value that changed, and what detection does with stacks, against a cloud of dictionaries."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.local.cloudformation.drift import property_differences
from ncap_iac.local.service import ServiceError
from tests.local.cloudformation_rig import FakeCloud, Rig, running, template, thing


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path) as made:
        yield made


def told(wanted: dict[str, Any], found: dict[str, Any], **rules: Any) -> list[tuple[str, str, str, str]]:
    """Differences as tuples, shorter to compare."""
    return [(str(d.kind), d.path, d.expected, d.actual) for d in property_differences(wanted, found, **rules)]


def test_what_means_the_same_is_no_difference() -> None:
    wanted = {"Days": "30", "Doc": {"Action": "s3:*"}, "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}
    found = {"Days": 30, "Doc": {"Action": ["s3:*"]}, "Tags": [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}]}
    assert told(wanted, {**found, "Undeclared": "x"}) == []


@pytest.mark.parametrize(
    ("wanted", "found", "difference"),
    [
        ({"A": "x"}, {"A": "y"}, ("NOT_EQUAL", "/A", "x", "y")),
        ({"A": "x"}, {}, ("REMOVE", "/A", "x", "null")),
        ({"A": []}, {"A": ["x"]}, ("ADD", "/A", "[]", '["x"]')),
        ({"A": {"B": {"C/D": 1}}}, {"A": {"B": {"C/D": 2}}}, ("NOT_EQUAL", "/A/B/C~1D", "1", "2")),
        ({"A": ["x", "y"]}, {"A": ["y"]}, ("REMOVE", "/A/0", "x", "null")),
        ({"A": ["x"]}, {"A": ["x", "z"]}, ("ADD", "/A/1", "null", "z")),
        (
            {"A": [{"Key": "k", "Value": "1"}]},
            {"A": [{"Key": "k", "Value": "2"}]},
            ("NOT_EQUAL", "/A/0/Value", "1", "2"),
        ),
        (
            {"A": [{"Doc": {"Resource": "a"}}]},
            {"A": [{"Doc": {"Resource": ["a", "b"]}}]},
            ("ADD", "/A/0/Doc/Resource/1", "null", "b"),
        ),
    ],
)
def test_a_difference_has_its_place_and_both_values(
    wanted: dict[str, Any], found: dict[str, Any], difference: tuple[str, str, str, str]
) -> None:
    assert told(wanted, found) == [difference]


def test_members_added_to_a_document_are_differences_to_a_setting_they_are_the_services() -> None:
    wanted, found = {"Doc": {"a": 1}, "Setting": {"a": 1}}, {"Doc": {"a": 1, "b": 2}, "Setting": {"a": 1, "b": 2}}
    assert told(wanted, found, exact={"Doc"}) == [("ADD", "/Doc/b", "null", "2")]


def test_order_matters_where_the_service_says_so() -> None:
    wanted, found = {"L": ["a", "b"]}, {"L": ["b", "a"]}
    assert told(wanted, found) == []
    assert told(wanted, found, ordered={"L"}) == [("NOT_EQUAL", "/L/0", "a", "b"), ("NOT_EQUAL", "/L/1", "b", "a")]


def detect(rig: Rig, **more: Any) -> dict[str, Any]:
    """A detection from begin to end."""
    started = rig.call("DetectStackDrift", StackName="s", **more)
    rig.settle()
    return rig.call("DescribeStackDriftDetectionStatus", StackDriftDetectionId=started["StackDriftDetectionId"])


def drifts(rig: Rig, *states: str) -> dict[str, str]:
    more = {"StackResourceDriftStatusFilters": list(states)} if states else {}
    found = rig.call("DescribeStackResourceDrifts", StackName="s", **more)["StackResourceDrifts"]
    return {item["LogicalResourceId"]: item["StackResourceDriftStatus"] for item in found}


def of_stack(rig: Rig) -> str:
    return str(rig.stack()["DriftInformation"]["StackDriftStatus"])


def test_an_untouched_stack_is_in_sync(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a"), B=thing(Name="b")))
    assert (of_stack(rig), drifts(rig)) == ("NOT_CHECKED", {})
    found = detect(rig)
    assert found["DetectionStatus"] == "DETECTION_COMPLETE"
    assert (found["StackDriftStatus"], found["DriftedStackResourceCount"]) == ("IN_SYNC", 0)
    assert of_stack(rig) == "IN_SYNC"
    assert drifts(rig) == {"A": "IN_SYNC", "B": "IN_SYNC"}


def test_changes_and_losses_made_without_cloudformation_are_found(rig: Rig) -> None:
    rig.create(template(A=thing("v", Name="a"), B=thing(Name="b"), C=thing(Name="c")))
    rig.cloud.things["a"]["Value"] = "by hand"
    del rig.cloud.things["b"]
    found = detect(rig)
    assert (found["StackDriftStatus"], found["DriftedStackResourceCount"]) == ("DRIFTED", 2)
    assert drifts(rig, "MODIFIED", "DELETED") == {"A": "MODIFIED", "B": "DELETED"}
    (entry,) = [
        item
        for item in rig.call("DescribeStackResourceDrifts", StackName="s")["StackResourceDrifts"]
        if item["LogicalResourceId"] == "A"
    ]
    assert entry["PropertyDifferences"] == [
        {
            "PropertyPath": "/Value",
            "ExpectedValue": "v",
            "ActualValue": "by hand",
            "DifferenceType": "NOT_EQUAL",
        }
    ]
    assert json.loads(entry["ExpectedProperties"])["Value"] == "v"
    assert json.loads(entry["ActualProperties"])["Value"] == "by hand"
    shown = rig.call("ListStackResources", StackName="s")["StackResourceSummaries"]
    assert {item["LogicalResourceId"]: item["DriftInformation"]["StackResourceDriftStatus"] for item in shown} == {
        "A": "MODIFIED",
        "B": "DELETED",
        "C": "IN_SYNC",
    }


def test_what_was_found_holds_until_the_resource_is_changed(rig: Rig) -> None:
    rig.create(template(A=thing("v", Name="a"), B=thing(Name="b")))
    rig.cloud.things["a"]["Value"] = "by hand"
    detect(rig)
    rig.update(template(A=thing("w", Name="a"), B=thing(Name="b")))
    assert of_stack(rig) == "NOT_CHECKED"
    assert drifts(rig) == {"B": "IN_SYNC"}
    assert detect(rig)["StackDriftStatus"] == "IN_SYNC"


def test_one_resource_can_be_checked_at_once(rig: Rig) -> None:
    rig.create(template(A=thing("v", Name="a"), B=thing(Name="b")))
    rig.cloud.things["a"]["Value"] = "by hand"
    found = rig.call("DetectStackResourceDrift", StackName="s", LogicalResourceId="A")["StackResourceDrift"]
    assert found["StackResourceDriftStatus"] == "MODIFIED"
    assert drifts(rig) == {"A": "MODIFIED"}
    with pytest.raises(ServiceError, match="does not exist for stack"):
        rig.call("DetectStackResourceDrift", StackName="s", LogicalResourceId="Z")


def test_a_part_of_the_stack_can_be_checked(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a"), B=thing(Name="b")))
    detect(rig, LogicalResourceIds=["B"])
    assert drifts(rig) == {"B": "IN_SYNC"}


def test_a_property_that_is_only_recorded_is_not_compared(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a", Ignored="yes")))
    rig.cloud.things["a"].pop("Ignored")
    assert detect(rig)["StackDriftStatus"] == "IN_SYNC"


def test_pages_of_findings_are_as_long_as_asked(rig: Rig) -> None:
    rig.create(template(A=thing(Name="a"), B=thing(Name="b"), C=thing(Name="c")))
    detect(rig)
    first = rig.call("DescribeStackResourceDrifts", StackName="s", MaxResults=2)
    rest = rig.call("DescribeStackResourceDrifts", StackName="s", MaxResults=2, NextToken=first["NextToken"])
    assert [len(page["StackResourceDrifts"]) for page in (first, rest)] == [2, 1]
    assert "NextToken" not in rest


def test_a_stack_under_way_is_refused_and_an_unknown_detection_too(rig: Rig) -> None:
    begun, go = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go.wait(5)

    rig.cloud.hooks["create", "a"] = wait
    rig.call("CreateStack", StackName="s", TemplateBody=json.dumps(template(A=thing(Name="a"))))
    assert begun.wait(5)
    try:
        with pytest.raises(ServiceError, match="CREATE_IN_PROGRESS"):
            rig.call("DetectStackDrift", StackName="s")
    finally:
        go.set()
    rig.settle()
    with pytest.raises(ServiceError, match="does not exist"):
        rig.call("DescribeStackDriftDetectionStatus", StackDriftDetectionId="none")


def test_a_detection_cut_off_by_a_kill_has_failed(rig: Rig, tmp_path: Path) -> None:
    rig.create(template(A=thing(Name="a")))
    copies: list[Path] = []
    original = rig.cloud.things

    class Watched(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            if not copies:
                copies.append(rig.copy_at_this_moment(tmp_path / "copy"))
            return super().get(key, default)

    rig.cloud.things = Watched(original)
    started = rig.call("DetectStackDrift", StackName="s")["StackDriftDetectionId"]
    rig.settle()
    with running(copies[0], FakeCloud(dict(original))) as later:
        found = later.call("DescribeStackDriftDetectionStatus", StackDriftDetectionId=started)
        assert found["DetectionStatus"] == "DETECTION_FAILED"


def test_a_replacement_that_its_name_forbids_is_rolled_back(rig: Rig) -> None:
    first = template(A=thing("v", Name="a", Fixed="1"))
    rig.create(first)
    assert rig.update(template(A=thing("v", Name="a", Fixed="2"))) == "UPDATE_ROLLBACK_COMPLETE"
    assert "custom-named" in rig.reasons("A")
    assert rig.cloud.things["a"]["Fixed"] == "1"
    assert detect(rig)["StackDriftStatus"] == "IN_SYNC"
