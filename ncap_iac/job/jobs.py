"""Jobs as their users see them: read from the objects in the analysis bucket, and nothing else.

A member's own keys suffice (docs/contracts.md section 2). Keys that may be missing are listed before they are read:
to someone whose right to list depends on the prefix, S3 answers a missing key with 403. Writes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.errors import AccessError, ExitCode, NotFoundError, UsageError, WaitTimeoutError

if TYPE_CHECKING:
    from ncap_iac.aws import Objects, StoredObject

JOB_NAME = re.compile(r"job__(?P<bucket>[a-z0-9.-]+)_(?P<timestamp>.*)", re.DOTALL)
STATUS_NAME = re.compile(r"DATASET_NAME:(?P<label>.*)_STATUS\.txt", re.DOTALL)
NOT_GROUPS = frozenset({"logs", "versions", "debug_direct"})
"""Top-level prefixes of an analysis bucket that are no group's."""
VERSION_LINE = re.compile(r"^ANALYSIS VERSION ID: (v-[0-9a-f]{16})", re.MULTILINE)
RESULTS_LINE = re.compile(r"^\[Job Manager\] RESULTS: (s3://[^\t\n]+?)/?(?:\t|$)", re.MULTILINE)
STATUS_COLUMNS = ("dataset", "status", "attempt", "cpu", "memory", "last line")


class Outcome(Enum):
    """Where a job is: on its way, or how it ended (the first line of `end.txt`)."""

    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PARTIAL = "PARTIAL"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (Outcome.SUBMITTED, Outcome.RUNNING)

    @property
    def exit_code(self) -> ExitCode:
        """How a command that shows such a job ends."""
        well = (Outcome.SUBMITTED, Outcome.RUNNING, Outcome.SUCCEEDED)
        return ExitCode.DONE if self in well else ExitCode.FAILED


@dataclass(frozen=True)
class JobRef:
    """One job's address."""

    bucket: str
    group: str
    job: str

    @property
    def prefix(self) -> str:
        """Where everything of the job is."""
        return f"{self.group}/results/{self.job}"


@dataclass(frozen=True)
class DatasetStatus:
    """One dataset of a job, as its STATUS object says."""

    label: str
    dataset: str
    status: str
    attempt: int | None = None
    reason: int | str | None = None
    failure: str | None = None
    message: str | None = None
    instance: str | None = None
    cpu_usage: str = ""
    memory_usage: str = ""
    job_start: str = ""
    job_finish: str = ""
    lines: tuple[tuple[int, str], ...] = ()
    """Number and text of the log lines that were kept."""

    @property
    def last_line(self) -> str:
        """The last line that says something."""
        return next((text.strip() for _, text in reversed(self.lines) if text.strip()), "")

    def row(self) -> tuple[str, ...]:
        """For a table with STATUS_COLUMNS."""
        said = self.message or self.last_line
        attempt = "" if self.attempt is None else str(self.attempt)
        return (self.label, self.status, attempt, self.cpu_usage, self.memory_usage, said)

    def document(self) -> dict[str, object]:
        """For JSON: everything but the log."""
        return {name: value for name, value in asdict(self).items() if name != "lines"} | {"lastLine": self.last_line}


@dataclass(frozen=True)
class JobStatus:
    """A job at one moment."""

    ref: JobRef
    outcome: Outcome
    datasets: tuple[DatasetStatus, ...]
    end_text: str = ""
    """What `end.txt` says after its first line; empty while the job runs."""
    certificate: str = ""

    @property
    def version_id(self) -> str | None:
        """The version of the analysis it runs, as its certificate tells."""
        match = VERSION_LINE.search(self.certificate)
        return match[1] if match else None

    @property
    def results_url(self) -> str | None:
        """Where its results went, `s3://bucket/prefix`, if not into its own folder."""
        match = RESULTS_LINE.search(self.certificate)
        return match[1] if match else None

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "job": self.ref.job,
            "bucket": self.ref.bucket,
            "group": self.ref.group,
            "versionId": self.version_id,
            "outcome": self.outcome.value,
            "message": self.end_text,
            "datasets": [dataset.document() for dataset in self.datasets],
        }


@dataclass(frozen=True)
class JobSummary:
    """One job in a list."""

    job: str
    outcome: Outcome


def parse_status(label: str, body: bytes) -> DatasetStatus:
    """A STATUS object → value; tolerates the formats of older environments (lists, `stdout` beside `stderr`)."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        return DatasetStatus(label=label, dataset=label, status="UNREADABLE", message="The STATUS object is damaged.")
    reason, attempt = found.get("reason"), found.get("attempt")
    return DatasetStatus(
        label=label,
        dataset=_text(found.get("input")) or label,
        status=_text(found.get("status")).replace("_", " "),
        attempt=attempt if isinstance(attempt, int) else None,
        reason=reason if isinstance(reason, int) else _text(reason) or None,
        failure=_text(found.get("failure")) or None,
        message=_text(found.get("message")) or None,
        instance=_text(found.get("instance")) or None,
        cpu_usage=_text(found.get("cpu_usage")),
        memory_usage=_text(found.get("memory_usage")),
        job_start=_text(found.get("job_start")),
        job_finish=_text(found.get("job_finish")),
        lines=_lines(found),
    )


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(_text(item) for item in value)
    return "" if value is None else str(value)


def _lines(status: Mapping[str, object]) -> tuple[tuple[int, str], ...]:
    numbered: list[tuple[int, str]] = []
    for stream in ("std", "stdout", "stderr"):
        kept = status.get(stream)
        if isinstance(kept, Mapping):
            lines = [(int(number), str(text).rstrip("\n")) for number, text in kept.items() if str(number).isdigit()]
            numbered += sorted(lines)
    return tuple(numbered)


class JobReader:
    """Reads one job again and again; an object that has not changed is not read twice."""

    def __init__(self, objects: Objects, ref: JobRef) -> None:
        self._objects = objects
        self.ref = ref
        self._read: dict[str, tuple[str, bytes]] = {}

    def status(self) -> JobStatus:
        """The job now: two listings, and a read for each object that changed. A job not taken up yet is SUBMITTED."""
        logs = self._objects.list(self.ref.bucket, f"{self.ref.prefix}/logs/").objects
        end = self._end()
        datasets, certificate = [], ""
        for found in logs:
            name = found.key.rpartition("/")[2]
            match = STATUS_NAME.fullmatch(name)
            if match:
                datasets.append(parse_status(match["label"], self._body(found)))
            elif name == "certificate.txt":
                certificate = self._body(found).decode(errors="replace")
        first, _, rest = end.partition("\n")
        outcome = _outcome(first, datasets) if end else (Outcome.RUNNING if logs else Outcome.SUBMITTED)
        return JobStatus(self.ref, outcome, tuple(datasets), end_text=rest.strip(), certificate=certificate)

    def outcome(self) -> Outcome:
        """How the job ended, or RUNNING; cheaper than `status` for a job that says so itself."""
        end = self._end()
        if not end:
            return Outcome.RUNNING
        first = end.partition("\n")[0].strip()
        said = {outcome.value: outcome for outcome in Outcome if outcome.is_over}
        return said[first] if first in said else self.status().outcome

    def _end(self) -> str:
        key = f"{self.ref.prefix}/process_results/end.txt"
        found = self._objects.find(self.ref.bucket, key)
        return "" if found is None else self._body(found).decode(errors="replace") or "\n"

    def _body(self, found: StoredObject) -> bytes:
        etag, body = self._read.get(found.key, ("", b""))
        if etag != found.etag:
            content = self._objects.read(self.ref.bucket, found.key)
            self._read[found.key] = (content.etag, content.body)
            return content.body
        return body


def _outcome(first_line: str, datasets: list[DatasetStatus]) -> Outcome:
    """The outcome said by `end.txt`, or, where a predecessor's marker says none, by the datasets."""
    for outcome in Outcome:
        if outcome.is_over and first_line.strip() == outcome.value:
            return outcome
    succeeded = sum(dataset.status == "SUCCESS" for dataset in datasets)
    if datasets and succeeded == len(datasets):
        return Outcome.SUCCEEDED
    return Outcome.PARTIAL if succeeded else Outcome.FAILED


@dataclass(frozen=True)
class Patience:
    """How to wait: clock and sleep are handed in; seconds."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    timeout_s: float | None = None
    shortest_s: float = 0.5
    longest_s: float = 5.0


def watch(
    reader: JobReader, patience: Patience, report: progress.Reporter, *, seen: Callable[[JobStatus], None] | None = None
) -> JobStatus:
    """Wait for the job's end and report its rows as they change. Raises WaitTimeoutError.

    The pause between two looks grows while nothing changes, and is short again after a change.
    """
    began = patience.clock()
    pause, last = patience.shortest_s, None
    try:
        while True:
            now = reader.status()
            if now != last:
                pause, last = patience.shortest_s, now
                rows = tuple(dataset.row() for dataset in now.datasets)
                report(progress.RowsChanged(reader.ref.job, STATUS_COLUMNS, rows))
                if seen is not None:
                    seen(now)
            if now.outcome.is_over:
                return now
            if patience.timeout_s is not None and patience.clock() - began + pause > patience.timeout_s:
                raise WaitTimeoutError(
                    f"it is {now.outcome.value} after {patience.timeout_s:g} s",
                    where=reader.ref.job,
                    hint="The job goes on. Look again later with `ncap job status`, or give a longer --timeout.",
                )
            patience.sleep(pause)
            pause = min(pause * 1.3, patience.longest_s)
    finally:
        report(progress.RowsChanged(reader.ref.job))


def job_names(objects: Objects, bucket: str, group: str, prefix: str = "") -> list[str]:
    """The names of a group's jobs that begin with `prefix`, in order."""
    folder = f"{group}/results/"
    found = objects.list(bucket, folder + prefix, delimiter="/").prefixes
    return sorted(name.removeprefix(folder).rstrip("/") for name in found)


def list_jobs(objects: Objects, bucket: str, group: str, *, limit: int) -> tuple[list[JobSummary], int]:
    """The last `limit` jobs by name, the last first, with where they are; and how many there are."""
    names = [name for name in job_names(objects, bucket, group) if JOB_NAME.fullmatch(name)][::-1]
    return [JobSummary(name, JobReader(objects, JobRef(bucket, group, name)).outcome()) for name in names[:limit]], len(
        names
    )


def submission_key(group: str, timestamp: str) -> str:
    """Where a submission of ours is put: its name tells the job's."""
    return f"{group}/submissions/{timestamp}_submit.json"


def bucket_of(job: str) -> str | None:
    """The analysis a job's name tells, if it tells one."""
    match = JOB_NAME.fullmatch(job)
    return match["bucket"] if match else None


def find_job(objects: Objects, bucket: str, group: str, said: str) -> JobRef:
    """The job meant by a name, a timestamp, or the beginning of either. Raises NotFoundError, UsageError."""
    name = said.strip("/")
    start = name if name.startswith("job__") else f"job__{bucket}_{name}"
    names = job_names(objects, bucket, group, start)
    if start in names:
        return JobRef(bucket, group, start)
    if len(names) == 1:
        return JobRef(bucket, group, names[0])
    where = f"s3://{bucket}/{group}"
    if names:
        raise UsageError(
            f"{said!r} is the beginning of {len(names)} jobs: {', '.join(names[:5])}{', …' * (len(names) > 5)}",
            where=where,
            hint="Give a longer part of the name.",
        )
    key = submission_key(group, start.removeprefix(f"job__{bucket}_"))
    if objects.find(bucket, key) is not None:
        return JobRef(bucket, group, start)
    raise NotFoundError(f"there is no job {said!r}", where=where, hint=f"See `ncap job list {bucket} --group {group}`.")


def find_group(objects: Objects, bucket: str) -> str:
    """The only group of a bucket. Raises UsageError if there are several, none, or one may not look."""
    hint = "Name yours with --group."
    try:
        prefixes = objects.list(bucket, delimiter="/").prefixes
    except AccessError as error:
        raise UsageError("your group is not known", where=f"s3://{bucket}", hint=hint) from error
    groups = sorted({prefix.rstrip("/") for prefix in prefixes} - NOT_GROUPS)
    if len(groups) == 1:
        return groups[0]
    said = f"it has {len(groups)} groups: {', '.join(groups[:8])}" if groups else "no group has used it yet"
    raise UsageError(said, where=f"s3://{bucket}", hint=hint)
