"""Comparing templates: what changes, what that replaces, who may do more or less."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from ncap_compiler.compare import CREATE_ONLY, Change, Verb, compare_templates, describe_statement
from tests.compiler import compiled
from tests.compiler.documents import BUNDLE


def after(template: str, change: Callable[[dict[str, Any]], None]) -> tuple[Change, ...]:
    document = copy.deepcopy(json.loads(template))
    change(document["Resources"])
    return compare_templates(template, json.dumps(document))


def test_equal_templates_differ_in_nothing_whatever_their_spelling() -> None:
    template = compiled.account()
    assert compare_templates(template, json.dumps(json.loads(template))) == ()


def test_a_stack_that_is_not_there_is_all_added_and_one_that_goes_keeps_its_data() -> None:
    added = compare_templates(None, compiled.account())
    assert {change.verb for change in added} == {Verb.ADDED}
    removed = compare_templates(compiled.account(), None)
    assert {change.verb for change in removed} == {Verb.REMOVED}
    assert {change.type for change in removed if change.keeps} == {"AWS::S3::Bucket", "AWS::DynamoDB::Table"}


def test_a_changed_property_is_named_and_changes_in_place() -> None:
    def change(resources: dict[str, Any]) -> None:
        resources["MonitorFunction"]["Properties"]["Timeout"] = 61

    assert after(compiled.account(), change) == (
        Change("MonitorFunction", "AWS::Lambda::Function", Verb.CHANGED, ("Timeout",)),
    )


def test_a_changed_name_replaces_and_says_what_stays() -> None:
    def change(resources: dict[str, Any]) -> None:
        resources["Bucket"]["Properties"]["BucketName"] = "other"

    assert after(compiled.analysis().template, change) == (
        Change("Bucket", "AWS::S3::Bucket", Verb.CHANGED, ("BucketName",), replaces=True, keeps=True),
    )


def test_a_budget_changes_its_amount_in_place_and_its_name_by_replacement() -> None:
    def raised(resources: dict[str, Any]) -> None:
        resources["AccountBudget"]["Properties"]["Budget"]["BudgetLimit"]["Amount"] = 7

    def renamed(resources: dict[str, Any]) -> None:
        resources["AccountBudget"]["Properties"]["Budget"]["BudgetName"] = "other"

    assert [change.replaces for change in after(compiled.account(), raised)] == [False]
    assert [change.replaces for change in after(compiled.account(), renamed)] == [True]


def test_a_change_of_policy_is_told_in_words() -> None:
    def change(resources: dict[str, Any]) -> None:
        (group,) = [found for found in resources.values() if found["Properties"].get("GroupName") == "neurocaas-lab"]
        statements = group["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        (results,) = [statement for statement in statements if statement.get("Sid") == "Results"]
        results["Action"] = "s3:GetObject"

    (found,) = after(compiled.users(), change)
    assert found.granted == ("neurocaas-lab may s3:GetObject on s3://spikes/lab/results/*",)
    assert found.revoked == ("neurocaas-lab may s3:DeleteObject, s3:GetObject on s3://spikes/lab/results/*",)
    assert not found.replaces


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "*"},
            "x may s3:GetObject, s3:PutObject on *",
        ),
        (
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": "a",
                "Condition": {"Bool": {"k": "false"}},
            },
            "anyone may not s3:* on a, if k is false",
        ),
        (
            {
                "Effect": "Allow",
                "Action": "ec2:RunInstances",
                "Resource": {"Fn::Sub": "arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:instance/*"},
                "Condition": {"StringEquals": {"ec2:InstanceType": ["a", "b"]}},
            },
            "x may ec2:RunInstances on ec2 instance/*, if ec2:InstanceType is a or b",
        ),
        (
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
            "ec2.amazonaws.com may act as x",
        ),
        (
            {
                "Effect": "Allow",
                "Action": "sns:Publish",
                "Resource": {"Fn::Sub": ["${Imported}", {"Imported": {"Fn::ImportValue": "the-topic"}}]},
            },
            "x may sns:Publish on the-topic",
        ),
        (
            {
                "Effect": "Allow",
                "Action": "ec2:RunInstances",
                "Resource": {"Fn::Split": [",", {"Ref": "EarlierImages"}]},
            },
            "x may ec2:RunInstances on any of EarlierImages",
        ),
        (
            {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": {"Fn::Split": [",", "ami-1,ami-2"]}},
            "x may ec2:RunInstances on ami-1, ami-2",
        ),
        (
            {
                "Fn::If": [
                    "OwnKeyGiven",
                    {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": {"Ref": "KmsKeyArn"}},
                    {"Ref": "AWS::NoValue"},
                ]
            },
            "x may kms:Decrypt on KmsKeyArn, when own key given",
        ),
    ],
)
def test_a_statement_reads_as_a_sentence(statement: dict[str, Any], sentence: str) -> None:
    assert describe_statement(statement, who="x") == sentence


def named(resources: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    (found,) = [one["Properties"] for one in resources.values() if one["Properties"].get(key) == name]
    held: dict[str, Any] = found
    return held


def test_joining_and_leaving_a_group_is_told() -> None:
    def change(resources: dict[str, Any]) -> None:
        del named(resources, "UserName", "ann")["Groups"]
        named(resources, "UserName", "dan")["Groups"] = named(resources, "UserName", "bob@x.org")["Groups"]

    told = {(found.granted, found.revoked) for found in after(compiled.users(), change)}
    assert told == {(("dan is in neurocaas-lab",), ()), ((), ("ann is in neurocaas-lab",))}


def test_a_key_that_stops_working_is_told() -> None:
    def change(resources: dict[str, Any]) -> None:
        (user,) = [name for name, one in resources.items() if one["Properties"].get("UserName") == "ann"]
        named(resources, "UserName", {"Ref": user})["Status"] = "Inactive"  # type: ignore[arg-type]

    (found,) = after(compiled.users(), change)
    assert (found.granted, found.revoked, found.replaces) == ((), ("the key of ann works",), False)


def test_what_a_managed_policy_gives_is_told_of_those_who_have_it() -> None:
    def change(resources: dict[str, Any]) -> None:
        named(resources, "ManagedPolicyName", "neurocaas-shared-lab")["Groups"] = ["elsewhere"]

    (found,) = after(compiled.users(), change)
    assert "neurocaas-other may s3:GetObject on s3://spikes/lab/results/*" in found.revoked
    assert "elsewhere may s3:GetObject on s3://spikes/lab/results/*" in found.granted
    assert any(line.endswith("when own key given") for line in found.granted)


def test_what_a_bucket_policy_and_an_invocation_give_is_told() -> None:
    granted = {line for change in compare_templates(None, compiled.analysis().template) for line in change.granted}
    region = "neurocaas/neurocaas-monitor-${AWS::Region}"
    assert any(
        line.startswith("iam role/") and region in line and "s3:ListBucket on s3://spikes" in line for line in granted
    )
    assert (
        "anyone may not s3:* on s3://spikes, s3://spikes/*, if aws:SecureTransport is false, when tls required"
        in granted
    )
    assert "s3.amazonaws.com may invoke neurocaas-submit-spikes, if aws:SourceArn is s3://spikes" in granted
    assert any("ec2:InstanceType is any of InstanceTypes" in line for line in granted)


def test_no_sentence_shows_a_function_of_cloudformation() -> None:
    for template in compiled.every().values():
        for change in compare_templates(None, template):
            assert not any("Fn::" in line or "{'" in line for line in change.granted), change


def test_a_changed_bundle_changes_functions_and_grants_nothing() -> None:
    changed = compiled.account().replace(BUNDLE, "c" * 64)
    found = compare_templates(compiled.account(), changed)
    assert {(change.type, change.properties) for change in found} == {("AWS::Lambda::Function", ("Code",))}
    assert not any(change.granted or change.revoked or change.replaces for change in found)


def test_the_table_of_create_only_properties_is_the_providers_own() -> None:
    """The linter carries CloudFormation's resource schemas: each type we use must agree with its schema."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    used = {
        resource["Type"]
        for template in compiled.every().values()
        for resource in json.loads(template)["Resources"].values()
    }
    assert used <= set(CREATE_ONLY)
    for type_, ours in CREATE_ONLY.items():
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_).schema
        theirs = {path.removeprefix("/properties/") for path in schema.get("createOnlyProperties", [])}
        assert theirs == ours, type_
