"""Applying plans against CloudFormation in memory: success, repetition, failure, leftovers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ncap_iac import progress
from ncap_iac.deploy.apply import LARGEST_BODY_BYTES, Workshop, apply, continue_rollback, destroy_stack, settle
from ncap_iac.deploy.comparison import Outcome, StackPlan
from ncap_iac.deploy.idle_cost import IdleCost
from ncap_iac.deploy.plan import DeleteStack, Plan, PutVersion, StackAction, Upload
from ncap_iac.deploy.state import read_stack
from ncap_iac.errors import ApplyError, AwsError, WaitTimeoutError
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

    def plan(self, *actions: Upload | StackAction | PutVersion | DeleteStack) -> Plan:
        """A plan made from what is deployed now."""
        fingerprint = read_stack(self.stacks, "a").fingerprint
        stack = StackPlan("a", Outcome.CHANGED, (), (), (), (), (), IdleCost(), IdleCost(), fingerprint)
        return Plan((stack,), tuple(actions))

    def apply(self, *actions: Upload | StackAction | PutVersion | DeleteStack) -> bool:
        return apply(self.plan(*actions), self.workshop).changed


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


def test_a_busy_stack_is_waited_for_and_changed_if_it_is_what_it_was() -> None:
    site = Site()
    site.apply(STACK)
    plan = site.plan(StackAction("a", TEMPLATE, (("ImageId", "ami-2"),)))
    site.stacks.stacks["a"].status = "UPDATE_ROLLBACK_IN_PROGRESS"
    site.stacks.pending["a"] = "UPDATE_ROLLBACK_COMPLETE"
    assert apply(plan, site.workshop).stacks == ("a",)
    assert site.stacks.calls == ["create a", "update a"]


def test_waiting_for_somebody_elses_operation_is_said() -> None:
    site = Site()
    site.stacks.stacks["a"] = FakeStack("UPDATE_IN_PROGRESS")
    site.stacks.pending["a"] = "UPDATE_COMPLETE"
    assert settle("a", site.workshop).status == "UPDATE_COMPLETE"
    assert [event.text for event in site.events if isinstance(event, progress.Note)] == [
        "a is UPDATE_IN_PROGRESS: waiting for it."
    ]


def test_a_stuck_stack_is_left_to_a_person() -> None:
    site = Site()
    site.stacks.stacks["a"] = FakeStack("UPDATE_ROLLBACK_FAILED")
    with pytest.raises(ApplyError, match="UPDATE_ROLLBACK_FAILED") as caught:
        site.apply(STACK)
    assert "--continue-rollback" in caught.value.hint


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


def test_a_stack_that_changed_since_the_plan_was_made_is_left_alone() -> None:
    site = Site()
    plan = site.plan(UPLOAD, STACK)
    site.apply(STACK)
    site.stacks.calls.clear()
    with pytest.raises(ApplyError, match="changed since") as caught:
        apply(plan, site.workshop)
    assert "Plan again" in caught.value.hint
    assert (site.stacks.calls, site.objects.calls) == ([], [])


def test_a_deployment_that_began_meanwhile_is_waited_for_and_then_told() -> None:
    site = Site()
    site.apply(STACK)
    plan = site.plan(StackAction("a", TEMPLATE, (("ImageId", "ami-2"),)))
    site.stacks.stacks["a"].status = "UPDATE_IN_PROGRESS"
    site.stacks.pending["a"] = "UPDATE_COMPLETE"
    site.stacks.stacks["a"].parameters = {"ImageId": "ami-3"}
    with pytest.raises(ApplyError, match="changed since"):
        apply(plan, site.workshop)
    assert site.stacks.stacks["a"].parameters == {"ImageId": "ami-3"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ValidationError", "Stack:arn:x is in UPDATE_IN_PROGRESS state and can not be updated."),
        ("InvalidChangeSetStatus", "ChangeSet [x] cannot be executed in its current status of [OBSOLETE]"),
    ],
)
def test_two_deployments_at_the_same_moment_end_in_a_clear_refusal(code: str, message: str) -> None:
    site = Site()
    site.apply(STACK)
    site.stacks.refusing.append(AwsError(f"{code}: {message}", code=code))
    with pytest.raises(ApplyError, match="somebody else deployed it, or is doing so now"):
        site.apply(StackAction("a", TEMPLATE, (("ImageId", "ami-2"),)))


def test_another_refusal_stays_what_it_is() -> None:
    site = Site()
    site.stacks.refusing.append(AwsError("InsufficientCapabilities", code="InsufficientCapabilitiesException"))
    with pytest.raises(AwsError, match="InsufficientCapabilities"):
        site.apply(STACK)


def test_a_change_set_left_by_an_interrupted_try_is_used() -> None:
    site = Site()
    site.apply(STACK)
    changed = StackAction("a", TEMPLATE, (("ImageId", "ami-2"),))
    site.stacks.create_change_set("a", "left", create=False, arguments={"Parameters": [], "TemplateBody": TEMPLATE})
    site.stacks.sets.clear()
    refused = AwsError("there is one", code="AlreadyExistsException")

    class Left(FakeStacks):
        def create_change_set(self, *args: object, **options: object) -> None:
            super().create_change_set(*args, **options)  # type: ignore[arg-type]
            raise refused

    site.workshop = replace(site.workshop, stacks=Left(**vars(site.stacks)))
    assert site.apply(changed)
    assert site.stacks.stacks["a"].parameters == {"ImageId": "ami-2"}


def test_a_stack_its_document_has_nothing_for_is_deleted() -> None:
    site = Site()
    site.apply(STACK)
    assert site.apply(DeleteStack("a"))
    assert site.stacks.stacks["a"].status == "DELETE_COMPLETE"


def test_tags_go_with_the_platforms_own_and_stay_when_nothing_is_said() -> None:
    site = Site()
    site.apply(StackAction("a", TEMPLATE, (), tags=(("CostCenter", "42"),)))
    assert site.stacks.stacks["a"].tags == {"neurocaas:stack": "a", "CostCenter": "42"}
    site.apply(StackAction("a", TEMPLATE, (("ImageId", "ami-2"),)))
    assert site.stacks.stacks["a"].tags["CostCenter"] == "42"


def test_a_rollback_that_failed_is_finished_and_one_that_did_not_is_left() -> None:
    site = Site()
    site.apply(STACK)
    assert not continue_rollback("a", site.workshop)
    site.stacks.stacks["a"].status = "UPDATE_ROLLBACK_FAILED"
    assert continue_rollback("a", site.workshop)
    assert site.stacks.stacks["a"].status == "UPDATE_ROLLBACK_COMPLETE"
    assert site.apply(StackAction("a", TEMPLATE, (("ImageId", "ami-2"),)))
