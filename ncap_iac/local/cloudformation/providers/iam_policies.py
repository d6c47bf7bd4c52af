"""AWS::IAM::Policy and AWS::IAM::ManagedPolicy: policies as resources of their own."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ncap_iac.local.cloudformation.provider import (
    Created,
    NameRule,
    Provider,
    ResourceError,
    changed,
    chosen,
    present,
)
from ncap_iac.local.cloudformation.providers.iam_shared import Entity, entities
from ncap_iac.local.cloudformation.readback import same_value
from ncap_iac.local.cloudformation.values import Properties

_MEMBERS = ("Roles", "Users", "Groups")
_MOST_VERSIONS = 5
"""A managed policy keeps at most five versions (IAM quota)."""


def _names(found: list[Entity]) -> dict[str, list[str]]:
    return {
        f"{kind.title()}s": [item.name for item in found if item.kind == kind] for kind in ("role", "user", "group")
    }


class InlinePolicyProvider(Provider):
    """AWS::IAM::Policy: one inline policy written into roles, users and groups."""

    type = "AWS::IAM::Policy"
    has_drift = False
    properties = frozenset({"PolicyDocument", "PolicyName", *_MEMBERS})
    required = frozenset({"PolicyDocument", "PolicyName"})
    attributes = frozenset({"Id"})
    exact = frozenset({"PolicyDocument"})

    def create(self, properties: Properties) -> Created:
        """No call yet: `apply` writes the policy into each entity."""
        if not entities(self._client("iam"), properties):
            raise ResourceError("At least one of Roles, Users and Groups must name somebody")
        members = json.dumps(chosen(properties, "PolicyName", *_MEMBERS), sort_keys=True)
        name = f"{properties['PolicyName']}-{hashlib.sha256(members.encode()).hexdigest()[:12]}"
        return Created(name, {"Id": name})

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Write it where it belongs, remove it where it does not."""
        iam = self._client("iam")
        kept = entities(iam, wanted)
        for entity in kept:
            entity.put_policy(wanted["PolicyName"], wanted["PolicyDocument"])
        renamed = changed(previous, wanted, "PolicyName")
        for entity in entities(iam, previous):
            if renamed or entity not in kept:
                entity.delete_policy(previous["PolicyName"])
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Remove it from every entity."""
        for entity in entities(self._client("iam"), properties):
            entity.delete_policy(properties["PolicyName"])

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """The document, from the entity that differs most; the entities that have it."""
        having = []
        document = None
        for entity in entities(self._client("iam"), wanted):
            found = entity.policy(wanted["PolicyName"])
            if found is None:
                continue
            having.append(entity)
            if document is None or same_value(document, wanted["PolicyDocument"]):
                document = found
        if not having:
            return None
        return {"PolicyName": wanted["PolicyName"], "PolicyDocument": document, **_names(having)}


class ManagedPolicyProvider(Provider):
    """AWS::IAM::ManagedPolicy."""

    type = "AWS::IAM::ManagedPolicy"
    properties = frozenset({"Description", "ManagedPolicyName", "Path", "PolicyDocument", *_MEMBERS})
    required = frozenset({"PolicyDocument"})
    create_only = frozenset({"Description", "ManagedPolicyName", "Path"})
    attributes = frozenset({"PolicyArn", "PolicyId"})
    name = NameRule("ManagedPolicyName", 128)
    exact = frozenset({"PolicyDocument"})

    def find(self, properties: Properties) -> str | None:
        """The policy of that path and name."""
        place = self._place
        path, name = properties.get("Path", "/"), properties["ManagedPolicyName"]
        arn = f"arn:{place.partition}:iam::{place.account_id}:policy{path}{name}"
        return None if present(lambda: self._client("iam").get_policy(PolicyArn=arn)) is None else arn

    def create(self, properties: Properties) -> Created:
        """CreatePolicy; attaching follows."""
        made = self._client("iam").create_policy(
            PolicyName=properties["ManagedPolicyName"],
            PolicyDocument=json.dumps(properties["PolicyDocument"]),
            **chosen(properties, "Path", "Description"),
        )["Policy"]
        applied = {name: value for name, value in properties.items() if name not in _MEMBERS}
        return Created(made["Arn"], {"PolicyArn": made["Arn"], "PolicyId": made["PolicyId"]}, applied)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Another default version; attach and detach."""
        iam = self._client("iam")
        if changed(previous, wanted, "PolicyDocument"):
            self._make_room(physical_id)
            document = json.dumps(wanted["PolicyDocument"])
            iam.create_policy_version(PolicyArn=physical_id, PolicyDocument=document, SetAsDefault=True)
        had, wants = entities(iam, previous), entities(iam, wanted)
        for entity in wants:
            if entity not in had:
                entity.attach(physical_id)
        for entity in had:
            if entity not in wants:
                entity.detach(physical_id)
        return {}

    def _make_room(self, arn: str) -> None:
        others = self._other_versions(arn)
        if len(others) >= _MOST_VERSIONS - 1:
            oldest = min(others, key=lambda item: int(item["VersionId"][1:]))
            self._client("iam").delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])

    def _other_versions(self, arn: str) -> list[dict[str, Any]]:
        answer = self._client("iam").list_policy_versions(PolicyArn=arn)
        return [item for item in answer["Versions"] if not item["IsDefaultVersion"]]

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Detach from its own entities, remove versions, then DeletePolicy."""
        iam = self._client("iam")
        if present(lambda: iam.get_policy(PolicyArn=physical_id)) is None:
            return
        for entity in entities(iam, properties):
            entity.detach(physical_id)
        for version in self._other_versions(physical_id):
            iam.delete_policy_version(PolicyArn=physical_id, VersionId=version["VersionId"])
        present(lambda: iam.delete_policy(PolicyArn=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetPolicy, its default version, and where of its own entities it is attached."""
        iam = self._client("iam")
        answer = present(lambda: iam.get_policy(PolicyArn=physical_id))
        if answer is None:
            return None
        policy = answer["Policy"]
        version = iam.get_policy_version(PolicyArn=physical_id, VersionId=policy["DefaultVersionId"])
        having = [entity for entity in entities(iam, wanted) if physical_id in entity.attached()]
        return {
            "ManagedPolicyName": policy["PolicyName"],
            "PolicyDocument": version["PolicyVersion"]["Document"],
            **chosen(policy, "Path", "Description"),
            **_names(having),
        }
