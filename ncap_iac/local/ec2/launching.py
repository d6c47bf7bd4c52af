"""From a RunInstances request to a launch: everything looked up and checked, nothing made yet.

Used twice a call: for the permissions it needs and for performing it. Refuses what this cloud would not honour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ncap_iac.local.ec2.catalog import INSTANCE_TYPES, InstanceType
from ncap_iac.local.ec2.inventory import Inventory
from ncap_iac.local.ec2.merging import find_version, merge
from ncap_iac.local.ec2.model import LaunchTemplate, MachineImage, MetadataOptions, Profile, SecurityGroup, Volume
from ncap_iac.local.ec2.network import Subnet
from ncap_iac.local.ec2.profiles import ProfileDirectory
from ncap_iac.local.ec2.requests import (
    Parameters,
    check_id,
    invalid,
    read_tag_specifications,
    read_user_data,
    refuse_others,
    required,
)
from ncap_iac.local.service import ServiceError

LAUNCH_PARAMETERS = (
    *("ImageId", "InstanceType", "SecurityGroupIds", "SecurityGroups", "IamInstanceProfile", "MetadataOptions"),
    *("BlockDeviceMappings", "InstanceInitiatedShutdownBehavior", "UserData", "TagSpecifications"),
)
"""What a launch template may hold and a request may say."""

REQUEST_PARAMETERS = (
    *("MinCount", "MaxCount", "ClientToken", "LaunchTemplate", "SubnetId", "Placement"),
    "InstanceMarketOptions",
)
NEUTRAL = {
    "EbsOptimized": False,
    "DisableApiTermination": False,
    "DisableApiStop": False,
    "Monitoring": {"Enabled": False},
}
"""Asked for with these values, they are what happens anyway."""

TAGGED = ("instance", "volume")
_DEFAULT_VOLUME_GIB = 8
_VOLUME_TYPES = ("gp2", "gp3", "io1", "io2", "st1", "sc1", "standard")
_LARGEST_VOLUME_GIB = 16384
_HOPS = range(1, 65)


@dataclass(frozen=True)
class Launch:
    """One RunInstances, understood."""

    image: MachineImage
    instance_type: InstanceType
    subnet: Subnet
    names_zone: bool
    """Whether the request says where, by subnet or zone."""
    groups: tuple[SecurityGroup, ...]
    profile: Profile | None
    metadata: MetadataOptions
    names_http_tokens: bool
    """Whether the request or its template says how metadata tokens are used (`ec2:MetadataHttpTokens`)."""
    volumes: tuple[Volume, ...]
    shutdown_behavior: str
    user_data: str
    tags: Mapping[str, Mapping[str, str]]
    """By resource type."""
    least: int
    most: int
    template: LaunchTemplate | None
    from_template: frozenset[str]
    market: str = "on-demand"
    """`spot` or `on-demand`."""


def resolve_launch(parameters: Parameters, inventory: Inventory, profiles: ProfileDirectory) -> Launch:
    """The launch a request means. Raises ServiceError with EC2's codes."""
    refuse_others("RunInstances", parameters, (*LAUNCH_PARAMETERS, *REQUEST_PARAMETERS), NEUTRAL)
    template, data = _template(parameters.get("LaunchTemplate"), inventory)
    merged = merge(data, parameters)
    asked = merged.parameters
    user_data = asked.get("UserData") or ""
    read_user_data(user_data)
    least, most = int(required(asked, "MinCount")), int(required(asked, "MaxCount"))
    if not 1 <= least <= most:
        raise ServiceError(
            "InvalidParameterValue", f"MinCount {least} and MaxCount {most}: expected 1 <= MinCount <= MaxCount"
        )
    image = inventory.image(required(asked, "ImageId"))
    return Launch(
        image=image,
        instance_type=read_instance_type(required(asked, "InstanceType")),
        subnet=_subnet(asked, inventory),
        names_zone=bool(asked.get("SubnetId") or (asked.get("Placement") or {}).get("AvailabilityZone")),
        groups=_groups(asked, inventory),
        profile=_profile(asked.get("IamInstanceProfile") or {}, profiles),
        metadata=read_metadata_options(asked.get("MetadataOptions") or {}),
        names_http_tokens=bool((asked.get("MetadataOptions") or {}).get("HttpTokens")),
        volumes=read_volumes(asked.get("BlockDeviceMappings") or (), image.root_device),
        shutdown_behavior=read_shutdown_behavior(asked.get("InstanceInitiatedShutdownBehavior")),
        user_data=user_data,
        tags=read_tag_specifications(asked.get("TagSpecifications"), TAGGED),
        least=least,
        most=most,
        template=template,
        from_template=merged.from_template,
        market=read_market(parameters.get("InstanceMarketOptions") or {}),
    )


def read_market(options: Parameters) -> str:
    """The market of InstanceMarketOptions. A spot instance is asked for once and terminated when it is taken back.

    Raises for what else spot instances can do; a highest price has no use where prices do not rise.
    """
    refuse_others("InstanceMarketOptions", options, ("MarketType", "SpotOptions"))
    market, details = options.get("MarketType"), options.get("SpotOptions") or {}
    behaviour = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    refuse_others("SpotOptions", details, (), behaviour)
    if market not in (None, "", "spot"):
        raise invalid(market, "MarketType", "The local cloud has spot instances and those on demand.")
    if details and not market:
        raise ServiceError("InvalidParameterCombination", "SpotOptions may only be used with MarketType spot.")
    return market or "on-demand"


def read_instance_type(name: str) -> InstanceType:
    """The type of a name. Raises InvalidParameterValue for unknown and retired ones."""
    if name not in INSTANCE_TYPES:
        raise invalid(name, "InstanceType", "The local cloud knows the current types of: " + _families())
    return INSTANCE_TYPES[name]


def read_metadata_options(options: Parameters) -> MetadataOptions:
    """Metadata options. Raises for what the local metadata service does not do (IPv6, tags, version 1)."""
    refuse_others(
        "MetadataOptions",
        options,
        ("HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint"),
        {"HttpProtocolIpv6": "disabled", "InstanceMetadataTags": "disabled"},
    )
    tokens = options.get("HttpTokens") or "required"
    endpoint = options.get("HttpEndpoint") or "enabled"
    hops = int(options.get("HttpPutResponseHopLimit") or 1)
    if tokens != "required":
        raise invalid(tokens, "HttpTokens", "The local cloud serves IMDSv2 only: required.")
    if endpoint not in ("enabled", "disabled"):
        raise invalid(endpoint, "HttpEndpoint", "Expected enabled or disabled.")
    if hops not in _HOPS:
        raise invalid(hops, "HttpPutResponseHopLimit", "Expected 1 to 64.")
    return MetadataOptions(tokens, hops, endpoint)


def read_volumes(mappings: Sequence[Parameters], root_device: str) -> tuple[Volume, ...]:
    """Volumes of block device mappings; the root volume is there even if none is named."""
    volumes = [_volume(mapping) for mapping in mappings]
    if all(volume.device != root_device for volume in volumes):
        volumes.insert(0, Volume(root_device, _DEFAULT_VOLUME_GIB, "gp3", encrypted=False))
    return tuple(volumes)


def read_shutdown_behavior(behavior: str | None) -> str:
    """What an instance does that shuts itself down: `stop` unless told otherwise."""
    if behavior not in (None, "", "stop", "terminate"):
        raise invalid(behavior, "InstanceInitiatedShutdownBehavior", "Expected stop or terminate.")
    return behavior or "stop"


def check_template_data(data: Parameters) -> None:
    """What can be said of a template's data before it is used. Raises ServiceError."""
    refuse_others("LaunchTemplateData", data, LAUNCH_PARAMETERS, NEUTRAL)
    read_user_data(data.get("UserData") or "")
    read_metadata_options(data.get("MetadataOptions") or {})
    read_volumes(data.get("BlockDeviceMappings") or (), "")
    read_shutdown_behavior(data.get("InstanceInitiatedShutdownBehavior"))
    read_tag_specifications(data.get("TagSpecifications"), TAGGED)
    if data.get("InstanceType"):
        read_instance_type(data["InstanceType"])
    if data.get("ImageId"):
        check_id(data["ImageId"], "ami", "InvalidAMIID.Malformed")


def _families() -> str:
    return ", ".join(dict.fromkeys(name.split(".")[0] for name in INSTANCE_TYPES))


def _template(
    specification: Parameters | None, inventory: Inventory
) -> tuple[LaunchTemplate | None, Mapping[str, Any]]:
    if not specification:
        return None, {}
    template = inventory.template(
        template_id=specification.get("LaunchTemplateId"), name=specification.get("LaunchTemplateName")
    )
    return template, find_version(template, specification.get("Version")).data


def _subnet(asked: Parameters, inventory: Inventory) -> Subnet:
    placement = asked.get("Placement") or {}
    refuse_others("Placement", placement, ("AvailabilityZone",), {"Tenancy": "default"})
    zone, subnet_id = placement.get("AvailabilityZone"), asked.get("SubnetId")
    if subnet_id:
        subnet = inventory.network.subnet(subnet_id)
        if subnet is None:
            raise ServiceError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")
        if zone and zone != subnet.zone:
            raise ServiceError("InvalidParameterCombination", f"Subnet {subnet_id} is in {subnet.zone}, not in {zone}.")
        return subnet
    for subnet in inventory.network.subnets:
        if zone in (None, "", subnet.zone):
            return subnet
    raise invalid(zone, "availabilityZone", f"Expected one of {', '.join(inventory.network.zones)}.")


def _groups(asked: Parameters, inventory: Inventory) -> tuple[SecurityGroup, ...]:
    ids, names = asked.get("SecurityGroupIds") or (), asked.get("SecurityGroups") or ()
    if not ids and not names:
        return (inventory.group(inventory.network.default_group_id),)
    return (*(inventory.group(group_id) for group_id in ids), *(inventory.group_by_name(name) for name in names))


def _profile(asked: Parameters, profiles: ProfileDirectory) -> Profile | None:
    name, arn = asked.get("Name"), asked.get("Arn")
    if name and arn:
        raise ServiceError(
            "InvalidParameterCombination",
            "The parameter 'iamInstanceProfile.name' may not be used with 'iamInstanceProfile.arn'",
        )
    return profiles.find(name=name, arn=arn) if name or arn else None


def _volume(mapping: Parameters) -> Volume:
    refuse_others("BlockDeviceMappings", mapping, ("DeviceName", "Ebs"))
    disk = mapping.get("Ebs") or {}
    accepted = ("VolumeSize", "VolumeType", "Encrypted", "Iops", "Throughput", "KmsKeyId")
    refuse_others("BlockDeviceMappings.Ebs", disk, accepted, {"DeleteOnTermination": True})
    size = int(disk.get("VolumeSize") or _DEFAULT_VOLUME_GIB)
    kind = disk.get("VolumeType") or "gp3"
    if not 1 <= size <= _LARGEST_VOLUME_GIB:
        raise invalid(size, "volumeSize", f"Expected 1 to {_LARGEST_VOLUME_GIB} GiB.")
    if kind not in _VOLUME_TYPES:
        raise invalid(kind, "volumeType", f"Expected one of {', '.join(_VOLUME_TYPES)}.")
    if disk.get("KmsKeyId") and not disk.get("Encrypted"):
        message = "The parameter KmsKeyId requires the parameter Encrypted to be set."
        raise ServiceError("InvalidParameterDependency", message)
    return Volume(
        device=required(mapping, "DeviceName"),
        size_gib=size,
        volume_type=kind,
        encrypted=bool(disk.get("Encrypted")),
        iops=disk.get("Iops"),
        throughput=disk.get("Throughput"),
        kms_key_id=disk.get("KmsKeyId"),
    )
