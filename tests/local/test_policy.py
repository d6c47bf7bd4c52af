"""The IAM evaluator against AWS's documented rules."""

from __future__ import annotations

from typing import Any

import pytest

from ncap_iac.local.policy import Access, Authority, Decision, PolicyError, decide, parse_policy

ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
INSTANCE = "arn:aws:ec2:us-east-1:000000000000:instance/i-1"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def decision(
    document: dict[str, Any],
    action: str = "ec2:RunInstances",
    resource: str = INSTANCE,
    *,
    boundary: dict[str, Any] | None = None,
    session: dict[str, Any] | None = None,
    **context: str | list[str],
) -> Decision:
    authority = Authority(
        parse_policy(document),
        parse_policy(boundary) if boundary else None,
        parse_policy(session) if session else None,
    )
    keys = {
        name.replace("__", ":").lower(): [value] if isinstance(value, str) else value for name, value in context.items()
    }
    return decide(authority, Access(action, resource, keys))


def allows(
    statement: dict[str, Any], action: str = "ec2:RunInstances", resource: str = INSTANCE, **context: Any
) -> bool:
    return decision(policy(statement), action, resource, **context) is Decision.ALLOW


def test_nothing_is_allowed_by_default() -> None:
    assert decision(policy()) is Decision.IMPLICIT_DENY


def test_an_explicit_deny_wins_over_every_allow() -> None:
    deny = {"Effect": "Deny", "Action": "ec2:Run*", "Resource": "*"}
    assert decision(policy(ALLOW_ALL, deny)) is Decision.EXPLICIT_DENY
    assert decision(policy(deny, ALLOW_ALL)) is Decision.EXPLICIT_DENY
    assert decision(policy(ALLOW_ALL, deny), "ec2:StopInstances") is Decision.ALLOW


@pytest.mark.parametrize(
    ("pattern", "action", "expected"),
    [
        ("ec2:RunInstances", "ec2:RunInstances", True),
        ("EC2:runinstances", "ec2:RunInstances", True),
        ("ec2:*", "ec2:RunInstances", True),
        ("*", "ec2:RunInstances", True),
        ("ec2:Run?nstances", "ec2:RunInstances", True),
        ("ec2:Run", "ec2:RunInstances", False),
        ("ec2:Run.*", "ec2:RunInstances", False),
        ("s3:*", "ec2:RunInstances", False),
    ],
)
def test_actions_have_wildcards_and_no_case(pattern: str, action: str, expected: bool) -> None:
    assert allows({"Effect": "Allow", "Action": pattern, "Resource": "*"}, action) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (INSTANCE, True),
        ("*", True),
        ("arn:aws:ec2:*:*:instance/*", True),
        ("arn:aws:ec2:us-east-1:000000000000:instance/i-?", True),
        ("arn:aws:ec2:us-east-1:000000000000:INSTANCE/i-1", False),
        ("arn:aws:ec2:us-east-1:000000000000:instance/i-", False),
        ("arn:aws:ec2:us-east-1:111111111111:*", False),
    ],
)
def test_resources_have_wildcards_and_case(pattern: str, expected: bool) -> None:
    assert allows({"Effect": "Allow", "Action": "*", "Resource": ["arn:aws:s3:::x", pattern]}) is expected


def test_not_action_and_not_resource_mean_all_others() -> None:
    assert not allows({"Effect": "Allow", "NotAction": ["ec2:*"], "Resource": "*"})
    assert allows({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"})
    assert not allows({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:ec2:*"})
    assert allows({"Effect": "Allow", "Action": "*", "NotResource": ["arn:aws:s3:::*"]})


def test_a_boundary_and_a_session_policy_narrow() -> None:
    only_describe = policy({"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"})
    for layer in ({"boundary": only_describe}, {"session": only_describe}):
        assert decision(policy(ALLOW_ALL), **layer) is Decision.IMPLICIT_DENY  # type: ignore[arg-type]
        assert decision(policy(ALLOW_ALL), "ec2:DescribeInstances", **layer) is Decision.ALLOW  # type: ignore[arg-type]
    assert decision(only_describe, boundary=policy(ALLOW_ALL)) is Decision.IMPLICIT_DENY
    deny = policy(ALLOW_ALL, {"Effect": "Deny", "Action": "ec2:*", "Resource": "*"})
    assert decision(policy(ALLOW_ALL), session=deny) is Decision.EXPLICIT_DENY


def test_policy_variables_stand_for_the_requests_values() -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::b/${aws:username}/*"}
    assert allows(statement, resource="arn:aws:s3:::b/ann/x", aws__username="ann")
    assert not allows(statement, resource="arn:aws:s3:::b/bob/x", aws__username="ann")
    assert not allows(statement, resource="arn:aws:s3:::b/ann/x")
    assert not allows(statement, resource="arn:aws:s3:::b/bob/x", aws__username="*")


def test_policy_variables_have_defaults_and_literals() -> None:
    default = {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::b/${aws:PrincipalTag/team, 'none'}/*"}
    assert allows(default, resource="arn:aws:s3:::b/none/x")
    assert allows(default, resource="arn:aws:s3:::b/red/x", **{"aws__PrincipalTag/team": "red"})
    literal = {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::b/${*}"}
    assert allows(literal, resource="arn:aws:s3:::b/*")
    assert not allows(literal, resource="arn:aws:s3:::b/x")


CONDITIONS = [
    ("StringEquals", "t3.micro", "t3.micro", True),
    ("StringEquals", "t3.micro", "T3.MICRO", False),
    ("StringEquals", ["a", "b"], "b", True),
    ("StringNotEquals", "a", "b", True),
    ("StringNotEquals", ["a", "b"], "b", False),
    ("StringEqualsIgnoreCase", "Ann", "ANN", True),
    ("StringNotEqualsIgnoreCase", "Ann", "ANN", False),
    ("StringLike", "t3.*", "t3.micro", True),
    ("StringLike", "t3.?icro", "t3.micro", True),
    ("StringEquals", "t3.*", "t3.micro", False),
    ("StringNotLike", "t3.*", "m7i.large", True),
    ("NumericEquals", "10", "10.0", True),
    ("NumericNotEquals", "10", "10", False),
    ("NumericLessThan", "10", "9", True),
    ("NumericLessThan", "10", "10", False),
    ("NumericLessThanEquals", "10", "10", True),
    ("NumericGreaterThan", 10, "11", True),
    ("NumericGreaterThanEquals", "10", "9", False),
    ("NumericEquals", "10", "ten", False),
    ("DateLessThan", "2030-01-01T00:00:00Z", "2029-12-31T23:59:59Z", True),
    ("DateGreaterThan", "2030-01-01T00:00:00Z", "2029-12-31T23:59:59Z", False),
    ("DateEquals", "1893456000", "2030-01-01T00:00:00Z", True),
    ("DateNotEquals", "2030-01-01", "2030-01-01T00:00:00Z", False),
    ("Bool", "true", "true", True),
    ("Bool", True, "false", False),
    ("BinaryEquals", "QmFzZTY0", "QmFzZTY0", True),
    ("IpAddress", "127.0.0.0/8", "127.0.0.1", True),
    ("IpAddress", ["10.0.0.0/8", "::1"], "127.0.0.1", False),
    ("NotIpAddress", "10.0.0.0/8", "127.0.0.1", True),
    ("ArnEquals", "arn:aws:iam::*:role/x", "arn:aws:iam::000000000000:role/x", True),
    ("ArnLike", "arn:aws:iam::000000000000:role/*", "arn:aws:iam::000000000000:role/a/b", True),
    ("ArnLike", "arn:aws:*", "arn:aws:iam::000000000000:role/x", False),
    ("ArnNotLike", "arn:aws:iam::*:user/*", "arn:aws:iam::000000000000:role/x", True),
    ("Null", "false", "anything", True),
    ("Null", "true", "anything", False),
]


@pytest.mark.parametrize(("operator", "wanted", "value", "expected"), CONDITIONS)
def test_condition_operators(operator: str, wanted: Any, value: str, expected: bool) -> None:
    statement = {**ALLOW_ALL, "Condition": {operator: {"x:Key": wanted}}}
    assert allows(statement, x__key=value) is expected


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("StringEqualsIfExists", True),
        ("NumericLessThan", False),
        ("Bool", False),
        ("BoolIfExists", True),
        ("ArnNotEquals", True),
        ("IpAddress", False),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
    ],
)
def test_an_absent_key_satisfies_only_negated_and_optional_conditions(operator: str, expected: bool) -> None:
    assert allows({**ALLOW_ALL, "Condition": {operator: {"x:Key": "1"}}}) is expected


def test_null_asks_for_absence() -> None:
    statement = {**ALLOW_ALL, "Condition": {"Null": {"x:Key": "true"}}}
    assert allows(statement)
    assert not allows(statement, x__key="1")


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("ForAllValues:StringEquals", ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "c"], False),
        ("ForAnyValue:StringEquals", ["c", "a"], True),
        ("ForAnyValue:StringEquals", ["c", "d"], False),
        ("ForAnyValue:StringNotEquals", ["a", "c"], True),
        ("ForAnyValue:StringNotEquals", ["a", "b"], False),
        ("ForAllValues:StringNotEquals", ["c", "d"], True),
        ("ForAllValues:StringLike", ["a1", "b"], False),
    ],
)
def test_conditions_on_several_values(operator: str, values: list[str], expected: bool) -> None:
    statement = {**ALLOW_ALL, "Condition": {operator: {"aws:TagKeys": ["a", "b"]}}}
    assert allows(statement, aws__tagkeys=values) is expected


def test_all_conditions_of_a_statement_must_hold() -> None:
    condition = {"StringEquals": {"x:a": "1", "x:b": "2"}, "Bool": {"x:c": "true"}}
    statement = {**ALLOW_ALL, "Condition": condition}
    assert allows(statement, x__a="1", x__b="2", x__c="true")
    assert not allows(statement, x__a="1", x__b="3", x__c="true")
    assert not allows(statement, x__a="1", x__b="2", x__c="false")


def test_variables_work_in_conditions() -> None:
    condition = {"StringEquals": {"aws:ResourceTag/group": "${aws:PrincipalTag/group}"}}
    statement = {**ALLOW_ALL, "Condition": condition}
    assert allows(statement, **{"aws__ResourceTag/group": "red", "aws__PrincipalTag/group": "red"})
    assert not allows(statement, **{"aws__ResourceTag/group": "red", "aws__PrincipalTag/group": "blue"})
    assert not allows(statement, **{"aws__ResourceTag/group": "red"})


def test_an_operator_that_is_not_known_fails_closed() -> None:
    condition = {"StringSounds": {"x:a": "1"}}
    assert not allows({**ALLOW_ALL, "Condition": condition}, x__a="1")
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    assert decision(policy(ALLOW_ALL, deny)) is Decision.EXPLICIT_DENY


@pytest.mark.parametrize(
    "document",
    [
        "no json",
        "{}",
        '{"Statement": [{"Effect": "Maybe", "Action": "*", "Resource": "*"}]}',
        '{"Statement": {"Effect": "Allow", "Resource": "*"}}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "NotAction": "s3:*", "Resource": "*"}}',
        '{"Statement": {"Effect": "Allow", "Action": "*"}}',
        '{"Statement": {"Effect": "Allow", "Action": {"a": 1}, "Resource": "*"}}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": []}}',
    ],
)
def test_what_is_not_a_policy_is_refused(document: str) -> None:
    with pytest.raises(PolicyError):
        parse_policy(document)
