"""Applying plans against CloudFormation in memory: success, repetition, failure, leftovers."""

from __future__ import annotations

import json

import pytest

from ncap_iac import progress
from ncap_iac.apply import LARGEST_BODY_BYTES, Workshop, apply, destroy_stack, hint_for
from ncap_iac.errors import ApplyError, WaitTimeoutError
from ncap_iac.plan import Plan, PutVersion, StackAction, Upload
from tests.command.fake_stacks import FakeObjects, FakeStack, FakeStacks, FakeTime

TEMPLATE = json.dumps(
    {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}, "Role": {"Type": "AWS::IAM::Role"}}}, sort_keys=True
)
STACK = StackAction("a", TEMPLATE, (("ImageId", "ami-1"),))
UPLOAD = Upload("artifacts", "bundles/x.zip", b"zip")
VERSION = PutVersion("a", "versions/v-1.json", b"{}", "ami-1")


class Site:
    """A workshop with its fakes."""

    def __init__(self, *, timeout_s: float = 60) -> None:
        self.stacks, self.objects, self.time = FakeStacks(), FakeObjects(), FakeTime()
        self.events: list[progress.Event] = []
        self.workshop = Workshop(
            self.stacks, self.objects, self.events.append, self.time.clock, self.time.sleep, timeout_s=timeout_s
        )

    def apply(self, *actions: Upload | StackAction | PutVersion) -> bool:
        return apply(Plan("a", False, (), tuple(actions), ()), self.workshop).changed


def test_actions_are_performed_in_order_and_events_are_told() -> None:
    site = Site()
    assert site.apply(UPLOAD, STACK, VERSION)
    assert site.objects.calls == ["put bundles/x.zip", "put versions/v-1.json"]
    assert site.stacks.calls == ["create a"]
    assert site.stacks.stacks["a"].status == "CREATE_COMPLETE"
    told = [event.resource for event in site.events if isinstance(event, progress.ResourceChanged)]
    assert told == ["a", "Bucket", "Role", "a"]


def test_the_change_set_carries_what_the_contract_asks_for() -> None:
    site = Site()
    site.apply(STACK)
    arguments = site.stacks.arguments[0]
    assert arguments["Capabilities"] == ["CAPABILITY_NAMED_IAM"]
    assert arguments["Tags"] == [{"Key": "neurocaas:stack", "Value": "a"}]
    assert arguments["TemplateBody"] == TEMPLATE
    assert "ImportExistingResources" not in arguments


def test_a_second_application_changes_nothing() -> None:
    site = Site()
    site.apply(UPLOAD, STACK, VERSION)
    assert not site.apply(UPLOAD, STACK, VERSION)
    assert site.stacks.calls == ["create a", "update a", "forget a"]


def test_events_of_earlier_operations_are_not_told_again() -> None:
    site = Site()
    site.apply(STACK)
    site.events.clear()
    site.apply(StackAction("a", TEMPLATE, (("ImageId", "ami-2"),)))
    statuses = {event.status for event in site.events if isinstance(event, progress.ResourceChanged)}
    assert statuses == {"UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"}


def test_the_first_resource_that_failed_by_itself_is_named_with_its_reason_and_a_hint() -> None:
    site = Site()
    site.stacks.failing = {"Role": "User is not authorized to perform iam:CreateRole"}
    with pytest.raises(ApplyError) as caught:
        site.apply(STACK, VERSION)
    assert caught.value.where == "stack a, AWS::IAM::Role Role"
    assert caught.value.what == "User is not authorized to perform iam:CreateRole"
    assert "credentials" in caught.value.hint
    assert site.objects.calls == []  # nothing after the failure


def test_a_stack_spoilt_by_its_first_creation_is_removed_and_made_again() -> None:
    site = Site()
    site.stacks.failing = {"Role": "x"}
    with pytest.raises(ApplyError):
        site.apply(STACK)
    site.stacks.failing = {}
    assert site.apply(STACK)
    assert site.stacks.calls == ["create a", "delete a", "create a"]


def test_a_failed_update_is_an_error_although_the_stack_stays_usable() -> None:
    site = Site()
    site.apply(STACK)
    site.stacks.failing = {"Bucket": "Bucket already exists"}
    with pytest.raises(ApplyError, match="already exists"):
        site.apply(StackAction("a", TEMPLATE, (("ImageId", "ami-2"),)))
    assert site.stacks.stacks["a"].status == "UPDATE_ROLLBACK_COMPLETE"


def test_a_busy_stack_is_waited_for() -> None:
    site = Site()
    site.stacks.stacks["a"] = FakeStack("UPDATE_IN_PROGRESS")
    site.stacks.pending["a"] = "UPDATE_COMPLETE"
    assert site.apply(STACK)
    assert site.stacks.calls == ["update a"]


def test_a_stuck_stack_is_left_to_a_person() -> None:
    site = Site()
    site.stacks.stacks["a"] = FakeStack("UPDATE_ROLLBACK_FAILED")
    with pytest.raises(ApplyError, match="UPDATE_ROLLBACK_FAILED") as caught:
        site.apply(STACK)
    assert "continue-update-rollback" in caught.value.hint


def test_waiting_ends() -> None:
    site = Site(timeout_s=30)
    site.stacks.stacks["a"] = FakeStack("UPDATE_IN_PROGRESS")
    with pytest.raises(WaitTimeoutError):
        site.apply(STACK)
    assert 30 < site.time.now < 60


def test_a_large_template_goes_by_url_or_not_at_all() -> None:
    site = Site()
    large = json.dumps({"Description": "x" * LARGEST_BODY_BYTES, "Resources": {}})
    site.apply(StackAction("a", large, (), template_url="https://bucket/templates/a"))
    assert site.stacks.arguments[0]["TemplateURL"] == "https://bucket/templates/a"
    assert "TemplateBody" not in site.stacks.arguments[0]
    with pytest.raises(ApplyError, match="bytes"):
        site.apply(StackAction("b", large, ()))


def test_a_bucket_that_was_kept_is_taken_over_when_its_stack_is_made_again() -> None:
    site = Site()
    site.objects.buckets.add("a")
    site.apply(StackAction("a", TEMPLATE, (), kept_buckets=("a",)))
    assert site.stacks.arguments[0]["ImportExistingResources"] is True
    site.apply(StackAction("a", TEMPLATE, (("ImageId", "x"),), kept_buckets=("a",)))
    assert "ImportExistingResources" not in site.stacks.arguments[1]


def test_an_artifact_or_version_that_is_there_is_as_good() -> None:
    site = Site()
    site.objects.objects = {("artifacts", UPLOAD.key): b"zip", ("a", VERSION.key): b"kept"}
    assert not site.apply(UPLOAD, VERSION)
    assert site.objects.objects["a", VERSION.key] == b"kept"


def test_only_a_version_whose_image_is_gone_is_written_again() -> None:
    site = Site()
    site.objects.objects = {("a", VERSION.key): b"kept"}
    assert site.apply(PutVersion("a", VERSION.key, b"mended", "ami-2", replaces_lost_image=True))
    assert site.objects.objects["a", VERSION.key] == b"mended"


def test_destroying_waits_until_the_stack_is_gone_and_knows_when_there_was_none() -> None:
    site = Site()
    site.apply(STACK)
    assert destroy_stack("a", site.workshop)
    assert site.stacks.stacks["a"].status == "DELETE_COMPLETE"
    assert not destroy_stack("a", site.workshop)


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("No export named neurocaas-artifact-bucket found.", "ncap account deploy"),
        ("S3 Error Code: NoSuchKey. The specified key does not exist.", "bundle"),
        ("kalman-lds already exists", "remove or rename"),
        ("Something else", "same command again"),
    ],
)
def test_hints_fit_the_reason(reason: str, word: str) -> None:
    assert word in hint_for(reason)
