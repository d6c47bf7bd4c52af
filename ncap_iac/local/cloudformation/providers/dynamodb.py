"""AWS::DynamoDB::Table, with indexes, recovery, encryption, expiry and streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ncap_iac.local.cloudformation.provider import (
    Created,
    NameRule,
    Provider,
    ResourceError,
    TagRule,
    changed,
    chosen,
    present,
    tag_change,
    tag_list,
    tag_map,
)
from ncap_iac.local.cloudformation.values import Properties

_POLLS = 300
_POLL_S = 0.1
_PAID = "PROVISIONED"


def _encryption(properties: Properties) -> dict[str, Any]:
    given = properties.get("SSESpecification", {})
    enabled = str(given.get("SSEEnabled", False)).lower() == "true"
    return {"Enabled": enabled, **chosen(given, "SSEType", "KMSMasterKeyId")}


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _throughput(value: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(amount) for name, amount in value.items()}


def _index(value: Mapping[str, Any]) -> dict[str, Any]:
    made = chosen(value, "IndexName", "KeySchema", "Projection")
    if "ProvisionedThroughput" in value:
        made["ProvisionedThroughput"] = _throughput(value["ProvisionedThroughput"])
    return made


class TableProvider(Provider):
    """AWS::DynamoDB::Table."""

    type = "AWS::DynamoDB::Table"
    properties = frozenset(
        {
            "AttributeDefinitions",
            "BillingMode",
            "DeletionProtectionEnabled",
            "GlobalSecondaryIndexes",
            "KeySchema",
            "PointInTimeRecoverySpecification",
            "ProvisionedThroughput",
            "SSESpecification",
            "StreamSpecification",
            "TableName",
            "Tags",
            "TimeToLiveSpecification",
        }
    )
    required = frozenset({"AttributeDefinitions", "KeySchema"})
    create_only = frozenset({"KeySchema", "TableName"})
    attributes = frozenset({"Arn", "StreamArn"})
    changing = frozenset({"StreamArn"})
    name = NameRule("TableName", 255)
    defaults: ClassVar[Properties] = {
        "BillingMode": _PAID,
        "DeletionProtectionEnabled": False,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False},
    }
    tags = TagRule()

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        answer = present(lambda: self._client("dynamodb").describe_table(TableName=name))
        return None if answer is None else answer["Table"]

    def find(self, properties: Properties) -> str | None:
        """The table of that name."""
        return None if self._describe(properties["TableName"]) is None else properties["TableName"]

    def create(self, properties: Properties) -> Created:
        """CreateTable; recovery and expiry follow."""
        settings = chosen(properties, "AttributeDefinitions", "KeySchema", "TableName")
        settings["BillingMode"] = properties.get("BillingMode", _PAID)
        if "ProvisionedThroughput" in properties:
            settings["ProvisionedThroughput"] = _throughput(properties["ProvisionedThroughput"])
        if "GlobalSecondaryIndexes" in properties:
            settings["GlobalSecondaryIndexes"] = [_index(item) for item in properties["GlobalSecondaryIndexes"]]
        if "StreamSpecification" in properties:
            settings["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
        if "SSESpecification" in properties:
            settings["SSESpecification"] = _encryption(properties)
        table = self._client("dynamodb").create_table(
            DeletionProtectionEnabled=_is_true(properties.get("DeletionProtectionEnabled", False)),
            Tags=tag_list(tag_map(properties.get("Tags"))),
            **settings,
        )["TableDescription"]
        later = ("PointInTimeRecoverySpecification", "TimeToLiveSpecification")
        applied = {name: value for name, value in properties.items() if name not in later}
        return Created(table["TableName"], self._attributes(table), applied)

    def adopt(self, properties: Properties) -> Created | None:
        """A table that exists; what can only be set at creation must match, as the read-back will tell."""
        table = self._describe(properties["TableName"])
        if table is None:
            return None
        later = ("PointInTimeRecoverySpecification", "TimeToLiveSpecification", "Tags")
        applied = {name: value for name, value in properties.items() if name not in later}
        return Created(table["TableName"], self._attributes(table), applied)

    @staticmethod
    def _attributes(table: Mapping[str, Any]) -> dict[str, Any]:
        stream = table.get("LatestStreamArn")
        return {"Arn": table["TableArn"], **({"StreamArn": stream} if stream else {})}

    def _settle(self, name: str) -> Mapping[str, Any]:
        """Wait until table and indexes are active. Raises ResourceError."""
        for _ in range(_POLLS):
            table = self._describe(name)
            if table is None:
                raise ResourceError(f"table {name} vanished")
            states = [table["TableStatus"], *(item["IndexStatus"] for item in table.get("GlobalSecondaryIndexes", ()))]
            if set(states) == {"ACTIVE"}:
                return table
            self._surface.sleep(_POLL_S)
        raise ResourceError(f"table {name} did not become active within {_POLLS * _POLL_S:.0f} s")

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """UpdateTable a part at a time, as DynamoDB demands; then recovery, expiry, tags."""
        client = self._client("dynamodb")
        self._settle(physical_id)
        for update in self._updates(previous, wanted):
            client.update_table(TableName=physical_id, **update)
            self._settle(physical_id)
        if changed(previous, wanted, "PointInTimeRecoverySpecification"):
            specification = wanted.get("PointInTimeRecoverySpecification", {"PointInTimeRecoveryEnabled": False})
            client.update_continuous_backups(
                TableName=physical_id,
                PointInTimeRecoverySpecification={
                    **specification,
                    "PointInTimeRecoveryEnabled": _is_true(specification["PointInTimeRecoveryEnabled"]),
                },
            )
        if changed(previous, wanted, "TimeToLiveSpecification"):
            self._expire(physical_id, previous, wanted)
        change, arn = tag_change(previous, wanted), self._settle(physical_id)["TableArn"]
        if change.remove:
            client.untag_resource(ResourceArn=arn, TagKeys=list(change.remove))
        if change.put:
            client.tag_resource(ResourceArn=arn, Tags=tag_list(change.put))
        return self._attributes(self._settle(physical_id))

    def _expire(self, name: str, previous: Properties, wanted: Properties) -> None:
        client = self._client("dynamodb")
        had = previous.get("TimeToLiveSpecification", {"Enabled": False})
        wants = wanted.get("TimeToLiveSpecification", {"Enabled": False})
        on, was_on = _is_true(wants["Enabled"]), _is_true(had["Enabled"])
        if was_on and (not on or had["AttributeName"] != wants["AttributeName"]):
            off = {"AttributeName": had["AttributeName"], "Enabled": False}
            client.update_time_to_live(TableName=name, TimeToLiveSpecification=off)
        if on and (not was_on or had["AttributeName"] != wants["AttributeName"]):
            specification = {"AttributeName": wants["AttributeName"], "Enabled": True}
            client.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)

    def _updates(self, previous: Properties, wanted: Properties) -> list[dict[str, Any]]:
        """Parameters of one UpdateTable each."""
        updates: list[dict[str, Any]] = []
        if changed(previous, wanted, "BillingMode", "ProvisionedThroughput"):
            mode = wanted.get("BillingMode", _PAID)
            amount = {"ProvisionedThroughput": _throughput(wanted.get("ProvisionedThroughput", {}))}
            updates.append({"BillingMode": mode, **(amount if mode == _PAID else {})})
        if changed(previous, wanted, "DeletionProtectionEnabled"):
            protected = _is_true(wanted.get("DeletionProtectionEnabled", False))
            updates.append({"DeletionProtectionEnabled": protected})
        if changed(previous, wanted, "SSESpecification"):
            updates.append({"SSESpecification": _encryption(wanted)})
        if changed(previous, wanted, "StreamSpecification"):
            if "StreamSpecification" in previous:
                updates.append({"StreamSpecification": {"StreamEnabled": False}})
            if "StreamSpecification" in wanted:
                updates.append({"StreamSpecification": {"StreamEnabled": True, **wanted["StreamSpecification"]}})
        had = {item["IndexName"]: item for item in previous.get("GlobalSecondaryIndexes", ())}
        wants = {item["IndexName"]: item for item in wanted.get("GlobalSecondaryIndexes", ())}
        for name in sorted(had):
            if had[name] != wants.get(name):
                updates.append({"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": name}}]})
        for name in sorted(wants):
            if wants[name] != had.get(name):
                updates.append(
                    {
                        "AttributeDefinitions": wanted["AttributeDefinitions"],
                        "GlobalSecondaryIndexUpdates": [{"Create": _index(wants[name])}],
                    }
                )
        return updates

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteTable; refused by DynamoDB while the table is protected."""
        if present(lambda: self._client("dynamodb").delete_table(TableName=physical_id)) is None:
            return
        for _ in range(_POLLS):
            if self._describe(physical_id) is None:
                return
            self._surface.sleep(_POLL_S)
        raise ResourceError(f"table {physical_id} was not gone within {_POLLS * _POLL_S:.0f} s")

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """DescribeTable, recovery, expiry and tags."""
        client = self._client("dynamodb")
        table = self._describe(physical_id)
        if table is None:
            return None
        found = chosen(
            table,
            "TableName",
            "AttributeDefinitions",
            "KeySchema",
            "DeletionProtectionEnabled",
            "ProvisionedThroughput",
        )
        found["BillingMode"] = table.get("BillingModeSummary", {}).get("BillingMode", _PAID)
        found["GlobalSecondaryIndexes"] = [
            chosen(item, "IndexName", "KeySchema", "Projection", "ProvisionedThroughput")
            for item in table.get("GlobalSecondaryIndexes", ())
        ]
        if table.get("StreamSpecification", {}).get("StreamEnabled"):
            found["StreamSpecification"] = table["StreamSpecification"]
        encryption = table.get("SSEDescription", {})
        found["SSESpecification"] = {
            "SSEEnabled": encryption.get("Status") in ("ENABLED", "ENABLING", "UPDATING"),
            "SSEType": encryption.get("SSEType"),
            "KMSMasterKeyId": encryption.get("KMSMasterKeyArn"),
        }
        backups = client.describe_continuous_backups(TableName=physical_id)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {})
        found["PointInTimeRecoverySpecification"] = {
            "PointInTimeRecoveryEnabled": recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
            **chosen(recovery, "RecoveryPeriodInDays"),
        }
        expiry = client.describe_time_to_live(TableName=physical_id)["TimeToLiveDescription"]
        found["TimeToLiveSpecification"] = {
            "Enabled": expiry.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"),
            **chosen(expiry, "AttributeName"),
        }
        found["Tags"] = client.list_tags_of_resource(ResourceArn=table["TableArn"]).get("Tags", [])
        return found
