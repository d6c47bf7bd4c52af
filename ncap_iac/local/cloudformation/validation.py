"""Refuses a template before anything is made: unknown types, properties, attributes, references, cycles, capabilities.

Pure: reads the template and what the providers declare. Messages follow CloudFormation's own.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ncap_iac.local.cloudformation.graph import Graph, order
from ncap_iac.local.cloudformation.provider import Provider
from ncap_iac.local.cloudformation.references import Kind, Reference, references
from ncap_iac.local.cloudformation.resolver import Scope
from ncap_iac.local.cloudformation.template import ResourceDefinition, Template, format_error
from ncap_iac.local.cloudformation.values import invalid
from ncap_iac.local.service import ServiceError

Providers = Mapping[str, Provider]

_PSEUDO = frozenset(
    {
        "AWS::AccountId",
        "AWS::NoValue",
        "AWS::NotificationARNs",
        "AWS::Partition",
        "AWS::Region",
        "AWS::StackId",
        "AWS::StackName",
        "AWS::URLSuffix",
    }
)
_IAM = "AWS::IAM::"
_IAM_NAMES = frozenset({"GroupName", "InstanceProfileName", "ManagedPolicyName", "RoleName", "UserName"})
_NAMED_IAM_TYPES = frozenset(
    {"AWS::IAM::Group", "AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role", "AWS::IAM::User"}
)


def check_template(template: Template, providers: Providers) -> None:
    """Everything that can be said without parameter values. Raises ServiceError ValidationError."""
    unknown = sorted({item.type for item in template.resources.values()} - set(providers))
    if unknown:
        raise format_error(f"Unrecognized resource types: [{', '.join(unknown)}]")
    clash = sorted(set(template.parameters) & set(template.resources))
    if clash:
        raise format_error(f"Parameter and resource share the name {clash[0]}")
    for resource in template.resources.values():
        _check_members(resource, providers[resource.type])
        _check_conditions(template, resource.logical_id, [resource.condition])
    for output in template.outputs.values():
        _check_conditions(template, output.name, [output.condition])
    _check_references(template, providers)
    order(dependencies(template, template.resources))


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _check_members(resource: ResourceDefinition, provider: Provider) -> None:
    for name in sorted(set(resource.properties) - provider.properties):
        raise invalid(
            f"Properties validation failed for resource {resource.logical_id} with message: "
            f"Encountered unsupported property {name} of {resource.type}{_nearest(name, provider.properties)}"
        )
    missing = sorted(provider.required - set(resource.properties))
    if missing:
        raise invalid(
            f"Properties validation failed for resource {resource.logical_id} with message: "
            f"required key [{missing[0]}] not found"
        )


def _check_conditions(template: Template, where: str, names: Iterable[str]) -> None:
    for name in names:
        if name and name not in template.conditions:
            raise format_error(f"Unresolved condition dependency {name} in the template block of {where}")


def _check_references(template: Template, providers: Providers) -> None:
    missing: set[str] = set()
    for resource in template.resources.values():
        missing |= {name for name in resource.depends_on if name not in template.resources}
        missing |= _unresolved(template, providers, resource.logical_id, resource.properties)
    if missing:
        raise format_error(
            f"Unresolved resource dependencies [{', '.join(sorted(missing))}] in the Resources block of the template"
        )
    for output in template.outputs.values():
        missing |= _unresolved(template, providers, output.name, [output.value, output.export_name])
    if missing:
        raise format_error(
            f"Unresolved resource dependencies [{', '.join(sorted(missing))}] in the Outputs block of the template"
        )


def _unresolved(template: Template, providers: Providers, where: str, value: Any) -> set[str]:
    missing = set()
    for reference in references(value):
        if reference.kind is Kind.CONDITION:
            _check_conditions(template, where, [reference.name])
        elif reference.kind in (Kind.FUNCTION, Kind.MALFORMED):
            raise invalid(f"Template error: {reference.kind} {reference.name} in {where}")
        elif reference.kind is Kind.ATTRIBUTE:
            _check_attribute(template, providers, where, reference)
        elif reference.name not in {*template.parameters, *template.resources, *_PSEUDO}:
            missing.add(reference.name)
    return missing


def _check_attribute(template: Template, providers: Providers, where: str, reference: Reference) -> None:
    if reference.name not in template.resources:
        raise invalid(f"Template error: instance of Fn::GetAtt references undefined resource {reference.name}")
    provider = providers[template.resources[reference.name].type]
    if reference.attribute not in provider.attributes:
        raise invalid(
            f"Template error: resource {reference.name} does not support attribute type {reference.attribute} "
            f"in Fn::GetAtt (used by {where}){_nearest(reference.attribute, provider.attributes)}"
        )


def dependencies(template: Template, logical_ids: Iterable[str], conditions: Mapping[str, bool] | None = None) -> Graph:
    """Which of the named resources waits for which: by reference and by DependsOn."""
    chosen = set(logical_ids)
    graph = {}
    for name in chosen:
        resource = template.resources[name]
        used = {
            reference.name
            for reference in references(resource.properties, conditions)
            if reference.kind in (Kind.REF, Kind.ATTRIBUTE)
        }
        graph[name] = frozenset((used | set(resource.depends_on)) & chosen)
    return graph


def active_resources(scope: Scope) -> dict[str, ResourceDefinition]:
    """Resources whose condition holds. Raises ServiceError if one of them needs one whose condition does not."""
    template = scope.template
    holds = {"": True, **scope.conditions}
    active = {name: item for name, item in template.resources.items() if holds[item.condition]}
    used: list[Any] = [item.properties for item in active.values()]
    used += [[item.value, item.export_name] for item in template.outputs.values() if holds[item.condition]]
    for value in used:
        for reference in references(value, scope.conditions):
            if (
                reference.kind in (Kind.REF, Kind.ATTRIBUTE)
                and reference.name in template.resources
                and reference.name not in active
            ):
                raise format_error(
                    f"Unresolved resource dependencies [{reference.name}] in the Resources block of the template"
                )
    return active


def required_capabilities(template: Template) -> tuple[list[str], str]:
    """Capabilities a caller has to acknowledge, with the reason in words."""
    iam = sorted({item.type for item in template.resources.values() if item.type.startswith(_IAM)})
    if not iam:
        return [], ""
    named = any(
        item.type in _NAMED_IAM_TYPES and _IAM_NAMES & set(item.properties) for item in template.resources.values()
    )
    reason = f"The following resource(s) require capabilities: [{', '.join(iam)}]"
    return (["CAPABILITY_NAMED_IAM"] if named else ["CAPABILITY_IAM"]), reason


def check_capabilities(template: Template, given: Collection[str]) -> None:
    """Raises ServiceError InsufficientCapabilitiesException."""
    needed, _ = required_capabilities(template)
    if needed and not {*needed, "CAPABILITY_NAMED_IAM"} & set(given):
        raise ServiceError("InsufficientCapabilitiesException", f"Requires capabilities : [{', '.join(needed)}]")
