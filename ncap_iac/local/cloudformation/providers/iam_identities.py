"""AWS::IAM::Group, AWS::IAM::User, AWS::IAM::UserToGroupAddition and AWS::IAM::AccessKey.

An access key's secret is an attribute: kept in the store's file for Fn::GetAtt, never in an event or an answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import ClassVar

from ncap_iac.local.cloudformation.provider import (
    Client,
    Created,
    NameRule,
    Neighbour,
    Provider,
    TagRule,
    chosen,
    present,
    tag_list,
    tag_map,
)
from ncap_iac.local.cloudformation.providers.iam_entities import EntityProvider
from ncap_iac.local.cloudformation.values import Properties


class GroupProvider(EntityProvider):
    """AWS::IAM::Group."""

    type = "AWS::IAM::Group"
    kind = "group"
    told = ("GroupName", "Path")
    properties = frozenset({"GroupName", "ManagedPolicyArns", "Path", "Policies"})
    create_only = frozenset({"GroupName"})
    attributes = frozenset({"Arn"})
    changing = frozenset({"Arn"})
    name = NameRule("GroupName", 128)
    exact = frozenset({"PolicyDocument"})

    def create(self, properties: Properties) -> Created:
        """CreateGroup; policies follow."""
        settings = chosen(properties, "GroupName", "Path")
        group = self._client("iam").create_group(**settings)["Group"]
        return Created(group["GroupName"], {"Arn": group["Arn"]}, settings)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Path and policies; the ARN follows the path."""
        self._apply_settings(physical_id, previous, wanted)
        return self._move(physical_id, previous, wanted)


def _set_groups(iam: Client, user: str, had: set[str], wants: set[str]) -> None:
    for group in sorted(wants - had):
        iam.add_user_to_group(GroupName=group, UserName=user)
    for group in sorted(had - wants):
        present(lambda group=group: iam.remove_user_from_group(GroupName=group, UserName=user))  # type: ignore[misc]


class UserProvider(EntityProvider):
    """AWS::IAM::User, without a console password."""

    type = "AWS::IAM::User"
    kind = "user"
    told = ("Path", "UserName")
    properties = frozenset(
        {"Groups", "ManagedPolicyArns", "Path", "PermissionsBoundary", "Policies", "Tags", "UserName"}
    )
    create_only = frozenset({"UserName"})
    attributes = frozenset({"Arn"})
    changing = frozenset({"Arn"})
    name = NameRule("UserName", 64)
    tags = TagRule()
    exact = frozenset({"PolicyDocument"})

    def create(self, properties: Properties) -> Created:
        """CreateUser; groups and policies follow."""
        settings = chosen(properties, "UserName", "Path", "PermissionsBoundary")
        tags = tag_list(tag_map(properties.get("Tags")))
        user = self._client("iam").create_user(Tags=tags, **settings)["User"]
        return Created(user["UserName"], {"Arn": user["Arn"]}, {**settings, **chosen(properties, "Tags")})

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """One call a changed part; the ARN follows the path."""
        self._apply_settings(physical_id, previous, wanted)
        iam = self._client("iam")
        _set_groups(iam, physical_id, set(previous.get("Groups", ())), set(wanted.get("Groups", ())))
        return self._move(physical_id, previous, wanted)

    def release(self, physical_id: str, properties: Properties) -> None:
        """Leave its own groups; a key made by hand makes IAM refuse, as on AWS."""
        _set_groups(self._client("iam"), physical_id, set(properties.get("Groups", ())), set())

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetUser, its policies, and which of the wanted groups it is in."""
        found = super().read(physical_id, wanted)
        if found is None or "Groups" not in wanted:
            return found
        return {**found, "Groups": [name for name in self._groups(physical_id) if name in wanted["Groups"]]}

    def observe(self, physical_id: str, wanted: Properties, neighbours: Sequence[Neighbour]) -> Properties | None:
        """As `read`, with policies and groups somebody added by hand."""
        found = super().observe(physical_id, wanted, neighbours)
        if found is None or "Groups" not in wanted:
            return found
        elsewhere = {
            other.properties["GroupName"]
            for other in neighbours
            if other.type == UserToGroupAdditionProvider.type and physical_id in other.properties["Users"]
        }
        return {**found, "Groups": [name for name in self._groups(physical_id) if name not in elsewhere]}

    def _groups(self, name: str) -> list[str]:
        answer = self._client("iam").list_groups_for_user(UserName=name)
        return [item["GroupName"] for item in answer["Groups"]]


class UserToGroupAdditionProvider(Provider):
    """AWS::IAM::UserToGroupAddition: members of a group, as one resource."""

    type = "AWS::IAM::UserToGroupAddition"
    has_drift = False
    properties = frozenset({"GroupName", "Users"})
    required = properties
    attributes = frozenset({"Id"})

    def create(self, properties: Properties) -> Created:
        """No call yet: `apply` adds the users."""
        digest = hashlib.sha256(json.dumps(dict(properties), sort_keys=True).encode()).hexdigest()
        name = f"{properties['GroupName']}-members-{digest[:12]}"
        return Created(name, {"Id": name})

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Add who is missing, remove who left."""
        iam = self._client("iam")
        had = {(previous.get("GroupName"), user) for user in previous.get("Users", ())}
        wants = {(wanted.get("GroupName"), user) for user in wanted.get("Users", ())}
        for group, user in sorted(wants - had):
            iam.add_user_to_group(GroupName=group, UserName=user)
        for group, user in sorted(had - wants):
            present(
                lambda group=group, user=user: iam.remove_user_from_group(  # type: ignore[misc]
                    GroupName=group, UserName=user
                )
            )
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Remove the users it added."""
        self.apply(physical_id, properties, {})

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetGroup: which of the wanted users are in it."""
        answer = present(lambda: self._client("iam").get_group(GroupName=wanted["GroupName"]))
        if answer is None:
            return None
        members = {user["UserName"] for user in answer["Users"]}
        return {"GroupName": wanted["GroupName"], "Users": [user for user in wanted["Users"] if user in members]}


class AccessKeyProvider(Provider):
    """AWS::IAM::AccessKey. `Serial` is CloudFormation's own: a higher one replaces the key."""

    type = "AWS::IAM::AccessKey"
    has_drift = False
    properties = frozenset({"Serial", "Status", "UserName"})
    required = frozenset({"UserName"})
    create_only = frozenset({"Serial", "UserName"})
    attributes = frozenset({"SecretAccessKey"})
    defaults: ClassVar[Properties] = {"Status": "Active"}

    def create(self, properties: Properties) -> Created:
        """CreateAccessKey; the only moment the secret is told."""
        key = self._client("iam").create_access_key(UserName=properties["UserName"])["AccessKey"]
        applied = {**chosen(properties, "Serial", "UserName"), "Status": "Active"}
        return Created(key["AccessKeyId"], {"SecretAccessKey": key["SecretAccessKey"]}, applied)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """UpdateAccessKey."""
        status = wanted.get("Status", "Active")
        if previous.get("Status", "Active") != status:
            user = wanted["UserName"]
            self._client("iam").update_access_key(UserName=user, AccessKeyId=physical_id, Status=status)
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteAccessKey."""
        iam = self._client("iam")
        present(lambda: iam.delete_access_key(UserName=properties["UserName"], AccessKeyId=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """ListAccessKeys of the user."""
        answer = present(lambda: self._client("iam").list_access_keys(UserName=wanted["UserName"]))
        for key in answer["AccessKeyMetadata"] if answer else ():
            if key["AccessKeyId"] == physical_id:
                return {**chosen(wanted, "Serial"), "UserName": key["UserName"], "Status": key["Status"]}
        return None
