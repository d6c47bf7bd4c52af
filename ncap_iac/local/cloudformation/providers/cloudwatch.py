"""AWS::CloudWatch::Alarm on one metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ncap_iac.local.cloudformation.provider import (
    Created,
    NameRule,
    Provider,
    TagRule,
    chosen,
    tag_change,
    tag_list,
    tag_map,
)
from ncap_iac.local.cloudformation.values import Properties

_WHOLE = ("DatapointsToAlarm", "EvaluationPeriods", "Period")
_SETTINGS = (
    "ActionsEnabled",
    "AlarmActions",
    "AlarmDescription",
    "ComparisonOperator",
    "Dimensions",
    "ExtendedStatistic",
    "InsufficientDataActions",
    "MetricName",
    "Namespace",
    "OKActions",
    "Statistic",
    "Threshold",
    "TreatMissingData",
    "Unit",
    *_WHOLE,
)


class AlarmProvider(Provider):
    """AWS::CloudWatch::Alarm."""

    type = "AWS::CloudWatch::Alarm"
    properties = frozenset({"AlarmName", "Tags", *_SETTINGS})
    required = frozenset({"ComparisonOperator", "EvaluationPeriods"})
    create_only = frozenset({"AlarmName"})
    attributes = frozenset({"Arn"})
    name = NameRule("AlarmName", 255)
    defaults: ClassVar[Properties] = {"ActionsEnabled": True, "TreatMissingData": "missing"}
    tags = TagRule(reserved=False)

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        alarms = self._client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return alarms[0] if alarms else None

    def _arn(self, name: str) -> str:
        place = self._place
        return f"arn:{place.partition}:cloudwatch:{place.region}:{place.account_id}:alarm:{name}"

    def find(self, properties: Properties) -> str | None:
        """The alarm of that name."""
        return None if self._describe(properties["AlarmName"]) is None else properties["AlarmName"]

    def create(self, properties: Properties) -> Created:
        """PutMetricAlarm."""
        name = properties["AlarmName"]
        self._put(name, properties, Tags=tag_list(tag_map(properties.get("Tags"))))
        return Created(name, {"Arn": self._arn(name)}, properties)

    def _put(self, name: str, properties: Properties, **more: Any) -> None:
        settings = chosen(properties, *_SETTINGS)
        settings |= {key: int(settings[key]) for key in _WHOLE if key in settings}
        if "Threshold" in settings:
            settings["Threshold"] = float(settings["Threshold"])
        if "ActionsEnabled" in settings:
            settings["ActionsEnabled"] = str(settings["ActionsEnabled"]).lower() == "true"
        self._client("cloudwatch").put_metric_alarm(AlarmName=name, **settings, **more)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """PutMetricAlarm replaces all of it; tags one by one."""
        client = self._client("cloudwatch")
        if chosen(previous, *_SETTINGS) != chosen(wanted, *_SETTINGS):
            self._put(physical_id, wanted)
        change, arn = tag_change(previous, wanted), self._arn(physical_id)
        if change.remove:
            client.untag_resource(ResourceARN=arn, TagKeys=list(change.remove))
        if change.put:
            client.tag_resource(ResourceARN=arn, Tags=tag_list(change.put))
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteAlarms."""
        self._client("cloudwatch").delete_alarms(AlarmNames=[physical_id])

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """DescribeAlarms and tags."""
        alarm = self._describe(physical_id)
        if alarm is None:
            return None
        tags = self._client("cloudwatch").list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        return {**chosen(alarm, "AlarmName", *_SETTINGS), "Tags": tags}
