"""Tags of resources that exist: added, removed, listed; and which resource an id is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from ncap_iac.local.ec2.filters import Fields, page, select
from ncap_iac.local.ec2.inventory import Inventory
from ncap_iac.local.ec2.model import Instance
from ncap_iac.local.ec2.requests import Parameters, check_tag_count, read_tags, refuse_others, required, stop_dry_run
from ncap_iac.local.service import ServiceError

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Tagged:
    """A resource that carries tags."""

    resource_id: str
    kind: str
    """As in EC2's ARNs: `instance`, `launch-template`, …."""
    tags: Mapping[str, str]
    save: Callable[[dict[str, str]], None]
    """Give it other tags."""


@dataclass(frozen=True)
class _Tag:
    resource: Tagged
    key: str
    value: str


_FILTERS: Fields[_Tag] = {
    "key": lambda tag: [tag.key],
    "value": lambda tag: [tag.value],
    "resource-id": lambda tag: [tag.resource.resource_id],
    "resource-type": lambda tag: [tag.resource.kind],
}


class TagKeeper:
    """The operations on tags."""

    def __init__(
        self, inventory: Inventory, visible: Callable[[], list[Instance]], lock: AbstractContextManager[Any]
    ) -> None:
        self._inventory = inventory
        self._visible = visible
        self._lock = lock

    def find(self, resource_id: str) -> Tagged:
        """The resource of an id. Raises EC2's NotFound of its kind, InvalidID for an unknown kind."""
        prefix = resource_id.partition("-")[0]
        inventory = self._inventory
        if prefix == "i":
            for instance in self._visible():
                if instance.instance_id == resource_id:
                    return self._instance(instance)
            raise ServiceError("InvalidInstanceID.NotFound", f"The instance ID '{resource_id}' does not exist")
        if prefix == "ami":
            image = inventory.image(resource_id)
            return Tagged(
                resource_id, "image", image.tags, lambda tags: inventory.save_image(replace(image, tags=tags))
            )
        if prefix == "lt":
            template = inventory.template(template_id=resource_id, name=None)
            return Tagged(
                *(resource_id, "launch-template", template.tags),
                save=lambda tags: inventory.save_template(replace(template, tags=tags)),
            )
        if prefix == "sg":
            group = inventory.group(resource_id)
            return Tagged(
                *(resource_id, "security-group", group.tags),
                save=lambda tags: inventory.save_group(replace(group, tags=tags)),
            )
        raise ServiceError(
            "InvalidID",
            f"The ID '{resource_id}' is not valid: tags are kept here for instances, images, launch templates and "
            "security groups.",
        )

    def _instance(self, instance: Instance) -> Tagged:
        def save(tags: dict[str, str]) -> None:
            self._inventory.save_instance(replace(instance, tags=tags))

        return Tagged(instance.instance_id, "instance", instance.tags, save)

    def create(self, parameters: Parameters) -> Answer:
        """CreateTags; with one bad id nothing is tagged."""
        refuse_others("CreateTags", parameters, ("Resources", "Tags"))
        wanted = read_tags(required(parameters, "Tags"))
        with self._lock, self._inventory.store.transaction():
            resources = self._resources(parameters)
            stop_dry_run(parameters)
            for resource in resources:
                resource.save(check_tag_count({**resource.tags, **wanted}))
        return {}

    def delete(self, parameters: Parameters) -> Answer:
        """DeleteTags: the named keys (with their value, if one is given), or all."""
        refuse_others("DeleteTags", parameters, ("Resources", "Tags"))
        named = [(tag.get("Key"), tag.get("Value")) for tag in parameters.get("Tags") or ()]
        with self._lock, self._inventory.store.transaction():
            resources = self._resources(parameters)
            stop_dry_run(parameters)
            for resource in resources:
                kept = {
                    key: value
                    for key, value in resource.tags.items()
                    if named and not any(key == k and v in (None, value) for k, v in named)
                }
                resource.save(kept)
        return {}

    def _resources(self, parameters: Parameters) -> list[Tagged]:
        ids: Sequence[str] = required(parameters, "Resources")
        return [self.find(resource_id) for resource_id in dict.fromkeys(ids)]

    def describe(self, parameters: Parameters) -> Answer:
        """DescribeTags."""
        refuse_others("DescribeTags", parameters, ("Filters", "MaxResults", "NextToken"))
        resources = [
            *(self._instance(instance) for instance in self._visible()),
            *(self.find(image.image_id) for image in self._inventory.images()),
            *(self.find(template.template_id) for template in self._inventory.templates()),
            *(self.find(group.group_id) for group in self._inventory.groups()),
        ]
        tags = [_Tag(resource, key, value) for resource in resources for key, value in sorted(resource.tags.items())]
        found, token = page(select(tags, parameters, _FILTERS, None), parameters)
        shapes = [
            {
                "ResourceId": tag.resource.resource_id,
                "ResourceType": tag.resource.kind,
                "Key": tag.key,
                "Value": tag.value,
            }
            for tag in found
        ]
        return {"Tags": shapes, "NextToken": token} if token else {"Tags": shapes}
