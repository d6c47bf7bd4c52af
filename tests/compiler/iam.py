"""A small judge of IAM policies as templates hold them: enough of IAM to ask who may do what.

Knows Allow and Deny, `*` and `?`, the functions and conditions our templates use. An unknown one is an error, not a
pass. `made` turns a template and parameters into what CloudFormation would make of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

ACCOUNT, REGION = "123456789012", "us-east-1"
PSEUDO = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT}
NO_VALUE = {"Ref": "AWS::NoValue"}
MADE = {
    "LaunchTemplate": "lt-0123456789abcdef0",
    "Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:neurocaas-notifications",
    "DeadLetters.Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:neurocaas-dead-letters",
}
"""What resources give once they are there."""
IMAGE = "ami-0123456789abcdef0"

Statement = dict[str, Any]


def made(template: str, **given: str) -> dict[str, Any]:
    """The resources of a template with these parameters: conditions decided, functions filled in."""
    document = json.loads(template)
    values = {name: str(parameter.get("Default", "")) for name, parameter in document.get("Parameters", {}).items()}
    values |= {name: value for name, value in {"ImageId": IMAGE, **given}.items() if name in values}
    filling = _Filling(values, document.get("Conditions", {}))
    return {
        name: filling.fill(resource)
        for name, resource in document["Resources"].items()
        if filling.holds(resource.get("Condition"))
    }


class _Filling:
    def __init__(self, values: Mapping[str, str], conditions: Mapping[str, Any]) -> None:
        self.values, self.conditions = values, conditions

    def holds(self, condition: str | None) -> bool:
        return condition is None or self._true(self.conditions[condition])

    def _true(self, expression: Any) -> bool:
        ((function, argument),) = expression.items()
        if function == "Fn::Not":
            return not self._true(argument[0])
        assert function == "Fn::Equals", function
        one, other = (self.fill(item) for item in argument)
        return bool(one == other)

    def fill(self, value: Any) -> Any:
        if isinstance(value, list):
            return [found for item in value if (found := self.fill(item)) != NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (function := next(iter(value))).startswith(("Ref", "Fn::")):
            return self._function(function, value[function])
        pairs = ((name, self.fill(item)) for name, item in value.items())
        return {name: item for name, item in pairs if item != NO_VALUE}

    def _function(self, function: str, argument: Any) -> Any:
        match function:
            case "Ref":
                return self.values.get(argument, PSEUDO.get(argument, {"Ref": argument}))
            case "Fn::If":
                return self.fill(argument[1 if self.holds(argument[0]) else 2])
            case "Fn::Split":
                return self.fill(argument[1]).split(argument[0])
            case "Fn::Sub":
                text, more = argument if isinstance(argument, list) else (argument, {})
                facts = {**PSEUDO, **MADE, **self.values} | {name: self.fill(given) for name, given in more.items()}
                return re.sub(r"\$\{([^}]+)\}", lambda match: str(facts.get(match.group(1), match.group())), text)
            case "Fn::ImportValue":
                return argument
            case _:
                return {function: argument}


def filled(value: Any) -> Any:
    """A value of a template with functions filled in that need no parameter."""
    return _Filling({}, {}).fill(value)


def identity_statements(resources: Mapping[str, Any], kind: str, name: str) -> list[Statement]:
    """All statements of the role, group or user of this name: inline, managed, and for users of their groups."""
    named = {"Role": "RoleName", "Group": "GroupName", "User": "UserName"}[kind]
    (found,) = [
        (logical_id, resource["Properties"])
        for logical_id, resource in resources.items()
        if resource["Type"] == f"AWS::IAM::{kind}" and resource["Properties"].get(named) == name
    ]
    logical_id, properties = found
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    documents += [
        resource["Properties"]["PolicyDocument"]
        for resource in resources.values()
        if resource["Type"] == "AWS::IAM::ManagedPolicy"
        and any(holder in ({"Ref": logical_id}, name) for holder in resource["Properties"].get(f"{kind}s", []))
    ]
    statements = [statement for document in documents for statement in document["Statement"]]
    for group in properties.get("Groups", []):
        held = resources[group["Ref"]]["Properties"]["GroupName"]
        statements += identity_statements(resources, "Group", held)
    return statements


def resource_statements(resources: Mapping[str, Any], principal: str) -> list[Statement]:
    """What policies of buckets, topics, functions and roles say to a principal: an ARN, a service, or `*`."""
    found: list[Statement] = []
    for resource in resources.values():
        properties = resource["Properties"]
        match resource["Type"]:
            case "AWS::S3::BucketPolicy" | "AWS::SNS::TopicPolicy":
                found += properties["PolicyDocument"]["Statement"]
            case "AWS::Lambda::Permission":
                found.append(_invocation(properties, resources))
            case "AWS::IAM::Role":
                trusted = f"arn:aws:iam::{ACCOUNT}:role{properties['Path']}{properties['RoleName']}"
                found += [dict(one, Resource=trusted) for one in properties["AssumeRolePolicyDocument"]["Statement"]]
    return [statement for statement in found if _speaks_to(statement["Principal"], principal)]


def _invocation(properties: Mapping[str, Any], resources: Mapping[str, Any]) -> Statement:
    """A right to invoke a function as the statement Lambda makes of it."""
    function = resources[properties["FunctionName"]["Ref"]]["Properties"]["FunctionName"]
    said: dict[str, Any] = {}
    if "SourceAccount" in properties:
        said["StringEquals"] = {"AWS:SourceAccount": properties["SourceAccount"]}
    if "SourceArn" in properties:
        said["ArnLike"] = {"AWS:SourceArn": _source(properties["SourceArn"], resources)}
    return {
        "Sid": f"Invoke-{function}",
        "Effect": "Allow",
        "Principal": {"Service": properties["Principal"]},
        "Action": properties["Action"],
        "Resource": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}",
        "Condition": said,
    }


def _source(value: Any, resources: Mapping[str, Any]) -> str:
    if isinstance(value, str):
        return value
    name = resources[value["Fn::GetAtt"][0]]["Properties"]["Name"]
    return f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}"


def _speaks_to(principal: Any, who: str) -> bool:
    if principal == "*":
        return True
    named = [item for value in principal.values() for item in (value if isinstance(value, list) else [value])]
    return who in named or "*" in named


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
    given = {key.lower(): value for key, value in context.items()}
    return all(
        _holds_one(operator, wanted, given.get(key.lower()))
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
    if operator in ("StringLike", "ArnLike"):
        return any(_like(pattern, given) for pattern in accepted)
    raise AssertionError(f"unknown operator {operator}")
