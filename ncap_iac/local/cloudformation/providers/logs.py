"""AWS::Logs::LogGroup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ncap_iac.local.cloudformation.provider import (
    Created,
    NameRule,
    Provider,
    TagRule,
    changed,
    present,
    tag_change,
    tag_list,
    tag_map,
)
from ncap_iac.local.cloudformation.values import Properties


class LogGroupProvider(Provider):
    """AWS::Logs::LogGroup."""

    type = "AWS::Logs::LogGroup"
    properties = frozenset({"KmsKeyId", "LogGroupClass", "LogGroupName", "RetentionInDays", "Tags"})
    create_only = frozenset({"LogGroupName"})
    attributes = frozenset({"Arn"})
    name = NameRule("LogGroupName", 512)
    defaults: ClassVar[Properties] = {"LogGroupClass": "STANDARD"}
    tags = TagRule()
    held: ClassVar[Mapping[str, str]] = {"KmsKeyId": "The local log service has no AssociateKmsKey; logs are in clear."}

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        answer = self._client("logs").describe_log_groups(logGroupNamePrefix=name)
        return next((item for item in answer["logGroups"] if item["logGroupName"] == name), None)

    def find(self, properties: Properties) -> str | None:
        """The log group of that name."""
        return None if self._describe(properties["LogGroupName"]) is None else properties["LogGroupName"]

    def create(self, properties: Properties) -> Created:
        """CreateLogGroup; retention follows."""
        name = properties["LogGroupName"]
        tags = tag_map(properties.get("Tags"))
        kind = {"logGroupClass": properties["LogGroupClass"]} if "LogGroupClass" in properties else {}
        self._client("logs").create_log_group(logGroupName=name, **({"tags": tags} if tags else {}), **kind)
        applied = {key: value for key, value in properties.items() if key != "RetentionInDays"}
        return Created(name, {"Arn": f"{self._arn(name)}:*"}, applied)

    def _arn(self, name: str) -> str:
        place = self._place
        return f"arn:{place.partition}:logs:{place.region}:{place.account_id}:log-group:{name}"

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Retention and tags."""
        logs = self._client("logs")
        if changed(previous, wanted, "RetentionInDays"):
            if "RetentionInDays" in wanted:
                logs.put_retention_policy(logGroupName=physical_id, retentionInDays=int(wanted["RetentionInDays"]))
            else:
                logs.delete_retention_policy(logGroupName=physical_id)
        change, arn = tag_change(previous, wanted), self._arn(physical_id)
        if change.remove:
            logs.untag_resource(resourceArn=arn, tagKeys=list(change.remove))
        if change.put:
            logs.tag_resource(resourceArn=arn, tags=dict(change.put))
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteLogGroup."""
        present(lambda: self._client("logs").delete_log_group(logGroupName=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """DescribeLogGroups and tags."""
        group = self._describe(physical_id)
        if group is None:
            return None
        tags = self._client("logs").list_tags_for_resource(resourceArn=self._arn(physical_id)).get("tags", {})
        return {
            "LogGroupName": group["logGroupName"],
            "LogGroupClass": group.get("logGroupClass", "STANDARD"),
            "RetentionInDays": group.get("retentionInDays"),
            "Tags": tag_list(tags),
        }
