"""What this EC2 has, on disk: typed reading and writing of the store, EC2's `NotFound` answers. No rule beyond that."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from ncap_iac.local.ec2.model import Document, Fault, Instance, LaunchTemplate, MachineImage, SecurityGroup
from ncap_iac.local.ec2.network import Network
from ncap_iac.local.ec2.requests import check_id
from ncap_iac.local.service import ServiceError
from ncap_iac.local.store import Store

INSTANCES = "ec2-instances"
IMAGES = "ec2-images"
TEMPLATES = "ec2-launch-templates"
GROUPS = "ec2-security-groups"
TOKENS = "ec2-client-tokens"
FAULTS = "ec2-faults"
_COUNTERS = "ec2-counters"
_ARMED = "armed"

Found = TypeVar("Found")


def random_id(prefix: str) -> str:
    """An id as EC2 makes them."""
    return f"{prefix}-{secrets.token_hex(9)[:17]}"


class Inventory:
    """One account's EC2 resources in one region."""

    def __init__(self, store: Store, network: Network, *, make_id: Callable[[str], str] = random_id) -> None:
        self.store = store
        self.network = network
        self.make_id = make_id

    def instances(self) -> list[Instance]:
        """All that are kept, in the order of their launch."""
        found = [Instance.load(document) for _, document in self.store.items(INSTANCES)]
        return sorted(found, key=lambda instance: instance.sequence)

    def instance(self, instance_id: str) -> Instance | None:
        """One instance, or None."""
        document = self.store.get(INSTANCES, instance_id)
        return Instance.load(document) if document else None

    def save_instance(self, instance: Instance) -> None:
        """Write an instance."""
        self.store.put(INSTANCES, instance.instance_id, instance.document())

    def forget_instance(self, instance_id: str) -> None:
        """Remove an instance's record."""
        self.store.delete(INSTANCES, instance_id)

    def images(self) -> list[MachineImage]:
        """All registered images, oldest first."""
        found = [MachineImage.load(document) for _, document in self.store.items(IMAGES)]
        return sorted(found, key=lambda image: (image.created_at, image.image_id))

    def image(self, image_id: str) -> MachineImage:
        """One image. Raises InvalidAMIID.*."""
        check_id(image_id, "ami", "InvalidAMIID.Malformed")
        document = self.store.get(IMAGES, image_id)
        if document is None:
            raise ServiceError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
        return MachineImage.load(document)

    def save_image(self, image: MachineImage) -> None:
        """Write an image."""
        self.store.put(IMAGES, image.image_id, image.document())

    def templates(self) -> list[LaunchTemplate]:
        """All launch templates, by name."""
        found = [LaunchTemplate.load(document) for _, document in self.store.items(TEMPLATES)]
        return sorted(found, key=lambda template: template.name)

    def template(self, *, template_id: str | None, name: str | None) -> LaunchTemplate:
        """The launch template of an id or a name, exactly one of which is given. Raises InvalidLaunchTemplate*."""
        if bool(template_id) == bool(name):
            raise ServiceError(
                "InvalidParameterCombination" if name else "MissingParameter",
                "Exactly one of LaunchTemplateId and LaunchTemplateName must be given.",
            )
        if template_id:
            check_id(template_id, "lt", "InvalidLaunchTemplateId.Malformed")
            document = self.store.get(TEMPLATES, template_id)
            if document is None:
                message = f"The specified launch template, with template ID {template_id}, does not exist."
                raise ServiceError("InvalidLaunchTemplateId.NotFound", message)
            return LaunchTemplate.load(document)
        found = next((template for template in self.templates() if template.name == name), None)
        if found is None:
            message = f"The specified launch template, with template name {name}, does not exist."
            raise ServiceError("InvalidLaunchTemplateName.NotFoundException", message)
        return found

    def save_template(self, template: LaunchTemplate) -> None:
        """Write a launch template."""
        self.store.put(TEMPLATES, template.template_id, template.document())

    def groups(self) -> list[SecurityGroup]:
        """All security groups, by name."""
        found = [SecurityGroup.load(document) for _, document in self.store.items(GROUPS)]
        return sorted(found, key=lambda group: (group.name, group.group_id))

    def group(self, group_id: str) -> SecurityGroup:
        """One security group. Raises InvalidGroup*."""
        check_id(group_id, "sg", "InvalidGroupId.Malformed")
        document = self.store.get(GROUPS, group_id)
        if document is None:
            raise ServiceError("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        return SecurityGroup.load(document)

    def group_by_name(self, name: str) -> SecurityGroup:
        """The security group of a name in the VPC. Raises InvalidGroup.NotFound."""
        return _found(
            (group for group in self.groups() if group.name == name),
            ServiceError("InvalidGroup.NotFound", f"The security group '{name}' does not exist in default VPC"),
        )

    def save_group(self, group: SecurityGroup) -> None:
        """Write a security group."""
        self.store.put(GROUPS, group.group_id, group.document())

    def token(self, client_token: str) -> Document | None:
        """What an earlier RunInstances with this token asked (`digest`) and got (`instances`)."""
        return self.store.get(TOKENS, client_token)

    def save_token(self, client_token: str, digest: str, instances: Sequence[str]) -> None:
        """Remember what a RunInstances with this token asked and got."""
        self.store.put(TOKENS, client_token, {"digest": digest, "instances": list(instances)})

    def forget_unused_tokens(self) -> None:
        """Remove tokens none of whose instances is kept."""
        for client_token, document in self.store.items(TOKENS):
            if all(self.store.get(INSTANCES, instance_id) is None for instance_id in document["instances"]):
                self.store.delete(TOKENS, client_token)

    def faults(self) -> list[Fault]:
        """Faults that are still to be met, in the order they were armed."""
        document = self.store.get(FAULTS, _ARMED) or {"faults": []}
        return [Fault.load(item) for item in document["faults"]]

    def save_faults(self, faults: Iterable[Fault]) -> None:
        """Keep those of the faults that are still to be met."""
        left = [fault.document() for fault in faults if fault.remaining > 0]
        self.store.put(FAULTS, _ARMED, {"faults": left})

    def count_fault(self, met: Fault) -> None:
        """Note that a fault was met once; to be called inside a transaction."""
        faults = self.faults()
        faults[faults.index(met)] = replace(met, remaining=met.remaining - 1)
        self.save_faults(faults)

    def next_numbers(self, count: int) -> range:
        """Numbers no instance had before; to be called inside a transaction."""
        document = self.store.get(_COUNTERS, "launched") or {"count": 0}
        start = int(document["count"])
        self.store.put(_COUNTERS, "launched", {"count": start + count})
        return range(start, start + count)


def _found(candidates: Iterable[Found], missing: ServiceError) -> Found:
    for candidate in candidates:
        return candidate
    raise missing
