"""What drift detection found, kept until the stack or the resource changes: values, and how they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ncap_iac.local.cloudformation.drift import DifferenceKind, PropertyDifference
from ncap_iac.local.cloudformation.records import ResourceRecord, StackRecord
from ncap_iac.local.store import Store

_DETECTIONS = "cloudformation.drift-detections"
_STACKS = "cloudformation.stack-drifts"


class ResourceDriftStatus(StrEnum):
    """How a resource is, against its declaration."""

    IN_SYNC = "IN_SYNC"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    NOT_CHECKED = "NOT_CHECKED"

    @property
    def is_drift(self) -> bool:
        """Whether it makes its stack a drifted one."""
        return self in (ResourceDriftStatus.MODIFIED, ResourceDriftStatus.DELETED)


class StackDriftStatus(StrEnum):
    """How a stack is, against its declaration."""

    DRIFTED = "DRIFTED"
    IN_SYNC = "IN_SYNC"
    NOT_CHECKED = "NOT_CHECKED"
    UNKNOWN = "UNKNOWN"


class DetectionState(StrEnum):
    """How far a detection is."""

    IN_PROGRESS = "DETECTION_IN_PROGRESS"
    COMPLETE = "DETECTION_COMPLETE"
    FAILED = "DETECTION_FAILED"


@dataclass(frozen=True)
class ResourceDrift:
    """What was found about one resource."""

    logical_id: str
    physical_id: str
    type: str
    status: ResourceDriftStatus
    time: str
    expected: str = ""
    """Declared properties as JSON, without secrets."""
    actual: str = ""
    differences: tuple[PropertyDifference, ...] = ()
    compared: str = ""
    """Time of the last change of the resource that was compared."""


@dataclass(frozen=True)
class StackDrift:
    """What was found about a stack."""

    status: StackDriftStatus
    time: str
    compared: str
    """Time of the last change of the stack that was compared."""


@dataclass(frozen=True)
class Detection:
    """One DetectStackDrift."""

    detection_id: str
    stack_id: str
    state: DetectionState
    status: StackDriftStatus
    time: str
    drifted: int = 0
    reason: str = ""


class DriftBook:
    """Findings of one local cloud."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def save_resource(self, stack_id: str, drift: ResourceDrift) -> None:
        """Write it."""
        self._store.put(f"cloudformation.drifts:{stack_id}", drift.logical_id, asdict(drift))

    def resources(self, stack_id: str, current: Mapping[str, ResourceRecord]) -> dict[str, ResourceDrift]:
        """Findings by logical id, of resources that are as they were when they were compared."""
        found = {}
        for name, document in self._store.items(f"cloudformation.drifts:{stack_id}"):
            drift = _resource_drift(document)
            if name in current and current[name].updated == drift.compared:
                found[name] = drift
        return found

    def save_stack(self, stack_id: str, drift: StackDrift) -> None:
        """Write it."""
        self._store.put(_STACKS, stack_id, asdict(drift))

    def stack(self, stack: StackRecord) -> StackDrift | None:
        """What was found about the stack, unless it was updated since."""
        document = self._store.get(_STACKS, stack.stack_id)
        if document is None or document["compared"] != last_change(stack):
            return None
        return StackDrift(**{**document, "status": StackDriftStatus(document["status"])})

    def save_detection(self, detection: Detection) -> Detection:
        """Write it, and return it."""
        self._store.put(_DETECTIONS, detection.detection_id, asdict(detection))
        return detection

    def detection(self, detection_id: str) -> Detection | None:
        """One detection, or None."""
        document = self._store.get(_DETECTIONS, detection_id)
        return None if document is None else _detection(document)

    def detections(self) -> list[Detection]:
        """All that were begun."""
        return [_detection(document) for _, document in self._store.items(_DETECTIONS)]


def last_change(stack: StackRecord) -> str:
    """When a stack was made or updated last."""
    return stack.updated or stack.created


def _resource_drift(document: Mapping[str, Any]) -> ResourceDrift:
    differences = [
        PropertyDifference(**{**item, "kind": DifferenceKind(item["kind"])}) for item in document["differences"]
    ]
    return ResourceDrift(
        **{**document, "status": ResourceDriftStatus(document["status"]), "differences": tuple(differences)}
    )


def _detection(document: Mapping[str, Any]) -> Detection:
    return Detection(
        **{
            **document,
            "state": DetectionState(document["state"]),
            "status": StackDriftStatus(document["status"]),
        }
    )
