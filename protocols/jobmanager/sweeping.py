"""The sweep: compares the ledger with EC2 and repairs what events missed. Every step is safe to repeat.

One thing that cannot be repaired does not keep the others from being: its error is raised when all are done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from jobmanager.answers import Job, OpenRows, Verdict
from jobmanager.certificate import opening_lines, refusal_lines
from jobmanager.closing import (
    ask_to_resume,
    close_instance,
    finish,
    note_running,
    publish_certificate,
    publish_end,
    refresh,
)
from jobmanager.development import Due, due, is_development
from jobmanager.edges import give_up_edge
from jobmanager.events import SubmissionEvent
from jobmanager.job import job_name, own_timestamp
from jobmanager.observed import Instance
from jobmanager.rows import EdgeRow, InstanceRow, JobRow, PendingRow
from jobmanager.services import Services
from jobmanager.spending import find_overspent
from jobmanager.states import AttemptState, FailureClass, JobState, is_attempt_open, is_job_open
from jobmanager.stopping import carry_out_stop, stop_job
from jobmanager.times import seconds_between, to_text
from jobmanager.widefield import widefield_group
from jobmanager.writes import QUEUE_HOURS, Ending

OURS = {"PriceTracking": "On"}
YOUNG_S = 300
"""EC2 may not show an instance for so long after its launch."""
ORPHAN_S = 600
"""How long an instance may live that no row tells of: its launch may only just be being written down."""
_STUCK_S = 1800
_RUNNING_NEWS_S = 90
_ROWS_A_MINUTE = 10
"""Running datasets whose reports one refresh a minute may read; jobs with more are refreshed less often."""
log = logging.getLogger(__name__)


def sweep(services: Services) -> None:
    """One sweep over everything that is open. Raises the first error, after everything has had its turn."""
    rows = services.ledger.open_rows()
    found = {it.instance: it for it in services.gateway.find_instances(OURS)}
    stopped = {job.key[0] for job in rows.jobs if job.stop}
    known = {row.instance for row in rows.instances}
    strangers = [it for it in found.values() if it.instance not in known]
    turns: list[Callable[[], None]] = [
        partial(_stop_overspent, services, rows),
        *(partial(_look_at_instance, services, row, found.get(row.instance), stopped) for row in rows.instances),
        *(partial(_look_at_job, services, job, rows) for job in rows.jobs),
        *(partial(_answer, services, row) for row in rows.pending),
        *(partial(_look_at_edge, services, edge) for edge in rows.edges),
        *(partial(_look_at_stranger, services, it) for it in strangers),
        *(partial(_look_at_development, services, it) for it in strangers if is_development(it)),
    ]
    errors: list[Exception] = []
    for turn in turns:
        try:
            turn()
        except Exception as error:
            log.exception("one thing could not be repaired")
            errors.append(error)
    if errors:
        raise errors[0]


def _stop_overspent(services: Services, rows: OpenRows) -> None:
    """End the jobs of groups that have reached the limit of a budget."""
    for it in find_overspent(services, rows):
        log.warning("stopping %s: %s", it.job.job, it.message)
        stop_job(services, it.job.paths, FailureClass.BUDGET, it.message)


def _look_at_instance(services: Services, row: InstanceRow, found: Instance | None, stopped: set[str]) -> None:
    now = services.now
    if found is None:
        if seconds_between(row.launched_at, now) > YOUNG_S:
            close_instance(services, row, min(now, row.deadline))
    elif found.is_gone:
        close_instance(services, row, found.ended_at or now, has_ended=found.state == "terminated")
    elif found.state in ("stopping", "stopped") or row.paths.ledger_key in stopped:
        services.gateway.terminate_instances([row.instance])
    elif now > row.deadline:
        services.ledger.mark_stop(row, FailureClass.TIMEOUT)
        services.gateway.terminate_instances([row.instance])
    elif found.state == "running" and row.running_at is None and _is_old_news(row, now):
        note_running(services, row.instance, now)


def _is_old_news(row: InstanceRow, now: str) -> bool:
    """Whether the event that it runs should have come by now."""
    return seconds_between(row.launched_at, now) > _RUNNING_NEWS_S


def _look_at_job(services: Services, job: JobRow, rows: OpenRows) -> None:
    now, age = services.now, seconds_between(job.created_at, services.now)
    if not is_job_open(job.state) or job.open_attempts <= 0:
        finish(services, job.paths)
    elif job.stop:
        whole = services.ledger.job(job.paths)
        if whole and whole.row.stop and is_job_open(whole.row.state):
            carry_out_stop(services, whole)
    elif now > job.deadline:
        stop_job(services, job.paths, FailureClass.TIMEOUT, "The job did not end within its time")
    elif job.queued > 0 and seconds_between(job.moved_at or job.created_at, now) > QUEUE_HOURS * 3600:
        _give_up_queue(services, job)
    elif job.state is JobState.ACCEPTED and job.wait is None and age > _STUCK_S:
        words = (
            "The job manager could not start this job through no fault of yours; submit it again or tell an operator"
        )
        stop_job(services, job.paths, FailureClass.BOOT, words)
    else:
        if job.queued > 0 and job.resume_at <= now:
            ask_to_resume(services, job.submit_function, job.paths)
        _refresh_when_due(services, job, rows)


def _refresh_when_due(services: Services, job: JobRow, rows: OpenRows) -> None:
    running = sum(row.paths.ledger_key == job.key[0] for row in rows.instances)
    if not running:
        return
    minutes = max(1, -(-running // _ROWS_A_MINUTE))
    # Ten seconds less than that, for the schedule itself is not exact to the second.
    not_after = to_text(services.clock() - timedelta(seconds=60 * minutes - 10))
    if services.ledger.claim_refresh(job, not_after=not_after):
        refresh(services, job.paths)


def _give_up_queue(services: Services, row: JobRow) -> None:
    job = services.ledger.job(row.paths)
    if job is None:
        return
    failure = FailureClass.QUOTA if row.wait in ("quota", "limit") else FailureClass.CAPACITY
    words = f"no instance became free within {QUEUE_HOURS} hours"
    if row.wait == "limit":
        words = f"none of the instances this analysis may run at once became free within {QUEUE_HOURS} hours"
    services.ledger.drop(row, job.queue, Ending(AttemptState.FAILED, services.now, failure=failure, message=words))
    finish(services, row.paths)


def _look_at_edge(services: Services, edge: EdgeRow) -> None:
    """A next job that is to be submitted or did not answer; or news of it, which the first job's certificate tells."""
    if edge.is_answered:
        job = services.ledger.job(edge.paths)
        if job:
            publish_certificate(services, job, live=True)
        services.ledger.move_edge(edge, replace(edge, open_pk=None))
    elif services.now > edge.deadline:
        give_up_edge(services, edge)
    else:
        ask_to_resume(services, edge.submit_function, edge.paths)


def _look_at_stranger(services: Services, found: Instance) -> None:
    """An instance of ours that no open row tells of: it ends, unless its launch is only just being written down."""
    if found.is_gone or "job" not in found.tags or "launch" not in found.tags:
        return
    row = services.ledger.instance(found.instance)
    if row is None and seconds_between(found.launched_at, services.now) <= ORPHAN_S:
        return
    if row is None or not is_attempt_open(row.state):
        log.warning("ending instance %s, which no open attempt accounts for", found.instance)
        services.gateway.terminate_instances([found.instance])
    else:  # the index is behind: what it does not show has its deadline all the same
        _look_at_instance(services, row, found, set())


def _look_at_development(services: Services, found: Instance) -> None:
    """A machine somebody works on, whose hours may be over."""
    todo = due(found, services.clock())
    if todo is not Due.NOTHING:
        log.warning("%s development instance %s, whose time is over", todo.value, found.instance)
    if todo is Due.STOP:
        services.gateway.stop_instance(found.instance)
    elif todo is Due.END:
        services.gateway.terminate_instances([found.instance])


def _answer(services: Services, row: PendingRow) -> None:
    """Answer a submission whose admission kept failing: its user must not wait for ever."""
    if services.now <= row.deadline:
        return
    event = SubmissionEvent(row.bucket, row.key, row.version_id or None, row.etag, 0, row.time)
    timestamp = own_timestamp(row.time, row.key, event.identity)
    reasons = ("the job manager failed through no fault of yours; submit again, and tell an operator if it repeats",)
    job = JobRow(
        bucket=row.bucket,
        group=event.group or widefield_group(event.key) or "",
        job=job_name(row.bucket, timestamp),
        analysis=row.bucket,
        timestamp=timestamp,
        version_id="",
        environment="",
        commit="",
        state=JobState.REJECTED,
        request_key=row.key,
        request_identity=event.identity,
        submit_function=row.submit_function,
        created_at=services.now,
        deadline=services.now,
        resume_at=services.now,
        reasons=reasons,
    )
    lines = (*opening_lines(job), *((0, line) for line in refusal_lines(reasons, step=1)))
    job = replace(job, log=lines)
    verdict = services.ledger.refuse(job).verdict
    if verdict is Verdict.DONE:
        publish_end(services, Job(job, (), ()))
    elif verdict is Verdict.CLAIMED:  # another delivery was luckier than the one that left this note
        services.ledger.forget_pending(event)
