"""The steps of a submission: read, check, take, launch. Ends in a job that runs or in a refusal a user can read."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

from jobmanager.addresses import parse_address
from jobmanager.answers import Admission, Job, Verdict
from jobmanager.budget import reservation_micro, usd_text
from jobmanager.certificate import clipped, elapsed_cs, opening_lines, refusal_lines, step_done
from jobmanager.checks import Checked, Request, check_submission
from jobmanager.closing import publish_certificate, publish_end
from jobmanager.datasets import RESULTS
from jobmanager.edges import (
    NO_ORIGIN,
    carry_out_edges,
    find_origin,
    is_due,
    plan_edges,
    replay_edges,
    why_too_deep,
)
from jobmanager.errors import AwsError, JobManagerError, MissingError
from jobmanager.events import ResumeEvent, SubmissionEvent
from jobmanager.job import JobPaths, dataset_labels, job_name, own_timestamp
from jobmanager.launch import plan_launch
from jobmanager.launching import (
    STOP_CLASS,
    NeverError,
    advance,
    complete_attempts,
    render_plan,
    reservation_line,
    share,
)
from jobmanager.parts import part_lists
from jobmanager.rows import AttemptRow, EdgeRow, JobRow, PendingRow
from jobmanager.services import Services
from jobmanager.states import JobState, is_job_open
from jobmanager.stopping import cancel_job, carry_out_stop, stop_job
from jobmanager.submission import MAX_BYTES, Submission, parse_submission
from jobmanager.times import later
from jobmanager.version import Version
from jobmanager.writes import Newcomer, Room, first_attempts, job_deadline

PENDING_MINUTES = 30
"""How long a submission we could not handle may stay unanswered."""
_FIRST_RESUME_MINUTES = 2
_NUMBERED_NAMES = 50
_ROOM_TRIES = 3
log = logging.getLogger(__name__)


class Manager:
    """The submit function's steps, for one analysis."""

    protocol: str | None = None
    """What instances are told of a protocol other than today's."""

    def __init__(self, services: Services, *, version_id: str, function: str, subnets: tuple[str, ...] = ()) -> None:
        self._services = services
        self._version_id = version_id
        self._function = function
        self._subnets = subnets

    def submit(self, event: SubmissionEvent) -> None:
        """Carry out a submission, or go on where an earlier delivery stopped. An error means: deliver it again."""
        group = self._group(event)
        if group is None:
            return
        arrived = event
        try:
            found = self._read(event, group)
            if found is None or found[1].cancel is not None or found[1].replay is not None:
                self._control(event, group, found[1] if found else None)
                return
            event, submission = found
            if submission.is_heavy:  # a function that runs out of time cannot say so any more
                self._note_pending(event)
            job = self._take(event, group, submission)
            if event != arrived:  # it was noted as waiting before it was known under which identity it is one
                self._services.ledger.forget_pending(arrived)
        except Exception:
            self._note_pending(event)
            raise
        if job:
            self._go_on(job)

    def resume(self, event: ResumeEvent) -> None:
        """Go on with a job that has datasets in its queue."""
        job = self._services.ledger.job(JobPaths(event.bucket, event.group, event.job))
        if job:
            self._go_on(job)

    def _control(self, event: SubmissionEvent, group: str, submission: Submission | None) -> None:
        """What becomes no job of its own needs no answer either, though an earlier delivery may have failed."""
        if submission and submission.cancel is not None:
            cancel_job(self._services, JobPaths(event.bucket, group, submission.cancel))
        if submission and submission.replay is not None:
            job = self._services.ledger.job(JobPaths(event.bucket, group, submission.replay))
            if job:
                carry_out_edges(self._services, replay_edges(self._services, job))
        self._services.ledger.forget_pending(event)

    def _group(self, event: SubmissionEvent) -> str | None:
        """The submitting group; None when this is no submission."""
        return event.group

    def _read(self, event: SubmissionEvent, group: str) -> tuple[SubmissionEvent, Submission] | None:
        """What the submission says, with the event under the identity it counts as; None when it is gone."""
        body = self._body(event)
        return None if body is None else (event, parse_submission(body, group, event.bucket))

    def _body(self, event: SubmissionEvent) -> bytes | None:
        gateway = self._services.gateway
        try:
            return gateway.get_object(event.bucket, event.key, version_id=event.version_id, limit=MAX_BYTES).body
        except MissingError:
            log.warning("s3://%s/%s is gone", event.bucket, event.key)
            return None

    def _take(self, event: SubmissionEvent, group: str, submission: Submission) -> Job | None:
        """Check a submission and write it down, accepted or refused."""
        checked = check_submission(
            submission, event.bucket, group, services=self._services, default_version=self._version_id
        )
        drafts = self._drafts(event, group, submission, checked)
        depth = 1
        if submission.origin:
            origin = find_origin(self._services, submission.origin, event.key, (event.bucket, group))
            if isinstance(origin, str):
                return self._refuse(event, drafts, (*checked.reasons, origin), checked.step)
            depth = origin.depth + 1
            drafts = _from(drafts, origin)
        reasons = checked.reasons + why_too_deep(checked.request.shape.steps if checked.request else (), depth)
        if checked.request is None or reasons:
            return self._refuse(event, drafts, reasons, checked.step)
        return self._accept(event, drafts, replace(checked.request, depth=depth))

    def _drafts(self, event: SubmissionEvent, group: str, submission: Submission, checked: Checked) -> Iterator[JobRow]:
        """The job's row under each name it may get, the usual name first."""
        now = self._services.now
        timestamp = submission.timestamp or own_timestamp(event.time, event.key, event.identity)
        names = [job_name(event.bucket, timestamp, ordinal) for ordinal in range(1, _NUMBERED_NAMES + 1)]
        names.append(job_name(event.bucket, own_timestamp(timestamp, event.key, event.identity)))
        version = checked.version
        draft = JobRow(
            bucket=event.bucket,
            group=group,
            job=names[0],
            analysis=version.analysis if version else event.bucket,
            timestamp=timestamp,
            version_id=version.version_id if version else "",
            environment=version.environment if version else "",
            commit=(version.commit or "") if version else "",
            state=JobState.REJECTED,
            request_key=event.key,
            request_identity=event.identity,
            submit_function=self._function,
            protocol=self.protocol,
            created_at=now,
            deadline=now,
            resume_at=later(now, minutes=_FIRST_RESUME_MINUTES),
            also=submission.resumes,
        )
        notes = clipped(checked.notes)
        told = (*submission.asked, *(f"[Job Manager] NOTE: {note}" for note in notes))
        log_lines = (*opening_lines(draft), *((0, line) for line in told))
        for name in names:
            yield _placed(replace(draft, job=name, log=log_lines), submission)

    def _refuse(
        self, event: SubmissionEvent, drafts: Iterator[JobRow], reasons: tuple[str, ...], step: int
    ) -> Job | None:
        reasons = clipped(reasons)
        for draft in drafts:
            at = elapsed_cs(draft.created_at, self._services.clock())
            lines = tuple((at, line) for line in refusal_lines(reasons, step=step))
            row = replace(draft, reasons=reasons, log=(*draft.log, *lines))
            verdict = self._services.ledger.refuse(row).verdict
            if verdict is Verdict.CLAIMED:
                return self._claimed(event)
            if verdict is Verdict.DONE:
                return Job(row, (), ())
        raise JobManagerError(f"s3://{event.bucket}/{event.key}: no free job name")

    def _accept(self, event: SubmissionEvent, drafts: Iterator[JobRow], request: Request) -> Job | None:
        for draft in drafts:
            row = self._accepted(draft, request)
            dear = _too_dear(row, Admission(Verdict.DONE))
            if dear:
                return self._refuse(event, _chain(draft, drafts), dear, 2)
            attempts = self._attempts(row, request)
            edges = plan_edges(row, request.shape.steps, depth=request.depth)
            if len(attempts) > len(first_attempts(attempts, edges)):
                row = self._with_plan(row, attempts)
            admission, job = self._admit(row, attempts, edges, request.version.deploy_limit)
            if admission.verdict is Verdict.CLAIMED:
                return self._claimed(event)
            if admission.verdict in (Verdict.NO_BUDGET, Verdict.NO_TOTAL):
                return self._refuse(event, _chain(draft, drafts), _too_dear(row, admission), 2)
            if admission.verdict is Verdict.NO_ORIGIN:
                return self._refuse(event, _chain(draft, drafts), (NO_ORIGIN,), 2)
            if admission.verdict is Verdict.DONE:
                return job
        raise JobManagerError(f"s3://{event.bucket}/{event.key}: no free job name")

    def _admit(
        self, row: JobRow, attempts: tuple[AttemptRow, ...], edges: tuple[EdgeRow, ...], limit: int
    ) -> tuple[Admission, Job]:
        """Take a job with a first launch as large as there is room for."""
        whole, newcomer = Job(row, attempts, ()), Newcomer(row, first_attempts(attempts, edges), edges)
        room, seen = limit, None
        for turn in range(_ROOM_TRIES):
            if turn == _ROOM_TRIES - 1:
                room = 0
            launch = plan_launch(whole, room=room, now=row.created_at, subnets=self._subnets)
            newcomer = replace(newcomer, launch=launch)
            admission = self._services.ledger.admit(newcomer, room=Room(limit, row.created_at, seen))
            if admission.verdict is not Verdict.NO_ROOM:
                break
            seen = admission.flight
            room = share(whole, seen, limit=limit, now=row.created_at)
        return admission, Job(row, newcomer.attempts, (launch,) if launch else (), edges)

    def _accepted(self, draft: JobRow, request: Request) -> JobRow:
        minutes, count = request.limits.minutes, request.shape.count(len(request.datasets))
        row = replace(
            draft,
            state=JobState.ACCEPTED,
            deadline=job_deadline(draft.created_at, minutes=minutes),
            dataset_count=count,
            open_attempts=count,
            queued=count,
            config_key=request.config.key,
            config_etag=request.config.etag,
            config_bucket=request.config_bucket,
            types=request.types,
            spot=request.spot,
            other_types=tuple(name for name in _offered(request.version) if name not in request.types),
            minutes=minutes,
            volume_gib=request.version.volume_gib,
            extra_gib=request.limits.extra_gib,
            price_micro=request.price_micro,
            limit_micro=request.funds.analysis,
            total_limit_micro=request.funds.total,
            in_total=True,
        )
        row = replace(row, reserved_micro=count * reservation_micro(row.rate, minutes))
        at = elapsed_cs(draft.created_at, self._services.clock())
        lines = (
            step_done(1),
            step_done(2),
            f"[Job Manager] ENVIRONMENT: {row.environment}, {' or '.join(row.types)}"
            + (" on spot instances" if row.spot else ""),
            reservation_line(row),
            *((f"[Job Manager] RESULTS: {row.result_place}",) if row.result_place else ()),
            step_done(3),
        )
        return replace(row, log=(*row.log, *((at, line) for line in lines)))

    def _attempts(self, row: JobRow, request: Request) -> tuple[AttemptRow, ...]:
        places = request.shape.places(dataset_labels([facts.key for facts in request.datasets]))
        points = request.shape.points or (None,)
        parts = self._part_lists(row, request)
        return tuple(
            AttemptRow(
                index,
                1,
                facts.key,
                facts.etag,
                place.label,
                row.minutes,
                row.reserved_micro // row.dataset_count,
                data_bucket=facts.bucket,
                parts=parts.get(index // len(points)),
                folder=place.folder,
                scatter=point.text if point else None,
            )
            for index, place in enumerate(places)
            for facts, point in [(request.datasets[index // len(points)], points[index % len(points)])]
        )

    def _with_plan(self, row: JobRow, attempts: tuple[AttemptRow, ...]) -> JobRow:
        """Write the list of attempts. Its name tells its content: who loses the job's name changes no other's list."""
        body = render_plan(attempts)
        place = row.paths.plan(hashlib.sha256(body).hexdigest()[:16])
        self._services.gateway.put_object(row.bucket, place, body, "application/json")
        return replace(row, plan_key=place)

    def _part_lists(self, row: JobRow, request: Request) -> Mapping[int, str]:
        """Write the lists of files of whole folders; the key of each dataset's list by the dataset's place."""
        lists = part_lists(row.paths, request.datasets)
        for key, body in lists.bodies.items():
            self._services.gateway.put_object(row.bucket, key, body, "application/json")
        return lists.keys

    def _claimed(self, event: SubmissionEvent) -> Job | None:
        paths = self._services.ledger.claimant(event)
        self._services.ledger.forget_pending(event)
        return self._services.ledger.job(paths) if paths else None

    def _go_on(self, job: Job) -> None:
        """Whatever a job needs next, as its rows tell; an ended one is the monitor's and the sweeper's."""
        if job.row.state is JobState.REJECTED and job.row.open_pk:
            publish_end(self._services, job)
        elif not is_job_open(job.row.state):
            self._follow(job)
        elif job.row.stop:
            carry_out_stop(self._services, complete_attempts(self._services, job))
        else:
            self._launch(job)

    def _follow(self, job: Job) -> None:
        """Submit what follows an ended job, where that is still to be done."""
        if any(is_due(edge, self._services.now) for edge in job.edges):
            job = carry_out_edges(self._services, job)
            publish_certificate(self._services, job, live=False)

    def _launch(self, job: Job) -> None:
        versions, bucket = self._services.versions, job.row.bucket
        version = versions.need(bucket, job.row.version_id).governed_by(versions.need(bucket, self._version_id))
        try:
            job = advance(self._services, job, version, subnets=self._subnets)
        except NeverError as error:
            stop_job(self._services, job.row.paths, STOP_CLASS, str(error))
            return
        if job.row.stop is None and is_job_open(job.row.state):
            publish_certificate(self._services, job, live=False)

    def _note_pending(self, event: SubmissionEvent) -> None:
        row = PendingRow(
            bucket=event.bucket,
            key=event.key,
            version_id=event.version_id or "",
            etag=event.etag,
            time=event.time,
            deadline=later(self._services.now, minutes=PENDING_MINUTES),
            submit_function=self._function,
        )
        try:
            self._services.ledger.note_pending(event, row)
        except AwsError:
            log.exception("could not note that s3://%s/%s waits", event.bucket, event.key)


def _placed(row: JobRow, submission: Submission) -> JobRow:
    """A job with the place its results go to, where that is not its own folder."""
    address = submission.result_address
    if address is None:
        return row
    if submission.protocol is None:
        return replace(row, result_place=f"{address}/{row.job}/{RESULTS}")
    copy = f"{parse_address(address).key}/{row.job}/logs/certificate.txt"
    return replace(row, result_place=address, certificate_copy=copy)


def _offered(version: Version) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*version.instance_types, *version.allowed_instance_types)))


def _chain(first: JobRow, rest: Iterator[JobRow]) -> Iterator[JobRow]:
    yield first
    yield from rest


def _from(drafts: Iterator[JobRow], edge: EdgeRow) -> Iterator[JobRow]:
    """The drafts of a job that comes from an edge."""
    for draft in drafts:
        yield replace(draft, origin=edge.key[0], origin_edge=edge.number)


def _too_dear(row: JobRow, refused: Admission) -> tuple[str, ...]:
    """Which budgets do not cover a job, in words; without a refusal those that could not even if nothing were spent."""
    budgets = (
        (Verdict.NO_BUDGET, "for this analysis", row.limit_micro),
        (Verdict.NO_TOTAL, "of your group for all analyses together", row.total_limit_micro),
    )
    return tuple(
        f"the job may cost up to {usd_text(row.reserved_micro)} ({row.dataset_count} datasets of at most {row.minutes} "
        f"minutes), but only {usd_text(max(0, limit - refused.committed))} is left of the budget of {usd_text(limit)} "
        f"{which}; submit fewer datasets, a shorter __duration__, or ask an operator for more"
        for verdict, which, limit in budgets
        if limit is not None
        and (refused.verdict is verdict or (refused.verdict is Verdict.DONE and row.reserved_micro > limit))
    )
