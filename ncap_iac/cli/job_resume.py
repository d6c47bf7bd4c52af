"""`ncap job resume`: a further job for exactly the datasets of an ended one that did not succeed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.desk import Desk, bucket_of_analysis, job_command, open_desk
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import AccessError, NotFoundError, UsageError

if TYPE_CHECKING:
    from ncap_iac.job.jobs import JobRef
    from ncap_iac.job.resume import History, Plan
    from ncap_iac.job.submission import Source, Submitted

Watched = Callable[[Context, Desk, "JobRef"], Answer]
COLUMNS = ("dataset", "why", "remedy")
CURRENT = "current"


def add_resume(verbs: SubParsers, *, watched: Watched) -> argparse.ArgumentParser:
    """Add the verb; `watched` waits for a job's end and answers with it."""
    parser = add_verb(
        verbs,
        "resume",
        "Run again what did not succeed in a job that has ended.",
        [
            "ncap job resume job__kalman-lds_2025-11-22T10-13-05Z --dry-run",
            "ncap job resume job__kalman-lds_2025-11-22T10-13-05Z --watch",
            "ncap job resume job__kalman-lds_2025-11-22T10-13-05Z --config better.json --instance-type m7i.xlarge",
            "ncap job resume job__kalman-lds_2025-11-22T10-13-05Z --analysis-version current",
        ],
        run=lambda context: run_resume(context, watched),
        detail="Submits a further job, <job>-resume-1 (then -2, …), for the datasets without a success so far.\n"
        "Config, version and machine are those of the last job that ran them, unless you name others. Results come\n"
        "into the further job's folder. Ends with 0 when nothing is left to do, with 2 while the job still runs.",
    )
    parser.add_argument("--config", metavar="FILE_OR_KEY", help="other parameters, YAML or JSON")
    parser.add_argument("--instance-type", metavar="TYPE", help="another machine")
    parser.add_argument(
        "--analysis-version", metavar="VERSION", help=f"another version, v-… ('{CURRENT}': the one served by default)"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be submitted, and submit nothing")
    parser.add_argument("--watch", action="store_true", help="stay until the further job has ended")
    return parser


def run_resume(context: Context, watched: Watched) -> Answer:
    """Look at what is left, ask for it, and if wanted wait."""
    from ncap_iac.job.resume import ask, find_origin, read_history, steps_to_replay

    desk = open_desk(context, _bucket(context))
    with _words_for_strangers(desk):
        ref = find_origin(desk.objects, _which(context, desk))
        history = read_history(desk.objects, ref, now=context.world.now())
        if not history.unfinished:
            steps = steps_to_replay(desk.objects, history)
            return _replayed(context, desk, history, steps) if steps else _nothing(context, history)
        plan = _plan(context, desk, history)
    for text in _advice(plan):
        context.report(progress.Warned(text))
    if context.get("dry_run", False):
        return _answer(context, plan, None)
    context.say_target()
    if plan.has_changed_config:
        context.require_consent(
            f"The config {plan.config.key} was written over since {history.jobs[-1].ref.job} ran. Take it as it is "
            "now, and not another one with --config?"
        )
    submitted = ask(plan, desk.objects, now=context.world.now, report=context.report)
    answer = _answer(context, plan, submitted)
    if not context.get("watch", False):
        return answer
    context.report(progress.Note(f"Submitted {submitted.ref.job}, for {_count(plan)} of {ref.job}."))
    ended = watched(context, desk, submitted.ref)
    return replace(ended, next_commands=tuple(dict.fromkeys((*ended.next_commands, *answer.next_commands[1:]))))


def _bucket(context: Context) -> str:
    from ncap_iac.job.jobs import bucket_of

    return bucket_of_analysis(context, context.get("analysis") or bucket_of(str(context.arguments.job)))


@contextmanager
def _words_for_strangers(desk: Desk) -> Iterator[None]:
    """Whoever may not look at a group's jobs and submissions is told whose affair it is."""
    try:
        yield
    except AccessError as error:
        raise AccessError(
            f"with these keys the jobs of group {desk.group} cannot be resumed ({error.what})",
            where=f"s3://{desk.bucket}/{desk.group}",
            hint="Only a job's own group may: name your group with --group, or one of its members with --as.",
        ) from error


def _which(context: Context, desk: Desk) -> JobRef:
    """The job meant. Raises NotFoundError with the nearest one, or with the group that has it; UsageError."""
    from ncap_iac.job.jobs import find_job
    from ncap_iac.job.resume import group_with, nearest_job

    said = str(context.arguments.job)
    try:
        return find_job(desk.objects, desk.bucket, desk.group, said)
    except NotFoundError as error:
        owner = group_with(desk.objects, desk.bucket, said, but=desk.group)
        if owner:
            raise NotFoundError(
                f"{said!r} is a job of group {owner}, not of {desk.group}",
                where=error.where,
                hint=f"Its members can resume it, with --group {owner}.",
            ) from error
        near = nearest_job(desk.objects, desk.bucket, desk.group, said)
        hint = f"Did you mean {near}? {error.hint}" if near else error.hint
        raise NotFoundError(error.what, where=error.where, hint=hint) from error


def _plan(context: Context, desk: Desk, history: History) -> Plan:
    from ncap_iac.job.resume import plan_resume

    version = _version(context, desk)
    return plan_resume(
        desk.objects,
        history,
        config=_config(context, desk, is_current=version == ""),
        version=version,
        instance_type=context.get("instance_type"),
    )


def _version(context: Context, desk: Desk) -> str | None:
    """The version named, whole; empty for the one served by default; None when none is named."""
    from ncap_iac.deploy.versions import known_id

    said = context.get("analysis_version")
    if said is None:
        return None
    return "" if said == CURRENT else known_id(desk.objects, desk.bucket, said)


def _config(context: Context, desk: Desk, *, is_current: bool) -> Source | None:
    from ncap_iac.documents import check_config
    from ncap_iac.job.submission import LocalFile, choose_sources

    said = context.get("config")
    if said is None:
        return None
    found = choose_sources([said], desk.objects, bucket=desk.bucket, group=desk.group, folder="configs")
    if len(found) != 1:
        raise UsageError("one config is wanted", where="--config", hint="Name exactly one file.")
    # Another version has parameters of its own, which the project's documents do not tell.
    if isinstance(found[0], LocalFile) and is_current and context.has_project():
        check_config(found[0].path, desk.bucket, context.project)
    return found[0]


# --- answers ---


def _advice(plan: Plan) -> Iterator[str]:
    """What the user should know before the job runs."""
    if plan.larger_type:
        yield (
            f"Datasets ran out of memory, and {plan.larger_type} is named as remedy: this job is for "
            f"{plan.instance_type or 'the same types as before'}; --instance-type {plan.larger_type} gives them more."
        )
    if plan.changed:
        more = f" and {len(plan.changed) - 1} more" if len(plan.changed) > 1 else ""
        yield f"Written over since the first job began, and taken as it is now: {plan.changed[0]}{more}."


def _nothing(context: Context, history: History) -> Answer:
    origin = history.origin
    return Answer(
        kind="Resumption",
        data={
            "job": origin.ref.job,
            "bucket": origin.ref.bucket,
            "group": origin.ref.group,
            "outcome": origin.outcome.value,
            "asked": False,
            "resumedBy": [job.ref.job for job in history.resumed],
            "next": None,
            "datasets": [],
        },
        blocks=(Text(f"{origin.ref.job}: nothing to do, every dataset has succeeded"),),
        next_commands=tuple(job_command(context, "results", job.ref) for job in history.jobs),
    )


def _replayed(context: Context, desk: Desk, history: History, steps: Sequence[str]) -> Answer:
    """Every dataset has succeeded, and a next step has not: ask for that again."""
    from ncap_iac.job.submission import replay

    ref = history.jobs[-1].ref
    nothing = _nothing(context, history)
    names = ", ".join(steps)
    if context.get("dry_run", False):
        text = f"{ref.job}: every dataset has succeeded; its next step {names} would be tried again"
        return replace(nothing, data={**nothing.data, "steps": list(steps)}, blocks=(Text(text),))
    context.say_target()
    key = replay(ref, desk.objects)
    return replace(
        nothing,
        data={**nothing.data, "asked": True, "submission": key, "steps": list(steps)},
        blocks=(Text(f"{ref.job}: its next step {names} is tried again"),),
        next_commands=(job_command(context, "status", ref, "--watch"),),
    )


def _answer(context: Context, plan: Plan, submitted: Submitted | None) -> Answer:
    history, origin = plan.history, plan.history.origin
    document: dict[str, object] = {
        "job": origin.ref.job,
        "bucket": origin.ref.bucket,
        "group": origin.ref.group,
        "outcome": origin.outcome.value,
        "asked": submitted is not None,
        "resumedBy": [job.ref.job for job in history.resumed],
        "next": history.next.job,
        "datasets": [
            {"dataset": left.dataset, "failure": left.failure, "message": left.message, "remedy": left.remedy}
            for left in history.unfinished
        ],
        "config": plan.config.key,
        "configHasChanged": plan.has_changed_config,
        "changedDatasets": list(plan.changed),
        "versionId": plan.version,
        "instanceType": plan.instance_type,
        "largerInstanceType": plan.larger_type,
    }
    if plan.scatter is not None:
        document = {**document, "scatter": plan.scatter.document(), "left": plan.later}
    table = Table(COLUMNS, tuple((left.dataset, left.failure, left.remedy) for left in history.unfinished))
    ran = tuple(job_command(context, "results", job.ref) for job in history.jobs)
    if submitted is None:
        heading = f"{history.next.job} would run {_count(plan)} again: {_with(plan)}"
        return Answer(kind="Resumption", data=document, blocks=(Text(heading), table), next_commands=ran)
    return Answer(
        kind="Resumption",
        data={**document, "submission": submitted.key, "uploadedBytes": submitted.uploaded_bytes},
        blocks=(Text(submitted.ref.job),),
        notes=(
            f"It runs {_count(plan)} of {origin.ref.job} again: {_with(plan)}. Each has results of its own.",
            *((f"{plan.later} more ran other points: resume again when it has ended.",) if plan.later else ()),
        ),
        next_commands=(
            job_command(context, "status", submitted.ref, "--watch"),
            *ran,
            job_command(context, "results", submitted.ref),
        ),
    )


def _count(plan: Plan) -> str:
    count = len(plan.names)
    return "1 dataset" if count == 1 else f"{count} datasets"


def _with(plan: Plan) -> str:
    config = f"config {plan.config.key}" + (" (written over since)" if plan.has_changed_config else "")
    version = f"version {plan.version}" if plan.version else "the version served by default"
    machine = plan.instance_type or "the version's own instance types"
    return f"{config}, {version}, {machine}"
