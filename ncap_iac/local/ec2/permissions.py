"""What IAM must allow before an EC2 call is performed: actions, resources, condition keys.

After the Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2". Decides nothing:
who calls is the edge's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ncap_iac.local.ec2.inventory import Inventory
from ncap_iac.local.ec2.launching import Launch
from ncap_iac.local.ec2.model import Instance
from ncap_iac.local.ec2.requests import Parameters, read_tag_specifications, read_tags
from ncap_iac.local.ec2.tags import TagKeeper
from ncap_iac.local.service import Permission, ServiceError

Context = dict[str, str | Sequence[str]]

CREATED = {
    "CreateLaunchTemplate": "launch-template",
    "CreateSecurityGroup": "security-group",
    "RegisterImage": "image",
}
"""Operations that make one resource, whose id is not known yet."""

_ON_INSTANCES = ("TerminateInstances", "StopInstances", "StartInstances")
_EXISTING = {
    "CreateLaunchTemplateVersion": "LaunchTemplateId",
    "ModifyLaunchTemplate": "LaunchTemplateId",
    "DeleteLaunchTemplate": "LaunchTemplateId",
    "AuthorizeSecurityGroupIngress": "GroupId",
    "AuthorizeSecurityGroupEgress": "GroupId",
    "RevokeSecurityGroupIngress": "GroupId",
    "RevokeSecurityGroupEgress": "GroupId",
    "DeleteSecurityGroup": "GroupId",
    "DeregisterImage": "ImageId",
    "GetConsoleOutput": "InstanceId",
}
"""Operations on one resource that exists, and the parameter with its id."""


class EC2Permissions:
    """Permissions of EC2 calls."""

    def __init__(self, inventory: Inventory, tags: TagKeeper, resolve: Callable[[Parameters], Launch]) -> None:
        self._inventory = inventory
        self._network = inventory.network
        self._tags = tags
        self._resolve = resolve

    def of(self, operation: str, parameters: Parameters) -> list[Permission]:
        """Everything this call needs. Raises ServiceError for a launch that cannot be understood."""
        if operation == "RunInstances":
            return self._run(self._resolve(parameters), parameters)
        if operation in CREATED:
            return self._create(operation, CREATED[operation], parameters)
        if operation in ("CreateTags", "DeleteTags"):
            return self._tag(operation, parameters)
        if operation == "CreateImage":
            return [self._on(operation, parameters.get("InstanceId")), *self._create(operation, "image", parameters)]
        if operation in _ON_INSTANCES:
            return [self._on(operation, instance_id) for instance_id in parameters.get("InstanceIds") or ()]
        if operation in _EXISTING:
            return [self._on(operation, self._named(operation, parameters))]
        return [self._permission(operation, "*", {})]

    def _permission(self, operation: str, resource: str, context: Mapping[str, str | Sequence[str]]) -> Permission:
        return Permission(f"ec2:{operation}", resource, {"ec2:Region": self._network.region, **context})

    def _on(self, operation: str, resource_id: str | None) -> Permission:
        """On an existing resource with its tags. One that does not exist has none: it is refused or not found."""
        if resource_id is None:
            return self._permission(operation, "*", {})
        try:
            resource = self._tags.find(resource_id)
        except ServiceError:
            kinds = {"i": "instance", "ami": "image", "lt": "launch-template", "sg": "security-group"}
            kind = kinds.get(resource_id.partition("-")[0], "*")
            return self._permission(operation, self._network.arn(kind, resource_id), {})
        context: Context = _resource_tags(resource.tags)
        instance = self._inventory.instance(resource_id) if resource.kind == "instance" else None
        if instance:
            context |= self._instance_keys(instance)
        return self._permission(operation, self._network.arn(resource.kind, resource_id), context)

    def _named(self, operation: str, parameters: Parameters) -> str | None:
        """The id of the resource, also when the request gives its name."""
        given = parameters.get(_EXISTING[operation])
        if given:
            return str(given)
        try:
            if parameters.get("LaunchTemplateName"):
                name = str(parameters["LaunchTemplateName"])
                return self._inventory.template(template_id=None, name=name).template_id
            if parameters.get("GroupName"):
                return self._inventory.group_by_name(str(parameters["GroupName"])).group_id
        except ServiceError:
            return None
        return None

    def _instance_keys(self, instance: Instance) -> Context:
        context: Context = {
            "ec2:AvailabilityZone": instance.availability_zone,
            "ec2:InstanceType": instance.instance_type,
            "ec2:MetadataHttpTokens": instance.metadata.http_tokens,
        }
        return {**context, **({"ec2:InstanceProfile": instance.profile.arn} if instance.profile else {})}

    def _create(self, operation: str, kind: str, parameters: Parameters) -> list[Permission]:
        tags = read_tag_specifications(parameters.get("TagSpecifications"), (kind,)).get(kind, {})
        resource = self._network.arn(kind, "*")
        return [
            self._permission(operation, resource, _request_tags(tags)),
            *self._create_tags(operation, resource, tags),
        ]

    def _create_tags(self, operation: str, resource: str, tags: Mapping[str, str]) -> list[Permission]:
        if not tags:
            return []
        return [self._permission("CreateTags", resource, {"ec2:CreateAction": operation, **_request_tags(tags)})]

    def _tag(self, operation: str, parameters: Parameters) -> list[Permission]:
        tags = parameters.get("Tags") or ()
        asked: Context = (
            _request_tags(read_tags(tags))
            if operation == "CreateTags"
            else {"aws:TagKeys": [str(tag.get("Key")) for tag in tags]}
        )
        permissions = [self._on(operation, resource_id) for resource_id in parameters.get("Resources") or ()]
        return [self._permission(operation, p.resource, {**p.context, **asked}) for p in permissions]

    def _run(self, launch: Launch, parameters: Parameters) -> list[Permission]:
        template: Context = {}
        if launch.template:
            template["ec2:LaunchTemplate"] = self._network.arn("launch-template", launch.template.template_id)

        def on(kind: str, name: str, context: Mapping[str, str | Sequence[str]], parameter: str = "") -> Permission:
            """`parameter`: the one that names the resource, if any."""
            whence: Context = {}
            if launch.template:
                whence["ec2:IsLaunchTemplateResource"] = str(parameter in launch.from_template).lower()
            return self._permission("RunInstances", self._network.arn(kind, name), {**template, **whence, **context})

        network, zone = self._network, launch.subnet.zone
        vpc = {"ec2:Vpc": network.arn("vpc", network.vpc_id)}
        subnet = network.arn("subnet", launch.subnet.subnet_id)
        permissions = [
            on("instance", "*", self._launch_keys(launch), "InstanceType"),
            on(
                "image",
                launch.image.image_id,
                {**_resource_tags(launch.image.tags), "ec2:Owner": network.account_id},
                "ImageId",
            ),
            on("subnet", launch.subnet.subnet_id, {**vpc, "ec2:AvailabilityZone": zone}, "SubnetId"),
            on("network-interface", "*", {**vpc, "ec2:Subnet": subnet, "ec2:AvailabilityZone": zone}),
        ]
        for group in launch.groups:
            keys = {**vpc, **_resource_tags(group.tags)}
            permissions.append(on("security-group", group.group_id, keys, "SecurityGroupIds"))
        for volume in launch.volumes:
            keys = {
                "ec2:AvailabilityZone": zone,
                "ec2:Encrypted": str(volume.encrypted).lower(),
                "ec2:VolumeSize": str(volume.size_gib),
                "ec2:VolumeType": volume.volume_type,
                **_request_tags(launch.tags.get("volume", {})),
            }
            permissions.append(on("volume", "*", keys, "BlockDeviceMappings"))
        if launch.template:
            tags = _resource_tags(launch.template.tags)
            permissions.append(on("launch-template", launch.template.template_id, tags, "LaunchTemplate"))
        if launch.market == "spot":
            permissions.append(on("spot-instances-request", "*", {}))
        for kind, given in launch.tags.items():
            permissions += self._create_tags("RunInstances", network.arn(kind, "*"), given)
        return [*permissions, *self._pass_role(launch)]

    def _launch_keys(self, launch: Launch) -> Context:
        context: Context = {
            "ec2:AvailabilityZone": launch.subnet.zone,
            "ec2:InstanceType": launch.instance_type.name,
            "ec2:InstanceMarketType": launch.market,
            "ec2:Tenancy": "default",
            "ec2:RootDeviceType": "ebs",
            "ec2:EbsOptimized": "false",
            **_request_tags(launch.tags.get("instance", {})),
        }
        if launch.names_http_tokens:
            context["ec2:MetadataHttpTokens"] = launch.metadata.http_tokens
            context["ec2:MetadataHttpPutResponseHopLimit"] = str(launch.metadata.http_put_response_hop_limit)
            context["ec2:MetadataHttpEndpoint"] = launch.metadata.http_endpoint
        if launch.profile:
            context["ec2:InstanceProfile"] = launch.profile.arn
        return context

    def _pass_role(self, launch: Launch) -> list[Permission]:
        if launch.profile is None or launch.profile.role_arn is None:
            return []
        context = {
            "iam:PassedToService": "ec2.amazonaws.com",
            "iam:AssociatedResourceArn": self._network.arn("instance", "*"),
        }
        return [Permission("iam:PassRole", launch.profile.role_arn, context)]


def _request_tags(tags: Mapping[str, str]) -> Context:
    if not tags:
        return {}
    return {**{f"aws:RequestTag/{key}": value for key, value in tags.items()}, "aws:TagKeys": sorted(tags)}


def _resource_tags(tags: Mapping[str, str]) -> Context:
    return {f"{prefix}:ResourceTag/{key}": value for key, value in tags.items() for prefix in ("aws", "ec2")}
