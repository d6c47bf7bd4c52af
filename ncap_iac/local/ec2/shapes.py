"""Our values in the shape of EC2's answers, as boto3 shows them. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from ncap_iac.local.ec2.inventory import Inventory
from ncap_iac.local.ec2.model import (
    Instance,
    LaunchTemplate,
    MachineImage,
    SecurityGroup,
    State,
    TemplateVersion,
    Volume,
)
from ncap_iac.local.ec2.requests import tag_list

Shape = Mapping[str, Any]


def timestamp(seconds: float) -> datetime.datetime:
    """A point in time, UTC, to the second as EC2 gives it."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)


def iso(seconds: float) -> str:
    """The same as text, for the fields that EC2 sends as text."""
    return timestamp(seconds).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def state_shape(state: State) -> Shape:
    """InstanceState."""
    return {"Code": state.code, "Name": state.value}


def reservation_shape(instances: Sequence[Instance], inventory: Inventory) -> Shape:
    """Reservation: instances of one launch."""
    names = {group.group_id: group.name for group in inventory.groups()}
    return {
        "ReservationId": instances[0].reservation_id if instances else "",
        "OwnerId": inventory.network.account_id,
        "Groups": [],
        "Instances": [instance_shape(instance, inventory, names) for instance in instances],
    }


def instance_shape(instance: Instance, inventory: Inventory, group_names: Mapping[str, str]) -> Shape:
    """Instance."""
    root = instance.volumes[0].device if instance.volumes else ""
    shape: dict[str, Any] = {
        "InstanceId": instance.instance_id,
        "ImageId": instance.image_id,
        "State": state_shape(instance.state),
        "InstanceType": instance.instance_type,
        "LaunchTime": timestamp(instance.launched_at),
        "AmiLaunchIndex": instance.launch_index,
        "ClientToken": instance.client_token or "",
        "Placement": {"AvailabilityZone": instance.availability_zone, "GroupName": "", "Tenancy": "default"},
        "Monitoring": {"State": "disabled"},
        "SubnetId": instance.subnet_id,
        "VpcId": inventory.network.vpc_id,
        "PrivateIpAddress": instance.private_ip,
        "PrivateDnsName": inventory.network.host_name(instance.private_ip),
        "SecurityGroups": [
            {"GroupId": group, "GroupName": group_names.get(group, "")} for group in instance.security_groups
        ],
        "Architecture": "x86_64",
        "RootDeviceType": "ebs",
        "RootDeviceName": root,
        "BlockDeviceMappings": _attachments(instance),
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "EbsOptimized": False,
        "MetadataOptions": {
            "State": "applied",
            "HttpTokens": instance.metadata.http_tokens,
            "HttpPutResponseHopLimit": instance.metadata.http_put_response_hop_limit,
            "HttpEndpoint": instance.metadata.http_endpoint,
            "HttpProtocolIpv6": "disabled",
            "InstanceMetadataTags": "disabled",
        },
        "Tags": tag_list(instance.tags),
        "StateTransitionReason": _transition_reason(instance),
    }
    if instance.profile:
        shape["IamInstanceProfile"] = {"Arn": instance.profile.arn, "Id": instance.profile.profile_id}
    if instance.spot_request:
        shape |= {"InstanceLifecycle": "spot", "SpotInstanceRequestId": instance.spot_request}
    if instance.reason:
        shape["StateReason"] = {"Code": instance.reason.code, "Message": instance.reason.message}
    return shape


def _attachments(instance: Instance) -> list[Shape]:
    if instance.state is State.TERMINATED:
        return []
    return [
        {
            "DeviceName": volume.device,
            "Ebs": {
                "VolumeId": volume.volume_id,
                "Status": "attached",
                "DeleteOnTermination": True,
                "AttachTime": timestamp(instance.launched_at),
            },
        }
        for volume in instance.volumes
    ]


def _transition_reason(instance: Instance) -> str:
    if instance.reason is None or not instance.reason.code.startswith("Client.User"):
        return ""
    at = f" ({timestamp(instance.ended_at):%Y-%m-%d %H:%M:%S GMT})" if instance.ended_at is not None else ""
    return f"User initiated{at}"


def status_shape(instance: Instance) -> Shape:
    """InstanceStatus: a running machine is well, others are not looked at."""
    is_running = instance.state is State.RUNNING
    verdict = {
        "Status": "ok" if is_running else "not-applicable",
        "Details": [{"Name": "reachability", "Status": "passed"}] if is_running else [],
    }
    return {
        "InstanceId": instance.instance_id,
        "AvailabilityZone": instance.availability_zone,
        "InstanceState": state_shape(instance.state),
        "InstanceStatus": verdict,
        "SystemStatus": verdict,
    }


def volume_shape(instance: Instance, volume: Volume) -> Shape:
    """Volume."""
    shape: dict[str, Any] = {
        "VolumeId": volume.volume_id,
        "Size": volume.size_gib,
        "VolumeType": volume.volume_type,
        "Encrypted": volume.encrypted,
        "State": "in-use",
        "CreateTime": timestamp(instance.launched_at),
        "AvailabilityZone": instance.availability_zone,
        "SnapshotId": "",
        "MultiAttachEnabled": False,
        "Tags": tag_list(volume.tags),
        "Attachments": [
            {
                "VolumeId": volume.volume_id,
                "InstanceId": instance.instance_id,
                "Device": volume.device,
                "State": "attached",
                "DeleteOnTermination": True,
                "AttachTime": timestamp(instance.launched_at),
            }
        ],
    }
    optional = {"Iops": volume.iops, "Throughput": volume.throughput, "KmsKeyId": volume.kms_key_id}
    return {**shape, **{name: value for name, value in optional.items() if value is not None}}


def image_shape(image: MachineImage, account_id: str) -> Shape:
    """Image."""
    return {
        "ImageId": image.image_id,
        "Name": image.name,
        "Description": image.description,
        "ImageLocation": f"local-image:{image.folder}",
        "State": "available",
        "OwnerId": account_id,
        "Public": False,
        "Architecture": image.architecture,
        "ImageType": "machine",
        "RootDeviceName": image.root_device,
        "RootDeviceType": "ebs",
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "CreationDate": iso(image.created_at),
        "BlockDeviceMappings": [],
        "Tags": tag_list(image.tags),
    }


def template_shape(template: LaunchTemplate) -> Shape:
    """LaunchTemplate."""
    return {
        "LaunchTemplateId": template.template_id,
        "LaunchTemplateName": template.name,
        "CreateTime": timestamp(template.created_at),
        "CreatedBy": template.created_by,
        "DefaultVersionNumber": template.default_version,
        "LatestVersionNumber": template.latest_version,
        "Tags": tag_list(template.tags),
    }


def version_shape(template: LaunchTemplate, version: TemplateVersion) -> Shape:
    """LaunchTemplateVersion."""
    return {
        "LaunchTemplateId": template.template_id,
        "LaunchTemplateName": template.name,
        "VersionNumber": version.number,
        "VersionDescription": version.description,
        "CreateTime": timestamp(version.created_at),
        "CreatedBy": template.created_by,
        "DefaultVersion": version.number == template.default_version,
        "LaunchTemplateData": version.data,
    }


def group_shape(group: SecurityGroup, inventory: Inventory) -> Shape:
    """SecurityGroup; rules of one protocol and port range stand together, as EC2 shows them."""
    return {
        "GroupId": group.group_id,
        "GroupName": group.name,
        "Description": group.description,
        "OwnerId": inventory.network.account_id,
        "VpcId": group.vpc_id,
        "SecurityGroupArn": inventory.network.arn("security-group", group.group_id),
        "IpPermissions": _together(group.ingress),
        "IpPermissionsEgress": _together(group.egress),
        "Tags": tag_list(group.tags),
    }


def _together(rules: Sequence[Mapping[str, Any]]) -> list[Shape]:
    sources = ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")
    joined: dict[tuple[Any, ...], dict[str, Any]] = {}
    for rule in rules:
        key = (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"))
        ports = {name: rule[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in rule}
        into = joined.setdefault(key, {**ports, **{source: [] for source in sources}})
        for source in sources:
            into[source].extend(rule.get(source) or ())
    return list(joined.values())
