"""The ledger: the one truth about jobs, money and instances. Reads rows, carries out transactions; renders nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from jobmanager import writes
from jobmanager.answers import Admission, Job, OpenRows, Verdict
from jobmanager.aws import Gateway
from jobmanager.budget import Settlement
from jobmanager.errors import TakenError, TransactionError, Value
from jobmanager.expressions import If, Update, Write
from jobmanager.fairness import flight_of
from jobmanager.job import JobPaths
from jobmanager.rows import (
    OPEN,
    AttemptRow,
    EdgeRow,
    InstanceRow,
    JobRow,
    LaunchRow,
    LogLines,
    PendingRow,
    budget_key,
    edge_sort_key,
    instance_key,
    row_of,
    submission_key,
    value_of,
)
from jobmanager.states import AttemptState, JobState, LaunchState
from jobmanager.times import Clock, to_text

INDEX = "open"
log = logging.getLogger(__name__)
_KEEP_S = 90 * 86_400


class Submitted(Protocol):
    """What identifies a submission."""

    @property
    def bucket(self) -> str:
        """Its bucket."""

    @property
    def key(self) -> str:
        """Its key."""

    @property
    def identity(self) -> str:
        """Its version, or ETag."""


class Ledger:
    """The ledger table."""

    def __init__(self, gateway: Gateway, table: str, clock: Clock) -> None:
        self._gateway = gateway
        self._table = table
        self._clock = clock

    def _now_s(self) -> int:
        return int(self._clock().timestamp())

    # Reading

    def job(self, paths: JobPaths) -> Job | None:
        """A job with its attempts, launches and edges, or None."""
        row: JobRow | None = None
        attempts, launches, edges = [], [], []
        for found in self._gateway.partition(self._table, paths.ledger_key):
            kind = str(found["sk"]).partition("#")[0]
            if kind == "JOB":
                row = value_of(JobRow, found)
            elif kind == "ATTEMPT":
                attempts.append(value_of(AttemptRow, found))
            elif kind == "LAUNCH":
                launches.append(value_of(LaunchRow, found))
            elif kind == "EDGE":
                edges.append(value_of(EdgeRow, found))
        return Job(row, tuple(attempts), tuple(launches), tuple(edges)) if row else None

    def job_row(self, paths: JobPaths) -> JobRow | None:
        """A job's own row, or None."""
        found = self._gateway.get_row(self._table, (paths.ledger_key, "JOB"))
        return value_of(JobRow, found) if found else None

    def edge(self, paths: JobPaths, number: int) -> EdgeRow | None:
        """An edge of a job, or None."""
        found = self._gateway.get_row(self._table, (paths.ledger_key, edge_sort_key(number)))
        return value_of(EdgeRow, found) if found else None

    def instance(self, instance: str) -> InstanceRow | None:
        """An instance's row, or None."""
        found = self._gateway.get_row(self._table, instance_key(instance))
        return value_of(InstanceRow, found) if found else None

    def committed(self, group: str, analysis: str) -> int:
        """Micro-dollars spent and reserved by a group for an analysis."""
        return _committed(self._gateway.get_row(self._table, budget_key(group, analysis)))

    def spent(self, group: str, analysis: str) -> int:
        """Micro-dollars that ended instances of a group cost for an analysis."""
        value = (self._gateway.get_row(self._table, budget_key(group, analysis)) or {}).get("spent_micro", 0)
        return value if isinstance(value, int) else 0

    def claimant(self, event: Submitted) -> JobPaths | None:
        """The job a submission became, or None."""
        found = self._gateway.get_row(self._table, submission_key(event.bucket, event.key, event.identity))
        return JobPaths(str(found["bucket"]), str(found["group"]), str(found["job"])) if found else None

    def open_rows(self) -> OpenRows:
        """Everything that has not ended; may be a moment behind."""
        jobs, instances, pending, edges = [], [], [], []
        for found in self._gateway.indexed(self._table, INDEX, "open_pk", OPEN):
            try:
                if found["sk"] == "JOB":
                    jobs.append(value_of(JobRow, found))
                elif found["sk"] == "INSTANCE":
                    instances.append(value_of(InstanceRow, found))
                elif found["sk"] == "PENDING":
                    pending.append(value_of(PendingRow, found))
                elif str(found["sk"]).startswith("EDGE#"):
                    edges.append(value_of(EdgeRow, found))
            except (TypeError, ValueError):  # of another release: it must not keep the others from being looked after
                log.exception("a row that cannot be read: %s %s", found["pk"], found["sk"])
        return OpenRows(tuple(jobs), tuple(instances), tuple(pending), tuple(edges))

    # Admission

    def admit(self, newcomer: writes.Newcomer, *, room: writes.Room) -> Admission:
        """Take a submission, its money, its edges and its first launch, all or none."""
        job = newcomer.row
        parts = [*writes.claim(job, self._now_s()), *writes.admission(newcomer, room=room)]
        try:
            self._transact(parts)
        except TransactionError as error:
            if error.failed(0):
                return Admission(Verdict.CLAIMED)
            if error.failed(2):
                return Admission(Verdict.NAME_TAKEN)
            if error.failed(3):
                return Admission(Verdict.NO_BUDGET, _committed(error.reasons[3].row))
            if error.failed(4):
                return Admission(Verdict.NO_TOTAL, _committed(error.reasons[4].row))
            if job.origin and error.failed(len(parts) - 1):
                return Admission(Verdict.NO_ORIGIN)
            if newcomer.launch and error.failed(5):
                return Admission(Verdict.NO_ROOM, flight=flight_of(error.reasons[5].row))
            raise
        return Admission(Verdict.DONE)

    def refuse(self, job: JobRow) -> Admission:
        """Write down a submission that is not carried out."""
        try:
            self._transact([*writes.claim(job, self._now_s()), writes.put_job(job)])
        except TransactionError as error:
            if error.failed(0):
                return Admission(Verdict.CLAIMED)
            if error.failed(2):
                return Admission(Verdict.NAME_TAKEN)
            raise
        return Admission(Verdict.DONE)

    def note_pending(self, event: Submitted, row: PendingRow) -> None:
        """Remember a submission whose admission failed through our fault."""
        key = submission_key(event.bucket, event.key, event.identity, kind="PENDING")
        self._gateway.put_row(self._table, row_of(key, row))

    def forget_pending(self, event: Submitted) -> None:
        """Forget that the admission of a submission failed."""
        self._transact([writes.forget_pending(event.bucket, event.key, event.identity)])

    def add_attempts(self, job: JobRow, attempts: Sequence[AttemptRow]) -> None:
        """Write attempts that are not there yet."""
        for start in range(0, len(attempts), writes.MAX_WRITES):
            self._transact(writes.new_attempts(job, attempts[start : start + writes.MAX_WRITES]))

    # Launches

    def reserve(self, job: JobRow, launch: LaunchRow, *, room: writes.Room) -> Admission:
        """Write a launch down, if its number is free and there is room for its instances."""
        try:
            self._transact(writes.reservation(job, launch, room=room))
        except TransactionError as error:
            if error.failed(0) or error.failed(2):
                return Admission(Verdict.CLAIMED)
            if error.failed(1):
                return Admission(Verdict.NO_ROOM, flight=flight_of(error.reasons[1].row))
            raise
        return Admission(Verdict.DONE)

    def claim_share(self, job: JobRow, *, wanted: int, until: str) -> None:
        """Note that a group waits for instances of an analysis."""
        self._gateway.update_row(self._table, writes.share_claim(job, wanted=wanted, until=until))

    def move_launch(self, job: JobRow, launch: LaunchRow, to: LaunchRow) -> bool:
        """Go on to another place of a launch; False when somebody else did."""
        change = Update(
            (job.key[0], launch.sort_key),
            set={"spot": to.spot, "type_index": to.type_index, "subnet_index": to.subnet_index},
            conditions=(
                If("type_index", "=", launch.type_index),
                If("subnet_index", "absent or <=", launch.subnet_index),
                If("state", "=", LaunchState.OPEN),
                *((If("spot", "=", True),) if launch.spot else ()),
            ),
        )
        return self._changed(change)

    def record_launch(
        self, job: JobRow, launch: LaunchRow, rows: Sequence[InstanceRow], *, used: int, lines: LogLines
    ) -> None:
        """Write down the instances of a launch and its end. Raises TransactionError if another did part."""
        size = writes.INSTANCES_PER_WRITE
        chunks = [rows[start : start + size] for start in range(0, len(rows), size)] or [()]
        for position, chunk in enumerate(chunks):
            parts = writes.launched(job, chunk) if chunk else []
            if position == len(chunks) - 1:
                parts += writes.launch_over(job, launch, used=used)
                parts = _with_log(parts, job, lines)
            self._transact(parts)

    def adopt(self, job: JobRow, launch: LaunchRow, row: InstanceRow) -> bool:
        """Write down one instance of a launch whose launcher has not done so yet; False when it just did."""
        try:
            self._transact([*writes.launched(job, [row]), writes.still_open(job, launch)])
        except TransactionError:
            return False
        return True

    def give_up_launch(self, job: JobRow, launch: LaunchRow, *, wait: str, resume_at: str, lines: LogLines) -> None:
        """End a launch without an instance; the job waits for the given reason."""
        waiting: dict[str, Value] = {"wait": wait, "resume_at": resume_at}
        change = Update(job.key, set=waiting, append={"log": _as_values(lines)} if lines else {})
        self._ignoring([*writes.launch_over(job, launch, used=0), change])

    def wait(self, job: JobRow, *, wait: str, resume_at: str, lines: LogLines = ()) -> None:
        """Note what the job's queue waits for."""
        log: dict[str, list[Value]] = {"log": _as_values(lines)} if lines else {}
        self._gateway.update_row(self._table, Update(job.key, set={"wait": wait, "resume_at": resume_at}, append=log))

    # Instances and ends

    def mark_running(self, instance: str, at: str) -> InstanceRow | None:
        """Note that a launched instance runs and return its row; None when it is unknown or known to be further."""
        change = Update(
            instance_key(instance),
            set={"running_at": at, "state": AttemptState.RUNNING},
            conditions=(If("state", "=", AttemptState.LAUNCHING),),
        )
        try:
            return value_of(InstanceRow, self._gateway.update_row(self._table, change))
        except TakenError:
            return None

    def mark_warned(self, instance: str, at: str) -> bool:
        """Note that AWS takes an instance back; False when it is unknown, was noted before, or has ended."""
        conditions = (If("open_pk", "exists"), If("warned_at", "absent"))
        return self._changed(Update(instance_key(instance), set={"warned_at": at}, conditions=conditions))

    def mark_stop(self, row: InstanceRow, failure: str) -> None:
        """Note why an instance is being ended, before it is."""
        self._changed(Update(row.key, set={"stop": failure}, conditions=(If("open_pk", "exists"),)))

    def close(
        self,
        row: InstanceRow,
        ending: writes.Ending,
        settlement: Settlement,
        *,
        retry: AttemptRow | None,
        job_conditions: tuple[If, ...],
    ) -> None:
        """End an attempt, its instance and its money. Raises TransactionError: 0 ended before, 1 job conditions."""
        self._transact(
            writes.closing(
                row,
                ending,
                settlement,
                retry=retry,
                job_conditions=job_conditions,
                expires_at=self._now_s() + _KEEP_S,
            )
        )

    def drop(self, job: JobRow, attempts: Sequence[AttemptRow], ending: writes.Ending) -> None:
        """End attempts that never got an instance."""
        size = writes.MAX_WRITES - 4
        for start in range(0, len(attempts), size):
            self._ignoring(writes.dropping(job, attempts[start : start + size], ending))

    def stop_job(self, paths: JobPaths, failure: str, message: str) -> bool:
        """Mark a job as to be ended; False when it has ended, is being ended or does not exist."""
        return self._changed(
            Update(
                (paths.ledger_key, "JOB"),
                set={"stop": failure, "stop_message": message},
                conditions=(
                    If("state", "in", [JobState.ACCEPTED.value, JobState.RUNNING.value]),
                    If("stop", "absent"),
                ),
            )
        )

    def end_job(self, paths: JobPaths, outcome: JobState) -> bool:
        """End a job; False when it had ended."""
        return self._changed(writes.job_end(paths, outcome, to_text(self._clock())))

    def forget_open(self, paths: JobPaths) -> None:
        """Take an ended job, all of whose objects are written, out of the sweeper's index."""
        self._gateway.update_row(self._table, Update((paths.ledger_key, "JOB"), remove=("open_pk",)))

    # Edges

    def move_edge(self, edge: EdgeRow, to: EdgeRow) -> bool:
        """Change an edge; False when somebody else did."""
        return self._changed(writes.edge_move(edge, to))

    def tell_edge(self, job: JobRow) -> None:
        """Tell the edge a job comes from how it ended; nothing happens when it knows."""
        self._changed(writes.edge_end(job, to_text(self._clock())))

    def claim_refresh(self, job: JobRow, *, not_after: str) -> bool:
        """Win the right to refresh a certificate last refreshed at or before a moment."""
        return self._changed(
            Update(
                job.key,
                set={"certificate_at": to_text(self._clock())},
                conditions=(If("certificate_at", "absent or <=", not_after), If("open_pk", "exists")),
            )
        )

    # How changes are carried out

    def _transact(self, parts: Sequence[Write]) -> None:
        self._gateway.transact(self._table, parts)

    def _ignoring(self, parts: Sequence[Write]) -> None:
        try:
            self._transact(parts)
        except TransactionError as error:
            if not any(reason.is_condition for reason in error.reasons):
                raise

    def _changed(self, change: Update) -> bool:
        try:
            self._gateway.update_row(self._table, change)
        except TakenError:
            return False
        return True


def _as_values(lines: LogLines) -> list[Value]:
    return [[at, text] for at, text in lines]


def _with_log(parts: list[Write], job: JobRow, lines: LogLines) -> list[Write]:
    """Add log lines to the write that changes the job, for a row may change once in a transaction."""
    if not lines:
        return parts
    told = [
        replace(part, append={"log": _as_values(lines)}) if isinstance(part, Update) and part.key == job.key else part
        for part in parts
    ]
    return told if told != parts else [*parts, Update(job.key, append={"log": _as_values(lines)})]


def _committed(row: dict[str, Value] | None) -> int:
    value = (row or {}).get("committed_micro", 0)
    return value if isinstance(value, int) else 0
