"""What a resource of a template is to become: its properties resolved, named and tagged.

Pure but for the random part of a generated name, which is given in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ncap_iac.local.cloudformation.provider import NameRule, Provider, TagRule
from ncap_iac.local.cloudformation.records import ResourceRecord, StackRecord
from ncap_iac.local.cloudformation.template import ResourceDefinition
from ncap_iac.local.cloudformation.values import UNKNOWN, Properties, RandomText

_RANDOM_LETTERS = 12


@dataclass(frozen=True)
class Draft:
    """A resource to be: what to make or change it into."""

    definition: ResourceDefinition
    properties: Properties
    """Effective: declared, with generated name and tags."""
    generated_name: str
    depends_on: tuple[str, ...]

    @property
    def logical_id(self) -> str:
        """Name in the template."""
        return self.definition.logical_id


def make_draft(
    definition: ResourceDefinition,
    declared: Mapping[str, Any],
    provider: Provider,
    *,
    stack: StackRecord,
    current: ResourceRecord | None,
    depends_on: tuple[str, ...],
    random_text: RandomText,
) -> Draft:
    """The draft of one resource; a name generated earlier is kept as long as the template gives none."""
    properties = dict(declared)
    generated = ""
    if provider.name is not None and provider.name.property not in properties:
        kept = current.generated_name if current is not None else ""
        generated = kept or generated_name(provider.name, stack.name, definition.logical_id, random_text)
        properties[provider.name.property] = generated
    if provider.tags is not None:
        tags = dict(stack.declaration.tags)
        if provider.tags.reserved:
            tags["aws:cloudformation:stack-name"] = stack.name
            tags["aws:cloudformation:stack-id"] = stack.stack_id
            tags["aws:cloudformation:logical-id"] = definition.logical_id
        add_tags(properties, provider.tags, tags)
    return Draft(definition, properties, generated, depends_on)


def generated_name(rule: NameRule, stack_name: str, logical_id: str, random_text: RandomText) -> str:
    """`stack-LogicalId-RANDOM`, the first two shortened until it fits."""
    tail = random_text(_RANDOM_LETTERS)
    room = rule.longest - len(tail) - 2
    if len(stack_name) + len(logical_id) > room:
        stack_name = stack_name[: max(room - len(logical_id), room // 2)].rstrip("-")
        logical_id = logical_id[: room - len(stack_name)]
    name = f"{stack_name}-{logical_id}-{tail}"
    return name.lower() if rule.lower else name


def add_tags(properties: dict[str, Any], rule: TagRule, tags: Mapping[str, str]) -> None:
    """Put tags beside the declared ones, which win."""
    declared = properties.get(rule.property)
    if declared is UNKNOWN or not tags:
        return
    if rule.form == "map":
        properties[rule.property] = {**tags, **(declared or {})}
    elif rule.form == "launch-template":
        kept = [dict(item) for item in declared or () if item.get("ResourceType") != "launch-template"]
        own = [tag for item in declared or () if item.get("ResourceType") == "launch-template" for tag in item["Tags"]]
        properties[rule.property] = [*kept, {"ResourceType": "launch-template", "Tags": _merged(own, tags)}]
    else:
        properties[rule.property] = _merged(declared or [], tags)


def _merged(declared: list[dict[str, Any]], tags: Mapping[str, str]) -> list[dict[str, Any]]:
    names = {tag.get("Key") for tag in declared}
    return [*declared, *({"Key": key, "Value": value} for key, value in sorted(tags.items()) if key not in names)]
