"""Drift detection: reads every resource of a stack again and holds it against what was deployed. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ncap_iac.local.cloudformation.desk import StackDesk
from ncap_iac.local.cloudformation.drift import property_differences
from ncap_iac.local.cloudformation.drift_book import (
    Detection,
    DetectionState,
    DriftBook,
    ResourceDrift,
    ResourceDriftStatus,
    StackDrift,
    StackDriftStatus,
    last_change,
)
from ncap_iac.local.cloudformation.planning import World
from ncap_iac.local.cloudformation.provider import Neighbour, Provider, ResourceError, reason_of
from ncap_iac.local.cloudformation.records import ResourceRecord, StackRecord, Status
from ncap_iac.local.cloudformation.values import Properties, invalid
from ncap_iac.local.cloudformation.workers import Stopped, Workers

Shape = dict[str, Any]
Request = Mapping[str, Any]

_SETTLED = frozenset(
    {
        Status.CREATE_COMPLETE,
        Status.UPDATE_COMPLETE,
        Status.UPDATE_ROLLBACK_COMPLETE,
        Status.UPDATE_ROLLBACK_FAILED,
    }
)
"""States of stacks whose drift can be detected."""
_INTERRUPTED = "The detection was interrupted. Start it again."


class DriftDesk:
    """Detect and describe."""

    def __init__(
        self, world: World, stacks: StackDesk, workers: Workers, *, book: DriftBook, new_id: Callable[[], str]
    ) -> None:
        self._world = world
        self._records = world.records
        self._stacks = stacks
        self._workers = workers
        self._book = book
        self._new_id = new_id

    def recover(self) -> None:
        """Detections that an earlier life did not finish have failed."""
        for detection in self._book.detections():
            if detection.state is DetectionState.IN_PROGRESS:
                self._book.save_detection(replace(detection, state=DetectionState.FAILED, reason=_INTERRUPTED))

    def detect(self, request: Request) -> Shape:
        """DetectStackDrift: begun here, done in the background."""
        with self._stacks.lock:
            stack = self._settled(request)
            wanted = request.get("LogicalResourceIds")
            for name in wanted or ():
                self._resource(stack, name)
            detection = Detection(
                self._new_id(),
                stack.stack_id,
                DetectionState.IN_PROGRESS,
                StackDriftStatus.UNKNOWN,
                self._records.now(),
            )
            self._book.save_detection(detection)

            def job(stopped: Stopped) -> None:
                self._detect(detection, stack, wanted, stopped)

            self._workers.begin(stack.stack_id, job)
        return {"StackDriftDetectionId": detection.detection_id}

    def _detect(self, detection: Detection, stack: StackRecord, wanted: list[str] | None, stopped: Stopped) -> None:
        failed = []
        resources = self._records.resources(stack.stack_id)
        for name, record in resources.items():
            if stopped():
                self._book.save_detection(replace(detection, state=DetectionState.FAILED, reason=_INTERRUPTED))
                return
            if wanted and name not in wanted:
                continue
            try:
                self._check(stack, record, resources)
            except (ClientError, BotoCoreError, ResourceError) as error:
                failed.append(f"{name}: {reason_of(error)}")
        drifts = self._book.resources(stack.stack_id, resources)
        drifted = sum(drift.status.is_drift for drift in drifts.values())
        status = StackDriftStatus.DRIFTED if drifted else StackDriftStatus.IN_SYNC
        status = StackDriftStatus.UNKNOWN if failed and not drifted else status
        self._book.save_stack(stack.stack_id, StackDrift(status, self._records.now(), last_change(stack)))
        reason = f"Failed to detect drift on resource(s) {'; '.join(failed)}" if failed else ""
        state = DetectionState.FAILED if failed else DetectionState.COMPLETE
        self._book.save_detection(replace(detection, state=state, status=status, drifted=drifted, reason=reason))

    def _check(
        self, stack: StackRecord, record: ResourceRecord, resources: Mapping[str, ResourceRecord]
    ) -> ResourceDrift | None:
        """Compare one resource and keep what was found; None for types whose drift cannot be detected."""
        provider = self._world.providers[record.type]
        if not provider.has_drift or not record.physical_id:
            return None
        wanted = _comparable(provider, record.properties)
        neighbours = [
            Neighbour(other.type, other.physical_id, other.properties)
            for name, other in resources.items()
            if name != record.logical_id
        ]
        found = provider.observe(record.physical_id, wanted, neighbours)
        drift = _finding(record, provider, wanted, found, time=self._records.now())
        self._book.save_resource(stack.stack_id, drift)
        return drift

    def detect_resource(self, request: Request) -> Shape:
        """DetectStackResourceDrift: done when it answers."""
        stack = self._settled(request)
        record = self._resource(stack, request["LogicalResourceId"])
        try:
            drift = self._check(stack, record, self._records.resources(stack.stack_id))
        except (ClientError, BotoCoreError, ResourceError) as error:
            raise invalid(f"Drift of {record.logical_id} cannot be detected: {reason_of(error)}") from error
        if drift is None:
            raise invalid(f"Drift detection is not supported for resource type {record.type}")
        return {"StackResourceDrift": _shown(stack, drift)}

    def describe_detection(self, request: Request) -> Shape:
        """DescribeStackDriftDetectionStatus."""
        detection = self._book.detection(request["StackDriftDetectionId"])
        if detection is None:
            raise invalid(f"Drift detection {request['StackDriftDetectionId']} does not exist")
        shown: Shape = {
            "StackId": detection.stack_id,
            "StackDriftDetectionId": detection.detection_id,
            "DetectionStatus": str(detection.state),
            "Timestamp": datetime.fromisoformat(detection.time),
        }
        if detection.reason:
            shown["DetectionStatusReason"] = detection.reason
        if detection.state is not DetectionState.IN_PROGRESS:
            shown["StackDriftStatus"] = str(detection.status)
            shown["DriftedStackResourceCount"] = detection.drifted
        return shown

    def describe(self, request: Request) -> list[Shape]:
        """The entries of DescribeStackResourceDrifts: what was checked, of the wished states."""
        stack = self._stacks.existing(request["StackName"])
        wanted = request.get("StackResourceDriftStatusFilters")
        drifts = self.of_resources(stack)
        return [_shown(stack, drift) for drift in drifts.values() if not wanted or drift.status in wanted]

    def of_stack(self, stack: StackRecord) -> StackDrift | None:
        """What was found about a stack since its last update."""
        return self._book.stack(stack)

    def of_resources(self, stack: StackRecord) -> dict[str, ResourceDrift]:
        """What was found about its resources since they changed last."""
        return self._book.resources(stack.stack_id, self._records.resources(stack.stack_id))

    def _settled(self, request: Request) -> StackRecord:
        stack = self._stacks.existing(request["StackName"])
        if stack.status not in _SETTLED:
            raise invalid(f"Drift detection is not supported on stack [{stack.name}] in state {stack.status}.")
        return stack

    def _resource(self, stack: StackRecord, logical_id: str) -> ResourceRecord:
        record = self._records.resources(stack.stack_id).get(logical_id)
        if record is None:
            raise invalid(f"Resource {logical_id} does not exist for stack {stack.name}")
        return record


def _comparable(provider: Provider, properties: Properties) -> Properties:
    left_out = provider.secret | provider.write_only | set(provider.held)
    return {name: value for name, value in properties.items() if name not in left_out}


def _finding(
    record: ResourceRecord, provider: Provider, wanted: Properties, found: Properties | None, *, time: str
) -> ResourceDrift:
    drift = ResourceDrift(
        record.logical_id,
        record.physical_id,
        record.type,
        ResourceDriftStatus.DELETED,
        time,
        expected=_json(wanted),
        compared=record.updated,
    )
    if found is None:
        return drift
    differences = property_differences(wanted, found, exact=provider.exact, ordered=provider.ordered)
    return replace(
        drift,
        status=ResourceDriftStatus.MODIFIED if differences else ResourceDriftStatus.IN_SYNC,
        actual=_json({name: value for name, value in found.items() if name in wanted}),
        differences=differences,
    )


def _json(properties: Properties) -> str:
    return json.dumps(properties, sort_keys=True, default=str)


def _shown(stack: StackRecord, drift: ResourceDrift) -> Shape:
    """An entry of DescribeStackResourceDrifts."""
    shown: Shape = {
        "StackId": stack.stack_id,
        "LogicalResourceId": drift.logical_id,
        "PhysicalResourceId": drift.physical_id,
        "ResourceType": drift.type,
        "ExpectedProperties": drift.expected,
        "StackResourceDriftStatus": str(drift.status),
        "Timestamp": datetime.fromisoformat(drift.time),
        "PropertyDifferences": [
            {
                "PropertyPath": item.path,
                "ExpectedValue": item.expected,
                "ActualValue": item.actual,
                "DifferenceType": str(item.kind),
            }
            for item in drift.differences
        ],
    }
    return {**shown, "ActualProperties": drift.actual} if drift.actual else shown
