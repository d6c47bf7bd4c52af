"""AWS::IAM::Role and AWS::IAM::InstanceProfile."""

from __future__ import annotations

import json
from typing import ClassVar

from ncap_iac.local.cloudformation.provider import (
    Created,
    NameRule,
    Provider,
    TagRule,
    changed,
    chosen,
    present,
    tag_list,
    tag_map,
)
from ncap_iac.local.cloudformation.providers.iam_entities import EntityProvider
from ncap_iac.local.cloudformation.values import Properties


class RoleProvider(EntityProvider):
    """AWS::IAM::Role."""

    type = "AWS::IAM::Role"
    kind = "role"
    told = ("AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "Path", "RoleName")
    properties = frozenset(
        {
            "AssumeRolePolicyDocument",
            "Description",
            "ManagedPolicyArns",
            "MaxSessionDuration",
            "Path",
            "PermissionsBoundary",
            "Policies",
            "RoleName",
            "Tags",
        }
    )
    required = frozenset({"AssumeRolePolicyDocument"})
    create_only = frozenset({"Path", "RoleName"})
    attributes = frozenset({"Arn", "RoleId"})
    name = NameRule("RoleName", 64)
    defaults: ClassVar[Properties] = {"MaxSessionDuration": 3600}
    tags = TagRule()
    exact = frozenset({"AssumeRolePolicyDocument", "PolicyDocument"})

    def create(self, properties: Properties) -> Created:
        """CreateRole; policies follow."""
        settings = chosen(properties, "RoleName", "Path", "Description", "PermissionsBoundary")
        if "MaxSessionDuration" in properties:
            settings["MaxSessionDuration"] = int(properties["MaxSessionDuration"])
        role = self._client("iam").create_role(
            AssumeRolePolicyDocument=json.dumps(properties["AssumeRolePolicyDocument"]),
            Tags=tag_list(tag_map(properties.get("Tags"))),
            **settings,
        )["Role"]
        applied = {name: value for name, value in properties.items() if name not in ("Policies", "ManagedPolicyArns")}
        return Created(role["RoleName"], {"Arn": role["Arn"], "RoleId": role["RoleId"]}, applied)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """One call a changed part."""
        iam = self._client("iam")
        if changed(previous, wanted, "AssumeRolePolicyDocument"):
            document = json.dumps(wanted["AssumeRolePolicyDocument"])
            iam.update_assume_role_policy(RoleName=physical_id, PolicyDocument=document)
        if changed(previous, wanted, "Description"):
            # UpdateRole of the local IAM takes an empty description for none given.
            iam.update_role_description(RoleName=physical_id, Description=wanted.get("Description", ""))
        if changed(previous, wanted, "MaxSessionDuration"):
            iam.update_role(RoleName=physical_id, MaxSessionDuration=int(wanted.get("MaxSessionDuration", 3600)))
        self._apply_settings(physical_id, previous, wanted)
        return {}


class InstanceProfileProvider(Provider):
    """AWS::IAM::InstanceProfile: one role for the instances that carry it."""

    type = "AWS::IAM::InstanceProfile"
    properties = frozenset({"InstanceProfileName", "Path", "Roles"})
    required = frozenset({"Roles"})
    create_only = frozenset({"InstanceProfileName", "Path"})
    attributes = frozenset({"Arn"})
    name = NameRule("InstanceProfileName", 128)

    def find(self, properties: Properties) -> str | None:
        """The instance profile of that name."""
        return None if self.read(properties["InstanceProfileName"], {}) is None else properties["InstanceProfileName"]

    def create(self, properties: Properties) -> Created:
        """CreateInstanceProfile; the role follows."""
        settings = chosen(properties, "InstanceProfileName", "Path")
        made = self._client("iam").create_instance_profile(**settings)["InstanceProfile"]
        return Created(made["InstanceProfileName"], {"Arn": made["Arn"]}, settings)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Exchange the role."""
        iam = self._client("iam")
        had, wants = set(previous.get("Roles", ())), set(wanted.get("Roles", ()))
        for role in sorted(had - wants):
            present(
                lambda role=role: iam.remove_role_from_instance_profile(  # type: ignore[misc]
                    InstanceProfileName=physical_id, RoleName=role
                )
            )
        for role in sorted(wants - had):
            iam.add_role_to_instance_profile(InstanceProfileName=physical_id, RoleName=role)
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Take the role away, then DeleteInstanceProfile."""
        if self.read(physical_id, {}) is None:
            return
        self.apply(physical_id, properties, {})
        present(lambda: self._client("iam").delete_instance_profile(InstanceProfileName=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetInstanceProfile."""
        answer = present(lambda: self._client("iam").get_instance_profile(InstanceProfileName=physical_id))
        if answer is None:
            return None
        found = answer["InstanceProfile"]
        return {
            "InstanceProfileName": found["InstanceProfileName"],
            "Path": found["Path"],
            "Roles": [role["RoleName"] for role in found["Roles"]],
        }
