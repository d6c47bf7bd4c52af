"""What of a plan cannot be taken back: data, secrets and keys that a change would remove or leave behind. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ncap_iac.deploy.resolved import name_of

if TYPE_CHECKING:
    from ncap_compiler import Change

DATA: dict[str, tuple[str, str]] = {
    "AWS::DynamoDB::Table": ("table", "every row of it"),
    "AWS::KMS::Key": ("key", "everything encrypted with it"),
    "AWS::Logs::LogGroup": ("log", "every line of it"),
    "AWS::S3::Bucket": ("bucket", "everything in it"),
    "AWS::SQS::Queue": ("queue", "every message in it"),
    "AWS::SecretsManager::Secret": ("secret", "what it holds"),
}
"""Types that hold what no template can make again: what people call them, and what would be lost."""


@dataclass(frozen=True)
class Care:
    """One thing to know before the plan is applied; `destroys`: data goes, or is left behind by a replacement."""

    stack: str
    text: str
    destroys: bool


def careful_about(
    stack: str, changes: tuple[Change, ...], before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[Care, ...]:
    """What of these changes removes data, secrets or keys.

    `before` and `after` are the resources by logical id, resolved.
    """
    return tuple(Care(stack, text, destroys) for text, destroys in _found(changes, before, after))


def _found(
    changes: tuple[Change, ...], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, bool]]:
    for change in changes:
        resource = before.get(change.resource)
        if resource is None:
            continue
        kind = str(resource.get("Type"))
        name = name_of(change.resource, resource)
        goes = change.resource not in after
        if kind in DATA and (goes or change.replaces):
            yield _data(kind, name, goes=goes, keeps=change.keeps)
        elif kind == "AWS::IAM::AccessKey" and (goes or change.replaces):
            owner = _owner(change.resource, resource, before)
            yield f"The present key of {owner} stops working" + ("." if goes else "; another one is made."), False


def _data(kind: str, name: str, *, goes: bool, keeps: bool) -> tuple[str, bool]:
    what, loss = DATA[kind]
    if goes:
        return (
            (f"The {what} {name} leaves the stack and stays, with {loss}.", False)
            if keeps
            else (f"The {what} {name} is deleted, with {loss}.", True)
        )
    if keeps:
        return f"Another {what} takes the place of {name}, which stays outside the stack: nothing is copied.", True
    return f"Another {what} takes the place of {name}, which is deleted with {loss}.", True


def _owner(logical_id: str, key: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    user = key.get("Properties", {}).get("UserName")
    referred = user.get("Ref") if isinstance(user, Mapping) else None
    if referred in before:
        return name_of(str(referred), before[str(referred)])
    return user if isinstance(user, str) else logical_id
