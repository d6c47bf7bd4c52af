"""Plans as values: what is done in which order, and what is left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ncap_iac.errors import UsageError
from ncap_iac.plan import (
    Action,
    Artifact,
    Place,
    PutVersion,
    StackAction,
    Upload,
    Version,
    Wanted,
    plan_account,
    plan_stack,
    plan_version,
    with_parameters,
)
from ncap_iac.state import Deployed, Phase, phase_of

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
    assert json.loads(fresh.body) == {"versionId": "v-1", "imageId": "ami-1"}
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
    assert set(document) == {"stack", "creates", "versionId", "parameters", "changes", "uploads"}
    assert document["changes"][0]["verb"] == "added"


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
