"""A small judge of IAM policies as templates hold them: enough of IAM to ask who may do what.

Knows Allow and Deny, `*` and `?`, `Fn::Sub` and the conditions our policies use. An unknown operator is an error, not
a pass.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

FACTS = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "ImageId": "ami-0123456789abcdef0",
    "LaunchTemplate": "lt-0123456789abcdef0",
    "Topic": "arn:aws:sns:us-east-1:123456789012:neurocaas-notifications",
    "DeadLetters.Arn": "arn:aws:sqs:us-east-1:123456789012:neurocaas-dead-letters",
}


def filled(value: Any) -> Any:
    """A value of a template with `Fn::Sub` and imports filled in."""
    if isinstance(value, list):
        return [filled(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Fn::ImportValue"}:
        return value["Fn::ImportValue"]
    if set(value) == {"Fn::Sub"}:
        text, more = value["Fn::Sub"] if isinstance(value["Fn::Sub"], list) else (value["Fn::Sub"], {})
        facts = FACTS | {name: str(filled(given)) for name, given in more.items()}
        return re.sub(r"\$\{([^}]+)\}", lambda match: facts[match.group(1)], text)
    return {name: filled(item) for name, item in value.items()}


def statements(template: str, type_: str, name: str) -> list[dict[str, Any]]:
    """All statements of the role, group or bucket policy whose name property is `name`."""
    for resource in json.loads(template)["Resources"].values():
        properties = resource.get("Properties", {})
        named = {properties.get("RoleName"), properties.get("GroupName")}
        if resource["Type"] == type_ and name in named:
            return [
                found for policy in properties["Policies"] for found in filled(policy["PolicyDocument"]["Statement"])
            ]
    raise AssertionError(f"no {type_} named {name}")


def bucket_statements(template: str, principal: str) -> list[dict[str, Any]]:
    """The statements of the template's bucket policy that grant something to `principal`."""
    (policy,) = [
        resource["Properties"]["PolicyDocument"]
        for resource in json.loads(template)["Resources"].values()
        if resource["Type"] == "AWS::S3::BucketPolicy"
    ]
    found = [filled(statement) for statement in policy["Statement"] if "Fn::If" not in statement]
    return [statement for statement in found if principal in statement["Principal"]["AWS"]]


def may(
    policy: Sequence[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """Whether the statements allow `action` on `resource` in a request with these condition keys."""
    effects = {
        statement["Effect"]
        for statement in policy
        if _any(statement["Action"], action.lower(), lower=True)
        and _any(statement["Resource"], resource)
        and _holds(statement.get("Condition", {}), context or {})
    }
    return effects == {"Allow"}


def _any(patterns: Any, value: str, *, lower: bool = False) -> bool:
    found = patterns if isinstance(patterns, list) else [patterns]
    return any(_like(pattern.lower() if lower else pattern, value) for pattern in found)


def _like(pattern: str, value: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _holds(conditions: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    return all(
        _holds_one(operator, wanted, context.get(key))
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _holds_one(operator: str, wanted: Any, given: str | None) -> bool:
    accepted = wanted if isinstance(wanted, list) else [wanted]
    if operator == "Null":
        return accepted == [str(given is None).lower()]
    if given is None:
        return False
    if operator in ("StringEquals", "Bool"):
        return given in accepted
    if operator == "StringLike":
        return any(_like(pattern, given) for pattern in accepted)
    raise AssertionError(f"unknown operator {operator}")
