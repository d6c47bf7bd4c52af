"""Images: registered from a folder on this computer, found, deregistered. Building them is `environments`' business."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ncap_iac.environments.manifest import SEAL
from ncap_iac.local.ec2.disks import Disks
from ncap_iac.local.ec2.filters import Fields, page, select
from ncap_iac.local.ec2.inventory import IMAGES, Inventory
from ncap_iac.local.ec2.model import Instance, MachineImage
from ncap_iac.local.ec2.requests import (
    Parameters,
    invalid,
    read_tag_specifications,
    refuse_others,
    required,
    stop_dry_run,
)
from ncap_iac.local.ec2.shapes import image_shape, iso
from ncap_iac.local.service import ServiceError

Answer = Mapping[str, Any]

LOCATION = "local-image:"
"""What an ImageLocation begins with; the name of a folder among the local images follows."""

_NAME = re.compile(r"[a-zA-Z0-9()\[\] ./'@_-]{3,128}")
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_ARCHITECTURES = ("i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac")
_FILTERS: Fields[MachineImage] = {
    "architecture": lambda image: [image.architecture],
    "creation-date": lambda image: [iso(image.created_at)],
    "image-id": lambda image: [image.image_id],
    "name": lambda image: [image.name],
    "state": lambda _: ["available"],
}


class Images:
    """The operations on images."""

    def __init__(self, inventory: Inventory, folder: Path, disks: Disks, *, clock: Callable[[], float]) -> None:
        self._inventory = inventory
        self._disks = disks
        self._folder = folder
        self._clock = clock

    def register(self, parameters: Parameters) -> Answer:
        """RegisterImage of a sealed local image (docs/contracts.md section 7)."""
        accepted = ("Name", "Description", "ImageLocation", "Architecture", "RootDeviceName", "TagSpecifications")
        neutral = {"VirtualizationType": "hvm", "EnaSupport": True}
        refuse_others("RegisterImage", parameters, accepted, neutral)
        architecture = parameters.get("Architecture") or "x86_64"
        if architecture not in _ARCHITECTURES:
            raise invalid(architecture, "Architecture", f"Expected one of {', '.join(_ARCHITECTURES)}.")
        folder = self._image_folder(required(parameters, "ImageLocation"))
        image = MachineImage(
            image_id=self._inventory.make_id("ami"),
            name=required(parameters, "Name"),
            description=parameters.get("Description") or "",
            folder=folder,
            architecture=architecture,
            root_device=parameters.get("RootDeviceName") or "/dev/xvda",
            created_at=self._clock(),
            tags=read_tag_specifications(parameters.get("TagSpecifications"), ("image",)).get("image", {}),
        )
        return self.keep(image, parameters)

    def save(self, instance: Instance, parameters: Parameters) -> Answer:
        """CreateImage of an instance: its image with a copy of its disk, which is named as the image is."""
        image_id = self._inventory.make_id("ami")
        origin = next((it for it in self._inventory.images() if it.folder == instance.image_folder), None)
        image = MachineImage(
            image_id=image_id,
            name=required(parameters, "Name"),
            description=parameters.get("Description") or "",
            folder=instance.image_folder,
            architecture=origin.architecture if origin else "x86_64",
            root_device=instance.volumes[0].device,
            created_at=self._clock(),
            tags=read_tag_specifications(parameters.get("TagSpecifications"), ("image",)).get("image", {}),
            disk=image_id,
        )
        return self.keep(image, parameters)

    def keep(self, image: MachineImage, parameters: Parameters) -> Answer:
        """Record an image under a name nobody has. Raises ServiceError."""
        if not _NAME.fullmatch(image.name):
            raise ServiceError(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
                "and ( ) [ ] space . / - ' @ _",
            )
        with self._inventory.store.transaction():
            for known in self._inventory.images():
                if known.name == image.name:
                    message = f"AMI name {image.name} is already in use by AMI {known.image_id}"
                    raise ServiceError("InvalidAMIName.Duplicate", message)
            stop_dry_run(parameters)
            self._inventory.save_image(image)
        return {"ImageId": image.image_id}

    def _image_folder(self, location: str) -> str:
        name = location.removeprefix(LOCATION)
        if not location.startswith(LOCATION) or not _FOLDER.fullmatch(name):
            raise invalid(location, "ImageLocation", f"The local cloud registers {LOCATION}<folder name>.")
        if not (self._folder / name / SEAL).is_file():
            hint = f"No sealed image of that name is in {self._folder}; build it: ncap environment build"
            raise invalid(location, "ImageLocation", hint)
        return name

    def describe(self, parameters: Parameters) -> Answer:
        """DescribeImages; all images are the account's own."""
        accepted = ("ImageIds", "Owners", "Filters", "MaxResults", "NextToken")
        neutral = {"IncludeDeprecated": False, "IncludeDisabled": False, "ExecutableUsers": ["self"]}
        refuse_others("DescribeImages", parameters, accepted, neutral)
        account = self._inventory.network.account_id
        ids, owners = parameters.get("ImageIds") or (), parameters.get("Owners") or ()
        candidates = [self._inventory.image(image_id) for image_id in ids] if ids else self._inventory.images()
        if owners and not {"self", account} & set(owners):
            candidates = []
        fields = {**_FILTERS, "owner-id": lambda _: [account]}
        found, token = page(select(candidates, parameters, fields, lambda image: image.tags), parameters, least=1)
        answer = {"Images": [image_shape(image, account) for image in found]}
        return {**answer, "NextToken": token} if token else answer

    def deregister(self, parameters: Parameters) -> Answer:
        """DeregisterImage; running instances keep running, the folder stays, a saved disk goes."""
        refuse_others("DeregisterImage", parameters, ("ImageId",))
        image = self._inventory.image(required(parameters, "ImageId"))
        stop_dry_run(parameters)
        self._inventory.store.delete(IMAGES, image.image_id)
        self._disks.remove(image.disk)
        return {"Return": True}
