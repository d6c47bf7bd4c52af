"""The end of an attempt and of a job: outcome, record, money, retry, certificate, end marker, notice.

Every step may be repeated: the ledger says once, S3's `If-None-Match` says once, the rest is rendered anew.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from jobmanager.answers import Job
from jobmanager.budget import Settlement, affordable_minutes, cost_micro, settle, usd_text
from jobmanager.certificate import (
    attempt_history,
    dataset_sentences,
    edge_history,
    edge_sentences,
    live_rows,
    render_certificate,
    render_end,
)
from jobmanager.edges import open_edges
from jobmanager.errors import AwsError, TransactionError
from jobmanager.expressions import If
from jobmanager.job import JobPaths
from jobmanager.launch import DEAD_MAN_MINUTES
from jobmanager.record import render_record
from jobmanager.rows import TOTAL, AttemptRow, InstanceRow, JobRow
from jobmanager.services import Services
from jobmanager.spot import is_taken_back, losses_after
from jobmanager.states import (
    AttemptState,
    FailureClass,
    JobState,
    is_attempt_open,
    is_job_open,
    is_retried,
    job_outcome,
)
from jobmanager.status import Status, judge_end, parse_status
from jobmanager.times import seconds_between, to_moment, to_text
from jobmanager.writes import Ending

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
log = logging.getLogger(__name__)


def note_running(services: Services, instance: str, at: str) -> InstanceRow | None:
    """Note that an instance runs: its row, its usage record, now and then the certificate. None: unknown or ended."""
    row = services.ledger.mark_running(instance, at)
    if row is None:
        row = services.ledger.instance(instance)
        if row is None or row.state is not AttemptState.RUNNING:
            return row
    record = render_record(row, outcome=AttemptState.RUNNING)
    services.gateway.put_object(row.bucket, row.paths.active_record(instance), record, _JSON)
    if (row.launch, row.launch_index) == (1, 0):  # one refresh as the job begins; the sweeper does the others
        refresh(services, row.paths)
    return row


def close_instance(services: Services, row: InstanceRow, ended_at: str, *, has_ended: bool = True) -> None:
    """End the attempt of an instance that is gone. Does nothing when that was done before, but for a job left open.

    Without `has_ended` it is still shutting down. A spot instance that is being taken back may use that time to report:
    it is judged when it has ended, so that it and its successor never work at once.
    """
    if not is_attempt_open(row.state):
        if row.was_last:
            finish(services, row.paths)
        return
    body = services.gateway.read_many(row.bucket, [row.paths.status(row.label)])
    status = parse_status(body.get(row.paths.status(row.label)))
    if row.spot and not has_ended and not (status and status.instance == row.instance and status.is_final):
        return
    ended_at = max(to_text(to_moment(ended_at)), row.launched_at)
    try:
        retried, last = _close(services, row, status, ended_at, conditions=_quick_conditions(row))
    except TransactionError as error:
        if error.failed(0):
            return
        if not error.failed(1):
            raise
        job = services.ledger.job_row(row.paths)
        stopped = replace(row, stop=row.stop or (job.stop if job else None))
        try:
            retried, last = _close(services, stopped, status, ended_at, conditions=())
        except TransactionError as again:
            if again.failed(0):
                return
            raise
    if last:
        finish(services, row.paths)
    elif retried or (row.more_queued and _has_queue(services, row.paths)):
        ask_to_resume(services, row.submit_function, row.paths)


def _has_queue(services: Services, paths: JobPaths) -> bool:
    """Whether the queue an instance knew of when it was launched is still there."""
    job = services.ledger.job_row(paths)
    return job is not None and job.queued > 0


def _quick_conditions(row: InstanceRow) -> tuple[If, ...]:
    """Most ends are neither the last of their job nor in a job being stopped: those need no look at the job."""
    going_on = If("stop", "absent")
    return (going_on,) if row.is_only else (going_on, If("open_attempts", ">", 1))


def _close(
    services: Services, row: InstanceRow, status: Status | None, ended_at: str, *, conditions: tuple[If, ...]
) -> tuple[bool, bool]:
    """Write one end; whether the attempt is tried again, and whether it may have been the job's last."""
    cost = cost_micro(row.rate, seconds_between(row.launched_at, ended_at))
    ending = judge_end(row, status, ended_at=ended_at, dead_man_minutes=DEAD_MAN_MINUTES)
    if ending.failure == FailureClass.LOST_INSTANCE:
        ending = _explained(services, row, ending)
    retry, settlement, ending = _plan_retry(row, ending, cost)
    outcome = ending.failure or ending.state
    record = render_record(row, end=ended_at, cost_micro=cost, outcome=outcome)
    services.gateway.put_object(row.bucket, row.paths.final_record(row.instance), record, _JSON)
    services.gateway.delete_object(row.bucket, row.paths.active_record(row.instance))
    if retry:
        conditions = (If("stop", "absent"),)
    services.ledger.close(row, ending, settlement, retry=retry, job_conditions=conditions)
    last = not retry and not any(wanted.attribute == "open_attempts" for wanted in conditions)
    return retry is not None, last


def _explained(services: Services, row: InstanceRow, ending: Ending) -> Ending:
    """An end nobody reported, with EC2's own reason where it has one. One that was taken back was not lost."""
    reason = ""
    try:
        found = services.gateway.describe_instance(row.instance)
        reason = found.reason if found else ""
    except AwsError:
        log.exception("no reason for the end of %s", row.instance)
    if is_taken_back(row, reason):
        return replace(ending, failure=FailureClass.SPOT, message="the spot instance was taken back by AWS")
    return replace(ending, message=f"{ending.message}: {reason}") if reason else ending


def _plan_retry(row: InstanceRow, ending: Ending, cost: int) -> tuple[AttemptRow | None, Settlement, Ending]:
    """The retry an end leads to, if what is left of its reservation pays at least half of the time limit."""
    final = settle(row.held_micro, cost, keep_rest=False)
    losses = losses_after(row, ending.failure)
    if (
        ending.failure is None
        or row.stop
        or not is_retried(FailureClass(ending.failure), row.attempt, spot_losses=losses)
    ):
        return None, final, ending
    kept = settle(row.held_micro, cost, keep_rest=True)
    minutes = min(row.minutes, affordable_minutes(row.ceiling, kept.held))
    if minutes < max(1, row.minutes // 2):
        words = f"{ending.message}; not tried again, for its reservation is nearly spent"
        return None, final, replace(ending, message=words)
    retry = AttemptRow(row.index, row.attempt + 1, row.dataset, row.etag, row.label, minutes, kept.held)
    retry = replace(retry, data_bucket=row.data_bucket, parts=row.parts, folder=row.folder, scatter=row.scatter)
    retry = replace(retry, spot_losses=losses)
    return retry, kept, ending


def ask_to_resume(services: Services, function: str, paths: JobPaths) -> None:
    """Ask the submit function to go on with a job; only that function launches."""
    services.gateway.invoke(function, {"resume": {"bucket": paths.bucket, "group": paths.group, "job": paths.job}})


def finish(services: Services, paths: JobPaths) -> None:
    """End a job none of whose attempts is open, and write what its user waits for. Repeats do no harm."""
    job = services.ledger.job(paths)
    if job is None or job.row.open_pk is None:
        return
    if is_job_open(job.row.state):
        latest = job.latest
        if not job.is_complete or any(is_attempt_open(it.state) for it in latest):
            return
        cancelled = job.row.stop == FailureClass.CANCELLED
        outcome = job_outcome((it.state for it in latest), cancelled=cancelled)
        if services.ledger.end_job(paths, outcome):
            job = replace(job, row=replace(job.row, state=outcome, ended_at=services.now))
        else:
            job = services.ledger.job(paths) or job
    publish_end(services, job)


def publish_end(services: Services, job: Job) -> None:
    """Write certificate and end marker of an ended job, then send the notice.

    The edge the job comes from is told first. With next jobs of its own the end is told when it is known what became
    of them: the sweeper comes back until then.
    """
    gateway, paths = services.gateway, job.row.paths
    if job.row.origin:
        services.ledger.tell_edge(job.row)
    job, is_ready = open_edges(services, job)
    publish_certificate(services, job, live=True)
    if is_ready:
        ask_to_resume(services, job.row.submit_function, paths)
    if not all(edge.is_answered for edge in job.edges):
        return
    sentences = job.row.reasons or dataset_sentences(job.row, job.latest, services.prices.memory_gib)
    if job.row.stop_message:
        sentences = (job.row.stop_message, *sentences)
    if job.row.result_place and job.attempts:
        sentences = (*sentences, f"Results are in {job.row.result_place}/")
    sentences = (*sentences, *(f"Next step {text}" for text in edge_sentences(job.edges)))
    body = render_end(job.row.state, sentences)
    if gateway.put_once(paths.bucket, paths.end_marker, body, _TEXT) and job.attempts:
        _notify(services, job, body)
    services.ledger.forget_open(paths)


def _notify(services: Services, job: Job, body: bytes) -> None:
    if services.topic is None:
        return
    subject = f"NeuroCAAS {job.row.analysis}: {job.row.state}".encode("ascii", "replace").decode()[:100]
    text = f"Job {job.row.job} of group {job.row.group}\n\n{body.decode('utf-8')}"
    try:
        services.gateway.publish(services.topic, subject, text)
    except AwsError:
        log.exception(
            "notice of job %s not sent", job.row.job
        )  # a notice is a courtesy: the job has ended all the same


def refresh(services: Services, paths: JobPaths) -> None:
    """Write the certificate of a running job anew; that of an ended one is left alone."""
    job = services.ledger.job(paths)
    if job is None or not is_job_open(job.row.state):
        return
    publish_certificate(services, job, live=True)


def publish_certificate(services: Services, job: Job, *, live: bool) -> None:
    """Render the certificate from the ledger; `live` also reads the instances' reports and the budget."""
    paths, row = job.row.paths, job.row
    running = [it for it in job.latest if it.state is AttemptState.LAUNCHING] if live else []
    bodies = services.gateway.read_many(paths.bucket, [paths.status(it.label) for it in running])
    statuses = {status.instance: status for body in bodies.values() if (status := parse_status(body))}
    remaining = ""
    if live and row.state is not JobState.REJECTED and row.limit_micro:
        left = usd_text(_budget_left(services, row))
        remaining = f"[Job Manager] COST SO FAR: {usd_text(row.cost_micro)}. BUDGET REMAINING: {left}"
    started = any(it.instance for it in job.attempts)
    rows = live_rows(job.latest, statuses, now=services.now) if started else ()
    history = (*attempt_history(row, job.attempts), *edge_history(row, job.edges))
    body = render_certificate(row, rows, history=history, remaining=remaining)
    services.gateway.put_object(paths.bucket, paths.certificate, body, _TEXT)
    if row.certificate_copy and _may_copy(row, live=live):
        services.gateway.put_object(paths.bucket, row.certificate_copy, body, _TEXT)


def _may_copy(row: JobRow, *, live: bool) -> bool:
    """Whether to write beside the results: that client deletes them once they are complete, and nothing may return."""
    if is_job_open(row.state):
        return not live
    return row.state in (JobState.FAILED, JobState.REJECTED, JobState.CANCELLED)


def _budget_left(services: Services, row: JobRow) -> int:
    """What the group may still spend on this analysis."""
    limits = ((row.analysis, row.limit_micro), (TOTAL, row.total_limit_micro))
    return min(
        max(0, limit - services.ledger.committed(row.group, name)) for name, limit in limits if limit is not None
    )
