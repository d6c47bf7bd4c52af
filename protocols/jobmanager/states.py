"""The states of a job, of an attempt and of a step between two jobs, and every change allowed. Pure tables.

DESIGN section 5; docs/contracts.md section 9.
"""

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


class EdgeState(StrEnum):
    """Where the way to a next job stands: to be opened by its job's end, to be submitted, submitted, or how it ended.

    SKIPPED: there is no next job, and the row's message says why. The other ends are the next job's own.
    """

    WAITING = "WAITING"
    READY = "READY"
    SUBMITTED = "SUBMITTED"
    SKIPPED = "SKIPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PARTIAL = "PARTIAL"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


_J, _A, _E = JobState, AttemptState, EdgeState
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
_NEXT_ENDS = frozenset({_E.SUCCEEDED, _E.FAILED, _E.PARTIAL, _E.REJECTED, _E.CANCELLED})
# A next job may be refused before the note arrives that it was submitted. What failed can be replayed.
EDGE_CHANGES: dict[EdgeState, frozenset[EdgeState]] = {
    _E.WAITING: frozenset({_E.READY, _E.SKIPPED, _E.CANCELLED}),
    _E.READY: frozenset({_E.SUBMITTED, _E.SKIPPED, _E.REJECTED, _E.CANCELLED}),
    _E.SUBMITTED: _NEXT_ENDS | {_E.SKIPPED},
    _E.SUCCEEDED: frozenset(),
    _E.PARTIAL: frozenset(),
    **{state: frozenset({_E.READY}) for state in (_E.SKIPPED, _E.FAILED, _E.REJECTED, _E.CANCELLED)},
}
RETRIED = frozenset({FailureClass.BOOT, FailureClass.LOST_INSTANCE, FailureClass.SPOT, FailureClass.CAPACITY})
"""Failures that are nobody's fault: tried once more (contract section 5)."""

MAX_ATTEMPTS = 2
"""Of a dataset, beside those that ended with a spot instance taken back."""


def job_sources(target: JobState) -> tuple[JobState, ...]:
    """The states from which a job may come to this one."""
    return tuple(state for state, targets in JOB_CHANGES.items() if target in targets)


def attempt_sources(target: AttemptState) -> tuple[AttemptState, ...]:
    """The states from which an attempt may come to this one."""
    return tuple(state for state, targets in ATTEMPT_CHANGES.items() if target in targets)


def edge_sources(target: EdgeState) -> tuple[EdgeState, ...]:
    """The states from which an edge may come to this one."""
    return tuple(state for state, targets in EDGE_CHANGES.items() if target in targets)


def is_edge_replayable(state: EdgeState) -> bool:
    """Whether an edge ended without what its user wanted, and may be carried out once more."""
    return state is not EdgeState.WAITING and EdgeState.READY in EDGE_CHANGES[state]


def is_job_open(state: JobState) -> bool:
    """Whether anything can still happen to the job."""
    return bool(JOB_CHANGES[state])


def is_attempt_open(state: AttemptState) -> bool:
    """Whether anything can still happen to the attempt."""
    return bool(ATTEMPT_CHANGES[state])


def is_retried(failure: FailureClass, attempt: int, *, spot_losses: int = 0) -> bool:
    """Whether a failure of this class at this attempt (counted from 1) may be tried again.

    `spot_losses`: attempts, this one included, that ended with a spot instance taken back; they do not count.
    """
    return failure in RETRIED and attempt - spot_losses < MAX_ATTEMPTS


def job_outcome(ends: Iterable[AttemptState], *, cancelled: bool) -> JobState:
    """How a job ended, from how the last attempt of each of its datasets ended."""
    if cancelled:
        return JobState.CANCELLED
    states = tuple(ends)
    done = sum(state is AttemptState.SUCCEEDED for state in states)
    if not done:
        return JobState.FAILED
    return JobState.SUCCEEDED if done == len(states) else JobState.PARTIAL
