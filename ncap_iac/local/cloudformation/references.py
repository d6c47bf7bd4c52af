"""What an unresolved value refers to: resources, parameters, attributes, conditions, mappings, imports.

Reads only; nothing is resolved. The walk finds every branch of Fn::If unless told how the conditions stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SUB_VARIABLE = re.compile(r"\$\{(!?)([^${}]*)\}")
"""`${Name}`, `${Name.Attribute}`, `${!Literal}`."""

FUNCTIONS = frozenset(
    {
        "Fn::And",
        "Fn::Base64",
        "Fn::Equals",
        "Fn::FindInMap",
        "Fn::GetAZs",
        "Fn::GetAtt",
        "Fn::If",
        "Fn::ImportValue",
        "Fn::Join",
        "Fn::Not",
        "Fn::Or",
        "Fn::Select",
        "Fn::Split",
        "Fn::Sub",
    }
)


class Kind(StrEnum):
    """What kind of thing is referred to."""

    REF = "Ref"
    ATTRIBUTE = "Fn::GetAtt"
    CONDITION = "Condition"
    FUNCTION = "unknown function"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Reference:
    """One reference: to a name, and of an attribute the attribute."""

    kind: Kind
    name: str
    attribute: str = ""


def function_of(value: object) -> str:
    """`Ref`, `Fn::…` when the value is a function call, else an empty text."""
    if isinstance(value, dict) and len(value) == 1:
        (key,) = value
        if key == "Ref" or (isinstance(key, str) and key.startswith("Fn::")):
            return str(key)
    return ""


def attribute_target(argument: object) -> tuple[str, str] | None:
    """Logical id and attribute of Fn::GetAtt in either form; None if it has neither."""
    if isinstance(argument, str) and "." in argument:
        name, attribute = argument.split(".", 1)
        return name, attribute
    if isinstance(argument, list) and len(argument) == 2 and all(isinstance(item, str) for item in argument):
        return argument[0], argument[1]
    return None


def references(value: Any, conditions: Mapping[str, bool] | None = None) -> Iterator[Reference]:
    """All references in a value. With `conditions`, only the branch of each Fn::If that is taken."""
    function = function_of(value)
    if function:
        yield from _of_function(function, value[function], conditions)
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item, conditions)
    elif isinstance(value, list):
        for item in value:
            yield from references(item, conditions)


def _of_function(function: str, argument: Any, conditions: Mapping[str, bool] | None) -> Iterator[Reference]:
    if function == "Ref":
        yield Reference(Kind.REF, argument) if isinstance(argument, str) else Reference(Kind.MALFORMED, "Ref")
    elif function == "Fn::GetAtt":
        target = attribute_target(argument)
        yield Reference(Kind.ATTRIBUTE, *target) if target else Reference(Kind.MALFORMED, function)
    elif function == "Fn::Sub":
        yield from _of_sub(argument, conditions)
    elif function == "Fn::If":
        yield from _of_if(argument, conditions)
    elif function in FUNCTIONS:
        yield from references(argument, conditions)
    else:
        yield Reference(Kind.FUNCTION, function)


def _of_if(argument: Any, conditions: Mapping[str, bool] | None) -> Iterator[Reference]:
    if not (isinstance(argument, list) and len(argument) == 3 and isinstance(argument[0], str)):
        yield Reference(Kind.MALFORMED, "Fn::If")
        return
    yield Reference(Kind.CONDITION, argument[0])
    if conditions is None or argument[0] not in conditions:
        yield from references(argument[1:])
    else:
        yield from references(argument[1 if conditions[argument[0]] else 2], conditions)


def _of_sub(argument: Any, conditions: Mapping[str, bool] | None) -> Iterator[Reference]:
    text, variables = argument, {}
    if isinstance(argument, list) and len(argument) == 2:
        text, variables = argument
    if not isinstance(text, str) or not isinstance(variables, dict):
        yield Reference(Kind.MALFORMED, "Fn::Sub")
        return
    yield from references(list(variables.values()), conditions)
    for literal, name in SUB_VARIABLE.findall(text):
        if literal or name in variables:
            continue
        if "." in name:
            yield Reference(Kind.ATTRIBUTE, *name.split(".", 1))
        else:
            yield Reference(Kind.REF, name)


def condition_names(value: Any) -> Iterator[str]:
    """Names a condition's expression refers to as `{"Condition": name}`."""
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get("Condition"), str):
            yield value["Condition"]
        else:
            for item in value.values():
                yield from condition_names(item)
    elif isinstance(value, list):
        for item in value:
            yield from condition_names(item)
