"""The vocabulary policies are written in: statements, resource names, documents.

Text holding `${…}` becomes `Fn::Sub`, so a policy is plain CloudFormation. Nothing here decides who may do what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ncap_compiler import names
from ncap_compiler.document import Json


@dataclass(frozen=True, slots=True)
class Imported:
    """Text for `Fn::Sub` in which `${Imported}` stands for another stack's export."""

    text: str
    export: str


@dataclass(frozen=True, slots=True)
class Listed:
    """The values of a comma-separated template parameter. It stands alone: CloudFormation cannot join lists."""

    parameter: str


Name: TypeAlias = str | Imported
"""A resource name: text, possibly with `${…}` for `Fn::Sub`."""

ACCOUNT = "account"
"""As a principal: whoever in this account has the right by an own policy, if the conditions hold."""

Conditions: TypeAlias = tuple[tuple[str, str, tuple[str, ...] | Listed], ...]
"""Operator, condition key, accepted values; all must hold."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One IAM statement. `principals` are role or service names or ACCOUNT, of bucket and trust policies only.

    `when` names the template's condition without which the statement is left out.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[Name, ...] | Listed
    conditions: Conditions = ()
    principals: tuple[str, ...] = ()
    effect: str = "Allow"
    when: str | None = None

    def document(self) -> dict[str, Json]:
        """The statement as CloudFormation JSON."""
        found: dict[str, Json] = {"Sid": self.sid, "Effect": self.effect, "Action": one_or_all(self.actions)}
        if self.principals:
            found["Principal"] = _principal(self.principals)
        if self.resources:
            found["Resource"] = _values(self.resources)
        if self.conditions:
            found["Condition"] = _conditions(self.conditions)
        return found if self.when is None else {"Fn::If": [self.when, found, {"Ref": "AWS::NoValue"}]}


def policy_document(*statements: Statement) -> dict[str, Json]:
    """A policy of `statements`."""
    return {"Version": "2012-10-17", "Statement": [statement.document() for statement in statements]}


def substituted(name: Name) -> Json:
    """A name as CloudFormation JSON: text, or `Fn::Sub` where something has to be filled in."""
    if isinstance(name, Imported):
        return {"Fn::Sub": [name.text, {"Imported": {"Fn::ImportValue": name.export}}]}
    return {"Fn::Sub": name} if "${" in name else name


def imported(export: str) -> Imported:
    """Exactly what another stack exports."""
    return Imported("${Imported}", export)


def one_or_all(values: tuple[Json, ...] | tuple[str, ...]) -> Json:
    """IAM's shorthand: a single value stands alone."""
    return values[0] if len(values) == 1 else list(values)


def arn(service: str, resource: str) -> str:
    """ARN of a regional resource of this account."""
    return f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"


def role_arn(role: str, path: str = names.PATH) -> str:
    """ARN of one of the platform's roles."""
    return f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role{path}{role}"


def bucket_arn(bucket: str) -> str:
    """ARN of a bucket."""
    return f"arn:${{AWS::Partition}}:s3:::{bucket}"


def objects(bucket: str, *patterns: str) -> tuple[str, ...]:
    """ARNs of the objects of `bucket` whose keys match; `*` also spans `/`."""
    return tuple(f"{bucket_arn(bucket)}/{pattern}" for pattern in patterns)


def _principal(principals: tuple[str, ...]) -> Json:
    if principals == ("*",):
        return "*"
    if principals == (ACCOUNT,):
        return {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    services = tuple(name for name in principals if name.endswith(".amazonaws.com"))
    if services:
        return {"Service": one_or_all(services)}
    return {"AWS": one_or_all(tuple(substituted(role_arn(name)) for name in principals))}


def _values(values: tuple[Name, ...] | Listed) -> Json:
    if isinstance(values, Listed):
        return {"Fn::Split": [",", {"Ref": values.parameter}]}
    return one_or_all(tuple(substituted(value) for value in values))


def _conditions(conditions: Conditions) -> dict[str, Json]:
    found: dict[str, dict[str, Json]] = {}
    for operator, key, values in conditions:
        found.setdefault(operator, {})[key] = _values(values)
    return dict(found)
