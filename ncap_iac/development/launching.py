"""Launching a development instance: which image, what it is told at its first boot, the call. Asks nothing of people.

An instance that nobody looks after must end by itself, three times over: its own timer, what a reboot arms, and the
sweeper, which goes by the tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ncap_compiler import names
from ncap_iac.development.instances import LONGEST_HOURS, ON, time_text
from ncap_iac.errors import NotFoundError

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway
    from ncap_iac.development.stack import Surroundings

_MINUTES = 60
PER_BOOT = "/var/lib/cloud/scripts/per-boot"
TIMER = f"{PER_BOOT}/neurocaas-lifetime"
"""What cloud-init runs at every boot ("Scripts Per Boot" of its modules)."""


@dataclass(frozen=True)
class DevImage:
    """What an instance is started from."""

    image_id: str
    root_device: str
    environment: str
    """What the blueprint named, or the image's id."""


@dataclass(frozen=True)
class DevLaunch:
    """One launch."""

    analysis: str
    image: DevImage
    instance_type: str
    volume_gib: int
    hours: int
    owner: str
    now: datetime
    expires: datetime
    at_expiry: str = "terminate"


def user_data(hours: int) -> str:
    """What the first boot does: arm the timer, and let every later boot arm one that is no longer than a day."""
    return "\n".join(
        (
            "#!/bin/sh",
            f"shutdown -h +{hours * _MINUTES}",
            f"if [ -w {PER_BOOT} ]; then",
            f"  printf '#!/bin/sh\\nshutdown -h +{LONGEST_HOURS * _MINUTES}\\n' > {TIMER}",
            f"  chmod 755 {TIMER}",
            "fi",
            "",
        )
    )


def tags_of(launch: DevLaunch) -> dict[str, str]:
    """The tags of the instance and its disk. By `PriceTracking` and `analysis` the sweeper may end it."""
    return {
        "Name": f"neurocaas development {launch.analysis}",
        "PriceTracking": "On",
        "analysis": launch.analysis,
        names.DEVELOPMENT_TAG: ON,
        names.STACK_TAG: names.DEVELOPMENT_STACK,
        names.OWNER_TAG: launch.owner,
        names.EXPIRES_TAG: time_text(launch.expires),
        names.AT_EXPIRY_TAG: launch.at_expiry,
        names.SAVED_FROM_TAG: launch.image.environment,
    }


def run_request(launch: DevLaunch, place: Surroundings) -> dict[str, Any]:
    """RunInstances' parameters: encrypted disk, IMDSv2 only, no key pair, and the security group nothing enters."""
    disk: dict[str, Any] = {
        "VolumeSize": launch.volume_gib,
        "VolumeType": "gp3",
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    if place.key:
        disk["KmsKeyId"] = place.key
    tags = [{"Key": key, "Value": value} for key, value in tags_of(launch).items()]
    request: dict[str, Any] = {
        "ImageId": launch.image.image_id,
        "InstanceType": launch.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": user_data(launch.hours),
        "IamInstanceProfile": {"Name": place.profile},
        "SecurityGroupIds": [place.security_group],
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
        "BlockDeviceMappings": [{"DeviceName": launch.image.root_device, "Ebs": disk}],
        "InstanceInitiatedShutdownBehavior": launch.at_expiry,
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
    }
    return {**request, "SubnetId": place.subnet} if place.subnet else request


def launch_instance(gateway: Gateway, launch: DevLaunch, place: Surroundings) -> str:
    """Launch; the instance's id. Raises NcapError."""
    client = gateway.session.client("ec2")
    with gateway.session.translated(f"launch of a development instance of {launch.analysis}"):
        answer = client.run_instances(**run_request(launch, place))
    return str(answer["Instances"][0]["InstanceId"])


def image_of(gateway: Gateway, image_id: str, environment: str) -> DevImage:
    """An image that is available here. Raises NotFoundError."""
    device = gateway.root_devices([image_id]).get(image_id)
    if device is None:
        raise NotFoundError(
            f"there is no image {image_id}, or it is not available yet",
            where=f"{gateway.target.name}, region {gateway.region}",
            hint="Name another with --ami, or build the environment: `ncap environment build NAME --on aws`.",
        )
    return DevImage(image_id, device, environment)


def base_image(gateway: Gateway, parents: Mapping[str, str], architecture: str) -> DevImage:
    """The newest image of a base system, which AWS tells in a public parameter. Raises NcapError."""
    name = parents[architecture]
    client = gateway.session.client("ssm")
    with gateway.session.translated(f"parameter {name}"):
        image_id = str(client.get_parameter(Name=name)["Parameter"]["Value"])
    return image_of(gateway, image_id, image_id)
