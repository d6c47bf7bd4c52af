"""Security groups: made, changed, listed, deleted. Kept faithfully and enforced by nothing: local instances share the
host's network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ncap_iac.local.ec2.filters import Fields, page, select
from ncap_iac.local.ec2.inventory import GROUPS, Inventory
from ncap_iac.local.ec2.model import Document, SecurityGroup
from ncap_iac.local.ec2.requests import (
    Parameters,
    check_id,
    invalid,
    read_tag_specifications,
    refuse_others,
    required,
    stop_dry_run,
)
from ncap_iac.local.ec2.shapes import group_shape
from ncap_iac.local.service import ServiceError

Answer = Mapping[str, Any]

_SOURCES = {
    "IpRanges": "CidrIp",
    "Ipv6Ranges": "CidrIpv6",
    "PrefixListIds": "PrefixListId",
    "UserIdGroupPairs": "GroupId",
}
"""Where a rule's traffic comes from or goes to, and the field that names it."""

_ALL_OUT: Document = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
_LONGEST_NAME = 255
_FILTERS: Fields[SecurityGroup] = {
    "description": lambda group: [group.description],
    "group-id": lambda group: [group.group_id],
    "group-name": lambda group: [group.name],
    "vpc-id": lambda group: [group.vpc_id],
}


class SecurityGroups:
    """The operations on security groups."""

    def __init__(self, inventory: Inventory, *, is_used: Callable[[str], bool]) -> None:
        self._inventory = inventory
        self._is_used = is_used

    def ensure_default(self) -> None:
        """The default group of the VPC is always there."""
        network = self._inventory.network
        if self._inventory.store.get(GROUPS, network.default_group_id) is None:
            own = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": network.default_group_id}]}
            self._inventory.save_group(
                SecurityGroup(
                    group_id=network.default_group_id,
                    name="default",
                    description="default VPC security group",
                    vpc_id=network.vpc_id,
                    ingress=(own,),
                    egress=(_ALL_OUT,),
                    tags={},
                )
            )

    def which(self, parameters: Parameters) -> SecurityGroup:
        """The group a request names. Raises InvalidGroup*."""
        if parameters.get("GroupId"):
            return self._inventory.group(parameters["GroupId"])
        if parameters.get("GroupName"):
            return self._inventory.group_by_name(parameters["GroupName"])
        raise ServiceError("MissingParameter", "The request must contain the parameter groupName or groupId")

    def create(self, parameters: Parameters) -> Answer:
        """CreateSecurityGroup; all traffic out is allowed until that rule is revoked."""
        refuse_others("CreateSecurityGroup", parameters, ("Description", "GroupName", "VpcId", "TagSpecifications"))
        name, network = required(parameters, "GroupName"), self._inventory.network
        if len(name) > _LONGEST_NAME or name.startswith("sg-"):
            raise invalid(name, "groupName", "At most 255 characters, not beginning with sg-.")
        vpc_id = parameters.get("VpcId") or network.vpc_id
        if vpc_id != network.vpc_id:
            raise ServiceError("InvalidVpcID.NotFound", f"The vpc ID '{vpc_id}' does not exist")
        tags = read_tag_specifications(parameters.get("TagSpecifications"), ("security-group",))
        with self._inventory.store.transaction():
            if any(group.name == name for group in self._inventory.groups()):
                message = f"The security group '{name}' already exists for VPC '{vpc_id}'"
                raise ServiceError("InvalidGroup.Duplicate", message)
            stop_dry_run(parameters)
            group = SecurityGroup(
                group_id=self._inventory.make_id("sg"),
                name=name,
                description=required(parameters, "Description"),
                vpc_id=vpc_id,
                ingress=(),
                egress=(_ALL_OUT,),
                tags=tags.get("security-group", {}),
            )
            self._inventory.save_group(group)
        shape = group_shape(group, self._inventory)
        return {name: shape[name] for name in ("GroupId", "Tags", "SecurityGroupArn")}

    def authorize(self, parameters: Parameters, *, out: bool) -> Answer:
        """AuthorizeSecurityGroupIngress and …Egress. A rule that is there already is InvalidPermission.Duplicate."""
        with self._inventory.store.transaction():
            group, rules = self._rules_of(parameters, out=out)
            present = group.egress if out else group.ingress
            known = {_identity(rule) for rule in present}
            for rule in rules:
                if _identity(rule) in known:
                    raise ServiceError(
                        "InvalidPermission.Duplicate", f"the specified rule already exists: {_said(rule)}"
                    )
                known.add(_identity(rule))
            stop_dry_run(parameters)
            self._save(group, (*present, *rules), out=out)
        return {"Return": True, "SecurityGroupRules": []}

    def revoke(self, parameters: Parameters, *, out: bool) -> Answer:
        """RevokeSecurityGroupIngress and …Egress. A rule that is not there is InvalidPermission.NotFound."""
        with self._inventory.store.transaction():
            group, rules = self._rules_of(parameters, out=out)
            present = group.egress if out else group.ingress
            gone = {_identity(rule) for rule in rules}
            known = {_identity(rule) for rule in present}
            for rule in rules:
                if _identity(rule) not in known:
                    message = f"The specified rule does not exist in this security group: {_said(rule)}"
                    raise ServiceError("InvalidPermission.NotFound", message)
            stop_dry_run(parameters)
            self._save(group, tuple(rule for rule in present if _identity(rule) not in gone), out=out)
        return {"Return": True}

    def _rules_of(self, parameters: Parameters, *, out: bool) -> tuple[SecurityGroup, list[Document]]:
        direction = "Egress" if out else "Ingress"
        short = ("IpProtocol", "FromPort", "ToPort", "CidrIp")
        refuse_others(f"SecurityGroup{direction}", parameters, ("GroupId", "GroupName", "IpPermissions", *short))
        permissions = list(parameters.get("IpPermissions") or ())
        if parameters.get("IpProtocol"):
            said = {name: parameters[name] for name in short[:3] if parameters.get(name) is not None}
            ranges = [{"CidrIp": parameters["CidrIp"]}] if parameters.get("CidrIp") else []
            permissions.append({**said, "IpRanges": ranges})
        if not permissions:
            raise ServiceError("MissingParameter", "The request must contain the parameter ipPermissions")
        return self.which(parameters), [rule for permission in permissions for rule in _single_rules(permission)]

    def _save(self, group: SecurityGroup, rules: Sequence[Document], *, out: bool) -> None:
        changed = replace(group, egress=tuple(rules)) if out else replace(group, ingress=tuple(rules))
        self._inventory.save_group(changed)

    def describe(self, parameters: Parameters) -> Answer:
        """DescribeSecurityGroups."""
        accepted = ("GroupIds", "GroupNames", "Filters", "MaxResults", "NextToken")
        refuse_others("DescribeSecurityGroups", parameters, accepted)
        ids, names = parameters.get("GroupIds") or (), parameters.get("GroupNames") or ()
        candidates = self._inventory.groups()
        if ids or names:
            found_by_id = [self._inventory.group(group_id) for group_id in ids]
            candidates = [*found_by_id, *(self._inventory.group_by_name(name) for name in names)]
        found, token = page(select(candidates, parameters, _FILTERS, lambda group: group.tags), parameters)
        answer = {"SecurityGroups": [group_shape(group, self._inventory) for group in found]}
        return {**answer, "NextToken": token} if token else answer

    def delete(self, parameters: Parameters) -> Answer:
        """DeleteSecurityGroup; one in use by a live instance or another group's rule stays."""
        refuse_others("DeleteSecurityGroup", parameters, ("GroupId", "GroupName"))
        with self._inventory.store.transaction():
            group = self.which(parameters)
            if group.name == "default":
                message = f'the specified group: "{group.group_id}" name: "default" cannot be deleted by a user'
                raise ServiceError("CannotDelete", message)
            if self._is_used(group.group_id) or self._is_named_elsewhere(group):
                raise ServiceError("DependencyViolation", f"resource {group.group_id} has a dependent object")
            stop_dry_run(parameters)
            self._inventory.store.delete(GROUPS, group.group_id)
        return {"Return": True, "GroupId": group.group_id}

    def _is_named_elsewhere(self, group: SecurityGroup) -> bool:
        return any(
            pair.get("GroupId") == group.group_id
            for other in self._inventory.groups()
            if other.group_id != group.group_id
            for rule in (*other.ingress, *other.egress)
            for pair in rule.get("UserIdGroupPairs") or ()
        )


def _single_rules(permission: Parameters) -> Iterable[Document]:
    """One rule a source, so that rules can be compared and revoked one by one."""
    refuse_others("IpPermissions", permission, ("IpProtocol", "FromPort", "ToPort", *_SOURCES))
    ports = {name: int(permission[name]) for name in ("FromPort", "ToPort") if permission.get(name) is not None}
    base = {"IpProtocol": str(required(permission, "IpProtocol")), **ports}
    count = 0
    for source, field in _SOURCES.items():
        for entry in permission.get(source) or ():
            if source == "UserIdGroupPairs":
                check_id(required(entry, "GroupId"), "sg", "InvalidGroupId.Malformed")
            required(entry, field)
            count += 1
            yield {**base, source: [dict(entry)]}
    if count == 0:
        raise ServiceError("InvalidParameterValue", "A rule names at least one range, prefix list or group.")


def _identity(rule: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two rules the same: descriptions do not count."""
    named = [(source, entry[field]) for source, field in _SOURCES.items() for entry in rule.get(source) or ()]
    return (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"), *named)


def _said(rule: Mapping[str, Any]) -> str:
    return ", ".join(str(part) for part in _identity(rule) if part is not None)
