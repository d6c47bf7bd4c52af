"""`ncap job`: submit, follow, fetch and cancel jobs. Reads and writes the objects of the analysis bucket only."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.desk import bucket_of_analysis, job_command, open_desk, patience, which_job
from ncap_iac.cli.job_options import add_timeout, add_who, positive_int
from ncap_iac.cli.job_quote import add_quote
from ncap_iac.cli.job_results import add_results
from ncap_iac.cli.job_resume import add_resume
from ncap_iac.cli.job_submit import add_submit
from ncap_iac.cli.options import SubParsers, add_noun, add_verb

if TYPE_CHECKING:
    from ncap_iac.cli.desk import Desk
    from ncap_iac.job.following import Followed
    from ncap_iac.job.jobs import JobRef

JOB_HELP = "the job's name, its timestamp, or the beginning of either"


def add_to(nouns: SubParsers) -> None:
    """Add the noun and its verbs."""
    verbs = add_noun(
        nouns,
        "job",
        [
            "ncap job submit kalman-lds --data a.csv b.csv --config config.yaml --watch",
            "ncap job status 2025-11-22 --analysis kalman-lds",
        ],
    )
    add_who(add_quote(verbs))
    add_who(add_timeout(add_submit(verbs, watched=_watched)))
    listing = add_verb(
        verbs,
        "list",
        "List a group's jobs, the last first.",
        ["ncap job list kalman-lds", "ncap job list kalman-lds --group demo --output json"],
        run=run_list,
    )
    listing.add_argument("analysis", nargs="?", help="the analysis (the project's only one if not given)")
    listing.add_argument("--limit", type=positive_int, default=20, metavar="N", help="at most so many (20)")
    add_who(listing)
    _add_status(verbs)
    _add_logs(verbs)
    _add_job(add_results(verbs))
    cancel = add_verb(
        verbs,
        "cancel",
        "Ask for a job, and what follows it, to be stopped; results so far are kept.",
        ["ncap job cancel job__kalman-lds_2025-11-22T10-13-05Z"],
        run=run_cancel,
    )
    _add_job(cancel)
    resume = add_resume(verbs, watched=_watched)
    add_timeout(resume)
    _add_job(resume)


def _add_status(verbs: SubParsers) -> None:
    parser = add_verb(
        verbs,
        "status",
        "Show where a job is, dataset by dataset.",
        [
            "ncap job status job__kalman-lds_2025-11-22T10-13-05Z",
            "ncap job status 2025-11-22 --analysis kalman-lds --watch --timeout 3600",
        ],
        run=run_status,
        detail="Ends with 0 while the job runs or when it succeeded, with 1 when it failed, was refused or cancelled.",
    )
    _add_job(parser)
    parser.add_argument("--watch", action="store_true", help="stay until the job has ended")
    add_timeout(parser)


def _add_logs(verbs: SubParsers) -> None:
    parser = add_verb(
        verbs,
        "logs",
        "Print the certificate and what the analysis printed.",
        ["ncap job logs 2025-11-22 --analysis kalman-lds", "ncap job logs job__kalman-lds_2025-11-22T10-13-05Z -f"],
        run=run_logs,
    )
    _add_job(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="print lines as they come, until the job has ended")
    add_timeout(parser)


def _add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help=JOB_HELP)
    parser.add_argument("--analysis", metavar="NAME", help="the analysis, where the job's name does not tell it")
    add_who(parser)


# --- verbs ---


def run_list(context: Context) -> Answer:
    """The group's jobs."""
    from ncap_iac.job.jobs import list_jobs

    desk = open_desk(context, bucket_of_analysis(context, context.get("analysis")))
    jobs, total = list_jobs(desk.objects, desk.bucket, desk.group, limit=context.arguments.limit)
    more = (f"{total - len(jobs)} more: use --limit.",) if total > len(jobs) else ()
    return Answer(
        kind="JobList",
        data={
            "bucket": desk.bucket,
            "group": desk.group,
            "total": total,
            "jobs": [{"job": job.job, "outcome": job.outcome.value} for job in jobs],
        },
        blocks=(
            Table(
                ("job", "outcome"),
                tuple((job.job, job.outcome.value) for job in jobs),
                empty=f"Group {desk.group} has no jobs of {desk.bucket}.",
            ),
        ),
        notes=more,
    )


def run_status(context: Context) -> Answer:
    """One job, now or at its end."""
    from ncap_iac.job.following import read_followed
    from ncap_iac.job.jobs import JobReader

    desk, ref = which_job(context)
    if context.get("watch", False):
        return _watched(context, desk, ref)
    return _status_result(context, read_followed(desk.objects, JobReader(desk.objects, ref).status()))


def _watched(context: Context, desk: Desk, ref: JobRef) -> Answer:
    from ncap_iac.job.following import watch_followed

    return _status_result(context, watch_followed(desk.objects, ref, patience(context), context.report))


def _status_result(context: Context, followed: Followed) -> Answer:
    from ncap_iac.job.following import COLUMNS
    from ncap_iac.job.jobs import STATUS_COLUMNS, Outcome

    status = followed.statuses[0]
    ended = [status.end_text] if status.end_text else []
    version = f" (version {status.version_id})" if status.version_id else ""
    words = f"{status.ref.job}: {status.outcome.value}{version}"
    blocks: list[Table | Text] = [Text("\n".join([words, *ended]))]
    if status.datasets:
        blocks.append(Table(STATUS_COLUMNS, tuple(dataset.row() for dataset in status.datasets)))
    if followed.steps:
        blocks.append(Table(COLUMNS, followed.rows(), title="Next steps"))
    commands = {
        Outcome.SUBMITTED: ("status", "--watch"),
        Outcome.RUNNING: ("status", "--watch"),
        Outcome.SUCCEEDED: ("results",),
    }.get(status.outcome, ("logs",))
    is_resumable = status.outcome in (Outcome.FAILED, Outcome.PARTIAL, Outcome.CANCELLED)
    return Answer(
        kind="JobStatus",
        data={**status.document(), "steps": followed.documents()},
        blocks=tuple(blocks),
        next_commands=(
            job_command(context, commands[0], status.ref, *commands[1:]),
            *([job_command(context, "resume", status.ref)] if is_resumable else []),
        ),
        exit_code=max(found.outcome.exit_code for found in followed.statuses),
    )


def run_logs(context: Context) -> Answer:
    """The certificate and the logs, or the lines as they come."""
    from ncap_iac.job.jobs import JobReader, watch
    from ncap_iac.job.results import LogFollower, log_text
    from ncap_iac.progress import silent

    desk, ref = which_job(context)
    reader = JobReader(desk.objects, ref)
    if context.get("follow", False):
        follower = LogFollower(context.report)
        status = watch(reader, patience(context), silent, seen=follower.see)
        blocks: tuple[Text, ...] = ()
    else:
        status = reader.status()
        text = log_text(status)
        blocks = (Text(text),) if text else ()
    logs = [
        {"label": dataset.label, "status": dataset.status, "lines": [text for _, text in dataset.lines]}
        for dataset in status.datasets
    ]
    return Answer(
        kind="JobLogs",
        data={
            "job": ref.job,
            "outcome": status.outcome.value,
            "certificate": status.certificate,
            "datasets": logs,
        },
        blocks=blocks,
        notes=() if status.certificate or logs else ("The job has not been taken up yet.",),
    )


def run_cancel(context: Context) -> Answer:
    """Ask for the job's end."""
    from ncap_iac.job.following import read_followed
    from ncap_iac.job.jobs import JobReader
    from ncap_iac.job.submission import cancel

    desk, ref = which_job(context)
    followed = read_followed(desk.objects, JobReader(desk.objects, ref).status())
    outcome = followed.statuses[0].outcome
    if followed.is_over:
        return Answer(
            kind="Cancellation",
            data={"job": ref.job, "outcome": outcome.value, "asked": False},
            blocks=(Text(f"{ref.job} is over already: {outcome.value}"),),
        )
    context.say_target()
    key = cancel(ref, desk.objects)
    return Answer(
        kind="Cancellation",
        data={"job": ref.job, "outcome": outcome.value, "asked": True, "submission": key},
        blocks=(Text(f"{ref.job}: asked to stop"),),
        next_commands=(job_command(context, "status", ref, "--watch"),),
    )
