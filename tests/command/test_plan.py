"""Plans as values: what is done in which order, and what is left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ncap_iac.deploy.plan import (
    Action,
    Place,
    PutVersion,
    StackAction,
    Upload,
    plan_account,
    plan_stack,
    plan_users,
    plan_version,
)
from ncap_iac.deploy.state import Deployed, Phase, phase_of
from ncap_iac.deploy.wanted import Artifact, Version, Wanted, with_parameters, with_tags
from ncap_iac.errors import UsageError

TEMPLATE: dict[str, Any] = {
    "Parameters": {"ImageId": {"Type": "String"}, "WithFunctions": {"Type": "String"}, "Email": {"Type": "String"}},
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "a"}}},
}
WANTED = Wanted("a", json.dumps(TEMPLATE), artifacts=(Artifact("bundles/x.zip", b"zip"),))
PLACE = Place("artifacts", has_artifact_bucket=True, template_base_url="http://e/artifacts")
ABSENT = Deployed("a", Phase.ABSENT)
VERSION = Version("v-1", "a", "versions/v-1.json", {"versionId": "v-1"})


def deployed(**parameters: str) -> Deployed:
    return Deployed("a", Phase.READY, "CREATE_COMPLETE", "id", TEMPLATE, tuple(parameters.items()))


def names(actions: tuple[Action, ...]) -> list[str]:
    return [type(action).__name__ for action in actions]


def test_a_first_plan_uploads_before_it_creates() -> None:
    plan = plan_stack(WANTED, ABSENT, PLACE)
    assert plan.creates
    assert names(plan.actions) == ["Upload", "Upload", "StackAction"]
    keys = [action.key for action in plan.actions if isinstance(action, Upload)]
    assert keys[0] == "bundles/x.zip"
    assert keys[1].startswith("templates/a/")
    assert [change.resource for change in plan.changes] == ["Bucket"]


def test_a_stack_as_wanted_needs_nothing() -> None:
    plan = plan_stack(WANTED, deployed(), PLACE)
    assert plan.is_empty
    assert plan.actions == ()
    assert plan.changes == ()


@pytest.mark.parametrize(
    "found",
    [
        replace(deployed(), template={**TEMPLATE, "Description": "other"}),
        replace(deployed(), phase=Phase.BUSY),
        deployed(ImageId="ami-2"),
    ],
)
def test_another_template_parameter_or_phase_is_a_reason_to_act(found: Deployed) -> None:
    wanted = replace(WANTED, parameters=(("ImageId", "ami-1"),))
    assert not plan_stack(wanted, found, PLACE).is_empty


def test_the_account_goes_in_two_steps_around_the_upload_where_its_bucket_is_missing() -> None:
    plan = plan_account(WANTED, ABSENT, replace(PLACE, has_artifact_bucket=False))
    assert names(plan.actions) == ["StackAction", "Upload", "Upload", "StackAction"]
    steps = [dict(action.parameters)["WithFunctions"] for action in plan.actions if isinstance(action, StackAction)]
    assert steps == ["false", "true"]


def test_the_account_goes_in_one_step_where_its_bucket_is_there() -> None:
    plan = plan_account(WANTED, deployed(WithFunctions="true"), PLACE)
    assert plan.is_empty
    halfway = plan_account(WANTED, deployed(WithFunctions="false"), PLACE)
    assert names(halfway.actions) == ["Upload", "Upload", "StackAction"]


def test_a_version_goes_first_into_a_bucket_that_is_there_and_last_into_one_that_is_not() -> None:
    version = PutVersion("a", "versions/v-1.json", b"{}", "ami-1")
    changed = replace(deployed(), template={})
    assert names(plan_stack(WANTED, changed, PLACE, version=version).actions)[0] == "PutVersion"
    assert names(plan_stack(WANTED, ABSENT, PLACE, version=version).actions)[-1] == "PutVersion"


def test_a_kept_version_is_left_alone_unless_its_image_is_gone() -> None:
    wanted = replace(WANTED, version=VERSION)
    fresh = plan_version(wanted, "ami-1", None, available=False)
    assert fresh is not None
    assert json.loads(fresh.body).items() >= {"versionId": "v-1", "imageId": "ami-1"}.items()
    assert not fresh.replaces_lost_image
    assert plan_version(wanted, "ami-1", {"imageId": "ami-1"}, available=True) is None
    lost = plan_version(wanted, "ami-2", {"imageId": "ami-1"}, available=False)
    assert lost is not None
    assert lost.replaces_lost_image
    assert plan_version(WANTED, "ami-1", None, available=False) is None


def test_parameters_given_before_are_kept_and_given_ones_win() -> None:
    found = deployed(Email="me@example.org", ImageId="ami-1", Gone="x")
    wanted = with_parameters(
        WANTED, found, known={"ImageId": "ami-2", "RequireTls": "false"}, given=(("Email", "you"),)
    )
    assert dict(wanted.parameters) == {"Email": "you", "ImageId": "ami-2"}
    assert dict(with_parameters(WANTED, found, known={}, given=()).parameters)["Email"] == "me@example.org"


def test_a_parameter_the_stack_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(UsageError) as caught:
        with_parameters(WANTED, ABSENT, known={}, given=(("Emial", "x"),))
    assert "Email" in caught.value.hint


def test_the_document_of_a_plan_is_json() -> None:
    document = json.loads(json.dumps(plan_stack(WANTED, ABSENT, PLACE).document()))
    assert document["changes"][0]["verb"] == "added"
    assert document["stacks"][0]["outcome"] == "created"
    assert document["idleCost"]["after"] == {"amount": "0.00", "currency": "USD"}


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("CREATE_COMPLETE", Phase.READY),
        ("UPDATE_ROLLBACK_COMPLETE", Phase.READY),
        ("IMPORT_COMPLETE", Phase.READY),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Phase.BUSY),
        ("REVIEW_IN_PROGRESS", Phase.ABSENT),
        ("ROLLBACK_COMPLETE", Phase.SPOILT),
        ("DELETE_FAILED", Phase.SPOILT),
        ("UPDATE_ROLLBACK_FAILED", Phase.STUCK),
    ],
)
def test_what_a_stack_status_means(status: str, phase: Phase) -> None:
    assert phase_of(status) is phase


def test_a_parameter_that_differs_shows_as_a_change_of_what_it_is_used_for() -> None:
    template = {
        "Parameters": {"ImageId": {"Type": "String"}, "With": {"Type": "String", "Default": "true"}},
        "Conditions": {"Wanted": {"Fn::Equals": [{"Ref": "With"}, "true"]}},
        "Resources": {
            "Launch": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"ImageId": {"Ref": "ImageId"}}},
            "Table": {"Type": "AWS::DynamoDB::Table", "Condition": "Wanted", "Properties": {"TableName": "t"}},
        },
    }
    found = replace(deployed(ImageId="ami-1", With="true"), template=template)
    wanted = Wanted("a", json.dumps(template), parameters=(("ImageId", "ami-2"), ("With", "false")))
    plan = plan_stack(wanted, found, PLACE)
    assert [(change.resource, change.verb.value) for change in plan.changes] == [
        ("Launch", "changed"),
        ("Table", "removed"),
    ]
    (stack,) = plan.stacks
    assert [(it.name, it.before, it.after) for it in stack.parameter_changes] == [
        ("ImageId", "ami-1", "ami-2"),
        ("With", "true", "false"),
    ]
    assert plan.destroys
    assert "table t is deleted" in plan.careful[0].text


def test_tags_are_kept_given_ones_win_and_removed_ones_go() -> None:
    found = replace(deployed(), tags=(("neurocaas:stack", "a"), ("Owner", "lab"), ("CostCenter", "42")))
    wanted = with_tags(WANTED, found, given=(("CostCenter", "43"),), removed=("Owner",))
    assert wanted.tags == (("CostCenter", "43"),)
    plan = plan_stack(wanted, found, PLACE)
    assert not plan.is_empty
    assert [(it.name, it.before, it.after) for it in plan.stacks[0].tag_changes] == [
        ("CostCenter", "42", "43"),
        ("Owner", "lab", None),
    ]
    assert plan_stack(with_tags(WANTED, found, given=()), found, PLACE).is_empty


def test_parameters_of_a_stage_count_where_they_are_declared_and_given_ones_win() -> None:
    staged = (("Email", "stage"), ("PermissionsBoundary", "arn"))
    wanted = with_parameters(WANTED, deployed(Email="before"), known={}, given=(), staged=staged)
    assert dict(wanted.parameters) == {"Email": "stage"}
    wanted = with_parameters(WANTED, ABSENT, known={}, given=(("Email", "flag"),), staged=staged)
    assert dict(wanted.parameters) == {"Email": "flag"}


def test_stacks_without_groups_go_first_and_unchanged_ones_are_left_alone() -> None:
    there = {"a": deployed(), "a--2": replace(deployed(), stack="a--2")}
    plan = plan_users([replace(WANTED, artifacts=())], there, PLACE)
    assert names(plan.actions) == ["DeleteStack"]
    assert [(stack.stack, stack.outcome.value) for stack in plan.stacks] == [("a", "as wanted"), ("a--2", "deleted")]
    assert not plan.is_empty
    assert plan.destroys  # its bucket goes, which is not retained


def test_without_an_artifact_bucket_users_are_deployed_from_the_template_itself() -> None:
    wanted = replace(WANTED, artifacts=())
    plan = plan_users([wanted], {}, replace(PLACE, has_artifact_bucket=False))
    (action,) = plan.actions
    assert isinstance(action, StackAction)
    assert action.template_url == ""


@pytest.mark.parametrize(
    ("phase", "status", "word"),
    [
        (Phase.BUSY, "UPDATE_IN_PROGRESS", "waits for it"),
        (Phase.STUCK, "UPDATE_ROLLBACK_FAILED", "--continue-rollback"),
        (Phase.SPOILT, "ROLLBACK_COMPLETE", "removes it first"),
    ],
)
def test_a_plan_says_when_a_stack_is_not_simply_there(phase: Phase, status: str, word: str) -> None:
    found = replace(deployed(), phase=phase, status=status)
    (note,) = plan_stack(WANTED, found, PLACE).notes
    assert note.startswith(f"a is {status}")
    assert word in note


def test_a_stack_of_somebody_else_is_not_taken_for_ours() -> None:
    foreign = replace(deployed(), template={"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    plan = plan_stack(WANTED, foreign, PLACE)
    assert plan.destroys
    assert "not made by this platform" in plan.careful[-1].text
    ours = {"Type": "AWS::SNS::Topic", "Properties": {"Tags": [{"Key": "neurocaas:stack", "Value": "a"}]}}
    assert plan_stack(WANTED, replace(foreign, template={"Resources": {"Topic": ours}}), PLACE).careful == ()
