"""From one job to the next: edges opened, submitted, told, cancelled, replayed. Every step may be repeated.

`docs/contracts.md`, section 9. What is written in the next bucket is what a member of the group could write; which job
follows which is the ledger's to say, never a submission's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from jobmanager.answers import Job
from jobmanager.errors import AwsError
from jobmanager.job import MAX_TIMESTAMP, JobPaths
from jobmanager.rows import OPEN, EdgeRow, JobRow
from jobmanager.services import Services
from jobmanager.states import AttemptState, EdgeState, JobState, is_edge_replayable, is_job_open
from jobmanager.steps import Step, StepType, enough
from jobmanager.submission import Origin
from jobmanager.times import later

ANSWER_MINUTES = 30
"""How long a next job may take to be admitted or refused before its user is told that there is none."""
MAX_DEPTH = 10
"""Jobs in a row: two analyses that follow each other must not spend a budget by themselves."""
_REPEAT_MINUTES = 5
"""After so long without an answer a submission is written again: its event may have been lost."""
_GONE = frozenset({"NoSuchBucket"})
_JSON = "application/json"
_MOST_OTHERS = 20
_TRIES = 5
NO_ORIGIN = "the job it was to follow waits no longer for it"
_CANCELLED = "cancelled at the request of its group"


def plan_edges(row: JobRow, steps: Sequence[Step], *, depth: int) -> tuple[EdgeRow, ...]:
    """The edges of a job about to be admitted, `depth` jobs into a row of jobs."""
    edges: list[EdgeRow] = []
    for number, step in enumerate(steps, 1):
        before = sum(edge.next_bucket == step.bucket for edge in edges)
        edges.append(
            EdgeRow(
                number=number,
                bucket=row.bucket,
                group=row.group,
                job=row.job,
                submit_function=row.submit_function,
                type=step.type,
                analysis=step.analysis,
                next_bucket=step.bucket,
                config=step.config_text,
                timestamp=next_timestamp(row.job, f"-{before + 1}" if before else ""),
                deadline=row.deadline,
                moved_at=row.created_at,
                files=step.files,
                at_least=step.at_least,
                depth=depth,
            )
        )
    return tuple(edges)


def next_timestamp(job: str, ending: str) -> str:
    """The timestamp of a next job's submission: the first job's name; one too long is cut and ends in 8 hex of it."""
    name = job.removeprefix("job__")
    room = MAX_TIMESTAMP - len(ending)
    if len(name) > room:
        name = f"{name[: room - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name + ending


def why_too_deep(steps: Sequence[Step], depth: int) -> tuple[str, ...]:
    """That a job so far down a row of jobs may not be followed by further ones, or nothing."""
    if not steps or depth < MAX_DEPTH:
        return ()
    return (f"it is job {depth} in a row, and a row ends there: do its analyses follow each other in a circle?",)


def open_edges(services: Services, job: Job) -> tuple[Job, bool]:
    """Decide about the waiting edges of an ended job: the job after it, and whether one is to be submitted."""
    is_ready, edges = False, []
    for edge in job.edges:
        if edge.state is EdgeState.WAITING:
            moved = _decided(services, job, edge)
            if not services.ledger.move_edge(edge, moved):
                moved = services.ledger.edge(edge.paths, edge.number) or edge
            is_ready = is_ready or moved.state is EdgeState.READY
            edge = moved
        edges.append(edge)
    return replace(job, edges=tuple(edges)), is_ready


def _decided(services: Services, job: Job, edge: EdgeRow) -> EdgeRow:
    """An edge of an ended job, to be submitted or not."""
    now = services.now
    waiting = replace(edge, moved_at=now, deadline=later(now, minutes=ANSWER_MINUTES), message=None)
    if job.row.state is JobState.CANCELLED:
        return replace(waiting, state=EdgeState.CANCELLED, message="this job was cancelled")
    own = sum(it.state is AttemptState.SUCCEEDED for it in job.latest)
    earlier = len(handed_over(services, job, edge)) - len(_folders(job)) if job.row.also else 0
    count = job.row.dataset_count + earlier
    missing = enough(StepType(edge.type), at_least=edge.at_least, succeeded=own + earlier, count=count)
    if missing or not own:
        return replace(waiting, state=EdgeState.SKIPPED, message=missing or "nothing succeeded")
    return replace(waiting, state=EdgeState.READY, open_pk=OPEN)


def handed_over(services: Services, job: Job, edge: EdgeRow) -> tuple[str, ...]:
    """The folders of results that are the next job's data; for a gather those of jobs this one resumed, too."""
    folders = _folders(job)
    if edge.type == StepType.GATHER:
        for name in job.row.also[:_MOST_OTHERS]:
            other = services.ledger.job(JobPaths(job.row.bucket, job.row.group, name))
            folders = (*(_folders(other) if other else ()), *folders)
    return tuple(dict.fromkeys(folders))


def _folders(job: Job) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            f"{job.row.results_url}/{it.folder}/" if it.folder else f"{job.row.results_url}/"
            for it in job.latest
            if it.state is AttemptState.SUCCEEDED
        )
    )


def is_due(edge: EdgeRow, now: str) -> bool:
    """Whether something is to be written for an edge now."""
    if edge.state is EdgeState.SUBMITTED and not edge.is_answered:
        return later(edge.moved_at, minutes=_REPEAT_MINUTES) <= now
    return edge.state is EdgeState.READY


def carry_out_edges(services: Services, job: Job) -> Job:
    """Write the submissions of those edges that are due. Raises AwsError: to be tried again."""
    edges, errors = [], []
    for edge in job.edges:
        if is_due(edge, services.now) and not is_job_open(job.row.state):
            try:
                edge = _submit(services, job, edge)
            except AwsError as error:
                errors.append(error)
        edges.append(edge)
    if errors:
        raise errors[0]
    return replace(job, edges=tuple(edges))


def _submit(services: Services, job: Job, edge: EdgeRow) -> EdgeRow:
    gateway, body = services.gateway, render_submission(edge, handed_over(services, job, edge))
    try:
        gateway.put_object(edge.next_bucket, edge.config_key, edge.config.encode("utf-8"), _JSON)
        if edge.state is EdgeState.SUBMITTED:  # a further version of the object, for the event of the first never came
            gateway.put_object(edge.next_bucket, edge.submission_key, body, _JSON)
        else:
            gateway.put_once(edge.next_bucket, edge.submission_key, body, _JSON)
    except AwsError as error:
        if error.code not in _GONE:
            services.ledger.move_edge(edge, replace(edge, message=f"its submission could not be written: {error.code}"))
            raise
        words = f"the analysis '{edge.analysis}' is not deployed any more"
        moved = replace(edge, state=EdgeState.SKIPPED, moved_at=services.now, message=words)
    else:
        moved = replace(edge, state=EdgeState.SUBMITTED, moved_at=services.now, message=None)
    if services.ledger.move_edge(edge, moved):
        return moved
    return services.ledger.edge(edge.paths, edge.number) or moved


def render_submission(edge: EdgeRow, folders: Sequence[str]) -> bytes:
    """The next job's `submit.json`: each folder a dataset, for a gather all of them together one."""
    together = edge.type == StepType.GATHER and len(folders) > 1
    document: dict[str, object] = {
        "dataname": list(folders),
        "configname": edge.config_key,
        "timestamp": edge.timestamp,
        "folders": "one" if together else "whole",
        "from": {"bucket": edge.bucket, "job": edge.job, "edge": edge.number},
    }
    if edge.files:
        document["files"] = list(edge.files)
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8") + b"\n"


def give_up_edge(services: Services, edge: EdgeRow) -> None:
    """End the wait for a next job that was neither admitted nor refused in time: it will not be any more."""
    words = edge.message or "its submission could not be written in time"
    if edge.state is EdgeState.SUBMITTED:
        words = f"its submission was not answered within {ANSWER_MINUTES} minutes"
    services.ledger.move_edge(edge, replace(edge, state=EdgeState.SKIPPED, moved_at=services.now, message=words))


def find_origin(services: Services, origin: Origin, event_key: str, place: tuple[str, str]) -> EdgeRow | str:
    """The edge that waits for a submission in (bucket, group), or why there is none. A claim alone is worth nothing."""
    bucket, group = place
    edge = services.ledger.edge(JobPaths(origin.bucket, group, origin.job), origin.edge)
    if edge is None or (edge.next_bucket, edge.group, edge.submission_key) != (bucket, group, event_key):
        return f"'from' names job '{origin.job:.300}', which is not followed by this one; leave 'from' out"
    if edge.state is EdgeState.CANCELLED:
        return f"job '{edge.job}', which this one was to follow, was cancelled"
    if edge.state not in (EdgeState.READY, EdgeState.SUBMITTED) or edge.next_job:
        return f"job '{edge.job}' waits no longer for this one to follow it"
    return edge


def cancel_edges(services: Services, job: Job) -> None:
    """Stop what follows an ended job: edges that wait, and the next jobs that run."""
    for edge in job.edges:
        for _ in range(_TRIES):
            if edge.is_answered:
                break
            stopped = replace(edge, state=EdgeState.CANCELLED, moved_at=services.now, message=_CANCELLED, open_pk=OPEN)
            if services.ledger.move_edge(edge, stopped):
                edge = stopped
            else:
                edge = services.ledger.edge(edge.paths, edge.number) or edge
        if edge.state is EdgeState.SUBMITTED and edge.next_job:
            key = f"{edge.group}/submissions/{edge.timestamp}_cancel_submit.json"
            body = json.dumps({"cancel": edge.next_job}, ensure_ascii=False).encode("utf-8")
            services.gateway.put_object(edge.next_bucket, key, body, _JSON)


def replay_edges(services: Services, job: Job) -> Job:
    """Decide anew about the edges of an ended job whose next job failed, was refused or never was."""
    edges = []
    for edge in job.edges:
        if is_edge_replayable(edge.state) and not is_job_open(job.row.state):
            number = edge.replays + 1
            before = sum(it.next_bucket == edge.next_bucket for it in job.edges if it.number < edge.number)
            ending = (f"-{before + 1}" if before else "") + f"-again-{number}"
            anew = _decided(services, job, replace(edge, next_job=None))
            if anew.state is EdgeState.READY:
                anew = replace(anew, timestamp=next_timestamp(edge.job, ending), replays=number)
                edge = anew if services.ledger.move_edge(edge, anew) else edge
        edges.append(edge)
    return replace(job, edges=tuple(edges))
