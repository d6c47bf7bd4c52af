"""The rules no template may break, and for each of them a change that does."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.compiler import compiled, security_rules
from tests.compiler.iam import made
from tests.compiler.security_rules import RULES, Rule

KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
BOUNDARY = "arn:aws:iam::123456789012:policy/limit"
GIVEN: dict[str, dict[str, str]] = {"defaults": {}, "options": {"KmsKeyArn": KEY, "PermissionsBoundary": BOUNDARY}}

Template = dict[str, Any]


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("name", sorted(compiled.every()))
def test_no_template_breaks_a_rule(name: str, given: str) -> None:
    resources = made(compiled.every()[name], **GIVEN[given])
    assert [sentence for rule in RULES for sentence in rule(resources)] == []


@pytest.mark.parametrize("name", sorted(compiled.every()))
def test_with_an_own_key_and_a_boundary_nothing_is_without(name: str) -> None:
    resources = made(compiled.every()[name], **GIVEN["options"])
    assert [*security_rules.under_the_own_key(resources, KEY), *security_rules.bounded(resources, BOUNDARY)] == []


def of(resources: Template, type_: str) -> dict[str, Any]:
    held: dict[str, Any] = next(one["Properties"] for one in resources.values() if one["Type"] == type_)
    return held


def statement(resources: Template, sid: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for _, one in security_rules.identity_policies(resources) if one["Sid"] == sid)
    return found


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set (or with `...` remove) what is at `a/b/0/c` of some properties."""

    def change(held: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        place: Any = held
        for part in parents:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value

    return change


ROLE, BUCKET, POLICY = "AWS::IAM::Role", "AWS::S3::Bucket", "AWS::S3::BucketPolicy"
LAUNCH, PERMISSION, NETWORK = "AWS::EC2::LaunchTemplate", "AWS::Lambda::Permission", "AWS::EC2::SecurityGroup"

BROKEN_STATEMENTS: list[tuple[Rule, str, str, Any]] = [
    (security_rules.no_wildcard_action, "WriteJobs", "Action", "s3:*"),
    (security_rules.no_open_resource, "WriteJobs", "Resource", "*"),
    (security_rules.no_open_resource, "SeeInstances", "Action", ["ec2:DescribeInstances", "ec2:StopInstances"]),
    (security_rules.scoped_pass_role, "PassInstanceRoles", "Condition", ...),
    (security_rules.scoped_pass_role, "PassInstanceRoles", "Resource", "*"),
    (security_rules.scoped_pass_role, "PassInstanceRoles", "Resource", "arn:aws:iam::123456789012:role/admin"),
]
BROKEN: list[tuple[Rule, str, str, str, Any]] = [
    (
        security_rules.no_bought_policy,
        "analysis",
        ROLE,
        "ManagedPolicyArns",
        ["arn:aws:iam::aws:policy/ReadOnlyAccess"],
    ),
    (security_rules.named_trust, "analysis", ROLE, "AssumeRolePolicyDocument/Statement/0/Principal", {"AWS": "*"}),
    (security_rules.closed_buckets, "analysis", BUCKET, "PublicAccessBlockConfiguration/BlockPublicAcls", False),
    (security_rules.closed_buckets, "analysis", BUCKET, "AccessControl", "Private"),
    (security_rules.closed_buckets, "analysis", BUCKET, "OwnershipControls", ...),
    (security_rules.closed_buckets, "analysis", POLICY, "PolicyDocument/Statement/0/Principal", "*"),
    (security_rules.only_tls, "account", POLICY, "PolicyDocument/Statement/0/Effect", "Allow"),
    (security_rules.only_tls, "account", POLICY, "PolicyDocument/Statement/0/Resource/1", "x"),
    (security_rules.encrypted, "analysis", BUCKET, "BucketEncryption", ...),
    (security_rules.encrypted, "account", "AWS::DynamoDB::Table", "SSESpecification/SSEEnabled", False),
    (security_rules.encrypted, "account", "AWS::SQS::Queue", "SqsManagedSseEnabled", ...),
    (security_rules.encrypted, "analysis", LAUNCH, "LaunchTemplateData/BlockDeviceMappings/0/Ebs/Encrypted", False),
    (security_rules.safe_instances, "analysis", LAUNCH, "LaunchTemplateData/MetadataOptions/HttpTokens", "optional"),
    (security_rules.safe_instances, "analysis", LAUNCH, "LaunchTemplateData/KeyName", "a-key"),
    (security_rules.safe_instances, "account", NETWORK, "SecurityGroupIngress", [{"IpProtocol": "-1"}]),
    (security_rules.safe_instances, "account", NETWORK, "SecurityGroupEgress/0/ToPort", 65535),
    (security_rules.bound_invocations, "analysis", PERMISSION, "SourceAccount", ...),
    (security_rules.bound_invocations, "analysis", PERMISSION, "SourceArn", ...),
]


@pytest.mark.parametrize(("rule", "sid", "path", "value"), BROKEN_STATEMENTS)
def test_a_rule_sees_a_wider_statement(rule: Rule, sid: str, path: str, value: Any) -> None:
    resources = copy.deepcopy(made(compiled.every()["analysis"]))
    put(path, value)(statement(resources, sid))
    assert list(rule(resources))


@pytest.mark.parametrize(("rule", "template", "type_", "path", "value"), BROKEN)
def test_a_rule_sees_what_breaks_it(rule: Rule, template: str, type_: str, path: str, value: Any) -> None:
    resources = copy.deepcopy(made(compiled.every()[template]))
    put(path, value)(of(resources, type_))
    assert list(rule(resources))


def test_every_rule_is_broken_by_something() -> None:
    assert {rule for rule, *_ in (*BROKEN, *BROKEN_STATEMENTS)} == set(RULES)


@pytest.mark.parametrize("type_", sorted(security_rules.KEYS))
def test_a_resource_that_forgets_the_own_key_is_seen(type_: str) -> None:
    every = (made(template, **GIVEN["options"]) for template in compiled.every().values())
    resources = next(found for found in every if any(one["Type"] == type_ for one in found.values()))
    others = {name: one for name, one in resources.items() if one["Type"] != type_}
    (name, one), *_ = ((name, one) for name, one in resources.items() if one["Type"] == type_)
    forgotten = json.loads(json.dumps(one).replace(KEY, "alias/aws/other"))
    assert list(security_rules.under_the_own_key(others | {name: forgotten}, KEY)) == [
        f"{name} is not under the own key"
    ]


@pytest.mark.parametrize("type_", [ROLE, "AWS::IAM::User"])
def test_a_role_or_user_without_the_boundary_is_seen(type_: str) -> None:
    resources = copy.deepcopy(made(compiled.users(), **GIVEN["options"]))
    del of(resources, type_)["PermissionsBoundary"]
    assert len(list(security_rules.bounded(resources, BOUNDARY))) == 1
