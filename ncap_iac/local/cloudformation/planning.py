"""What a declaration would do to a stack: every value resolved as far as it can be known, compared with what is there.

Changes nothing. The same walk serves change sets, the refusal of an update without changes, and the check of a
template's values before a stack is created.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ncap_iac.local.cloudformation.book import Records
from ncap_iac.local.cloudformation.drafts import Draft, make_draft
from ncap_iac.local.cloudformation.exports import imported_value
from ncap_iac.local.cloudformation.graph import order
from ncap_iac.local.cloudformation.parameters import pseudo_parameters, typed_values
from ncap_iac.local.cloudformation.provider import Provider
from ncap_iac.local.cloudformation.records import Output, ResourceChange, ResourceRecord, StackRecord
from ncap_iac.local.cloudformation.resolver import Resolver, Scope, evaluate_conditions
from ncap_iac.local.cloudformation.template import Template, parse_template, scalar_text
from ncap_iac.local.cloudformation.validation import Providers, active_resources, dependencies
from ncap_iac.local.cloudformation.values import UNKNOWN, Place, RandomText, contains_unknown, invalid

Zones = Callable[[str], list[str]]


@dataclass(frozen=True)
class World:
    """What planning and execution know beside the stack."""

    records: Records
    providers: Providers
    place: Place
    zones: Zones
    random_text: RandomText


class StackLookup:
    """Answers references from the records of a stack's resources; notes which exports were used."""

    def __init__(self, world: World, resources: Mapping[str, ResourceRecord], *, open_ids: bool) -> None:
        self._world = world
        self.resources = dict(resources)
        self.moving: set[str] = set()
        """Logical ids whose changing attributes are not known."""
        self.imports: set[str] = set()
        self._open = open_ids
        """Whether a resource that is not there yet is UNKNOWN, not an error."""

    def physical_id(self, logical_id: str) -> Any:
        """What Ref gives."""
        record = self.resources.get(logical_id)
        if record is not None and record.physical_id:
            return record.physical_id
        if self._open:
            return UNKNOWN
        raise invalid(f"Unresolved resource dependencies [{logical_id}]")

    def attribute(self, logical_id: str, name: str) -> Any:
        """What Fn::GetAtt gives."""
        record = self.resources.get(logical_id)
        unsettled = logical_id in self.moving and record and name in self._world.providers[record.type].changing
        if record is not None and name in record.attributes and not unsettled:
            return record.attributes[name]
        if self._open:
            return UNKNOWN
        raise invalid(f"Attribute {name} of {logical_id} is not known")

    def imported(self, name: str) -> Any:
        """What Fn::ImportValue gives."""
        value = imported_value(self._world.records, name)
        self.imports.add(name)
        return value

    def zones(self, region: str) -> list[str]:
        """What Fn::GetAZs gives."""
        return self._world.zones(region)


class Design:
    """A declaration made ready: template, values, conditions, active resources, their graph."""

    def __init__(self, world: World, stack: StackRecord, template: Template | None = None) -> None:
        self._world = world
        self.stack = stack
        text = world.records.template_text(stack.declaration.template_sha)
        self.template = template or parse_template(text)
        values = typed_values(self.template, stack.declaration.parameters)
        pseudo = pseudo_parameters(world.place, stack.name, stack.stack_id)
        conditions = evaluate_conditions(self.template, values, pseudo)
        self.scope = Scope(self.template, values, pseudo, conditions)
        self.resources = active_resources(self.scope)
        self.graph = dependencies(self.template, self.resources, conditions)

    def draft(self, logical_id: str, lookup: StackLookup) -> Draft:
        """One resource with everything resolved that the lookup knows."""
        definition = self.resources[logical_id]
        provider = self._world.providers[definition.type]
        declared = Resolver(self.scope, lookup).resolve(definition.properties)
        missing = sorted(provider.required - set(declared))
        if missing:
            raise invalid(
                f"Properties validation failed for resource {logical_id} with message: "
                f"required key [{missing[0]}] not found"
            )
        return make_draft(
            definition,
            declared,
            provider,
            stack=self.stack,
            current=lookup.resources.get(logical_id),
            depends_on=tuple(sorted(self.graph[logical_id])),
            random_text=self._world.random_text,
        )

    def outputs(self, lookup: StackLookup) -> tuple[Output, ...]:
        """The stack's outputs. UNKNOWN values are shown as their mark."""
        resolver = Resolver(self.scope, lookup)
        found = []
        for output in self.template.outputs.values():
            if output.condition and not self.scope.conditions[output.condition]:
                continue
            value = resolver.resolve(output.value)
            if not isinstance(value, (str, int, float, bool)) and value is not UNKNOWN:
                raise invalid(f"Template format error: Output {output.name} is malformed: its Value must be a string")
            name = "" if output.export_name is None else resolver.resolve(output.export_name)
            found.append(Output(output.name, scalar_text(value), output.description, str(name)))
        return tuple(found)


@dataclass(frozen=True)
class Plan:
    """What executing a declaration would change."""

    changes: tuple[ResourceChange, ...]
    outputs_change: bool
    imports: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes and not self.outputs_change


def make_plan(world: World, design: Design, current: Mapping[str, ResourceRecord]) -> Plan:
    """Compare a design with the resources there are. Raises ServiceError ValidationError for values that cannot be."""
    lookup = StackLookup(world, current, open_ids=True)
    changes = []
    for logical_id in order(design.graph):
        record = current.get(logical_id)
        draft = design.draft(logical_id, lookup)
        if record is None:
            changes.append(ResourceChange("Add", logical_id, draft.definition.type))
            continue
        if record.type != draft.definition.type:
            raise invalid(
                "Update of resource type is not permitted. The new template modifies resource type of the following "
                f"resources: [{logical_id}]"
            )
        change = _modification(draft, record, world.providers[record.type])
        if change is not None:
            changes.append(change)
            lookup.moving.add(logical_id)
            if change.replacement != "False":
                del lookup.resources[logical_id]
    for logical_id, record in sorted(current.items()):
        if logical_id not in design.resources:
            changes.append(_removal(record))
    outputs = design.outputs(lookup)
    return Plan(tuple(changes), outputs != design.stack.outputs, tuple(sorted(lookup.imports)))


def _removal(record: ResourceRecord) -> ResourceChange:
    action = "Delete" if record.deletion_policy == "Delete" else "Retain"
    return ResourceChange("Remove", record.logical_id, record.type, record.physical_id, policy_action=action)


def _modification(draft: Draft, record: ResourceRecord, provider: Provider) -> ResourceChange | None:
    names = sorted(set(draft.properties) | set(record.properties))
    differing = [name for name in names if draft.properties.get(name) != record.properties.get(name)]
    tag_name = provider.tags.property if provider.tags is not None else ""
    scope = {"Tags" if name == tag_name else "Properties" for name in differing}
    definition = draft.definition
    scope |= {"Metadata"} if definition.metadata != record.metadata else set()
    scope |= {"DeletionPolicy"} if definition.deletion_policy != record.deletion_policy else set()
    scope |= {"UpdateReplacePolicy"} if definition.update_replace_policy != record.update_replace_policy else set()
    if not scope:
        return None
    moved = [name for name in differing if name in provider.create_only]
    certain = any(not contains_unknown(draft.properties.get(name)) for name in moved)
    replacement = "False" if not moved else "True" if certain else "Conditional"
    return ResourceChange(
        action="Modify",
        logical_id=record.logical_id,
        type=record.type,
        physical_id=record.physical_id,
        replacement=replacement,
        scope=tuple(sorted(scope)),
        details=tuple(_detail(name, draft, provider, tag_name) for name in differing),
        policy_action="ReplaceAndDelete" if replacement == "True" else "",
    )


def _detail(name: str, draft: Draft, provider: Provider, tag_name: str) -> dict[str, Any]:
    unknown = contains_unknown(draft.properties.get(name))
    recreation = "Never" if name not in provider.create_only else "Conditionally" if unknown else "Always"
    target = {"Attribute": "Properties", "Name": name, "RequiresRecreation": recreation}
    if name == tag_name:
        target = {"Attribute": "Tags", "RequiresRecreation": recreation}
    return {
        "Target": target,
        "Evaluation": "Dynamic" if unknown else "Static",
        "ChangeSource": "ResourceReference" if unknown else "DirectModification",
    }
