"""Whose jobs a verb is about, and with whose keys they are looked at."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncap_iac.cli.context import Context
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.aws import Objects
    from ncap_iac.job.jobs import JobRef, Patience


@dataclass(frozen=True)
class Desk:
    """Whose work is looked at, and with whose keys."""

    objects: Objects
    bucket: str
    group: str


def open_desk(context: Context, bucket: str) -> Desk:
    """Whose work it is: `--as`, `--group`, NCAP_GROUP, or the only group there is. Raises UsageError."""
    from ncap_iac.job.jobs import find_group

    name = context.get("member")
    given = context.get("group") or context.world.environment.get("NCAP_GROUP")
    if name:
        member = context.member(name)
        return Desk(member.gateway.objects, bucket, given or member.group)
    objects = context.gateway.objects
    return Desk(objects, bucket, given or find_group(objects, bucket))


def bucket_of_analysis(context: Context, analysis: str | None) -> str:
    """The analysis named, or the project's only one. Raises UsageError."""
    if analysis:
        return analysis
    if context.has_project():
        known = context.project.documents(Kind.BLUEPRINT)
        if len(known) == 1:
            from ncap_iac.documents import analysis_name

            return analysis_name(known[0])
    raise UsageError("which analysis is meant?", hint="Name it with --analysis, or give the job's whole name.")


def which_job(context: Context) -> tuple[Desk, JobRef]:
    """The job the command line means. Raises NotFoundError, UsageError."""
    from ncap_iac.job.jobs import bucket_of, find_job

    said = str(context.arguments.job)
    desk = open_desk(context, bucket_of_analysis(context, context.get("analysis") or bucket_of(said)))
    return desk, find_job(desk.objects, desk.bucket, desk.group, said)


def patience(context: Context) -> Patience:
    """How long to wait for a job."""
    from ncap_iac.job.jobs import Patience

    return Patience(clock=context.world.clock, sleep=context.world.sleep, timeout_s=context.get("timeout"))


def job_command(context: Context, verb: str, ref: JobRef, *more: str) -> str:
    """The command for another verb about the same job, as a person would type it."""
    who = ["--as", context.get("member")] if context.get("member") else []
    return shlex.join(["ncap", "job", verb, ref.job, "--group", ref.group, *who, *more, *context.target.options()])
