"""AWS::Events::Rule on the default bus: pattern or schedule, and its targets."""

from __future__ import annotations

import json
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

_SETTINGS = ("Description", "EventPattern", "RoleArn", "ScheduleExpression", "State")
_TARGETS_A_CALL = 10
"""PutTargets takes at most ten (EventBridge quota)."""


class RuleProvider(Provider):
    """AWS::Events::Rule."""

    type = "AWS::Events::Rule"
    properties = frozenset({"Name", "Tags", "Targets", *_SETTINGS})
    create_only = frozenset({"Name"})
    attributes = frozenset({"Arn"})
    name = NameRule("Name", 64)
    tags = TagRule()
    defaults: ClassVar[Properties] = {"Description": "", "State": "ENABLED"}
    exact = frozenset({"EventPattern"})

    def _describe(self, name: str) -> Any | None:
        return present(lambda: self._client("events").describe_rule(Name=name))

    def find(self, properties: Properties) -> str | None:
        """The rule of that name."""
        return None if self._describe(properties["Name"]) is None else properties["Name"]

    def create(self, properties: Properties) -> Created:
        """PutRule; targets follow."""
        arn = self._put(properties["Name"], properties, Tags=tag_list(tag_map(properties.get("Tags"))))
        applied = {name: value for name, value in properties.items() if name != "Targets"}
        return Created(properties["Name"], {"Arn": arn}, applied)

    def _put(self, name: str, properties: Properties, **more: Any) -> str:
        if not {"EventPattern", "ScheduleExpression"} & set(properties):
            raise ResourceError("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        settings = {**self.defaults, **chosen(properties, *_SETTINGS)}
        if "EventPattern" in settings and not isinstance(settings["EventPattern"], str):
            settings["EventPattern"] = json.dumps(settings["EventPattern"])
        return str(self._client("events").put_rule(Name=name, **settings, **more)["RuleArn"])

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """PutRule, targets and tags."""
        client = self._client("events")
        if changed(previous, wanted, *_SETTINGS):
            self._put(physical_id, wanted)
        had = {item["Id"]: item for item in previous.get("Targets", ())}
        wants = {item["Id"]: _target(item) for item in wanted.get("Targets", ())}
        put = [item for name, item in wants.items() if had.get(name) != item]
        for start in range(0, len(put), _TARGETS_A_CALL):
            self._check(client.put_targets(Rule=physical_id, Targets=put[start : start + _TARGETS_A_CALL]))
        gone = sorted(set(had) - set(wants))
        if gone:
            self._check(client.remove_targets(Rule=physical_id, Ids=gone))
        change = tag_change(previous, wanted)
        if change.remove or change.put:
            arn = self._describe(physical_id)["Arn"]  # type: ignore[index]
            if change.remove:
                client.untag_resource(ResourceARN=arn, TagKeys=list(change.remove))
            if change.put:
                client.tag_resource(ResourceARN=arn, Tags=tag_list(change.put))
        return {}

    @staticmethod
    def _check(answer: Any) -> None:
        """PutTargets and RemoveTargets tell failures in their answer."""
        for entry in answer.get("FailedEntries", ()):
            raise ResourceError(f"target {entry.get('TargetId')}: {entry.get('ErrorCode')} {entry.get('ErrorMessage')}")

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Remove all targets, then DeleteRule."""
        client = self._client("events")
        answer = present(lambda: client.list_targets_by_rule(Rule=physical_id))
        targets = [item["Id"] for item in answer["Targets"]] if answer else []
        if targets:
            client.remove_targets(Rule=physical_id, Ids=targets)
        present(lambda: client.delete_rule(Name=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """DescribeRule, targets and tags."""
        client = self._client("events")
        rule = self._describe(physical_id)
        if rule is None:
            return None
        found = chosen(rule, "Name", *_SETTINGS)
        if "EventPattern" in found:
            found["EventPattern"] = json.loads(found["EventPattern"])
        found["Targets"] = client.list_targets_by_rule(Rule=physical_id)["Targets"]
        found["Tags"] = client.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]
        return found


def _target(item: Properties) -> dict[str, Any]:
    """A target with numbers as numbers."""
    made = dict(item)
    if "RetryPolicy" in made:
        made["RetryPolicy"] = {name: int(value) for name, value in made["RetryPolicy"].items()}
    return made
