"""What a resource of a template gives whom, in sentences: policies, memberships, keys. It judges nothing.

Two templates differ in rights exactly where these sentences differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from ncap_compiler.document import Json
from ncap_compiler.words import describe_statement, plain_text

Resources: TypeAlias = Mapping[str, dict[str, Json]]
"""A template's resources by logical id."""

_NAMES = ("RoleName", "GroupName", "UserName", "FunctionName")


def permissions(name: str, resources: Resources) -> tuple[str, ...]:
    """What the resource called `name` gives, a sentence each; nothing if there is no such resource."""
    resource = resources.get(name)
    if resource is None:
        return ()
    properties = _mapping(resource.get("Properties"))
    match resource.get("Type"):
        case "AWS::IAM::ManagedPolicy":
            holders = [_called(holder, resources) for kind in ("Groups", "Roles") for holder in _list(properties, kind)]
            found = _statements(properties.get("PolicyDocument"), " and ".join(holders) or None)
        case "AWS::IAM::User":
            user = plain_text(properties.get("UserName"))
            found = (f"{user} is in {_called(group, resources)}" for group in _list(properties, "Groups"))
        case "AWS::IAM::AccessKey" if properties.get("Status") == "Active":
            found = iter((f"the key of {_called(properties.get('UserName'), resources)} works",))
        case "AWS::Lambda::Permission":
            found = iter((_invocation(properties, resources),))
        case _:
            found = _policies(properties)
    return tuple(found)


def _policies(properties: Mapping[str, Json]) -> Iterator[str]:
    """Policies inside a role or group, and those of buckets, topics and trust."""
    who = next((plain_text(properties[key]) for key in _NAMES if key in properties), None)
    inline = (_mapping(policy).get("PolicyDocument") for policy in _list(properties, "Policies"))
    for document in (*inline, properties.get("PolicyDocument"), properties.get("AssumeRolePolicyDocument")):
        yield from _statements(document, who)


def _statements(document: Json, who: str | None) -> Iterator[str]:
    for statement in _list(_mapping(document), "Statement"):
        if isinstance(statement, dict):
            yield describe_statement(statement, who=who)


def _invocation(properties: Mapping[str, Json], resources: Resources) -> str:
    who, source = plain_text(properties.get("Principal")), plain_text(properties.get("SourceArn"))
    return f"{who} may invoke {_called(properties.get('FunctionName'), resources)}, if aws:SourceArn is {source}"


def _called(value: Json, resources: Resources) -> str:
    """The name of a role, group or user: said, or that of the resource referred to."""
    logical_id = _mapping(value).get("Ref")
    properties = _mapping(resources.get(logical_id, {}).get("Properties")) if isinstance(logical_id, str) else {}
    return next((plain_text(properties[key]) for key in _NAMES if key in properties), plain_text(value))


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(properties: Mapping[str, Json], key: str) -> list[Json]:
    found = properties.get(key)
    return found if isinstance(found, list) else []
