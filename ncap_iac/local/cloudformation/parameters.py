"""A stack's parameters: what was given, what it was before, defaults; each value held against its definition.

`AWS::SSM::Parameter::Value<…>` is refused by name. Existence of an image is asked of EC2 through a function given in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ncap_iac.local.cloudformation.template import ParameterDefinition, Template
from ncap_iac.local.cloudformation.values import Place, invalid

MASK = "****"
"""What is shown of a NoEcho parameter."""

ImageExists = Callable[[str], bool]

_IDENTIFIERS = {
    "AWS::EC2::AvailabilityZone::Name": r"[a-z]{2}(-[a-z]+)+-\d[a-z]",
    "AWS::EC2::Image::Id": r"ami-[0-9a-f]{8,17}",
    "AWS::EC2::Instance::Id": r"i-[0-9a-f]{8,17}",
    "AWS::EC2::KeyPair::KeyName": r".{1,255}",
    "AWS::EC2::SecurityGroup::Id": r"sg-[0-9a-f]{8,17}",
    "AWS::EC2::Subnet::Id": r"subnet-[0-9a-f]{8,17}",
    "AWS::EC2::VPC::Id": r"vpc-[0-9a-f]{8,17}",
    "AWS::EC2::Volume::Id": r"vol-[0-9a-f]{8,17}",
}
_PLAIN = {"String", "Number", "CommaDelimitedList", "List<Number>"}


@dataclass(frozen=True)
class Given:
    """A parameter as the caller gave it."""

    name: str
    value: str | None
    use_previous: bool


def given_parameters(members: Sequence[Mapping[str, Any]]) -> list[Given]:
    """The `Parameters` member of a call."""
    return [
        Given(item["ParameterKey"], item.get("ParameterValue"), bool(item.get("UsePreviousValue"))) for item in members
    ]


def parameter_values(
    template: Template, given: Sequence[Given], previous: Mapping[str, str], image_exists: ImageExists
) -> dict[str, str]:
    """Every parameter's value as text. Raises ServiceError ValidationError for anything missing, unknown or refused."""
    unknown = sorted({item.name for item in given} - set(template.parameters))
    if unknown:
        raise invalid(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values = {name: definition.default for name, definition in template.parameters.items()}
    for item in given:
        if item.use_previous:
            if item.name not in previous:
                raise invalid(f"Parameter {item.name} has no previous value: give one instead of UsePreviousValue")
            values[item.name] = previous[item.name]
        elif item.value is not None:
            values[item.name] = item.value
    missing = sorted(name for name, value in values.items() if value is None)
    if missing:
        raise invalid(f"Parameters: [{', '.join(missing)}] must have values")
    complete = {name: value for name, value in values.items() if value is not None}
    for name, value in complete.items():
        _check(template.parameters[name], value, image_exists)
    return complete


def typed_values(template: Template, values: Mapping[str, str]) -> dict[str, str | list[str]]:
    """Parameter values as Ref gives them: lists for list types."""
    return {
        name: _entries(template.parameters[name].type, value) if _is_list(template.parameters[name].type) else value
        for name, value in values.items()
    }


def pseudo_parameters(place: Place, stack_name: str, stack_id: str) -> dict[str, Any]:
    """`AWS::Region` and the others."""
    return {
        "AWS::AccountId": place.account_id,
        "AWS::NotificationARNs": [],
        "AWS::Partition": place.partition,
        "AWS::Region": place.region,
        "AWS::StackId": stack_id,
        "AWS::StackName": stack_name,
        "AWS::URLSuffix": place.url_suffix,
    }


def shown_value(definition: ParameterDefinition | None, value: str) -> str:
    """The value for answers: masked where NoEcho is set."""
    return MASK if definition is not None and definition.no_echo else value


def _is_list(type_name: str) -> bool:
    return type_name == "CommaDelimitedList" or type_name.startswith("List<")


def _entries(type_name: str, value: str) -> list[str]:
    return [item.strip() for item in value.split(",")] if value or type_name != "CommaDelimitedList" else []


def _check(definition: ParameterDefinition, value: str, image_exists: ImageExists) -> None:
    kind = definition.type
    listed = re.fullmatch(r"List<(.+)>", kind)
    element = listed.group(1) if listed else kind
    if kind not in _PLAIN and element not in _IDENTIFIERS:
        raise invalid(
            f"Template format error: Unrecognized parameter type: {kind} (parameter {definition.name}). "
            f"The local cloud supports {', '.join(sorted(_PLAIN | set(_IDENTIFIERS)))} and List<…> of the latter."
        )
    for item in _entries(kind, value) if _is_list(kind) else [value]:
        _check_entry(definition, element, item)
        if element == "AWS::EC2::Image::Id" and not image_exists(item):
            raise invalid(
                f"Parameter validation failed: parameter value {item} for parameter name {definition.name} "
                "does not exist. Register the image first."
            )


def _check_entry(definition: ParameterDefinition, element: str, value: str) -> None:
    def refuse(accepted: str) -> Exception:
        said = definition.constraint_description or accepted
        shown = shown_value(definition, value)
        return invalid(f"Parameter '{definition.name}' failed to satisfy constraint: {said} (found '{shown}')")

    if definition.allowed_values and value not in definition.allowed_values:
        raise refuse(f"Parameter '{definition.name}' must be one of AllowedValues {list(definition.allowed_values)}")
    if definition.allowed_pattern and not _matches(definition, value):
        raise refuse(f"Parameter {definition.name} must match pattern {definition.allowed_pattern}")
    if element in _IDENTIFIERS and not re.fullmatch(_IDENTIFIERS[element], value):
        raise refuse(f"Parameter {definition.name} must be a valid {element}")
    if element == "Number":
        _check_number(definition, value, refuse)
        return
    if definition.min_length is not None and len(value) < definition.min_length:
        raise refuse(f"at least {definition.min_length} characters")
    if definition.max_length is not None and len(value) > definition.max_length:
        raise refuse(f"at most {definition.max_length} characters")


def _matches(definition: ParameterDefinition, value: str) -> bool:
    try:
        return re.fullmatch(definition.allowed_pattern, value) is not None
    except re.error as error:
        raise invalid(
            f"Template format error: AllowedPattern of parameter {definition.name} is no pattern: {error}"
        ) from error


def _check_number(definition: ParameterDefinition, value: str, refuse: Callable[[str], Exception]) -> None:
    try:
        number = float(value)
    except ValueError as error:
        raise refuse(f"Parameter '{definition.name}' must be a number") from error
    if definition.min_value is not None and number < definition.min_value:
        raise refuse(f"at least {definition.min_value:g}")
    if definition.max_value is not None and number > definition.max_value:
        raise refuse(f"at most {definition.max_value:g}")
