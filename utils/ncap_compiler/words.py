"""IAM statements as sentences: "X may do A on R if C". For plans and reviews; it judges nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ncap_compiler.document import Json

_OPERATORS = {
    "StringEquals": "is",
    "StringLike": "is like",
    "ArnLike": "is like",
    "ArnEquals": "is",
    "Bool": "is",
    "Null": "is absent:",
}


_ROOT = "iam root"
_ANYONE_HERE = "whoever of this account has the right"
"""What the account as a principal means: the condition beside it says who."""


def describe_statement(statement: Mapping[str, Json], *, who: str | None = None) -> str:
    """One sentence for a statement of a policy as templates hold it.

    `who` is the role or group the policy belongs to; a statement with principals of its own names those. A statement
    behind `Fn::If` is described with its condition.
    """
    if isinstance(chosen := statement.get("Fn::If"), list) and len(chosen) == 3 and isinstance(chosen[1], dict):
        return f"{describe_statement(chosen[1], who=who)}, when {_spoken(str(chosen[0]))}"
    subject = " and ".join(_principals(statement.get("Principal"))) or who or "the holder"
    verb = "may not" if statement.get("Effect") == "Deny" else "may"
    actions = ", ".join(_texts(statement.get("Action")))
    resources = ", ".join(_texts(statement.get("Resource")))
    if actions == "sts:AssumeRole":
        sentence = f"{subject} {verb} act as {resources or who or 'this role'}"
    else:
        sentence = f"{subject} {verb} {actions}" + (f" on {resources}" if resources else "")
    if conditions := " and ".join(_conditions(statement.get("Condition"))):
        sentence += f", if {conditions}"
    return sentence


def plain_text(value: Json) -> str:
    """A name or ARN as the text a person would write, whatever function of CloudFormation makes it."""
    return ", ".join(_texts(value))


def _spoken(condition: str) -> str:
    """A condition's name as words: `OwnKeyGiven` is `own key given`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", condition).lower()


def _principals(principal: Json) -> Iterator[str]:
    if isinstance(principal, str):
        yield "anyone" if principal == "*" else principal
    elif isinstance(principal, dict):
        for value in principal.values():
            yield from (_ANYONE_HERE if text.endswith(_ROOT) else text for text in _texts(value))


def _conditions(conditions: Json) -> Iterator[str]:
    for operator, keys in (conditions if isinstance(conditions, dict) else {}).items():
        for key, value in (keys if isinstance(keys, dict) else {}).items():
            yield f"{key} {_OPERATORS.get(operator, operator)} {' or '.join(_texts(value))}"


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict) and isinstance(parts := value.get("Fn::Split"), list) and len(parts) == 2:
        yield from _split(str(parts[0]), parts[1])
    elif isinstance(value, dict):
        yield _plain(value)
    elif value is not None:
        yield _short(str(value))


def _split(separator: str, value: Json) -> Iterator[str]:
    """A list given as one text, or by a parameter whose value is not known here."""
    if isinstance(value, str):
        yield from _texts(list(value.split(separator)))
    else:
        yield f"any of {plain_text(value)}"


def _plain(value: Mapping[str, Json]) -> str:
    """An intrinsic function as the text a person would write."""
    found = value.get("Fn::Sub")
    if isinstance(found, str):
        return _short(found)
    if isinstance(found, list) and len(found) == 2 and isinstance(found[1], dict):
        text = str(found[0])
        for name, replacement in found[1].items():
            shown = _plain(replacement) if isinstance(replacement, dict) else str(replacement)
            text = text.replace(f"${{{name}}}", shown)
        return _short(text)
    if isinstance(attribute := value.get("Fn::GetAtt"), list):
        return ".".join(map(str, attribute))
    for name in ("Ref", "Fn::ImportValue"):
        if isinstance(value.get(name), str):
            return str(value[name])
    return str(value)


def _short(text: str) -> str:
    """An ARN without what is the same for all: `s3://bucket/key`, `dynamodb table/name`."""
    text = re.sub(r"^arn:\$\{AWS::Partition\}:s3:::", "s3://", text)
    return re.sub(
        r"^arn:\$\{AWS::Partition\}:([a-z0-9]+):(?:\$\{AWS::Region\})?:(?:\$\{AWS::AccountId\})?:", r"\1 ", text
    )
