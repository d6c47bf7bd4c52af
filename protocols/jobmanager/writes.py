"""The ledger's transactions, as lists of writes. Pure: every rule about what changes together is here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobmanager.budget import Settlement
from jobmanager.errors import Value
from jobmanager.expressions import Delete, If, Put, Update, Write
from jobmanager.job import JobPaths
from jobmanager.rows import (
    AttemptRow,
    InstanceRow,
    JobRow,
    LaunchRow,
    attempt_sort_key,
    budget_key,
    flight_key,
    row_of,
    submission_key,
)
from jobmanager.states import AttemptState, JobState, LaunchState, attempt_sources, job_sources

MAX_WRITES = 100
FIRST_ATTEMPTS = 90
"""Attempts that ride along with the admission of their job."""
INSTANCES_PER_WRITE = 47
_CLAIM_DAYS = 90
_DAY = 86_400


@dataclass(frozen=True)
class Ending:
    """How an attempt ended."""

    state: AttemptState
    ended_at: str
    failure: str | None = None
    message: str | None = None
    exit_code: int | None = None
    last_line: str | None = None
    cpu: str | None = None


def claim(job: JobRow, now_s: int) -> tuple[Write, Write]:
    """The claim on a submission, by the job it became, and the end of any note that its admission failed."""
    place = job.bucket, job.request_key, job.request_identity
    row: dict[str, Value] = dict(zip(("pk", "sk"), submission_key(*place), strict=True))
    row |= {"bucket": job.bucket, "group": job.group, "job": job.job, "expires_at": now_s + _CLAIM_DAYS * _DAY}
    return Put(row), Delete(submission_key(*place, kind="PENDING"))


def admission(job: JobRow, attempts: Sequence[AttemptRow], launch: LaunchRow | None, *, limit: int) -> list[Write]:
    """An admitted job: its row, its money, its first attempts and, where there is room, its first launch.

    Positions: 0 the job, 1 the budget, 2 the instances in flight if there is a launch. The ledger adds the claim.
    """
    budget = Update(
        budget_key(job.group, job.analysis),
        add={"committed_micro": job.reserved_micro},
        conditions=(If("committed_micro", "absent or <=", job.limit_micro - job.reserved_micro),),
    )
    writes: list[Write] = [Put(row_of(job.key, job)), budget]
    if launch:
        writes += [_take_room(job, len(launch.attempts), limit), _put_launch(job, launch)]
    return writes + new_attempts(job, attempts)


def new_attempts(job: JobRow, attempts: Sequence[AttemptRow]) -> list[Write]:
    """Attempts that are not in the ledger yet."""
    return [Put(row_of((job.key[0], attempt.sort_key), attempt)) for attempt in attempts]


def reservation(job: JobRow, launch: LaunchRow, *, limit: int) -> list[Write]:
    """A launch written down before it is made. Positions: 0 the launch's number, 1 the room, 2 the job not stopped."""
    going_on = Update(job.key, remove=("wait",), conditions=(If("stop", "absent"), _job_open()))
    return [_put_launch(job, launch), _take_room(job, len(launch.attempts), limit), going_on]


def _put_launch(job: JobRow, launch: LaunchRow) -> Put:
    return Put(row_of((job.key[0], launch.sort_key), launch))


def _take_room(job: JobRow, instances: int, limit: int) -> Update:
    return Update(
        flight_key(job.analysis),
        add={"in_flight": instances},
        conditions=(If("in_flight", "absent or <=", limit - instances),),
    )


def _job_open() -> If:
    return If("state", "in", [JobState.ACCEPTED.value, JobState.RUNNING.value])


def launched(job: JobRow, instances: Sequence[InstanceRow]) -> list[Write]:
    """Instances that took their attempts; the job runs."""
    writes: list[Write] = []
    for row in instances:
        writes.append(
            Update(
                (job.key[0], attempt_sort_key(row.index, row.attempt)),
                set={"state": AttemptState.LAUNCHING, "instance": row.instance, "launched_at": row.launched_at},
                conditions=(If("state", "=", AttemptState.QUEUED),),
            )
        )
        writes.append(Put(row_of(row.key, row)))
    running: dict[str, Value] = {"state": JobState.RUNNING}
    writes.append(Update(job.key, set=running, add={"queued": -len(instances)}, conditions=(_job_open(),)))
    return writes


def launch_over(job: JobRow, launch: LaunchRow, *, used: int) -> list[Write]:
    """The end of a launch of which `used` instances came to be; the room of the others is given back."""
    state = LaunchState.DONE if used else LaunchState.VOID
    writes: list[Write] = [
        Update(
            (job.key[0], launch.sort_key),
            set={"state": state, "used": used},
            conditions=(If("state", "=", LaunchState.OPEN),),
        )
    ]
    if used < len(launch.attempts):
        writes.append(Update(flight_key(job.analysis), add={"in_flight": used - len(launch.attempts)}))
    return writes


def closing(
    row: InstanceRow,
    ending: Ending,
    settlement: Settlement,
    *,
    retry: AttemptRow | None,
    job_conditions: tuple[If, ...],
    expires_at: int,
) -> list[Write]:
    """The end of an attempt with an instance: outcome, money, room, and its retry. Positions: 0 attempt, 1 job."""
    job_key = row.paths.ledger_key
    changes: dict[str, int] = {"cost_micro": settlement.spent}
    changes |= {"queued": 1} if retry else {"open_attempts": -1}
    last = not any(wanted.attribute == "open_attempts" for wanted in job_conditions) and not retry
    writes: list[Write] = [
        _end_attempt(job_key, attempt_sort_key(row.index, row.attempt), ending, settlement.spent, row.instance),
        Update(
            (job_key, "JOB"),
            set={"resume_at": ending.ended_at} if retry else {},
            add=changes,
            conditions=job_conditions,
        ),
        Update(
            budget_key(row.group, row.analysis),
            add={"committed_micro": settlement.committed, "spent_micro": settlement.spent},
        ),
        Update(flight_key(row.analysis), add={"in_flight": -1}),
        Update(
            row.key,
            set={"state": ending.state, "ended_at": ending.ended_at, "was_last": last, "expires_at": expires_at},
            remove=("open_pk",),
        ),
    ]
    return writes + ([Put(row_of((job_key, retry.sort_key), retry))] if retry else [])


def dropping(job: JobRow, attempts: Sequence[AttemptRow], ending: Ending) -> list[Write]:
    """Attempts that end in the queue: they cost nothing, and what was held for them is given back."""
    writes: list[Write] = [_end_attempt(job.key[0], it.sort_key, ending, 0, None) for it in attempts]
    count = len(attempts)
    writes.append(Update(job.key, add={"open_attempts": -count, "queued": -count}))
    held = sum(attempt.held_micro for attempt in attempts)
    writes.append(Update(budget_key(job.group, job.analysis), add={"committed_micro": -held}))
    return writes


def _end_attempt(job_key: str, sort_key: str, ending: Ending, cost: int, instance: str | None) -> Update:
    told: dict[str, Value] = {
        "failure": ending.failure,
        "message": ending.message,
        "exit_code": ending.exit_code,
        "last_line": ending.last_line,
        "cpu": ending.cpu,
    }
    sources: list[Value] = [state.value for state in attempt_sources(ending.state)]
    conditions: tuple[If, ...] = (If("instance", "=", instance), If("state", "in", sources))
    if instance is None:
        conditions = (If("state", "=", AttemptState.QUEUED),)
    fixed: dict[str, Value] = {"state": ending.state, "ended_at": ending.ended_at, "cost_micro": cost}
    told = {name: value for name, value in told.items() if value is not None}
    return Update((job_key, sort_key), set=fixed | told, conditions=conditions)


def job_end(paths: JobPaths, outcome: JobState, ended_at: str) -> Update:
    """The job's end; it stays in the sweeper's index until its certificate and end marker are written."""
    return Update(
        (paths.ledger_key, "JOB"),
        set={"state": outcome, "ended_at": ended_at},
        conditions=(If("state", "in", [state.value for state in job_sources(outcome)]),),
    )
