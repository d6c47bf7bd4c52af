"""What became different from a stack's template by other hands: CloudFormation's own drift detection, as values.

Starts a detection, waits for it and reads what it found; changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ncap_iac.errors import AccessError, AwsError, NcapError, NotFoundError, WaitTimeoutError

UNKNOWN_CALLS = frozenset({
    "InvalidAction", "NotImplemented", "NotImplementedError", "UnknownOperation", "UnknownOperationException",
    "UnsupportedOperation", "501", "InternalFailure",
})  # fmt: skip
"""Codes by which an endpoint says that it does not have an operation."""


class DriftReader(Protocol):
    """What of the gateway is needed; answers are AWS's own shapes."""

    def begin_drift_detection(self, stack: str) -> str:
        """Begin, and return the id to ask with."""
        ...

    def drift_detection(self, detection: str) -> Mapping[str, Any]:
        """How far it is."""
        ...

    def drifts(self, stack: str) -> Sequence[Mapping[str, Any]]:
        """The resources looked at."""
        ...


@dataclass(frozen=True)
class Drift:
    """One property that is not as the template says; a resource that is gone has the property ``."""

    stack: str
    resource: str
    kind: str
    name: str
    property: str
    expected: str
    found: str


@dataclass(frozen=True)
class Drifts:
    """What a detection found in one stack; `failed` says why it could not look at everything, empty if it could."""

    stack: str
    drifts: tuple[Drift, ...]
    checked: int
    failed: str = ""


@dataclass(frozen=True)
class Watch:
    """How to wait for a detection."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    timeout_s: float = 900
    pause_s: float = 2.0


def detect_drift(stack: str, reader: DriftReader, watch: Watch) -> Drifts:
    """Compare a deployed stack with its template. Raises NotFoundError, NcapError where there is no such detection."""
    try:
        detection = reader.begin_drift_detection(stack)
        answer = _detected(detection, stack, reader, watch)
        found = reader.drifts(stack)
    except (AwsError, AccessError, NotFoundError) as error:
        if isinstance(error, AwsError) and error.code in UNKNOWN_CALLS:
            raise NcapError(
                "the endpoint has no drift detection",
                where=f"stack {stack}",
                hint="Compare by hand, or look at the stack on AWS: `ncap … drift --aws`.",
            ) from error
        raise
    failed = str(answer.get("DetectionStatusReason", "no reason given")) if _has_failed(answer) else ""
    checked = sum(item.get("StackResourceDriftStatus") != "NOT_CHECKED" for item in found)
    return Drifts(stack, tuple(drift for item in found for drift in _read(stack, item)), checked, failed)


def _has_failed(answer: Mapping[str, Any]) -> bool:
    return str(answer.get("DetectionStatus")) == "DETECTION_FAILED"


def _detected(detection: str, stack: str, reader: DriftReader, watch: Watch) -> Mapping[str, Any]:
    began = watch.clock()
    while str((answer := reader.drift_detection(detection)).get("DetectionStatus")) == "DETECTION_IN_PROGRESS":
        if watch.clock() - began > watch.timeout_s:
            raise WaitTimeoutError(
                f"drift detection is not over after {watch.timeout_s:g} s",
                where=f"stack {stack}",
                hint="Run the same command again.",
            )
        watch.sleep(watch.pause_s)
    return answer


def _read(stack: str, item: Mapping[str, Any]) -> tuple[Drift, ...]:
    """The differences of one resource (API reference, StackResourceDrift)."""
    resource, kind = str(item["LogicalResourceId"]), str(item["ResourceType"])
    name = str(item.get("PhysicalResourceId", ""))
    status = str(item.get("StackResourceDriftStatus"))
    if status == "DELETED":
        return (Drift(stack, resource, kind, name, "", "there", "deleted"),)
    if status != "MODIFIED":
        return ()
    return tuple(
        Drift(
            stack, resource, kind, name,
            property=str(difference["PropertyPath"]).lstrip("/"),
            expected=_value(difference.get("ExpectedValue")),
            found=_value(difference.get("ActualValue")),
        )
        for difference in item.get("PropertyDifferences", ())
    )  # fmt: skip


def _value(text: Any) -> str:
    """A value as AWS gives it: JSON text without needless spaces, other text as it is."""
    said = "" if text is None or text == "null" else str(text)
    try:
        return json.dumps(json.loads(said), sort_keys=True) if said[:1] in ("{", "[") else said
    except ValueError:
        return said
