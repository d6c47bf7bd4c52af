"""The states of a job and of an attempt, and every change allowed between them (DESIGN section 5). Pure tables."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    ACCEPTED = "ACCEPTED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PARTIAL = "PARTIAL"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


class AttemptState(StrEnum):
    """Where one attempt at one dataset stands. RUNNING is kept in the row of its instance while that lives."""

    QUEUED = "QUEUED"
    LAUNCHING = "LAUNCHING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class FailureClass(StrEnum):
    """Why an attempt failed (contract section 5)."""

    USER_CODE = "user-code"
    OUT_OF_MEMORY = "out-of-memory"
    DISK_FULL = "disk-full"
    TIMEOUT = "timeout"
    INPUT = "input"
    BOOT = "boot"
    SPOT = "spot"
    CAPACITY = "capacity"
    QUOTA = "quota"
    BUDGET = "budget"
    LOST_INSTANCE = "lost-instance"
    CANCELLED = "cancelled"


class LaunchState(StrEnum):
    """Where one launch stands: reserved, carried out, or given up without an instance."""

    OPEN = "OPEN"
    DONE = "DONE"
    VOID = "VOID"


_J, _A = JobState, AttemptState
_JOB_ENDS = frozenset({_J.SUCCEEDED, _J.FAILED, _J.PARTIAL, _J.CANCELLED})
JOB_CHANGES: dict[JobState, frozenset[JobState]] = {
    _J.ACCEPTED: _JOB_ENDS | {_J.RUNNING},
    _J.RUNNING: _JOB_ENDS,
    **{state: frozenset() for state in (_J.SUCCEEDED, _J.FAILED, _J.PARTIAL, _J.REJECTED, _J.CANCELLED)},
}
# An end may overtake the news of the running, so LAUNCHING leads to both ends directly.
ATTEMPT_CHANGES: dict[AttemptState, frozenset[AttemptState]] = {
    _A.QUEUED: frozenset({_A.LAUNCHING, _A.FAILED}),
    _A.LAUNCHING: frozenset({_A.RUNNING, _A.SUCCEEDED, _A.FAILED}),
    _A.RUNNING: frozenset({_A.SUCCEEDED, _A.FAILED}),
    _A.SUCCEEDED: frozenset(),
    _A.FAILED: frozenset(),
}
RETRIED = frozenset({FailureClass.BOOT, FailureClass.LOST_INSTANCE, FailureClass.SPOT, FailureClass.CAPACITY})
"""Failures that are nobody's fault: tried once more (contract section 5)."""

MAX_ATTEMPTS = 2


def job_sources(target: JobState) -> tuple[JobState, ...]:
    """The states from which a job may come to this one."""
    return tuple(state for state, targets in JOB_CHANGES.items() if target in targets)


def attempt_sources(target: AttemptState) -> tuple[AttemptState, ...]:
    """The states from which an attempt may come to this one."""
    return tuple(state for state, targets in ATTEMPT_CHANGES.items() if target in targets)


def is_job_open(state: JobState) -> bool:
    """Whether anything can still happen to the job."""
    return bool(JOB_CHANGES[state])


def is_attempt_open(state: AttemptState) -> bool:
    """Whether anything can still happen to the attempt."""
    return bool(ATTEMPT_CHANGES[state])


def is_retried(failure: FailureClass, attempt: int) -> bool:
    """Whether a failure of this class at this attempt (counted from 1) may be tried again."""
    return failure in RETRIED and attempt < MAX_ATTEMPTS


def job_outcome(ends: Iterable[AttemptState], *, cancelled: bool) -> JobState:
    """How a job ended, from how the last attempt of each of its datasets ended."""
    if cancelled:
        return JobState.CANCELLED
    states = tuple(ends)
    done = sum(state is AttemptState.SUCCEEDED for state in states)
    if not done:
        return JobState.FAILED
    return JobState.SUCCEEDED if done == len(states) else JobState.PARTIAL
