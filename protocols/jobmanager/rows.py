"""The rows of the ledger as values, and their keys. Names every attribute once; writes nothing.

One partition a job: its JOB row, its ATTEMPT rows, its LAUNCH rows, an EDGE row for each next job. One partition each
for an instance, a submission (CLAIM, or PENDING while its admission keeps failing), a budget and the count of an
analysis' instances (FLIGHT).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from jobmanager.addresses import Address
from jobmanager.budget import Rate
from jobmanager.errors import Value
from jobmanager.job import JobPaths
from jobmanager.states import AttemptState, EdgeState, JobState, LaunchState

TOTAL = "total"
"""Stands for all analyses of a group; no analysis has this name."""
OPEN = "open"
"""The value of `open_pk` that puts a row in the sweeper's index."""

Row = dict[str, Value]
LogLines = tuple[tuple[int, str], ...]
RowT = TypeVar("RowT", "JobRow", "AttemptRow", "LaunchRow", "InstanceRow", "PendingRow", "EdgeRow")


def _read_log(value: Any) -> LogLines:
    return tuple((int(at), str(text)) for at, text in value)


def _read_names(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value)


def _as(reader: Callable[[Any], Any]) -> dict[str, Callable[[Any], Any]]:
    return {"read": reader}


@dataclass(frozen=True)
class JobRow:
    """A job. Money in micro-dollars; times as ISO texts; `log` holds (hundredths of a second, line).

    `moved_at`: when it last launched or lost an instance. `in_total`: its money is also counted in the group's total.
    `other_types`: allowed, but not asked for. `origin`, `origin_edge`: the edge whose next job this is, as the ledger
    had it at admission. `also`: earlier jobs whose results count with this one's, which resumed them.
    `plan_key`: where the list of attempts of a large job is. `config_bucket` is None for its own; `result_place`:
    `s3://bucket/prefix` of results that go elsewhere; `protocol`: another one than today's (`jobmanager.widefield`),
    whose clients read `certificate_copy`.
    """

    bucket: str
    group: str
    job: str
    analysis: str
    timestamp: str
    version_id: str
    environment: str
    commit: str
    state: JobState = field(metadata=_as(JobState))
    request_key: str
    request_identity: str
    submit_function: str
    created_at: str
    deadline: str
    resume_at: str
    dataset_count: int = 0
    open_attempts: int = 0
    queued: int = 0
    config_key: str = ""
    config_etag: str = ""
    config_bucket: str | None = None
    plan_key: str | None = None
    result_place: str | None = None
    protocol: str | None = None
    certificate_copy: str | None = None
    types: tuple[str, ...] = field(default=(), metadata=_as(_read_names))
    other_types: tuple[str, ...] = field(default=(), metadata=_as(_read_names))
    spot: bool = False
    minutes: int = 0
    volume_gib: int = 0
    extra_gib: int = 0
    price_micro: int = 0
    reserved_micro: int = 0
    limit_micro: int = 0
    total_limit_micro: int | None = None
    in_total: bool = False
    cost_micro: int = 0
    moved_at: str | None = None
    wait: str | None = None
    stop: str | None = None
    stop_message: str | None = None
    reasons: tuple[str, ...] = field(default=(), metadata=_as(_read_names))
    log: LogLines = field(default=(), metadata=_as(_read_log))
    certificate_at: str | None = None
    ended_at: str | None = None
    origin: str | None = None
    origin_edge: int = 0
    also: tuple[str, ...] = field(default=(), metadata=_as(_read_names))
    open_pk: str | None = OPEN

    @property
    def paths(self) -> JobPaths:
        """The job's keys."""
        return JobPaths(self.bucket, self.group, self.job)

    @property
    def key(self) -> tuple[str, str]:
        """Its place in the ledger."""
        return self.paths.ledger_key, "JOB"

    @property
    def results_url(self) -> str:
        """Where its results are, without a slash at its end."""
        return self.result_place or f"s3://{self.bucket}/{self.paths.result_prefix}/process_results"

    @property
    def rate(self) -> Rate:
        """The dearest rate an attempt of this job may run at."""
        return Rate(self.price_micro, self.volume_gib + self.extra_gib)


@dataclass(frozen=True)
class AttemptRow:
    """One attempt at one dataset. `held_micro` is what the budget holds for it.

    `spot_losses`: spot instances this dataset lost before; `spot`, `price_micro`: of its instance, once it has one.
    `folder`: its results have a folder of their own. `scatter`: the JSON text of the point, for a variant.
    `data_bucket` is None for the job's own; `parts`: where the list of files of a whole folder is, in the job's bucket.
    """

    index: int
    attempt: int
    dataset: str
    etag: str
    label: str
    minutes: int
    held_micro: int
    state: AttemptState = field(default=AttemptState.QUEUED, metadata=_as(AttemptState))
    instance: str | None = None
    launched_at: str | None = None
    ended_at: str | None = None
    failure: str | None = None
    message: str | None = None
    exit_code: int | None = None
    cost_micro: int = 0
    last_line: str | None = None
    cpu: str | None = None
    memory: str | None = None
    disk: str | None = None
    instance_type: str | None = None
    spot: bool = False
    price_micro: int = 0
    spot_losses: int = 0
    folder: str | None = None
    scatter: str | None = None
    data_bucket: str | None = None
    parts: str | None = None

    @property
    def sort_key(self) -> str:
        """Its place in the job's partition; also its name in a launch."""
        return attempt_sort_key(self.index, self.attempt)

    @property
    def name(self) -> str:
        """What a user knows it by: the dataset's key, in a scatter with the variant's label as its last part."""
        key = f"{self.dataset.rstrip('/').rpartition('/')[0]}/{self.label}" if self.scatter else self.dataset
        return Address(key, self.data_bucket).text


@dataclass(frozen=True)
class LaunchRow:
    """One RunInstances call, written down before it is made: its arguments are a function of this row.

    `spot`, `type_index` and `subnet_index` tell at which market, instance type of the job and subnet of its own it is.
    """

    number: int
    attempts: tuple[str, ...] = field(metadata=_as(_read_names))
    minutes: int
    created_at: str
    state: LaunchState = field(default=LaunchState.OPEN, metadata=_as(LaunchState))
    type_index: int = 0
    subnets: tuple[str, ...] = field(default=(), metadata=_as(_read_names))
    subnet_index: int = 0
    spot: bool = False

    @property
    def sort_key(self) -> str:
        """Its place in the job's partition."""
        return f"LAUNCH#{self.number:05d}"


@dataclass(frozen=True)
class InstanceRow:
    """An instance, with all that its events need: the job, the attempt, the keys, the price.

    `spot_losses`: spot instances its dataset lost before this one. `warned_at`: when AWS told that it takes it back.
    """

    instance: str
    bucket: str
    group: str
    job: str
    analysis: str
    submit_function: str
    index: int
    attempt: int
    dataset: str
    etag: str
    label: str
    config_key: str
    instance_type: str
    price_micro: int
    ceiling_micro: int
    volume_gib: int
    minutes: int
    held_micro: int
    launch: int
    launch_index: int
    launched_at: str
    deadline: str
    is_only: bool
    more_queued: bool
    in_total: bool = False
    spot: bool = False
    spot_losses: int = 0
    warned_at: str | None = None
    version_id: str = ""
    folder: str | None = None
    scatter: str | None = None
    data_bucket: str | None = None
    parts: str | None = None
    state: AttemptState = field(default=AttemptState.LAUNCHING, metadata=_as(AttemptState))
    running_at: str | None = None
    ended_at: str | None = None
    stop: str | None = None
    was_last: bool | None = None
    open_pk: str | None = OPEN

    @property
    def paths(self) -> JobPaths:
        """The keys of its job."""
        return JobPaths(self.bucket, self.group, self.job)

    @property
    def key(self) -> tuple[str, str]:
        """Its place in the ledger."""
        return instance_key(self.instance)

    @property
    def rate(self) -> Rate:
        """What it costs."""
        return Rate(self.price_micro, self.volume_gib)

    @property
    def ceiling(self) -> Rate:
        """What the dearest instance its job may use costs: a retry may get that one."""
        return Rate(self.ceiling_micro, self.volume_gib)


@dataclass(frozen=True)
class EdgeRow:
    """The way from a job to the next one: bucket, group, job are the first one's.

    `timestamp` is the next submission's, `config` the text of its config. `depth` counts the jobs before the next one.
    In the sweeper's index while something is to be done about it.
    """

    number: int
    bucket: str
    group: str
    job: str
    submit_function: str
    type: str
    analysis: str
    next_bucket: str
    config: str
    timestamp: str
    deadline: str
    moved_at: str
    files: tuple[str, ...] = field(default=(), metadata=_as(_read_names))
    at_least: int | None = None
    depth: int = 1
    replays: int = 0
    state: EdgeState = field(default=EdgeState.WAITING, metadata=_as(EdgeState))
    next_job: str | None = None
    message: str | None = None
    open_pk: str | None = None

    @property
    def paths(self) -> JobPaths:
        """The keys of the first job."""
        return JobPaths(self.bucket, self.group, self.job)

    @property
    def key(self) -> tuple[str, str]:
        """Its place in the ledger."""
        return self.paths.ledger_key, edge_sort_key(self.number)

    @property
    def config_key(self) -> str:
        """The next job's config, in the next bucket."""
        return f"{self.group}/configs/{self.timestamp}.json"

    @property
    def submission_key(self) -> str:
        """The next job's submission, in the next bucket."""
        return f"{self.group}/submissions/{self.timestamp}_submit.json"

    @property
    def is_answered(self) -> bool:
        """Whether it is known what became of it: a next job, or none."""
        if self.state is EdgeState.SUBMITTED:
            return self.next_job is not None
        return self.state not in (EdgeState.WAITING, EdgeState.READY)


@dataclass(frozen=True)
class PendingRow:
    """A submission whose admission failed through our fault; the sweeper answers it when nobody else has."""

    bucket: str
    key: str
    version_id: str
    etag: str
    time: str
    deadline: str
    submit_function: str
    open_pk: str | None = OPEN


def row_of(key: tuple[str, str], value: RowT) -> Row:
    """The row at a key; attributes that are None are left out."""
    named = {item.name: getattr(value, item.name) for item in fields(value)}
    return {"pk": key[0], "sk": key[1]} | {name: it for name, it in named.items() if it is not None}


def value_of(kind: type[RowT], row: Mapping[str, Value]) -> RowT:
    """The value of a row; attributes this release does not know are left alone."""
    arguments: dict[str, Any] = {}
    for item in fields(kind):
        if item.name in row:
            read = item.metadata.get("read")
            arguments[item.name] = read(row[item.name]) if read else row[item.name]
    return kind(**arguments)


def attempt_sort_key(index: int, attempt: int) -> str:
    """The sort key of an attempt."""
    return f"ATTEMPT#{index:05d}#{attempt:02d}"


def edge_sort_key(number: int) -> str:
    """The sort key of an edge, counted from 1."""
    return f"EDGE#{number:02d}"


def instance_key(instance: str) -> tuple[str, str]:
    """Where an instance's row is."""
    return f"INSTANCE#{instance}", "INSTANCE"


def submission_key(bucket: str, key: str, identity: str, kind: str = "CLAIM") -> tuple[str, str]:
    """Where the claim on a submission is, or with kind PENDING the note that its admission failed."""
    return "SUBMISSION#" + hashlib.sha256("\0".join((bucket, key, identity)).encode()).hexdigest(), kind


def budget_key(group: str, analysis: str) -> tuple[str, str]:
    """Where the money of a group for an analysis is counted; for TOTAL, that for all of them."""
    return f"BUDGET#{group}#{analysis}", "BUDGET"


def flight_key(analysis: str) -> tuple[str, str]:
    """Where the count of an analysis' instances is."""
    return f"FLIGHT#{analysis}", "FLIGHT"
