"""AWS::KMS::Key and AWS::KMS::Alias."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from ncap_iac.local.cloudformation.provider import (
    Created,
    Provider,
    ResourceError,
    TagRule,
    changed,
    chosen,
    present,
    tag_change,
    tag_map,
)
from ncap_iac.local.cloudformation.values import Properties

_CREATION = ("KeySpec", "KeyUsage", "MultiRegion", "Origin")


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


class KeyProvider(Provider):
    """AWS::KMS::Key. Deleting schedules its deletion."""

    type = "AWS::KMS::Key"
    properties = frozenset(
        {"Description", "EnableKeyRotation", "Enabled", "KeyPolicy", "PendingWindowInDays", "Tags", *_CREATION}
    )
    attributes = frozenset({"Arn", "KeyId"})
    defaults: ClassVar[Properties] = {"EnableKeyRotation": False, "Enabled": True}
    tags = TagRule(reserved=False)
    exact = frozenset({"KeyPolicy"})

    def create(self, properties: Properties) -> Created:
        """CreateKey; rotation and state follow."""
        settings = chosen(properties, "Description", *_CREATION)
        if "MultiRegion" in settings:
            settings["MultiRegion"] = _is_true(settings["MultiRegion"])
        if "KeyPolicy" in properties:
            settings["Policy"] = json.dumps(properties["KeyPolicy"])
        tags = [{"TagKey": key, "TagValue": value} for key, value in tag_map(properties.get("Tags")).items()]
        key = self._client("kms").create_key(Tags=tags, **settings)["KeyMetadata"]
        applied = {"Enabled": True, **chosen(properties, "Description", "KeyPolicy", "Tags", *_CREATION)}
        return Created(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]}, applied)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """One call a changed part."""
        kms = self._client("kms")
        if changed(previous, wanted, *_CREATION):
            raise ResourceError(f"{', '.join(_CREATION)} of an existing key cannot be changed. Add another key.")
        if _is_true(previous.get("Enabled", True)) != _is_true(wanted.get("Enabled", True)):
            (kms.enable_key if _is_true(wanted.get("Enabled", True)) else kms.disable_key)(KeyId=physical_id)
        if changed(previous, wanted, "Description"):
            kms.update_key_description(KeyId=physical_id, Description=wanted.get("Description", ""))
        if changed(previous, wanted, "KeyPolicy") and "KeyPolicy" in wanted:
            document = json.dumps(wanted["KeyPolicy"])
            kms.put_key_policy(KeyId=physical_id, PolicyName="default", Policy=document)
        if _is_true(previous.get("EnableKeyRotation", False)) != _is_true(wanted.get("EnableKeyRotation", False)):
            turn = kms.enable_key_rotation if _is_true(wanted.get("EnableKeyRotation")) else kms.disable_key_rotation
            turn(KeyId=physical_id)
        change = tag_change(previous, wanted)
        if change.remove:
            kms.untag_resource(KeyId=physical_id, TagKeys=list(change.remove))
        if change.put:
            tags = [{"TagKey": key, "TagValue": value} for key, value in change.put.items()]
            kms.tag_resource(KeyId=physical_id, Tags=tags)
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """ScheduleKeyDeletion."""
        kms = self._client("kms")
        answer = present(lambda: kms.describe_key(KeyId=physical_id))
        if answer is not None and answer["KeyMetadata"]["KeyState"] != "PendingDeletion":
            window = int(properties.get("PendingWindowInDays", 30))
            kms.schedule_key_deletion(KeyId=physical_id, PendingWindowInDays=window)

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """DescribeKey, policy, rotation and tags; the waiting time is only used at the end and is as declared."""
        kms = self._client("kms")
        answer = present(lambda: kms.describe_key(KeyId=physical_id))
        if answer is None:
            return None
        found = chosen(answer["KeyMetadata"], "Description", "Enabled", *_CREATION)
        found["KeyPolicy"] = json.loads(kms.get_key_policy(KeyId=physical_id, PolicyName="default")["Policy"])
        if "EnableKeyRotation" in wanted:
            found["EnableKeyRotation"] = kms.get_key_rotation_status(KeyId=physical_id)["KeyRotationEnabled"]
        tags = kms.list_resource_tags(KeyId=physical_id)["Tags"]
        found["Tags"] = [{"Key": tag["TagKey"], "Value": tag["TagValue"]} for tag in tags]
        return {**found, **chosen(wanted, "PendingWindowInDays")}


class AliasProvider(Provider):
    """AWS::KMS::Alias."""

    type = "AWS::KMS::Alias"
    properties = frozenset({"AliasName", "TargetKeyId"})
    required = properties
    create_only = frozenset({"AliasName"})

    def _target(self, name: str) -> str | None:
        for page in self._client("kms").get_paginator("list_aliases").paginate():
            for item in page["Aliases"]:
                if item["AliasName"] == name:
                    return str(item.get("TargetKeyId", ""))
        return None

    def find(self, properties: Properties) -> str | None:
        """The alias of that name."""
        name = str(properties["AliasName"])
        return None if self._target(name) is None else name

    def create(self, properties: Properties) -> Created:
        """CreateAlias."""
        self._client("kms").create_alias(**properties)
        return Created(properties["AliasName"], {}, properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """UpdateAlias."""
        if changed(previous, wanted, "TargetKeyId"):
            self._client("kms").update_alias(AliasName=physical_id, TargetKeyId=wanted["TargetKeyId"])
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteAlias."""
        present(lambda: self._client("kms").delete_alias(AliasName=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """ListAliases; a target given as ARN is compared by its key id."""
        target = self._target(physical_id)
        if target is None:
            return None
        declared = str(wanted.get("TargetKeyId", ""))
        same = declared.rsplit("/", 1)[-1] == target.rsplit("/", 1)[-1]
        return {"AliasName": physical_id, "TargetKeyId": declared if same else target}
