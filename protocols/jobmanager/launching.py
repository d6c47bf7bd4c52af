"""Going on with a job: its missing rows, its open launches, its queue. Every step may be repeated after any failure.

A launch is written down first (number, attempts, type), so whoever repeats it makes the very same call with the same
client token and meets the same instances.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from jobmanager.budget import usd_text
from jobmanager.certificate import elapsed_cs, step_done
from jobmanager.errors import AwsError, JobManagerError, TransactionError
from jobmanager.launch import (
    Refused,
    classify_refusal,
    instance_row,
    launch_tags,
    plan_launch,
    render_manifest,
    run_arguments,
)
from jobmanager.ledger import Job, Verdict
from jobmanager.observed import Instance
from jobmanager.rows import AttemptRow, InstanceRow, JobRow, LaunchRow, LogLines
from jobmanager.services import Services
from jobmanager.states import AttemptState, FailureClass, JobState, LaunchState
from jobmanager.times import later
from jobmanager.version import Version

_TRIES = 5
_WAITS_MINUTES = {"capacity": 2, "quota": 5}


class NeverError(JobManagerError):
    """AWS will never make these instances; the message is for the user."""


def attempts_of_plan(row: JobRow, plan: bytes) -> tuple[AttemptRow, ...]:
    """The first attempts of a job, from the list kept beside its manifests."""
    held = row.reserved_micro // row.dataset_count
    return tuple(
        AttemptRow(index, 1, key, etag, label, row.minutes, held)
        for index, (key, etag, label) in enumerate(json.loads(plan))
    )


def render_plan(attempts: Sequence[AttemptRow]) -> bytes:
    """The list from which the attempts of a large job can be written again."""
    return json.dumps([[it.dataset, it.etag, it.label] for it in attempts], ensure_ascii=False).encode("utf-8")


def complete_attempts(services: Services, job: Job) -> Job:
    """The job with a row for each of its datasets; those beyond the first transaction are written here."""
    for _ in range(_TRIES):
        if job.is_complete:
            return job
        have = {attempt.index for attempt in job.attempts}
        plan = attempts_of_plan(job.row, services.gateway.get_object(job.row.bucket, job.row.paths.plan).body)
        missing = tuple(attempt for attempt in plan if attempt.index not in have)
        try:
            services.ledger.add_attempts(job.row, missing)
        except TransactionError:
            job = _again(services, job)
            continue
        return replace(job, attempts=(*job.attempts, *missing))
    raise JobManagerError(f"{job.row.job}: its attempts could not be written")


def advance(services: Services, job: Job, version: Version) -> Job:
    """Launch what can be launched now. Raises NeverError when nothing ever can; other errors mean: again."""
    job = complete_attempts(services, job)
    for launch in job.open_launches:
        job, may_go_on = _perform(services, job, launch, version)
        if not may_go_on:
            return job
    room = version.deploy_limit
    for _ in range(job.row.dataset_count + _TRIES):
        launch_row = plan_launch(job, room=room, now=services.now)
        if launch_row is None:
            break
        admission = services.ledger.reserve(job.row, launch_row, limit=version.deploy_limit)
        if admission.verdict is Verdict.NO_ROOM:
            room = min(room - 1, version.deploy_limit - admission.figure)
            continue
        if admission.verdict is not Verdict.DONE:
            return _again(services, job)
        job, may_go_on = _perform(services, replace(job, launches=(*job.launches, launch_row)), launch_row, version)
        if not may_go_on:
            return job
    if job.queue and job.row.wait != "limit":
        services.ledger.wait(job.row, wait="limit", resume_at=later(services.now, minutes=1))
    return job


def _perform(services: Services, job: Job, launch: LaunchRow, version: Version) -> tuple[Job, bool]:
    """Carry out a launch; the job after it, and whether the next launch may follow."""
    attempts = {attempt.sort_key: attempt for attempt in job.attempts}
    manifest = render_manifest(job.row, launch, [attempts[name] for name in launch.attempts], version)
    place = job.row.paths.manifest(launch.number)
    services.gateway.put_object(job.row.bucket, place, manifest, "application/json")
    while True:
        try:
            found = services.gateway.run_instances(run_arguments(job.row, launch, version))
        except AwsError as error:
            kind = classify_refusal(error.code)
            if kind is Refused.CAPACITY and launch.type_index + 1 < len(job.row.types):
                if not services.ledger.next_type(job.row, launch):
                    return _again(services, job), False
                launch = replace(launch, type_index=launch.type_index + 1)
                continue
            if kind is not Refused.REPEATED:
                return _refused(services, job, launch, error, kind), False
            found = find_launched(services, job.row, launch)
            if not found:
                raise
        break
    return record(services, job, launch, found), len(found) == len(launch.attempts)


def _refused(services: Services, job: Job, launch: LaunchRow, error: AwsError, kind: Refused) -> Job:
    if kind is Refused.AGAIN:
        raise error
    words = {
        Refused.CAPACITY: "AWS has no free instance of this analysis's types; the datasets wait and are tried again",
        Refused.QUOTA: f"this AWS account's quota for such instances is used up ({error.code}); the datasets wait",
    }.get(kind, f"AWS refuses to start instances: {error.code}: {error.message}")
    wait = "quota" if kind is Refused.QUOTA else "capacity"
    lines = ((_elapsed(services, job.row), f"[Job Manager] {words}"),) if wait != job.row.wait else ()
    resume_at = later(services.now, minutes=_WAITS_MINUTES[wait])
    services.ledger.give_up_launch(job.row, launch, wait=wait, resume_at=resume_at, lines=lines)
    if kind is Refused.NEVER:
        raise NeverError(words)
    void = tuple(replace(it, state=LaunchState.VOID) if it.number == launch.number else it for it in job.launches)
    return replace(job, row=replace(job.row, wait=wait, log=(*job.row.log, *lines)), launches=void)


def find_launched(services: Services, row: JobRow, launch: LaunchRow) -> tuple[Instance, ...]:
    """The instances of a launch by their tags, those that ended lately too."""
    wanted = ("job", "group", "analysis", "launch")
    tags = {name: value for name, value in launch_tags(row, launch).items() if name in wanted}
    return services.gateway.find_instances(tags)


def record(services: Services, job: Job, launch: LaunchRow, found: Sequence[Instance]) -> Job:
    """Write the instances of a launch into the ledger, whoever else is doing so at the same time."""
    for _ in range(_TRIES):
        rows = make_rows(services, job, launch, found)
        waiting = {attempt.sort_key for attempt in job.attempts if attempt.state is AttemptState.QUEUED}
        fresh = [row for row in rows if launch.attempts[row.launch_index] in waiting]
        lines = _launch_lines(services, job, launch, rows)
        try:
            services.ledger.record_launch(job.row, launch, fresh, used=len(rows), lines=lines)
        except TransactionError:
            job = _again(services, job)
            if all(it.number != launch.number for it in job.open_launches):
                return job
            continue
        return _with_launched(job, launch, fresh, lines)
    raise JobManagerError(f"{job.row.job}: launch {launch.number} could not be written down")


def make_rows(services: Services, job: Job, launch: LaunchRow, found: Sequence[Instance]) -> list[InstanceRow]:
    """The ledger rows of instances of a launch: each takes the attempt at its launch index."""
    wanted = set(launch.attempts)
    attempts = {name: it for it in job.attempts if (name := it.sort_key) in wanted}
    more_queued = bool(job.queue)
    rows = []
    for instance in found:
        position = instance.launch_index
        attempt = attempts.get(launch.attempts[position]) if position < len(launch.attempts) else None
        if attempt:
            price = services.prices.of(instance.instance_type)
            rows.append(instance_row(job.row, launch, attempt, instance, price_micro=price, more_queued=more_queued))
    return rows


def _launch_lines(services: Services, job: Job, launch: LaunchRow, rows: Sequence[InstanceRow]) -> LogLines:
    at = _elapsed(services, job.row)
    kinds = ", ".join(dict.fromkeys(row.instance_type for row in rows))
    lines = [f"[Job Manager] launch {launch.number}: {len(rows)} of {len(launch.attempts)} instances, {kinds}"]
    if len(rows) < len(launch.attempts):
        lines.append("[Job Manager] the other datasets wait in the queue")
    if job.row.state is JobState.ACCEPTED:
        lines.append(step_done(4))
    return tuple((at, line) for line in lines)


def _with_launched(job: Job, launch: LaunchRow, rows: Sequence[InstanceRow], lines: LogLines) -> Job:
    taken = {launch.attempts[row.launch_index]: row for row in rows}
    attempts = tuple(
        replace(it, state=AttemptState.LAUNCHING, instance=row.instance, launched_at=row.launched_at)
        if (row := taken.get(it.sort_key))
        else it
        for it in job.attempts
    )
    launches = tuple(replace(it, state=LaunchState.DONE) if it.number == launch.number else it for it in job.launches)
    changed = replace(job.row, state=JobState.RUNNING, queued=job.row.queued - len(rows), log=(*job.row.log, *lines))
    return Job(changed, attempts, launches)


def _again(services: Services, job: Job) -> Job:
    return services.ledger.job(job.row.paths) or job


def _elapsed(services: Services, row: JobRow) -> int:
    return elapsed_cs(row.created_at, services.clock())


def reservation_line(row: JobRow) -> str:
    """What was set aside for a job, in words."""
    each = usd_text(row.reserved_micro // row.dataset_count)
    return (
        f"[Job Manager] COST RESERVED: {usd_text(row.reserved_micro)} ({row.dataset_count} x {each} for at most "
        f"{row.minutes} minutes each) of a budget of {usd_text(row.limit_micro)}"
    )


STOP_CLASS = FailureClass.BOOT
"""The class of datasets whose instances AWS refuses for good."""
