"""iam:SimulatePrincipalPolicy and SimulateCustomPolicy: what the edge's evaluator would decide, without doing it.

Knows no service's resources: actions, ARNs and context are taken as given. Resource policies are not weighed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ncap_iac.local.authorization import principal_facts
from ncap_iac.local.policy import (
    Access,
    Authority,
    Decision,
    PolicyError,
    Statement,
    applies,
    covers,
    decide,
    parse_policy,
)
from ncap_iac.local.principals import Principals, UnknownPrincipalError
from ncap_iac.local.service import Call, Permission, ServiceError

Shape = dict[str, Any]
Request = Mapping[str, Any]

_DECISIONS = {
    Decision.ALLOW: "allowed",
    Decision.EXPLICIT_DENY: "explicitDeny",
    Decision.IMPLICIT_DENY: "implicitDeny",
}
_REFUSED = ("ResourcePolicy", "ResourceOwner", "ResourceHandlingOption")
_PAGE = 100


class PolicySimulation:
    """The two operations of IAM that the edge answers."""

    name = "iam"
    operations = frozenset({"SimulatePrincipalPolicy", "SimulateCustomPolicy"})

    def __init__(self, principals: Principals, account_id: str, clock: Callable[[], float]) -> None:
        self._principals = principals
        self._account_id = account_id
        self._clock = clock

    def start(self) -> None:
        """Nothing to take up."""

    def stop(self) -> None:
        """Nothing to end."""

    def permissions(self, call: Call) -> Sequence[Permission]:
        """The operation, on the principal it asks about."""
        return [Permission(f"iam:{call.operation}", str(call.parameters.get("PolicySourceArn", "*")))]

    def perform(self, call: Call) -> Mapping[str, Any]:
        """Answer one call. Raises ServiceError."""
        asked = call.parameters
        for name in _REFUSED:
            if asked.get(name):
                message = f"The local cloud does not weigh {name} in {call.operation}. Leave it out."
                raise ServiceError("UnsupportedOperation", message)
        authority, facts = Authority(()), dict[str, Sequence[str]]()
        if call.operation == "SimulatePrincipalPolicy":
            authority, facts = self._of_principal(asked)
        try:
            authority = _widened(authority, asked)
        except PolicyError as error:
            raise ServiceError("InvalidInput", f"A policy of the request cannot be read: {error}") from error
        for entry in asked.get("ContextEntries") or ():
            facts[str(entry["ContextKeyName"]).lower()] = list(entry.get("ContextKeyValues") or ())
        results = [
            _result(authority, Access(action, resource, facts))
            for action in asked["ActionNames"]
            for resource in asked.get("ResourceArns") or ["*"]
        ]
        return _page(results, asked)

    def _of_principal(self, asked: Request) -> tuple[Authority, dict[str, Sequence[str]]]:
        arn = str(asked["PolicySourceArn"])
        prefix = f"arn:aws:iam::{self._account_id}:"
        kind, _, path = arn.removeprefix(prefix).partition("/")
        name = path.rpartition("/")[2]
        if not arn.startswith(prefix) or kind not in ("user", "role", "group") or not name:
            message = f"Invalid Entity Arn: {arn} does not clearly define entity type and name."
            raise ServiceError("InvalidInput", message)
        try:
            principal = self._principals.describe(kind, name)
        except UnknownPrincipalError as error:
            raise ServiceError("NoSuchEntity", f"The {kind} with name {name} cannot be found.", status=404) from error
        facts = {} if kind == "group" else principal_facts(principal, kind, name, now=self._clock())
        return Authority(principal.policies, principal.boundary), facts


def _widened(authority: Authority, asked: Request) -> Authority:
    """With the policies of the request: further ones of the principal, another boundary. Raises PolicyError."""
    further = [
        statement
        for number, text in enumerate(asked.get("PolicyInputList") or (), 1)
        for statement in parse_policy(text, f"PolicyInputList.{number}")
    ]
    authority = replace(authority, identity=(*authority.identity, *further))
    boundary = asked.get("PermissionsBoundaryPolicyInputList")
    if not boundary:
        return authority
    statements = [statement for text in boundary for statement in parse_policy(text, "PermissionsBoundary")]
    return replace(authority, boundary=tuple(statements))


def _result(authority: Authority, access: Access) -> Shape:
    decision = decide(authority, access)
    layers = [authority.identity, *([authority.boundary] if authority.boundary is not None else [])]
    wanted = decision is Decision.ALLOW
    matched = [] if decision is Decision.IMPLICIT_DENY else _matched(layers, access, allows=wanted)
    shape: Shape = {
        "EvalActionName": access.action,
        "EvalResourceName": access.resource,
        "EvalDecision": _DECISIONS[decision],
        "MatchedStatements": [{"SourcePolicyId": name} for name in matched],
        "MissingContextValues": _missing(layers, access),
    }
    if authority.boundary is not None:
        allowed = decide(Authority(authority.boundary), access) is Decision.ALLOW
        shape["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": allowed}
    return shape


def _matched(layers: Sequence[Sequence[Statement]], access: Access, *, allows: bool) -> list[str]:
    """Names of the policies whose statements made the decision."""
    found = [item.source for layer in layers for item in layer if item.allows == allows and applies(item, access)]
    return list(dict.fromkeys(found))


def _missing(layers: Sequence[Sequence[Statement]], access: Access) -> list[str]:
    """Condition keys that bear on the access and are not in its context."""
    keys = {
        condition.key
        for layer in layers
        for statement in layer
        if covers(statement, access)
        for condition in statement.conditions
        if condition.key.lower() not in access.context
    }
    return sorted(keys)


def _page(results: Sequence[Shape], asked: Request) -> Shape:
    """One page; the marker is the place of the next result."""
    marker = str(asked.get("Marker", "0"))
    if not marker.isdigit():
        raise ServiceError("InvalidInput", "Marker is not one of this local cloud.")
    start, size = int(marker), int(asked.get("MaxItems", _PAGE))
    more = {"Marker": str(start + size)} if start + size < len(results) else {}
    return {"EvaluationResults": results[start : start + size], "IsTruncated": bool(more), **more}
