"""What of a change cannot be taken back: data that goes, data that is left behind, keys that stop working."""

from __future__ import annotations

import json
from typing import Any

from ncap_compiler import compare_templates
from ncap_iac.deploy.careful import Care, careful_about

BUCKET: dict[str, Any] = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "mine"}}
KEPT: dict[str, Any] = {**BUCKET, "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}


def careful(before: dict[str, Any], after: dict[str, Any]) -> tuple[Care, ...]:
    changes = compare_templates(json.dumps({"Resources": before}), json.dumps({"Resources": after}))
    return careful_about("a", changes, before, after)


def renamed(bucket: dict[str, Any]) -> dict[str, Any]:
    return {**bucket, "Properties": {"BucketName": "other"}}


def test_a_deleted_bucket_costs_data_and_a_kept_one_does_not() -> None:
    (care,) = careful({"B": BUCKET}, {})
    assert (care.text, care.destroys) == ("The bucket mine is deleted, with everything in it.", True)
    (care,) = careful({"B": KEPT}, {})
    assert not care.destroys
    assert "stays" in care.text


def test_a_replaced_bucket_leaves_its_data_behind_also_if_it_is_kept() -> None:
    (care,) = careful({"B": KEPT}, {"B": renamed(KEPT)})
    assert care.destroys
    assert "nothing is copied" in care.text
    (care,) = careful({"B": BUCKET}, {"B": renamed(BUCKET)})
    assert "deleted with everything in it" in care.text


def test_a_change_in_place_needs_no_care() -> None:
    tagged = {**BUCKET, "Properties": {"BucketName": "mine", "Tags": []}}
    assert careful({"B": BUCKET}, {"B": tagged}) == ()
    assert careful({}, {"B": BUCKET}) == ()


def test_a_member_that_leaves_loses_the_secret_and_the_key() -> None:
    member = {
        "User": {"Type": "AWS::IAM::User", "Properties": {"UserName": "ada"}},
        "Key": {"Type": "AWS::IAM::AccessKey", "Properties": {"UserName": {"Ref": "User"}, "Serial": 1}},
        "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "/neurocaas/members/ada"}},
    }
    found = {care.text: care.destroys for care in careful(member, {})}
    assert found == {
        "The present key of ada stops working.": False,
        "The secret /neurocaas/members/ada is deleted, with what it holds.": True,
    }
    key = {**member["Key"], "Properties": {"UserName": {"Ref": "User"}, "Serial": 2}}
    (care,) = careful(member, {**member, "Key": key})
    assert (care.text, care.destroys) == ("The present key of ada stops working; another one is made.", False)
