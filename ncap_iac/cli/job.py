"""`ncap job`: submit, follow, fetch and cancel jobs. Reads and writes the objects of the analysis bucket only."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.desk import bucket_of_analysis, job_command, open_desk, patience, which_job
from ncap_iac.cli.job_quote import add_quote
from ncap_iac.cli.job_resume import add_resume
from ncap_iac.cli.options import SubParsers, add_noun, add_verb
from ncap_iac.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ncap_iac.cli.desk import Desk
    from ncap_iac.job.jobs import JobRef, JobStatus
    from ncap_iac.job.submission import Submitted

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
    _add_who(add_quote(verbs))
    _add_submit(verbs)
    listing = add_verb(
        verbs,
        "list",
        "List a group's jobs, the last first.",
        ["ncap job list kalman-lds", "ncap job list kalman-lds --group demo --output json"],
        run=run_list,
    )
    listing.add_argument("analysis", nargs="?", help="the analysis (the project's only one if not given)")
    listing.add_argument("--limit", type=_positive_int, default=20, metavar="N", help="at most so many (20)")
    _add_who(listing)
    _add_status(verbs)
    _add_logs(verbs)
    _add_results(verbs)
    cancel = add_verb(
        verbs,
        "cancel",
        "Ask for a job to be stopped; results so far are kept.",
        ["ncap job cancel job__kalman-lds_2025-11-22T10-13-05Z"],
        run=run_cancel,
    )
    _add_job(cancel)
    resume = add_resume(verbs, watched=_watched)
    _add_timeout(resume)
    _add_job(resume)


def _add_submit(verbs: SubParsers) -> None:
    parser = add_verb(
        verbs,
        "submit",
        "Upload datasets and a config, and ask for a job.",
        [
            "ncap job submit kalman-lds --data recordings/*.csv --config config.yaml",
            "ncap job submit kalman-lds --data demo/inputs/a.csv --config demo/configs/config.yaml --watch",
            "ncap job submit kalman-lds --data a.csv --config c.json --instance-type m7i.xlarge --output json",
            "ncap job submit kalman-lds --data a.csv --config c.json --analysis-version v-0123456789abcdef",
        ],
        run=run_submit,
        detail="Each dataset is worked on by an instance of its own. Names of files on this computer are uploaded;\n"
        "names that begin with your group (demo/inputs/a.csv) mean what is in the bucket already.",
    )
    parser.add_argument("analysis", help="the analysis, which is also its bucket")
    parser.add_argument(
        "--data",
        nargs="+",
        action="extend",
        required=True,
        metavar="FILE_OR_KEY",
        help="datasets: files, globs or keys",
    )
    parser.add_argument("--config", required=True, metavar="FILE_OR_KEY", help="the parameters, YAML or JSON")
    parser.add_argument("--instance-type", metavar="TYPE", help="another machine than the analysis's own")
    parser.add_argument("--timestamp", metavar="TEXT", help="the end of the job's name (the time, if not given)")
    parser.add_argument(
        "--analysis-version", metavar="VERSION", help="run this kept version, v-…, not the one served by default"
    )
    parser.add_argument("--watch", action="store_true", help="stay until the job has ended")
    _add_timeout(parser)
    _add_who(parser)


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
    _add_timeout(parser)


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
    _add_timeout(parser)


def _add_results(verbs: SubParsers) -> None:
    parser = add_verb(
        verbs,
        "results",
        "Download a job's results.",
        ["ncap job results 2025-11-22 --analysis kalman-lds", "ncap job results job__kalman-lds_a1 -o results"],
        run=run_results,
    )
    _add_job(parser)
    parser.add_argument("-o", "--output-dir", metavar="DIR", help="where to (a folder named after the job, here)")


def _add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", help=JOB_HELP)
    parser.add_argument("--analysis", metavar="NAME", help="the analysis, where the job's name does not tell it")
    _add_who(parser)


def _add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--group", metavar="NAME", help="your group (or NCAP_GROUP; the bucket's only one if not given)"
    )
    parser.add_argument("--as", dest="member", metavar="MEMBER", help="act with this member's own keys")


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", type=_positive, metavar="SECONDS", help="wait at most so long, then end with 6")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("a number above 0 is wanted")
    return value


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("a whole number above 0 is wanted")
    return value


# --- verbs ---


def run_submit(context: Context) -> Answer:
    """Upload, ask, and if wanted wait."""
    from ncap_iac.documents import check_config
    from ncap_iac.job import submission

    desk = open_desk(context, context.arguments.analysis)
    where = {"bucket": desk.bucket, "group": desk.group}
    datasets = submission.choose_sources(context.arguments.data, desk.objects, folder="inputs", **where)
    configs = submission.choose_sources([context.arguments.config], desk.objects, folder="configs", **where)
    if len(configs) != 1:
        raise UsageError("one config is wanted", where="--config", hint="Name exactly one file.")
    config = configs[0]
    version = _version_id(context, desk)
    # A version has parameters of its own, which the project's documents do not tell: the job manager checks them.
    if isinstance(config, submission.LocalFile) and context.has_project() and version is None:
        check_config(config.path, desk.bucket, context.project)
    context.say_target()
    request = submission.Request(
        bucket=desk.bucket,
        group=desk.group,
        datasets=datasets,
        config=config,
        timestamp=context.get("timestamp"),
        instance_type=context.get("instance_type"),
        version=version,
    )
    submitted = submission.submit(request, desk.objects, now=context.world.now, report=context.report)
    if context.get("watch", False):
        context.report(progress.Note(f"Submitted {submitted.ref.job}."))
        return _watched(context, desk, submitted.ref)
    return _submitted_result(context, submitted)


def _version_id(context: Context, desk: Desk) -> str | None:
    """The version named, whole; None for the one served by default. Raises NotFoundError, UsageError."""
    from ncap_iac.deploy.versions import known_id

    said = context.get("analysis_version")
    return None if said is None else known_id(desk.objects, desk.bucket, said)


def _submitted_result(context: Context, submitted: Submitted) -> Answer:
    return Answer(
        kind="Submission",
        data={
            "job": submitted.ref.job,
            "bucket": submitted.ref.bucket,
            "group": submitted.ref.group,
            "submission": submitted.key,
            "datasets": list(submitted.datasets),
            "config": submitted.config,
            "uploadedBytes": submitted.uploaded_bytes,
        },
        blocks=(Text(submitted.ref.job),),
        next_commands=(
            job_command(context, "status", submitted.ref, "--watch"),
            job_command(context, "results", submitted.ref),
        ),
    )


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
    from ncap_iac.job.jobs import JobReader

    desk, ref = which_job(context)
    if context.get("watch", False):
        return _watched(context, desk, ref)
    return _status_result(context, JobReader(desk.objects, ref).status())


def _watched(context: Context, desk: Desk, ref: JobRef) -> Answer:
    from ncap_iac.job.jobs import JobReader, watch

    return _status_result(context, watch(JobReader(desk.objects, ref), patience(context), context.report))


def _status_result(context: Context, status: JobStatus) -> Answer:
    from ncap_iac.job.jobs import STATUS_COLUMNS, Outcome

    ended = [status.end_text] if status.end_text else []
    version = f" (version {status.version_id})" if status.version_id else ""
    words = f"{status.ref.job}: {status.outcome.value}{version}"
    blocks: list[Table | Text] = [Text("\n".join([words, *ended]))]
    if status.datasets:
        blocks.append(Table(STATUS_COLUMNS, tuple(dataset.row() for dataset in status.datasets)))
    commands = {
        Outcome.SUBMITTED: ("status", "--watch"),
        Outcome.RUNNING: ("status", "--watch"),
        Outcome.SUCCEEDED: ("results",),
    }.get(status.outcome, ("logs",))
    is_resumable = status.outcome in (Outcome.FAILED, Outcome.PARTIAL, Outcome.CANCELLED)
    return Answer(
        kind="JobStatus",
        data=status.document(),
        blocks=tuple(blocks),
        next_commands=(
            job_command(context, commands[0], status.ref, *commands[1:]),
            *([job_command(context, "resume", status.ref)] if is_resumable else []),
        ),
        exit_code=status.outcome.exit_code,
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


def run_results(context: Context) -> Answer:
    """Download what the job made."""
    from ncap_iac.job.jobs import JobReader
    from ncap_iac.job.results import download_results, relative_names

    desk, ref = which_job(context)
    outcome = JobReader(desk.objects, ref).outcome()
    folder = Path(context.get("output_dir") or _folder_name(ref.job))
    fetched = download_results(ref, desk.objects, context.world.folder / folder, report=context.report)
    notes = [f"{len(fetched.files)} files, {fetched.total_bytes / 1e6:.1f} MB in {fetched.folder}."]
    if not outcome.is_over:
        notes.append(f"The job is {outcome.value}: more may come.")
    notes += [f"Refused, its name leads out of the folder or is taken: {key}" for key in fetched.refused]
    return Answer(
        kind="JobResults",
        data={
            "job": ref.job,
            "outcome": outcome.value,
            "folder": str(fetched.folder),
            "files": relative_names(fetched),
            "refused": list(fetched.refused),
            "bytes": fetched.total_bytes,
        },
        blocks=(Text("\n".join(str(path) for path in fetched.files)),) if fetched.files else (),
        notes=tuple(notes),
        exit_code=ExitCode.FAILED if fetched.refused else ExitCode.DONE,
    )


def _folder_name(job: str) -> str:
    """A job's name as a folder's, also where ':' cannot be in one."""
    return job.replace(":", "-").replace("/", "-")


def run_cancel(context: Context) -> Answer:
    """Ask for the job's end."""
    from ncap_iac.job.jobs import JobReader
    from ncap_iac.job.submission import cancel

    desk, ref = which_job(context)
    outcome = JobReader(desk.objects, ref).outcome()
    if outcome.is_over:
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
