"""Decides what IAM policies allow. Pure: policies and request are given, nothing is fetched.

Source: "Policy evaluation logic", IAM user guide: an explicit deny wins; identity policies must allow; a permissions
boundary and session policies, where there are any, must allow as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ncap_iac.local.policy_conditions import ConditionError, holds
from ncap_iac.local.policy_patterns import Context, matches


class PolicyError(ValueError):
    """A document that is not a policy."""


class Decision(Enum):
    """What came out."""

    ALLOW = "allow"
    EXPLICIT_DENY = "explicit deny"
    IMPLICIT_DENY = "implicit deny"


@dataclass(frozen=True)
class Condition:
    """One line of a Condition block."""

    operator: str
    key: str
    wanted: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """One statement of a policy; of each pair of opposites exactly one is given."""

    allows: bool
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    not_resources: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    source: str = ""
    """Name of the policy it is in, to tell people."""


@dataclass(frozen=True)
class Access:
    """What somebody wants to do."""

    action: str
    resource: str
    context: Context


@dataclass(frozen=True)
class Authority:
    """All policies that bear on a principal."""

    identity: tuple[Statement, ...]
    boundary: tuple[Statement, ...] | None = None
    session: tuple[Statement, ...] | None = None


def _strings(value: Any, where: str) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    texts = tuple("true" if item is True else "false" if item is False else item for item in items)
    texts = tuple(str(text) if isinstance(text, int | float) else text for text in texts)
    if not all(isinstance(text, str) for text in texts):
        raise PolicyError(f"{where}: expected text or a list of text")
    return texts


def parse_policy(document: str | Mapping[str, Any], source: str = "") -> tuple[Statement, ...]:
    """The statements of an identity policy; `source` is its name. Raises PolicyError."""
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError as error:
            raise PolicyError(f"not JSON: {error}") from error
    if not isinstance(document, Mapping) or "Statement" not in document:
        raise PolicyError("a policy needs a Statement")
    statements = document["Statement"]
    return tuple(_statement(item, source) for item in (statements if isinstance(statements, list) else [statements]))


def _statement(item: Any, source: str) -> Statement:
    if not isinstance(item, Mapping) or item.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError("a statement needs an Effect: Allow or Deny")
    if ("Action" in item) == ("NotAction" in item) or ("Resource" in item) == ("NotResource" in item):
        raise PolicyError("a statement needs Action or NotAction, and Resource or NotResource")
    return Statement(
        allows=item["Effect"] == "Allow",
        actions=_strings(item.get("Action", []), "Action"),
        not_actions=_strings(item.get("NotAction", []), "NotAction"),
        resources=_strings(item.get("Resource", []), "Resource"),
        not_resources=_strings(item.get("NotResource", []), "NotResource"),
        conditions=tuple(_conditions(item.get("Condition", {}))),
        source=source,
    )


def _conditions(block: Any) -> list[Condition]:
    if not isinstance(block, Mapping) or not all(isinstance(keys, Mapping) for keys in block.values()):
        raise PolicyError("Condition: expected operators with keys")
    return [
        Condition(operator, key, _strings(wanted, f"Condition {operator} {key}"))
        for operator, keys in block.items()
        for key, wanted in keys.items()
    ]


def applies(statement: Statement, access: Access) -> bool:
    """Whether a statement speaks about this access. One that cannot be evaluated denies, and never allows."""
    if not covers(statement, access):
        return False
    try:
        return all(holds(one.operator, one.key, one.wanted, access.context) for one in statement.conditions)
    except ConditionError:
        return not statement.allows


def covers(statement: Statement, access: Access) -> bool:
    """Whether a statement is about this action on this resource, whatever its conditions say."""
    return _covers_action(statement, access.action) and _covers_resource(statement, access)


def _covers_action(statement: Statement, action: str) -> bool:
    if statement.actions:
        return any(matches(pattern, action, ignore_case=True) for pattern in statement.actions)
    return not any(matches(pattern, action, ignore_case=True) for pattern in statement.not_actions)


def _covers_resource(statement: Statement, access: Access) -> bool:
    if statement.resources:
        return any(matches(pattern, access.resource, access.context) for pattern in statement.resources)
    return not any(matches(pattern, access.resource, access.context) for pattern in statement.not_resources)


def decide(authority: Authority, access: Access) -> Decision:
    """Whether the principal may."""
    layers: list[Sequence[Statement]] = [authority.identity]
    layers += [layer for layer in (authority.boundary, authority.session) if layer is not None]
    relevant = [[statement for statement in layer if applies(statement, access)] for layer in layers]
    if any(not statement.allows for layer in relevant for statement in layer):
        return Decision.EXPLICIT_DENY
    return Decision.ALLOW if all(relevant) else Decision.IMPLICIT_DENY
