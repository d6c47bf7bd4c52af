"""CloudFormation and a bucket in memory: enough to plan and apply against, with failures on demand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ncap_iac.errors import AlreadyExistsError, AwsError, NotFoundError


@dataclass
class FakeStack:
    status: str
    template: str = "{}"
    parameters: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeStacks:
    """Every operation takes two looks; `failing` names logical ids whose creation fails, with the reason."""

    stacks: dict[str, FakeStack] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    arguments: list[Mapping[str, Any]] = field(default_factory=list)
    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)
    refusing: list[AwsError] = field(default_factory=list)
    """What the next tries to make or perform a change set are refused with."""
    found_drifts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    detection: list[dict[str, Any]] = field(default_factory=list)
    """The answers about a drift detection, one a look."""

    def describe(self, stack: str) -> Mapping[str, Any] | None:
        name = stack.removeprefix("id:")
        found = self.stacks.get(name)
        if found is None or (found.status == "DELETE_COMPLETE" and stack == name):
            return None
        status = found.status
        self._settle(name)
        return {
            "StackName": name,
            "StackId": f"id:{name}",
            "StackStatus": status,
            "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in found.parameters.items()],
            "Tags": [{"Key": k, "Value": v} for k, v in found.tags.items()],
            "Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in found.outputs.items()],
        }

    def names(self, prefix: str) -> tuple[str, ...]:
        there = (name for name, stack in self.stacks.items() if stack.status != "DELETE_COMPLETE")
        return tuple(sorted(name for name in there if name.startswith(prefix)))

    def template(self, stack: str) -> str | Mapping[str, Any]:
        parsed: Mapping[str, Any] = json.loads(self.stacks[stack].template)
        return parsed

    def events(self, stack: str, *, after: str | None = None) -> Sequence[Mapping[str, Any]]:
        found = self.stacks.get(stack.removeprefix("id:"))
        if found is None:
            raise NotFoundError("no such stack")
        told = list(found.events)
        self._settle(stack.removeprefix("id:"))
        ids = [event["EventId"] for event in told]
        return told[ids.index(after) + 1 :] if after in ids else told

    def _settle(self, stack: str) -> None:
        """An operation is over when it was looked at once."""
        if self.stacks[stack].status.endswith("_IN_PROGRESS") and stack in self.pending:
            status = self.stacks[stack].status = self.pending.pop(stack)
            self._event(stack, stack, "AWS::CloudFormation::Stack", status, "")

    def create_change_set(self, stack: str, name: str, *, create: bool, arguments: Mapping[str, Any]) -> None:
        self.calls.append(f"{'create' if create else 'update'} {stack}")
        self.arguments.append(arguments)
        self._refuse()
        found = self.stacks.get(stack)
        parameters = {item["ParameterKey"]: item["ParameterValue"] for item in arguments["Parameters"]}
        template = str(arguments.get("TemplateBody", "{}"))
        if arguments.get("UsePreviousTemplate") and found is not None:
            template = found.template
        tags = {item["Key"]: item["Value"] for item in arguments["Tags"]} if "Tags" in arguments else None
        made = (template, parameters, found.tags if found is not None and tags is None else tags or {})
        same = not create and found is not None and (found.template, found.parameters, found.tags) == made
        self.sets[name] = {"made": made, "same": same, "create": create}
        if create:
            self.stacks[stack] = FakeStack("REVIEW_IN_PROGRESS")

    def describe_change_set(self, stack: str, name: str) -> Mapping[str, Any]:
        if self.sets[name]["same"]:
            reason = (
                "The submitted information didn't contain changes. Submit different information to create a change set."
            )
            return {"Status": "FAILED", "StatusReason": reason}
        return {"Status": "CREATE_COMPLETE"}

    def delete_change_set(self, stack: str, name: str) -> None:
        self.calls.append(f"forget {stack}")

    def execute_change_set(self, stack: str, name: str) -> None:
        self._refuse()
        made, found = self.sets[name], self.stacks[stack]
        verb = "CREATE" if made["create"] else "UPDATE"
        template, parameters, tags = made["made"]
        resources = json.loads(template).get("Resources", {})
        failed = [logical for logical in resources if logical in self.failing]
        self._event(stack, stack, "AWS::CloudFormation::Stack", f"{verb}_IN_PROGRESS", "User Initiated")
        for logical, resource in resources.items():
            if logical in self.failing:
                self._event(stack, logical, resource["Type"], f"{verb}_FAILED", self.failing[logical])
            elif failed:
                self._event(stack, logical, resource["Type"], f"{verb}_FAILED", "Resource creation cancelled")
            else:
                self._event(stack, logical, resource["Type"], f"{verb}_COMPLETE", "")
        found.status = f"{verb}_IN_PROGRESS"
        if failed:
            self.pending[stack] = "ROLLBACK_COMPLETE" if made["create"] else "UPDATE_ROLLBACK_COMPLETE"
        else:
            self.pending[stack] = f"{verb}_COMPLETE"
            found.template, found.parameters, found.tags = template, parameters, tags

    def delete(self, stack: str) -> None:
        self.calls.append(f"delete {stack}")
        self.stacks[stack].status = "DELETE_IN_PROGRESS"
        self.pending[stack] = "DELETE_COMPLETE"

    def continue_rollback(self, stack: str) -> None:
        self.calls.append(f"continue {stack}")
        self._event(stack, stack, "AWS::CloudFormation::Stack", "UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
        self.stacks[stack].status = "UPDATE_ROLLBACK_IN_PROGRESS"
        self.pending[stack] = "UPDATE_ROLLBACK_COMPLETE"

    def begin_drift_detection(self, stack: str) -> str:
        self._refuse()
        return f"drift-{stack}"

    def drift_detection(self, detection: str) -> Mapping[str, Any]:
        return self.detection.pop(0) if self.detection else {"DetectionStatus": "DETECTION_COMPLETE"}

    def drifts(self, stack: str) -> Sequence[Mapping[str, Any]]:
        return self.found_drifts.get(stack, [])

    def _refuse(self) -> None:
        if self.refusing:
            raise self.refusing.pop(0)

    def _event(self, stack: str, logical: str, kind: str, status: str, reason: str) -> None:
        events = self.stacks[stack].events
        events.append(
            {
                "EventId": f"{stack}-{len(events)}",
                "StackName": stack,
                "LogicalResourceId": logical,
                "ResourceType": kind,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
        )


@dataclass
class FakeObjects:
    """Buckets in memory."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    buckets: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def put(self, bucket: str, key: str, body: bytes, *, content_type: str = "", only_if_absent: bool = False) -> None:
        self.calls.append(f"put {key}")
        if only_if_absent and (bucket, key) in self.objects:
            raise AlreadyExistsError("it is there", code="PreconditionFailed")
        self.objects[bucket, key] = body

    def has_bucket(self, bucket: str) -> bool:
        return bucket in self.buckets


@dataclass
class FakeTime:
    """A clock that moves only when somebody sleeps."""

    now: float = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
