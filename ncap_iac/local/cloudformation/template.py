"""A template's text as values: sections, resources, parameters, outputs. The form is checked, nothing is resolved.

What the local cloud does not support (transforms, rules, hooks, nested sections it does not know) is refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ncap_iac.local.cloudformation.values import Policy, Properties, invalid
from ncap_iac.local.cloudformation.yaml_text import parse_yaml

MAX_BODY_BYTES = 51_200
MAX_URL_BYTES = 1_048_576
MAX_RESOURCES = 500
MAX_PARAMETERS = 200
MAX_OUTPUTS = 200
"""Quotas of CloudFormation: docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html."""

_SECTIONS = {
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Mappings",
    "Conditions",
    "Resources",
    "Outputs",
}
_REFUSED_SECTIONS = {"Transform", "Rules", "Hooks"}
_RESOURCE_MEMBERS = {
    "Type",
    "Properties",
    "DependsOn",
    "Condition",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "Metadata",
}
_PARAMETER_MEMBERS = {
    "Type",
    "Default",
    "Description",
    "AllowedValues",
    "AllowedPattern",
    "ConstraintDescription",
    "MinLength",
    "MaxLength",
    "MinValue",
    "MaxValue",
    "NoEcho",
}
_LOGICAL_ID = re.compile(r"[A-Za-z0-9]{1,255}")


@dataclass(frozen=True)
class ParameterDefinition:
    """One entry of Parameters."""

    name: str
    type: str
    default: str | None
    description: str
    allowed_values: tuple[str, ...]
    allowed_pattern: str
    constraint_description: str
    min_length: int | None
    max_length: int | None
    min_value: float | None
    max_value: float | None
    no_echo: bool


@dataclass(frozen=True)
class ResourceDefinition:
    """One entry of Resources, its properties unresolved."""

    logical_id: str
    type: str
    properties: Properties
    depends_on: tuple[str, ...]
    condition: str
    deletion_policy: Policy
    update_replace_policy: Policy
    metadata: Any


@dataclass(frozen=True)
class OutputDefinition:
    """One entry of Outputs, unresolved."""

    name: str
    value: Any
    description: str
    condition: str
    export_name: Any
    """Text or function; None: not exported."""


@dataclass(frozen=True)
class Template:
    """A template whose form is right."""

    description: str
    metadata: Any
    parameters: Mapping[str, ParameterDefinition]
    mappings: Mapping[str, Any]
    conditions: Mapping[str, Any]
    resources: Mapping[str, ResourceDefinition]
    outputs: Mapping[str, OutputDefinition]


def format_error(message: str) -> Exception:
    """A refusal of the template's form, in CloudFormation's words."""
    return invalid(f"Template format error: {message}")


def parse_template(text: str) -> Template:
    """Read JSON or YAML. Raises ServiceError ValidationError."""
    document = _document(text)
    if not isinstance(document, dict):
        raise format_error("unsupported structure.")
    refused = sorted(_REFUSED_SECTIONS & set(document))
    if refused:
        raise format_error(f"The local cloud does not support the section {', '.join(refused)}")
    unknown = sorted(map(str, set(document) - _SECTIONS))
    if unknown:
        raise invalid(f"Invalid template property or properties [{', '.join(unknown)}]")
    if str(document.get("AWSTemplateFormatVersion", "2010-09-09")) != "2010-09-09":
        raise format_error("unsupported value for AWSTemplateFormatVersion.")
    resources = _section(document, "Resources")
    if not resources:
        raise format_error("At least one Resources member must be defined.")
    for name, limit in (("Resources", MAX_RESOURCES), ("Parameters", MAX_PARAMETERS), ("Outputs", MAX_OUTPUTS)):
        if len(_section(document, name)) > limit:
            raise format_error(
                f"Number of {name.lower()}, {len(_section(document, name))}, is greater than maximum allowed, {limit}"
            )
    return Template(
        description=_description(document),
        metadata=document.get("Metadata"),
        parameters={name: _parameter(name, body) for name, body in _section(document, "Parameters").items()},
        mappings=_section(document, "Mappings"),
        conditions=_section(document, "Conditions"),
        resources={name: _resource(name, body) for name, body in resources.items()},
        outputs={name: _output(name, body) for name, body in _section(document, "Outputs").items()},
    )


def _document(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise format_error(f"JSON not well-formed. (line {error.lineno}, column {error.colno})") from error
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        raise format_error(f"YAML not well-formed. ({error})") from error


def _description(document: Mapping[str, Any]) -> str:
    description = document.get("Description", "")
    if not isinstance(description, str):
        raise format_error("Template Description must be a string.")
    if len(description.encode()) > 1024:
        raise format_error("Template Description must not be longer than 1024 bytes.")
    return description


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = document.get(name, {})
    if not isinstance(section, dict):
        raise format_error(f"Every {name} object must be a map.")
    for key in section:
        if not isinstance(key, str) or (name != "Mappings" and not _LOGICAL_ID.fullmatch(key)):
            raise format_error(f"{name} name '{key}' is non alphanumeric.")
    return section


def _members(where: str, body: Any, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise format_error(f"[{where}] must be an object.")
    unknown = sorted(map(str, set(body) - known))
    if unknown:
        raise invalid(f"Invalid template {where.split('/')[1].lower()} property '{unknown[0]}' at '{where}'")
    return body


def _number(body: Mapping[str, Any], name: str) -> float | None:
    if name not in body:
        return None
    try:
        return float(body[name])
    except (TypeError, ValueError) as error:
        raise format_error(f"{name} must be a number, found '{body[name]}'.") from error


def _parameter(name: str, body: Any) -> ParameterDefinition:
    members = _members(f"/Parameters/{name}", body, _PARAMETER_MEMBERS)
    if not isinstance(members.get("Type"), str):
        raise format_error(f"Every Parameters object must contain a Type member ({name}).")
    shortest, longest = _number(members, "MinLength"), _number(members, "MaxLength")
    return ParameterDefinition(
        name=name,
        type=members["Type"],
        default=None if "Default" not in members else scalar_text(members["Default"]),
        description=str(members.get("Description", "")),
        allowed_values=tuple(scalar_text(item) for item in members.get("AllowedValues", ())),
        allowed_pattern=str(members.get("AllowedPattern", "")),
        constraint_description=str(members.get("ConstraintDescription", "")),
        min_length=None if shortest is None else int(shortest),
        max_length=None if longest is None else int(longest),
        min_value=_number(members, "MinValue"),
        max_value=_number(members, "MaxValue"),
        no_echo=str(members.get("NoEcho", False)).lower() == "true",
    )


def scalar_text(value: Any) -> str:
    """A scalar of a template as the text CloudFormation passes on: `true`, `3`, `0.5`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _resource(name: str, body: Any) -> ResourceDefinition:
    where = f"/Resources/{name}"
    members = _members(where, body, _RESOURCE_MEMBERS)
    if not isinstance(members.get("Type"), str):
        raise format_error(f"[{where}] Every Resources object must contain a Type member.")
    properties = members.get("Properties", {})
    if not isinstance(properties, dict):
        raise format_error(f"[{where}] Every Properties member must be an object.")
    depends = members.get("DependsOn", ())
    if isinstance(depends, str):
        depends = (depends,)
    if not isinstance(depends, (list, tuple)) or not all(isinstance(item, str) for item in depends):
        raise format_error(f"[{where}] DependsOn must be a string or a list of strings.")
    condition = members.get("Condition", "")
    if not isinstance(condition, str):
        raise format_error(f"[{where}] Every Condition member must be a string.")
    return ResourceDefinition(
        logical_id=name,
        type=members["Type"],
        properties=properties,
        depends_on=tuple(depends),
        condition=condition,
        deletion_policy=_policy(where, members, "DeletionPolicy"),
        update_replace_policy=_policy(where, members, "UpdateReplacePolicy"),
        metadata=members.get("Metadata"),
    )


def _policy(where: str, members: Mapping[str, Any], name: str) -> Policy:
    value = members.get(name, Policy.DELETE)
    try:
        policy = Policy(value)
    except ValueError as error:
        raise format_error(
            f"[{where}] Unrecognized {name} {value}; the local cloud supports {', '.join(Policy)}."
        ) from error
    if name == "UpdateReplacePolicy" and policy is Policy.RETAIN_EXCEPT_ON_CREATE:
        raise format_error(f"[{where}] Unrecognized {name} {value}")
    return policy


def _output(name: str, body: Any) -> OutputDefinition:
    where = f"/Outputs/{name}"
    members = _members(where, body, {"Value", "Description", "Condition", "Export"})
    if "Value" not in members:
        raise format_error(f"[{where}] Every Outputs member must contain a Value object.")
    export_name = None
    if "Export" in members:
        export_name = _members(f"{where}/Export", members["Export"], {"Name"}).get("Name")
        if export_name is None:
            raise format_error(f"[{where}] Export must contain a Name.")
    return OutputDefinition(
        name=name,
        value=members["Value"],
        description=str(members.get("Description", "")),
        condition=str(members.get("Condition", "")),
        export_name=export_name,
    )
