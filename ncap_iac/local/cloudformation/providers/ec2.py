"""AWS::EC2::SecurityGroup and AWS::EC2::LaunchTemplate, through the local cloud's own EC2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ncap_iac.local.cloudformation.provider import (
    Created,
    NameRule,
    Provider,
    TagRule,
    changed,
    chosen,
    present,
    tag_change,
    tag_list,
    tag_map,
)
from ncap_iac.local.cloudformation.values import Properties

_ANYWHERE = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
"""The rule EC2 gives every group: everything may go out."""


def _permission(rule: Mapping[str, Any], peer: str) -> dict[str, Any]:
    """One rule as the EC2 API takes it; `peer` begins the name of the member that names a group."""
    made: dict[str, Any] = {"IpProtocol": str(rule["IpProtocol"])}
    made |= {name: int(rule[name]) for name in ("FromPort", "ToPort") if name in rule}
    said = {"Description": rule["Description"]} if "Description" in rule else {}
    group = rule.get(f"{peer}SecurityGroupId")
    prefixes = rule.get(f"{peer}PrefixListId")
    if "CidrIp" in rule:
        made["IpRanges"] = [{"CidrIp": rule["CidrIp"], **said}]
    if "CidrIpv6" in rule:
        made["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **said}]
    if group:
        made["UserIdGroupPairs"] = [{"GroupId": group, **said}]
    if prefixes:
        made["PrefixListIds"] = [{"PrefixListId": prefixes, **said}]
    return made


def _rules(permissions: Iterable[Mapping[str, Any]], peer: str) -> list[dict[str, Any]]:
    """The API's permissions as single rules in CloudFormation's shape."""
    rules = []
    for permission in permissions:
        shared = {"IpProtocol": permission["IpProtocol"], **chosen(permission, "FromPort", "ToPort")}
        for member, own, api in (
            ("IpRanges", "CidrIp", "CidrIp"),
            ("Ipv6Ranges", "CidrIpv6", "CidrIpv6"),
            ("UserIdGroupPairs", f"{peer}SecurityGroupId", "GroupId"),
            ("PrefixListIds", f"{peer}PrefixListId", "PrefixListId"),
        ):
            rules += [
                {**shared, own: item[api], **chosen(item, "Description")} for item in permission.get(member) or ()
            ]
    return rules


class SecurityGroupProvider(Provider):
    """AWS::EC2::SecurityGroup. Ref and GroupId are its id."""

    type = "AWS::EC2::SecurityGroup"
    properties = frozenset(
        {"GroupDescription", "GroupName", "SecurityGroupEgress", "SecurityGroupIngress", "Tags", "VpcId"}
    )
    required = frozenset({"GroupDescription"})
    create_only = frozenset({"GroupDescription", "GroupName", "VpcId"})
    attributes = frozenset({"GroupId", "Id", "VpcId"})
    name = NameRule("GroupName", 255)
    defaults: ClassVar[Properties] = {"SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}]}
    tags = TagRule(reserved=False)

    def _describe(self, **which: Any) -> Mapping[str, Any] | None:
        answer = present(lambda: self._client("ec2").describe_security_groups(**which))
        return answer["SecurityGroups"][0] if answer and answer["SecurityGroups"] else None

    def find(self, properties: Properties) -> str | None:
        """The group of that name in the network."""
        filters = [{"Name": "group-name", "Values": [properties["GroupName"]]}]
        if "VpcId" in properties:
            filters.append({"Name": "vpc-id", "Values": [properties["VpcId"]]})
        group = self._describe(Filters=filters)
        return None if group is None else str(group["GroupId"])

    def create(self, properties: Properties) -> Created:
        """CreateSecurityGroup; rules follow."""
        tags = tag_list(tag_map(properties.get("Tags")))
        group_id = self._client("ec2").create_security_group(
            Description=properties["GroupDescription"],
            **chosen(properties, "GroupName", "VpcId"),
            **({"TagSpecifications": [{"ResourceType": "security-group", "Tags": tags}]} if tags else {}),
        )["GroupId"]
        group = self._describe(GroupIds=[group_id]) or {}
        attributes = {"GroupId": group_id, "Id": group_id, "VpcId": group.get("VpcId", "")}
        later = ("SecurityGroupEgress", "SecurityGroupIngress")
        return Created(group_id, attributes, {key: item for key, item in properties.items() if key not in later})

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Authorize what is missing, revoke what left; declared egress takes the place of EC2's own rule."""
        ec2 = self._client("ec2")
        if changed(previous, wanted, "SecurityGroupIngress"):
            before = [_permission(rule, "Source") for rule in previous.get("SecurityGroupIngress", ())]
            after = [_permission(rule, "Source") for rule in wanted.get("SecurityGroupIngress", ())]
            _exchange(
                before, after, physical_id, (ec2.revoke_security_group_ingress, ec2.authorize_security_group_ingress)
            )
        if changed(previous, wanted, "SecurityGroupEgress"):
            before = [_permission(rule, "Destination") for rule in previous.get("SecurityGroupEgress", ())]
            after = [_permission(rule, "Destination") for rule in wanted.get("SecurityGroupEgress", ())]
            calls = (ec2.revoke_security_group_egress, ec2.authorize_security_group_egress)
            _exchange(before or [_ANYWHERE], after or [_ANYWHERE], physical_id, calls)
        change = tag_change(previous, wanted)
        if change.remove:
            ec2.delete_tags(Resources=[physical_id], Tags=[{"Key": key} for key in change.remove])
        if change.put:
            ec2.create_tags(Resources=[physical_id], Tags=tag_list(change.put))
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteSecurityGroup; refused by EC2 while an instance is in it."""
        present(lambda: self._client("ec2").delete_security_group(GroupId=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """DescribeSecurityGroups."""
        group = self._describe(GroupIds=[physical_id])
        if group is None:
            return None
        return {
            "GroupDescription": group["Description"],
            **chosen(group, "GroupName", "VpcId"),
            "SecurityGroupIngress": _rules(group.get("IpPermissions", ()), "Source"),
            "SecurityGroupEgress": _rules(group.get("IpPermissionsEgress", ()), "Destination"),
            "Tags": group.get("Tags", []),
        }


def _exchange(before: list[dict[str, Any]], after: list[dict[str, Any]], group_id: str, calls: tuple[Any, Any]) -> None:
    revoke, authorize = calls
    gone = [rule for rule in before if rule not in after]
    come = [rule for rule in after if rule not in before]
    if gone:
        revoke(GroupId=group_id, IpPermissions=gone)
    if come:
        authorize(GroupId=group_id, IpPermissions=come)


def _with_numbers(value: Any, name: str = "") -> Any:
    """Template data with numbers and truth values where EC2 wants them; CloudFormation also takes text."""
    if isinstance(value, Mapping):
        return {key: _with_numbers(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_numbers(item) for item in value]
    if isinstance(value, str) and name in (
        "VolumeSize",
        "Iops",
        "Throughput",
        "HttpPutResponseHopLimit",
        "DeviceIndex",
    ):
        return int(value)
    if isinstance(value, str) and name in ("Encrypted", "DeleteOnTermination", "Enabled", "EbsOptimized"):
        return value.lower() == "true"
    return value


class LaunchTemplateProvider(Provider):
    """AWS::EC2::LaunchTemplate. A change of its data is another version, which becomes the default one."""

    type = "AWS::EC2::LaunchTemplate"
    properties = frozenset({"LaunchTemplateData", "LaunchTemplateName", "TagSpecifications", "VersionDescription"})
    required = frozenset({"LaunchTemplateData"})
    create_only = frozenset({"LaunchTemplateName"})
    attributes = frozenset({"DefaultVersionNumber", "LatestVersionNumber", "LaunchTemplateId"})
    changing = frozenset({"DefaultVersionNumber", "LatestVersionNumber"})
    name = NameRule("LaunchTemplateName", 128)
    tags = TagRule("TagSpecifications", "launch-template", reserved=False)

    def _describe(self, **which: Any) -> Mapping[str, Any] | None:
        answer = present(lambda: self._client("ec2").describe_launch_templates(**which))
        return answer["LaunchTemplates"][0] if answer and answer["LaunchTemplates"] else None

    def find(self, properties: Properties) -> str | None:
        """The template of that name."""
        filters = [{"Name": "launch-template-name", "Values": [properties["LaunchTemplateName"]]}]
        found = self._describe(Filters=filters)
        return None if found is None else str(found["LaunchTemplateId"])

    @staticmethod
    def _attributes(found: Mapping[str, Any]) -> dict[str, str]:
        return {
            "LaunchTemplateId": found["LaunchTemplateId"],
            "DefaultVersionNumber": str(found["DefaultVersionNumber"]),
            "LatestVersionNumber": str(found["LatestVersionNumber"]),
        }

    def create(self, properties: Properties) -> Created:
        """CreateLaunchTemplate."""
        made = self._client("ec2").create_launch_template(
            LaunchTemplateName=properties["LaunchTemplateName"],
            LaunchTemplateData=_with_numbers(properties["LaunchTemplateData"]),
            **chosen(properties, "TagSpecifications", "VersionDescription"),
        )["LaunchTemplate"]
        return Created(made["LaunchTemplateId"], self._attributes(made), properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """CreateLaunchTemplateVersion, made the default; tags of the template itself."""
        ec2 = self._client("ec2")
        if changed(previous, wanted, "LaunchTemplateData", "VersionDescription"):
            version = ec2.create_launch_template_version(
                LaunchTemplateId=physical_id,
                LaunchTemplateData=_with_numbers(wanted["LaunchTemplateData"]),
                **chosen(wanted, "VersionDescription"),
            )["LaunchTemplateVersion"]
            ec2.modify_launch_template(LaunchTemplateId=physical_id, DefaultVersion=str(version["VersionNumber"]))
        change = tag_change({"Tags": _own_tags(previous)}, {"Tags": _own_tags(wanted)})
        if change.remove:
            ec2.delete_tags(Resources=[physical_id], Tags=[{"Key": key} for key in change.remove])
        if change.put:
            ec2.create_tags(Resources=[physical_id], Tags=tag_list(change.put))
        found = self._describe(LaunchTemplateIds=[physical_id])
        return {} if found is None else self._attributes(found)

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteLaunchTemplate."""
        present(lambda: self._client("ec2").delete_launch_template(LaunchTemplateId=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """The newest version's data; the template's tags."""
        found = self._describe(LaunchTemplateIds=[physical_id])
        if found is None:
            return None
        version = self._client("ec2").describe_launch_template_versions(
            LaunchTemplateId=physical_id, Versions=["$Latest"]
        )["LaunchTemplateVersions"][0]
        tags = found.get("Tags", [])
        return {
            "LaunchTemplateName": found["LaunchTemplateName"],
            "LaunchTemplateData": version["LaunchTemplateData"],
            "TagSpecifications": [{"ResourceType": "launch-template", "Tags": tags}] if tags else [],
            **chosen(version, "VersionDescription"),
        }


def _own_tags(properties: Properties) -> list[dict[str, str]]:
    return [
        tag
        for item in properties.get("TagSpecifications", ())
        if item["ResourceType"] == "launch-template"
        for tag in item["Tags"]
    ]
