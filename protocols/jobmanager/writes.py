"""The ledger's transactions, as lists of writes. Pure: every rule about what changes together is here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobmanager.budget import Settlement
from jobmanager.errors import Value
from jobmanager.expressions import Delete, If, Put, Update, Write
from jobmanager.fairness import CONTENDED, IN_FLIGHT, Flight, group_attribute, waiting_attribute
from jobmanager.job import JobPaths
from jobmanager.rows import (
    OPEN,
    TOTAL,
    AttemptRow,
    EdgeRow,
    InstanceRow,
    JobRow,
    LaunchRow,
    attempt_sort_key,
    budget_key,
    edge_sort_key,
    flight_key,
    row_of,
    submission_key,
)
from jobmanager.states import (
    AttemptState,
    EdgeState,
    JobState,
    LaunchState,
    attempt_sources,
    edge_sources,
    job_sources,
)
from jobmanager.times import later

MAX_WRITES = 100
FIRST_ATTEMPTS = 90
"""Attempts and edges that ride along with the admission of their job."""
MAX_EDGES = 20
"""Edges of one job: all are written with its admission."""
INSTANCES_PER_WRITE = 47
QUEUE_HOURS = 24
"""How long a queue may stand still."""
_AROUND_MINUTES = 20
"""What an instance may take beyond its dataset's limit: start, data, results."""
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
    memory: str | None = None
    disk: str | None = None


def claim(job: JobRow, now_s: int) -> tuple[Write, Write]:
    """The claim on a submission, by the job it became, and the end of any note that its admission failed."""
    place = job.bucket, job.request_key, job.request_identity
    row: dict[str, Value] = dict(zip(("pk", "sk"), submission_key(*place), strict=True))
    row |= {"bucket": job.bucket, "group": job.group, "job": job.job, "expires_at": now_s + _CLAIM_DAYS * _DAY}
    return Put(row), forget_pending(*place)


def forget_pending(bucket: str, key: str, identity: str) -> Delete:
    """The end of any note that the admission of a submission failed."""
    return Delete(submission_key(bucket, key, identity, kind="PENDING"))


@dataclass(frozen=True)
class Room:
    """Room for instances: at most `limit` in flight. `seen`: the state of things in which a fair share was found."""

    limit: int
    now: str
    seen: Flight | None = None


def put_job(job: JobRow) -> Put:
    """A job that is not in the ledger yet."""
    return Put(row_of(job.key, job))


def first_attempts(attempts: Sequence[AttemptRow], edges: Sequence[EdgeRow]) -> tuple[AttemptRow, ...]:
    """The attempts that fit into the admission beside the job's edges."""
    return tuple(attempts[: FIRST_ATTEMPTS - len(edges)])


@dataclass(frozen=True)
class Newcomer:
    """A job about to be admitted, with what is written together with it."""

    row: JobRow
    attempts: tuple[AttemptRow, ...] = ()
    edges: tuple[EdgeRow, ...] = ()
    launch: LaunchRow | None = None


def admission(newcomer: Newcomer, *, room: Room) -> list[Write]:
    """An admitted job: its row, its money, its first attempts, its edges and, where there is room, its first launch.

    Positions: 0 the job, 1 the budget, 2 the group's total, 3 the instances in flight if there is a launch; the last
    is the edge the job comes from, if it comes from one. The ledger adds the claim.
    """
    job, launch = newcomer.row, newcomer.launch
    writes: list[Write] = [
        put_job(job),
        _reserve(job, job.analysis, job.limit_micro),
        _reserve(job, TOTAL, job.total_limit_micro),
    ]
    if launch:
        writes += [_take_room(job, launch, room), _put_launch(job, launch)]
    writes += new_attempts(job, newcomer.attempts)
    writes += [Put(row_of(edge.key, edge)) for edge in newcomer.edges]
    return writes + ([_answer_edge(job)] if job.origin else [])


def _answer_edge(job: JobRow) -> Update:
    """An edge learns that its submission became this job; a second submission finds it taken."""
    return Update(
        _origin_key(job),
        set={"state": EdgeState.SUBMITTED, "next_job": job.job, "moved_at": job.created_at, "open_pk": OPEN},
        conditions=(
            If("state", "in", [EdgeState.READY.value, EdgeState.SUBMITTED.value]),
            If("next_job", "absent"),
            *_same_submission(job),
        ),
    )


def _origin_key(job: JobRow) -> tuple[str, str]:
    return str(job.origin), edge_sort_key(job.origin_edge)


def _same_submission(job: JobRow) -> tuple[If, ...]:
    return If("next_bucket", "=", job.bucket), If("timestamp", "=", job.timestamp), If("group", "=", job.group)


def edge_end(job: JobRow, at: str) -> Update:
    """An edge learns how its next job ended, or that it was refused."""
    state = EdgeState(job.state)
    told: dict[str, Value] = {"state": state, "next_job": job.job, "moved_at": at, "open_pk": OPEN}
    if job.reasons:
        told["message"] = job.reasons[0]
    mine = If("next_job", "absent") if job.state is JobState.REJECTED else If("next_job", "=", job.job)
    return Update(
        _origin_key(job),
        set=told,
        conditions=(If("state", "in", [it.value for it in edge_sources(state)]), mine, *_same_submission(job)),
    )


def edge_move(edge: EdgeRow, to: EdgeRow) -> Update:
    """A change of an edge that nobody else changed meanwhile."""
    changes: dict[str, Value] = {}
    gone: list[str] = []
    for name in ("state", "timestamp", "deadline", "moved_at", "replays", "next_job", "message", "open_pk"):
        old, new = getattr(edge, name), getattr(to, name)
        if new is None and old is not None:
            gone.append(name)
        elif new != old:
            changes[name] = new
    answer = If("next_job", "absent") if edge.next_job is None else If("next_job", "=", edge.next_job)
    same = (If("state", "=", edge.state), If("timestamp", "=", edge.timestamp), answer)
    return Update(edge.key, set=changes, remove=tuple(gone), conditions=same)


def _reserve(job: JobRow, name: str, limit: int | None) -> Update:
    enough = () if limit is None else (If("committed_micro", "absent or <=", limit - job.reserved_micro),)
    return Update(budget_key(job.group, name), add={"committed_micro": job.reserved_micro}, conditions=enough)


def new_attempts(job: JobRow, attempts: Sequence[AttemptRow]) -> list[Write]:
    """Attempts that are not in the ledger yet."""
    return [Put(row_of((job.key[0], attempt.sort_key), attempt)) for attempt in attempts]


def reservation(job: JobRow, launch: LaunchRow, *, room: Room) -> list[Write]:
    """A launch written down before it is made. Positions: 0 the launch's number, 1 the room, 2 the job not stopped."""
    going_on = Update(job.key, remove=("wait",), conditions=(If("stop", "absent"), _job_open()))
    return [_put_launch(job, launch), _take_room(job, launch, room), going_on]


def _put_launch(job: JobRow, launch: LaunchRow) -> Put:
    return Put(row_of((job.key[0], launch.sort_key), launch))


def _take_room(job: JobRow, launch: LaunchRow, room: Room) -> Update:
    count = len(launch.attempts)
    conditions: tuple[If, ...]
    if room.seen is None:
        conditions = (If(IN_FLIGHT, "absent or <=", room.limit - count), If(CONTENDED, "absent or <=", room.now))
    elif room.seen.in_flight:  # the share was worked out from this count: it must still be so
        conditions = (If(IN_FLIGHT, "=", room.seen.in_flight),)
    else:
        conditions = (If(IN_FLIGHT, "absent or <=", 0),)
    return Update(
        flight_key(job.analysis),
        add=_flight_change(job.group, count),
        remove=(waiting_attribute(job.group),) if count >= job.queued else (),
        conditions=conditions,
    )


def _flight_change(group: str, count: int) -> dict[str, int]:
    return {IN_FLIGHT: count, group_attribute(group): count}


def share_claim(job: JobRow, *, wanted: int, until: str) -> Update:
    """A group that found no room for its queue: until then others share with it."""
    claim: dict[str, Value] = {waiting_attribute(job.group): [until, wanted], CONTENDED: until}
    return Update(flight_key(job.analysis), set=claim)


def _job_open() -> If:
    return If("state", "in", [JobState.ACCEPTED.value, JobState.RUNNING.value])


def launched(job: JobRow, instances: Sequence[InstanceRow]) -> list[Write]:
    """Instances that took their attempts; the job runs."""
    writes: list[Write] = []
    for row in instances:
        writes.append(
            Update(
                (job.key[0], attempt_sort_key(row.index, row.attempt)),
                set={
                    "state": AttemptState.LAUNCHING,
                    "instance": row.instance,
                    "instance_type": row.instance_type,
                    "spot": row.spot,
                    "price_micro": row.price_micro,
                    "launched_at": row.launched_at,
                },
                conditions=(If("state", "=", AttemptState.QUEUED),),
            )
        )
        writes.append(Put(row_of(row.key, row)))
    running: dict[str, Value] = {"state": JobState.RUNNING}
    running |= _moved(max(row.launched_at for row in instances), minutes=job.minutes)
    writes.append(Update(job.key, set=running, add={"queued": -len(instances)}, conditions=(_job_open(),)))
    return writes


def _moved(at: str, *, minutes: int) -> dict[str, Value]:
    """A job whose queue moves has its time anew."""
    return {"moved_at": at, "deadline": job_deadline(at, minutes=minutes)}


def job_deadline(since: str, *, minutes: int) -> str:
    """When a job must have ended that last moved at a moment: a wait in the queue, and two attempts to their limit."""
    return later(since, minutes=QUEUE_HOURS * 60 + 2 * (minutes + _AROUND_MINUTES))


def still_open(job: JobRow, launch: LaunchRow) -> Update:
    """Only while nobody has written the end of a launch is there room reserved for its instances."""
    is_open = If("state", "=", LaunchState.OPEN)
    return Update((job.key[0], launch.sort_key), set={"is_adopted": True}, conditions=(is_open,))


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
        change = _flight_change(job.group, used - len(launch.attempts))
        writes.append(Update(flight_key(job.analysis), add=change))
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
            set={"resume_at": ending.ended_at} | _moved(ending.ended_at, minutes=row.minutes) if retry else {},
            add=changes,
            conditions=job_conditions,
        ),
        *_settle(row, {"committed_micro": settlement.committed, "spent_micro": settlement.spent}),
        Update(flight_key(row.analysis), add=_flight_change(row.group, -1)),
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
    return [*writes, *_settle(job, {"committed_micro": -held})]


def _settle(row: JobRow | InstanceRow, change: dict[str, int]) -> list[Write]:
    """The same change to every sum that counts this money."""
    names = (row.analysis, TOTAL) if row.in_total else (row.analysis,)
    return [Update(budget_key(row.group, name), add=change) for name in names]


def _end_attempt(job_key: str, sort_key: str, ending: Ending, cost: int, instance: str | None) -> Update:
    told: dict[str, Value] = {
        "failure": ending.failure,
        "message": ending.message,
        "exit_code": ending.exit_code,
        "last_line": ending.last_line,
        "cpu": ending.cpu,
        "memory": ending.memory,
        "disk": ending.disk,
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
