"""Going on with a job: its missing rows, its open launches, its queue. Every step may be repeated after any failure.

A launch is written down first (number, attempts, type), so whoever repeats it makes the very same call with the same
client token and meets the same instances.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace

from jobmanager.answers import Job, Verdict
from jobmanager.budget import MICRO, usd_text
from jobmanager.certificate import elapsed_cs, step_done
from jobmanager.errors import AwsError, JobManagerError, TransactionError
from jobmanager.fairness import CLAIM_MINUTES, Flight, fair_room
from jobmanager.launch import (
    Refused,
    after_refusal,
    classify_refusal,
    instance_row,
    launch_tags,
    plan_launch,
    render_manifest,
    run_arguments,
)
from jobmanager.observed import Instance
from jobmanager.pricing import Prices, spot_of
from jobmanager.rows import AttemptRow, InstanceRow, JobRow, LaunchRow, LogLines
from jobmanager.services import Services
from jobmanager.spot import MAX_LOSSES
from jobmanager.states import AttemptState, FailureClass, JobState, LaunchState
from jobmanager.times import later
from jobmanager.version import Version
from jobmanager.writes import Room

LAUNCHES_A_TURN = 20
"""New launches of one invocation: a function must end long before its time does; the sweeper has the next begun."""
LISTED_LAUNCHES = 100
"""Launches that have lines in the certificate: a row of the ledger holds 400 KB, and its log is part of one."""
EAGER_DATASETS = 1000
"""Up to so many datasets a free place is taken at once; in larger jobs, costly to read, once a minute by the sweep."""
_TRIES = 5
_MORE_OF_PLAN = ("data_bucket", "parts", "folder", "scatter")
log = logging.getLogger(__name__)
WAITS_MINUTES = {"capacity": 2, "quota": 5, "throttled": 1}
"""When a queue is looked at again, by what it waits for."""


class NeverError(JobManagerError):
    """AWS will never make these instances; the message is for the user."""


def attempts_of_plan(row: JobRow, plan: bytes) -> tuple[AttemptRow, ...]:
    """The first attempts of a job, from the list kept beside its manifests."""
    held = row.reserved_micro // row.dataset_count
    return tuple(
        AttemptRow(index, 1, key, etag, label, row.minutes, held, **(more[0] if more else {}))
        for index, (key, etag, label, *more) in enumerate(json.loads(plan))
    )


def render_plan(attempts: Sequence[AttemptRow]) -> bytes:
    """The list from which the attempts of a large job can be written again."""
    return json.dumps([_planned(it) for it in attempts], ensure_ascii=False).encode("utf-8")


def _planned(attempt: AttemptRow) -> list[str | dict[str, str]]:
    more = {name: value for name in _MORE_OF_PLAN if (value := getattr(attempt, name)) is not None}
    return [attempt.dataset, attempt.etag, attempt.label, *([more] if more else [])]


def complete_attempts(services: Services, job: Job) -> Job:
    """The job with a row for each of its datasets; those beyond the first transaction are written here."""
    for _ in range(_TRIES):
        if job.is_complete:
            return job
        have = {attempt.index for attempt in job.attempts}
        place = job.row.plan_key or job.row.paths.plan()
        plan = attempts_of_plan(job.row, services.gateway.get_object(job.row.bucket, place).body)
        missing = tuple(attempt for attempt in plan if attempt.index not in have)
        try:
            services.ledger.add_attempts(job.row, missing)
        except TransactionError:
            job = _again(services, job)
            continue
        return replace(job, attempts=(*job.attempts, *missing))
    raise JobManagerError(f"{job.row.job}: its attempts could not be written")


def advance(services: Services, job: Job, version: Version, *, subnets: tuple[str, ...] = ()) -> Job:
    """Launch what can be launched now. Raises NeverError when nothing ever can; other errors mean: again."""
    job = complete_attempts(services, job)
    for launch in job.open_launches:
        job, may_go_on = _perform(services, job, launch, version)
        if not may_go_on:
            return job
    for _ in range(LAUNCHES_A_TURN):
        verdict, planned = _reserve(services, job, version, subnets)
        if verdict is Verdict.CLAIMED:
            return _again(services, job)
        if planned is None:
            break
        job, may_go_on = _perform(services, replace(job, launches=(*job.launches, planned)), planned, version)
        if not may_go_on:
            return job
    if job.queue:
        _wait_in_line(services, job, is_full=verdict is Verdict.NO_ROOM)
    return job


def _reserve(
    services: Services, job: Job, version: Version, subnets: tuple[str, ...]
) -> tuple[Verdict, LaunchRow | None]:
    """Write the next launch down, as large as the group's share of the free instances."""
    room, seen = version.deploy_limit, None
    for _ in range(_TRIES):
        launch = plan_launch(job, room=room, now=services.now, subnets=subnets)
        if launch is None:
            break
        taken = Room(version.deploy_limit, services.now, seen)
        admission = services.ledger.reserve(job.row, launch, room=taken)
        if admission.verdict is not Verdict.NO_ROOM:
            return admission.verdict, launch
        seen = admission.flight
        room = share(job, seen, limit=version.deploy_limit, now=services.now)
    return Verdict.NO_ROOM, None


def share(job: Job, flight: Flight, *, limit: int, now: str) -> int:
    """How many instances of those in the queue the job's group may have now."""
    return fair_room(flight, job.row.group, wanted=job.row.queued, limit=limit, now=now)


def _wait_in_line(services: Services, job: Job, *, is_full: bool) -> None:
    """Leave the rest of the queue to a later turn, if need be in line with other groups."""
    if is_full:
        until = later(services.now, minutes=CLAIM_MINUTES)
        services.ledger.claim_share(job.row, wanted=len(job.queue), until=until)
    if job.row.wait != "limit":
        services.ledger.wait(job.row, wait="limit", resume_at=later(services.now, minutes=1 if is_full else 0))


def _perform(services: Services, job: Job, launch: LaunchRow, version: Version) -> tuple[Job, bool]:
    """Carry out a launch; the job after it, and whether the next launch may follow."""
    attempts = {attempt.sort_key: attempt for attempt in job.attempts}
    manifest = render_manifest(job.row, launch, [attempts[name] for name in launch.attempts], version)
    key = job.row.paths.manifest(launch.number)
    services.gateway.put_object(job.row.bucket, key, manifest, "application/json")
    while True:
        try:
            arguments = run_arguments(job.row, launch, version, volume_key=services.volume_key)
            found = services.gateway.run_instances(arguments)
        except AwsError as error:
            kind = classify_refusal(error.code)
            place = after_refusal(launch, kind, types=len(job.row.types))
            if place:
                if not services.ledger.move_launch(job.row, launch, place):
                    return _again(services, job), False
                launch = place
                continue
            if kind is not Refused.REPEATED:
                return _refused(services, job, launch, error, kind), False
            found = find_launched(services, job.row, launch)
            if not found:
                raise
        break
    is_whole = len(found) == len(launch.attempts)
    return record(services, job, launch, found), is_whole or launch.spot  # what spot lacks, the next launch goes on for


def _refused(services: Services, job: Job, launch: LaunchRow, error: AwsError, kind: Refused) -> Job:
    """Put the datasets of a refused launch back into the queue, or keep a launch that may have been made after all."""
    words = {
        Refused.CAPACITY: "AWS has no free instance of this analysis's types; the datasets wait and are tried again",
        Refused.QUOTA: f"this AWS account's quota for such instances is used up ({error.code}); the datasets wait",
        Refused.AGAIN: f"AWS is too busy to start instances ({error.code}); the datasets wait and are tried again",
    }.get(kind, f"AWS refuses to start instances: {error.code}: {error.message}")
    wait = {Refused.QUOTA: "quota", Refused.AGAIN: "throttled"}.get(kind, "capacity")
    is_listed = wait != job.row.wait and launch.number <= LISTED_LAUNCHES
    lines = ((_elapsed(services, job.row), f"[Job Manager] {words:.1500}"),) if is_listed else ()
    resume_at = later(services.now, minutes=WAITS_MINUTES[wait])
    waiting = replace(job.row, wait=wait, log=(*job.row.log, *lines))
    if kind is Refused.AGAIN:  # the very same call, with the same token, is made again
        services.ledger.wait(job.row, wait=wait, resume_at=resume_at, lines=lines)
        return replace(job, row=waiting)
    services.ledger.give_up_launch(job.row, launch, wait=wait, resume_at=resume_at, lines=lines)
    if kind is Refused.NEVER:
        raise NeverError(words)
    void = tuple(replace(it, state=LaunchState.VOID) if it.number == launch.number else it for it in job.launches)
    return replace(job, row=waiting, launches=void)


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
                _end_strays(services, job, found)
                return job
            continue
        job = _with_launched(job, launch, fresh, lines)
        _end_strays(services, job, found)
        return job
    raise JobManagerError(f"{job.row.job}: launch {launch.number} could not be written down")


def _end_strays(services: Services, job: Job, found: Sequence[Instance]) -> None:
    """End instances of a closed launch that have no attempt: two functions may have launched in two places at once."""
    recorded = {it.instance for it in job.attempts}
    strays = [it.instance for it in found if not it.is_gone and it.instance not in recorded]
    services.gateway.terminate_instances(strays)


def make_rows(services: Services, job: Job, launch: LaunchRow, found: Sequence[Instance]) -> list[InstanceRow]:
    """The ledger rows of instances of a launch: each takes the attempt at its launch index."""
    wanted = set(launch.attempts)
    attempts = {name: it for it in job.attempts if (name := it.sort_key) in wanted}
    more_queued = bool(job.queue) and job.row.dataset_count <= EAGER_DATASETS
    rows = []
    prices = _prices(services, found)
    one_each = {it.launch_index: it for it in sorted(found, key=lambda it: not it.is_gone)}
    for position, instance in sorted(one_each.items()):
        attempt = attempts.get(launch.attempts[position]) if position < len(launch.attempts) else None
        if attempt:
            price = price_of(prices, instance)
            rows.append(instance_row(job.row, launch, attempt, instance, price_micro=price, more_queued=more_queued))
    return rows


def price_of(prices: Prices, instance: Instance) -> int:
    """Micro-dollars an hour of an instance, as it was bought."""
    kind = instance.instance_type
    return prices.of_spot(kind, instance.zone) if instance.is_spot else prices.of(kind)


def _prices(services: Services, found: Sequence[Instance]) -> Prices:
    """The prices in force; where there are spot instances, with their spot prices of this moment."""
    prices = services.prices
    kinds = sorted({it.instance_type for it in found if it.is_spot})
    if not kinds:
        return prices
    try:
        asked = services.gateway.spot_prices(services.clock(), kinds)
        return replace(prices, spot_micro={**prices.spot_micro, **spot_of(asked)})
    except (AwsError, KeyError, ValueError) as error:  # no launch fails for a price
        log.warning("the spot prices of the price table serve: %s", error)
        return prices


def _launch_lines(services: Services, job: Job, launch: LaunchRow, rows: Sequence[InstanceRow]) -> LogLines:
    if launch.number > LISTED_LAUNCHES:
        return ()
    at = _elapsed(services, job.row)
    kinds = ", ".join(dict.fromkeys(_bought(row) for row in rows))
    lines = [f"[Job Manager] launch {launch.number}: {len(rows)} of {len(launch.attempts)} instances, {kinds}"]
    if job.row.spot and not launch.spot and any(row.spot_losses < MAX_LOSSES for row in rows):
        lines.append("[Job Manager] no spot instance was to be had: these run on demand")
    if len(rows) < len(launch.attempts):
        lines.append("[Job Manager] the other datasets wait in the queue")
    if launch.number == LISTED_LAUNCHES:
        lines.append("[Job Manager] further launches are not listed")
    if job.row.state is JobState.ACCEPTED:
        lines.append(step_done(4))
    return tuple((at, line) for line in lines)


def _bought(row: InstanceRow) -> str:
    """Type and, of a spot instance, what it costs an hour."""
    return f"{row.instance_type} on spot at ${row.price_micro / MICRO:.4f} an hour" if row.spot else row.instance_type


def _with_launched(job: Job, launch: LaunchRow, rows: Sequence[InstanceRow], lines: LogLines) -> Job:
    taken = {launch.attempts[row.launch_index]: row for row in rows}
    attempts = tuple(
        replace(
            it,
            state=AttemptState.LAUNCHING,
            instance=row.instance,
            launched_at=row.launched_at,
            spot=row.spot,
            price_micro=row.price_micro,
        )
        if (row := taken.get(it.sort_key))
        else it
        for it in job.attempts
    )
    launches = tuple(replace(it, state=LaunchState.DONE) if it.number == launch.number else it for it in job.launches)
    changed = replace(job.row, state=JobState.RUNNING, queued=job.row.queued - len(rows), log=(*job.row.log, *lines))
    return replace(job, row=changed, attempts=attempts, launches=launches)


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
