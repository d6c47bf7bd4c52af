"""AWS::IAM::Group, AWS::IAM::User, AWS::IAM::UserToGroupAddition and AWS::IAM::AccessKey.

An access key's secret is an attribute: kept in the store's file for Fn::GetAtt, never in an event or an answer.
"""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar

from ncap_iac.local.cloudformation.provider import (
    Client,
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
from ncap_iac.local.cloudformation.providers.iam_shared import Entity, apply_policies, boundary_of, read_policies
from ncap_iac.local.cloudformation.values import Properties


class GroupProvider(Provider):
    """AWS::IAM::Group."""

    type = "AWS::IAM::Group"
    properties = frozenset({"GroupName", "ManagedPolicyArns", "Path", "Policies"})
    create_only = frozenset({"GroupName"})
    attributes = frozenset({"Arn"})
    name = NameRule("GroupName", 128)
    exact = frozenset({"PolicyDocument"})

    def _entity(self, name: str) -> Entity:
        return Entity(self._client("iam"), "group", name)

    def find(self, properties: Properties) -> str | None:
        """The group of that name."""
        name = str(properties["GroupName"])
        return None if present(lambda: self._client("iam").get_group(GroupName=name)) is None else name

    def create(self, properties: Properties) -> Created:
        """CreateGroup; policies follow."""
        settings = chosen(properties, "GroupName", "Path")
        group = self._client("iam").create_group(**settings)["Group"]
        return Created(group["GroupName"], {"Arn": group["Arn"]}, settings)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Path and policies."""
        if changed(previous, wanted, "Path"):
            self._client("iam").update_group(GroupName=physical_id, NewPath=wanted.get("Path", "/"))
        apply_policies(self._entity(physical_id), previous, wanted)
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Take its own policies away, then DeleteGroup."""
        if self.find({"GroupName": physical_id}) is None:
            return
        apply_policies(self._entity(physical_id), properties, {})
        present(lambda: self._client("iam").delete_group(GroupName=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetGroup and its policies."""
        answer = present(lambda: self._client("iam").get_group(GroupName=physical_id))
        if answer is None:
            return None
        return {
            **chosen(answer["Group"], "GroupName", "Path"),
            **read_policies(self._entity(physical_id), wanted),
        }


def _set_groups(iam: Client, user: str, had: set[str], wants: set[str]) -> None:
    for group in sorted(wants - had):
        iam.add_user_to_group(GroupName=group, UserName=user)
    for group in sorted(had - wants):
        present(lambda group=group: iam.remove_user_from_group(GroupName=group, UserName=user))  # type: ignore[misc]


class UserProvider(Provider):
    """AWS::IAM::User, without a console password."""

    type = "AWS::IAM::User"
    properties = frozenset(
        {"Groups", "ManagedPolicyArns", "Path", "PermissionsBoundary", "Policies", "Tags", "UserName"}
    )
    create_only = frozenset({"UserName"})
    attributes = frozenset({"Arn"})
    name = NameRule("UserName", 64)
    tags = TagRule()
    exact = frozenset({"PolicyDocument"})

    def _entity(self, name: str) -> Entity:
        return Entity(self._client("iam"), "user", name)

    def find(self, properties: Properties) -> str | None:
        """The user of that name."""
        name = str(properties["UserName"])
        return None if present(lambda: self._client("iam").get_user(UserName=name)) is None else name

    def create(self, properties: Properties) -> Created:
        """CreateUser; groups and policies follow."""
        settings = chosen(properties, "UserName", "Path", "PermissionsBoundary")
        tags = tag_list(tag_map(properties.get("Tags")))
        user = self._client("iam").create_user(Tags=tags, **settings)["User"]
        return Created(user["UserName"], {"Arn": user["Arn"]}, {**settings, **chosen(properties, "Tags")})

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """One call a changed part."""
        iam = self._client("iam")
        if changed(previous, wanted, "Path"):
            iam.update_user(UserName=physical_id, NewPath=wanted.get("Path", "/"))
        if changed(previous, wanted, "PermissionsBoundary"):
            if "PermissionsBoundary" in wanted:
                boundary = wanted["PermissionsBoundary"]
                iam.put_user_permissions_boundary(UserName=physical_id, PermissionsBoundary=boundary)
            else:
                iam.delete_user_permissions_boundary(UserName=physical_id)
        change = tag_change(previous, wanted)
        if change.remove:
            iam.untag_user(UserName=physical_id, TagKeys=list(change.remove))
        if change.put:
            iam.tag_user(UserName=physical_id, Tags=tag_list(change.put))
        _set_groups(iam, physical_id, set(previous.get("Groups", ())), set(wanted.get("Groups", ())))
        apply_policies(self._entity(physical_id), previous, wanted)
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Take its own groups and policies away, then DeleteUser; a key made by hand makes IAM refuse, as on AWS."""
        iam = self._client("iam")
        if self.find({"UserName": physical_id}) is None:
            return
        _set_groups(iam, physical_id, set(properties.get("Groups", ())), set())
        apply_policies(self._entity(physical_id), properties, {})
        present(lambda: iam.delete_user(UserName=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetUser, its groups and policies."""
        iam = self._client("iam")
        answer = present(lambda: iam.get_user(UserName=physical_id))
        if answer is None:
            return None
        user = answer["User"]
        found = {
            **chosen(user, "Path", "UserName"),
            "PermissionsBoundary": boundary_of(user),
            "Tags": user.get("Tags", []),
            **read_policies(self._entity(physical_id), wanted),
        }
        if "Groups" in wanted:
            named = iam.list_groups_for_user(UserName=physical_id)["Groups"]
            found["Groups"] = [item["GroupName"] for item in named if item["GroupName"] in wanted["Groups"]]
        return found


class UserToGroupAdditionProvider(Provider):
    """AWS::IAM::UserToGroupAddition: members of a group, as one resource."""

    type = "AWS::IAM::UserToGroupAddition"
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
