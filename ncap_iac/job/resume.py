"""Having again what an ended job left undone: which datasets, with what, and under which name.

Everything is read from what a member may read: the job's own folder, listings, configs (docs/contracts.md section 2). A
resumed job is called `<timestamp>-resume-<k>`, and its submission is written only if there is none of that name: of two
who resume at once one is refused. Decides nothing the job manager decides, and changes no earlier job.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.errors import AccessError, NotFoundError, UsageError
from ncap_iac.job.following import next_steps, read_followed
from ncap_iac.job.jobs import NOT_GROUPS, JobReader, JobRef, JobStatus, Outcome, job_names, submission_key
from ncap_iac.job.resume_asked import SCHEME, Asked, read_asked
from ncap_iac.job.resume_config import UsedConfig, find_config
from ncap_iac.job.resume_reading import Unfinished, datasets_of, reasons_of, settings_of
from ncap_iac.job.scatter import Scatter
from ncap_iac.job.submission import LONGEST_TIMESTAMP, Request, Source, StoredInput, Submitted, submit
from ncap_iac.job.variants import Variant, find_variants, has_variants

if TYPE_CHECKING:
    from ncap_iac.aws import Objects, StoredObject

RESUMED = re.compile(r"(?P<origin>.+)-resume-(?P<number>[1-9]\d{0,5})", re.DOTALL)
ANSWERED_WITHIN = timedelta(hours=1)
"""A submission without a trace after so long has none left: the platform answers within half of that."""
FEW = 100
"""Up to so many datasets are looked up one by one, several at a time; more by one listing of what they share."""
READERS = 16
SHOWN = 5
_TO_REPLAY = (Outcome.FAILED, Outcome.PARTIAL, Outcome.REJECTED, Outcome.CANCELLED)


@dataclass(frozen=True)
class History:
    """A job and those that resumed it, all ended; `number` is the next one's."""

    origin: JobStatus
    resumed: tuple[JobStatus, ...]
    """Those that ran, in order; refused ones took up a number and nothing else."""
    number: int

    @property
    def jobs(self) -> tuple[JobStatus, ...]:
        """All that ran, in order."""
        return (self.origin, *self.resumed)

    @property
    def next(self) -> JobRef:
        """The job that would resume it."""
        ref = self.origin.ref
        return JobRef(ref.bucket, ref.group, f"{ref.job}-resume-{self.number}")

    @property
    def timestamp(self) -> str:
        """How the next job's name ends. Raises UsageError if that is longer than a timestamp may be."""
        timestamp = self.next.job.removeprefix(f"job__{self.origin.ref.bucket}_")
        if len(timestamp) > LONGEST_TIMESTAMP:
            raise UsageError(
                f"its name leaves no room for '-resume-{self.number}'",
                where=self.origin.ref.job,
                hint="Submit the datasets that are left with `ncap job submit`.",
            )
        return timestamp

    @cached_property
    def unfinished(self) -> tuple[Unfinished, ...]:
        """The origin's datasets that succeeded in none of the jobs, with why not, as told by the last that tried.

        Raises UsageError if nothing tells which datasets there were.
        """
        wanted = datasets_of(self.origin)
        if not wanted and self.origin.outcome is not Outcome.SUCCEEDED:
            raise UsageError(
                "which datasets it had cannot be told: it has no STATUS, and neither certificate nor end.txt name any",
                where=self.origin.ref.job,
                hint="Submit them again with `ncap job submit`.",
            )
        found = [(job, datasets_of(job)) for job in reversed(self.jobs)]
        left = [key for key in wanted if not any(datasets.get(key) for _, datasets in found)]
        reasons = {job.ref: reasons_of(job) for job in self.jobs}
        return tuple(next(reasons[job.ref](key) for job, datasets in found if key in datasets) for key in left)


# --- which job, and what became of it ---


def find_origin(objects: Objects, ref: JobRef) -> JobRef:
    """The job another one resumed, if that is still there; else the job itself."""
    match = RESUMED.fullmatch(ref.job)
    origin = match["origin"] if match else ref.job
    is_there = origin != ref.job and origin in job_names(objects, ref.bucket, ref.group, origin)
    return JobRef(ref.bucket, ref.group, origin) if is_there else ref


def nearest_job(objects: Objects, bucket: str, group: str, said: str) -> str | None:
    """The job of the group whose name, or end of it, is most like what was said."""
    start = f"job__{bucket}_"
    names = [name.removeprefix(start) for name in job_names(objects, bucket, group, start)]
    near = difflib.get_close_matches(said.strip("/").removeprefix(start), names, n=1)
    return f"{start}{near[0]}" if near else None


def group_with(objects: Objects, bucket: str, said: str, *, but: str) -> str | None:
    """Another group that has exactly this job, as far as one may look."""
    name = said.strip("/")
    job = name if name.startswith("job__") else f"job__{bucket}_{name}"
    try:
        groups = {prefix.rstrip("/") for prefix in objects.list(bucket, delimiter="/").prefixes} - NOT_GROUPS - {but}
        return next((group for group in sorted(groups) if job in job_names(objects, bucket, group, job)), None)
    except AccessError:
        return None


def read_history(objects: Objects, ref: JobRef, *, now: datetime) -> History:
    """A job and what resumed it. Raises UsageError while one of them goes on, or if the job never ran."""
    if not ref.job.startswith(f"job__{ref.bucket}_"):
        raise UsageError(
            "its name has no timestamp, so no other can be made of it",
            where=ref.job,
            hint="Submit the datasets that are left with `ncap job submit`.",
        )
    # Names first: whatever is resumed later takes a number that shows here, or meets ours when it is written.
    asked = _submissions(objects, ref)
    start = f"{ref.job}-resume-"
    numbers = {
        *asked,
        *(number for name in job_names(objects, ref.bucket, ref.group, start) if (number := _number(ref.job, name))),
    }
    origin = _ended(objects, ref, known_as=ref)
    resumed = []
    for number in sorted(numbers):
        other = JobRef(ref.bucket, ref.group, f"{start}{number}")
        sent = asked.get(number)
        if sent and now - sent > ANSWERED_WITHIN and not _has_trace(objects, other):
            continue
        resumed.append(_ended(objects, other, known_as=ref))
    ran = tuple(status for status in resumed if status.outcome is not Outcome.REJECTED)
    if origin.outcome is Outcome.REJECTED:
        raise UsageError(
            "it was refused, so nothing of it ran",
            where=ref.job,
            hint="See why with `ncap job status`, correct that, and submit it with `ncap job submit`.",
        )
    return History(origin, ran, max(numbers, default=0) + 1)


def _ended(objects: Objects, ref: JobRef, *, known_as: JobRef) -> JobStatus:
    """A job that has ended, read after its end. Raises UsageError if it has not."""
    reader = JobReader(objects, ref)
    if not reader.outcome().is_over:
        outcome = reader.status().outcome
        what = "it" if ref == known_as else f"it is being resumed already: {ref.job}"
        raise UsageError(
            f"{what} is {outcome.value}",
            where=known_as.job,
            hint=f"Wait for its end with `ncap job status {ref.job} --watch`, or stop it with `ncap job cancel "
            f"{ref.job}`; then resume.",
        )
    return reader.status()


def _submissions(objects: Objects, ref: JobRef) -> dict[int, datetime]:
    """The numbers asked for so far, and when."""
    folder = f"{ref.group}/submissions/"
    timestamp = ref.job.removeprefix(f"job__{ref.bucket}_")
    found: dict[int, datetime] = {}
    for item in objects.list(ref.bucket, f"{folder}{timestamp}-resume-").objects:
        number = _number(timestamp, item.key.removeprefix(folder).removesuffix("_submit.json"))
        if number and item.key == submission_key(ref.group, f"{timestamp}-resume-{number}"):
            found[number] = item.modified
    return found


def _number(origin: str, name: str) -> int | None:
    match = RESUMED.fullmatch(name)
    return int(match["number"]) if match and match["origin"] == origin else None


def _has_trace(objects: Objects, ref: JobRef) -> bool:
    return objects.find(ref.bucket, f"{ref.prefix}/") is not None


# --- with what ---


def require_datasets(objects: Objects, bucket: str, keys: Sequence[str], *, since: datetime | None) -> tuple[str, ...]:
    """Those written over since; the job takes them as they are. Raises NotFoundError if some are gone.

    Folders and what lies in other buckets are left to the job manager, which looks with the group's own rights.
    """
    keys = [key for key in keys if not key.endswith("/") and not key.startswith(SCHEME)]
    found = _look_up(objects, bucket, keys)
    gone = [key for key in keys if key not in found]
    if gone:
        more = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
        raise NotFoundError(
            f"deleted since: {', '.join(gone[:SHOWN])}{more}",
            where=f"s3://{bucket}",
            hint="Upload them again under the same keys and resume, or submit the others with `ncap job submit`.",
        )
    return tuple(key for key in keys if since is not None and found[key].modified > since)


def _look_up(objects: Objects, bucket: str, keys: Sequence[str]) -> Mapping[str, StoredObject]:
    if len(keys) > FEW:
        shared = os.path.commonprefix(list(keys))  # noqa: RUF071 - a prefix of keys is text, not a path
        listed = objects.list(bucket, shared).objects
        wanted = set(keys)
        return {item.key: item for item in listed if item.key in wanted}
    with ThreadPoolExecutor(max_workers=READERS) as pool:
        found = pool.map(lambda key: objects.find(bucket, key), keys)
        return {item.key: item for item in found if item is not None}


# --- asking ---


@dataclass(frozen=True)
class Plan:
    """What would be asked for."""

    history: History
    timestamp: str
    config: Source
    version: str | None
    """None: the one served by default."""
    instance_type: str | None
    """None: those the version prefers."""
    has_changed_config: bool = False
    changed: tuple[str, ...] = ()
    """Datasets written over since the job began."""
    larger_type: str | None = None
    """The instance type a remedy names for what ran out of memory, where none was chosen."""
    asked: Asked = field(default_factory=Asked)
    """Where results go, what folders are, which market: as before."""
    variants: tuple[Variant, ...] = ()
    """Of a scattered job: what is to run, all of it with the same points; the rest waits for another resumption."""

    @property
    def names(self) -> tuple[str, ...]:
        """What is to run, as the job names it."""
        return tuple(it.name for it in self.variants) or tuple(left.dataset for left in self.history.unfinished)

    @property
    def datasets(self) -> tuple[str, ...]:
        """What is to run, as keys."""
        keys = (it.dataset for it in self.variants) if self.variants else self.names
        return self.asked.together or tuple(dict.fromkeys(keys))

    @property
    def scatter(self) -> Scatter | None:
        """The points that are run again."""
        points = {int(it.point["k"]): it.point for it in self.variants}
        return Scatter(points=tuple(points.values())) if points else None

    @property
    def later(self) -> int:
        """How many are left for a further resumption."""
        return len(self.history.unfinished) - len(self.names)


def plan_resume(
    objects: Objects, history: History, *, config: Source | None, version: str | None, instance_type: str | None
) -> Plan:
    """All as in the last job that ran, but for what is named. `version`: an id, or empty for the one served now.

    Raises UsageError where that cannot be told, NotFoundError for datasets deleted since.
    """
    settings = settings_of(history.jobs[-1].certificate)
    lacking = [left.dataset for left in history.unfinished]
    asked = read_asked(history.jobs[-1], lacking)
    used = _used_config(objects, history.jobs[-1], asked) if config is None else None
    if version is None and settings.version_id is None:
        raise UsageError(
            "which version of the analysis it ran cannot be told",
            where=history.origin.ref.job,
            hint="Name one with --analysis-version; `current` is the one served by default.",
        )
    variants = _variants(objects, history)
    keys = list(dict.fromkeys(it.dataset for it in variants)) or lacking
    larger = (left.larger_type for left in history.unfinished if left.larger_type)
    return Plan(
        history=history,
        timestamp=history.timestamp,
        config=config or StoredInput(used.key if used else ""),
        version=(settings.version_id if version is None else version) or None,
        # Several types are the version's own list, which it has again; a single one may have been asked for.
        instance_type=instance_type or (settings.types[0] if len(settings.types) == 1 else None),
        has_changed_config=used is not None and not used.is_as_it_was,
        changed=require_datasets(objects, history.origin.ref.bucket, keys, since=settings.began),
        larger_type=None if instance_type else next(larger, None),
        asked=asked,
        variants=variants,
    )


def _used_config(objects: Objects, job: JobStatus, asked: Asked) -> UsedConfig:
    """The config a job ran with. One in another bucket the job manager takes as it is."""
    return UsedConfig(asked.config, "", True) if asked.config else find_config(objects, job)


def _variants(objects: Objects, history: History) -> tuple[Variant, ...]:
    """What of a scattered job runs again now: of the datasets those that lack the same points as the first.

    A job runs all its datasets with all its points. Empty for a job that was not scattered.
    """
    if not any(map(has_variants, history.jobs)):
        return ()
    names = [left.dataset for left in history.unfinished]
    found = find_variants(objects, history.jobs[-1], names) if len(history.jobs) == 1 else _latest(objects, history)
    lacking: dict[str, frozenset[int]] = {}
    for it in found:
        lacking[it.dataset] = lacking.get(it.dataset, frozenset()) | {int(it.point["k"])}
    wanted = lacking[found[0].dataset]
    return tuple(it for it in found if lacking[it.dataset] == wanted)


def _latest(objects: Objects, history: History) -> tuple[Variant, ...]:
    """Each variant as the last of several jobs that names it tells."""
    by_job: dict[JobStatus, list[str]] = {}
    datasets = {job: datasets_of(job) for job in history.jobs}
    for left in history.unfinished:
        job = next((job for job in reversed(history.jobs) if left.dataset in datasets[job]), history.origin)
        by_job.setdefault(job, []).append(left.dataset)
    return tuple(it for job, names in by_job.items() for it in find_variants(objects, job, names))


def ask(plan: Plan, objects: Objects, *, now: Callable[[], datetime], report: progress.Reporter) -> Submitted:
    """Submit the plan. Raises UsageError with the other's job when somebody else was faster."""
    ref, timestamp = plan.history.next, plan.timestamp
    request = Request(
        bucket=ref.bucket,
        group=ref.group,
        datasets=tuple(StoredInput(key) for key in plan.datasets),
        config=plan.config,
        timestamp=timestamp,
        instance_type=plan.instance_type,
        version=plan.version,
        scatter=plan.scatter,
        spot=plan.asked.spot,
        results_to=plan.asked.results_to,
        folders=plan.asked.folders,
        files=plan.asked.files,
        resumes=tuple(job.ref.job for job in plan.history.jobs) if next_steps(plan.history.origin) else (),
    )
    try:
        return submit(request, objects, now=now, report=report)
    except UsageError as error:
        # Ours was not written; if there is one, it is somebody else's.
        if objects.find(ref.bucket, submission_key(ref.group, timestamp)) is None:
            raise
        raise UsageError(
            f"somebody resumed it at this moment, as {ref.job}",
            where=plan.history.origin.ref.job,
            hint=f"Follow that one: `ncap job status {ref.job} --watch`. Nothing was asked for twice.",
        ) from error


def steps_to_replay(objects: Objects, history: History) -> tuple[str, ...]:
    """The analyses a job's steps should have reached and did not, or not well; those on their way are left alone."""
    found = read_followed(objects, history.jobs[-1])
    return tuple(
        it.step.analysis
        for it in found.steps
        if it.step is not None
        and (it.status is None or it.status.outcome in _TO_REPLAY)
        and " is being " not in it.step.said
    )
