"""What IAM says about a principal: its ARN, tags and policies, asked of the base once and kept until IAM changes.

Asks by ordinary IAM calls; decides nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ncap_iac.local.identity import Credential
from ncap_iac.local.policy import Authority, Statement, parse_policy

_ROOT_AUTHORITY = Authority(parse_policy({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}))


@dataclass(frozen=True)
class Principal:
    """A user, role or group as IAM describes it."""

    arn: str
    tags: tuple[tuple[str, str], ...]
    policies: tuple[Statement, ...]
    boundary: tuple[Statement, ...] | None


class UnknownPrincipalError(Exception):
    """IAM does not have this user or role (any more)."""


class Principals:
    """The principals of the account."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], Principal] = {}
        self._generation = 0

    def forget(self) -> None:
        """IAM changed: ask again."""
        with self._lock:
            self._kept = {}
            self._generation += 1

    def describe(self, kind: str, name: str) -> Principal:
        """A `user`, `role` or `group` by name. Raises UnknownPrincipalError."""
        with self._lock:
            kept, generation = self._kept.get((kind, name)), self._generation
        if kept is not None:
            return kept
        iam = self._client("iam")
        try:
            found = {"user": _user, "role": _role, "group": _group}[kind](iam, name)
        except iam.exceptions.NoSuchEntityException as error:
            raise UnknownPrincipalError(f"{kind} {name}") from error
        with self._lock:
            if generation == self._generation:
                self._kept[kind, name] = found
        return found

    def authority(self, credential: Credential) -> Authority:
        """All policies that bear on a credential. Raises UnknownPrincipalError and PolicyError."""
        caller = credential.caller
        if caller.kind == "root":
            return _ROOT_AUTHORITY
        principal = self.describe(caller.kind, caller.name)
        session: tuple[Statement, ...] | None = None
        if credential.session_policies or credential.session_policy_arns:
            documents = [parse_policy(text) for text in credential.session_policies]
            documents += [_managed(self._client("iam"), arn) for arn in credential.session_policy_arns]
            session = tuple(statement for document in documents for statement in document)
        return Authority(principal.policies, principal.boundary, session)


def _user(iam: Any, name: str) -> Principal:
    user = iam.get_user(UserName=name)["User"]
    inline, attached = _own_policies(iam, "user", name)
    for group in (item["GroupName"] for item in _all(iam, "list_groups_for_user", "Groups", UserName=name)):
        more, arns = _own_policies(iam, "group", group)
        inline, attached = inline + more, attached + arns
    return _principal(iam, user, inline, attached)


def _role(iam: Any, name: str) -> Principal:
    return _principal(iam, iam.get_role(RoleName=name)["Role"], *_own_policies(iam, "role", name))


def _group(iam: Any, name: str) -> Principal:
    return _principal(iam, iam.get_group(GroupName=name)["Group"], *_own_policies(iam, "group", name))


def _own_policies(iam: Any, kind: str, name: str) -> tuple[list[tuple[Statement, ...]], list[str]]:
    """Inline policies of a user, role or group, and the ARNs of those attached to it."""
    who = {f"{kind.title()}Name": name}
    get = getattr(iam, f"get_{kind}_policy")
    inline = [
        parse_policy(get(PolicyName=policy, **who)["PolicyDocument"], policy)
        for policy in _all(iam, f"list_{kind}_policies", "PolicyNames", **who)
    ]
    attached = _all(iam, f"list_attached_{kind}_policies", "AttachedPolicies", **who)
    return inline, [item["PolicyArn"] for item in attached]


def _principal(iam: Any, entity: Any, inline: list[tuple[Statement, ...]], attached: list[str]) -> Principal:
    documents = [*inline, *(_managed(iam, arn) for arn in dict.fromkeys(attached))]
    boundary = entity.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return Principal(
        arn=entity["Arn"],
        tags=tuple((tag["Key"], tag["Value"]) for tag in entity.get("Tags", [])),
        policies=tuple(statement for document in documents for statement in document),
        boundary=_managed(iam, boundary) if boundary else None,
    )


def _managed(iam: Any, arn: str) -> tuple[Statement, ...]:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    return parse_policy(document if isinstance(document, dict) else json.loads(document), arn)


def _all(iam: Any, operation: str, result: str, **arguments: str) -> list[Any]:
    pages = iam.get_paginator(operation).paginate(**arguments)
    return [item for page in pages for item in page[result]]
