"""`ncap job results`: download what a job made, and what the jobs that follow it made."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.desk import Desk, which_job
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import AccessError, ExitCode, NotFoundError

if TYPE_CHECKING:
    from ncap_iac.job.following import Followed
    from ncap_iac.job.jobs import JobStatus
    from ncap_iac.job.results import Downloaded

Wanted = tuple["JobStatus", str]
"""A job, and the folder of its own its results go to; empty: none."""


def add_results(verbs: SubParsers) -> argparse.ArgumentParser:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "results",
        "Download a job's results, and those of its next steps.",
        [
            "ncap job results 2025-11-22 --analysis kalman-lds",
            "ncap job results job__kalman-lds_a1 -o results",
            "ncap job results job__kalman-lds_a1 --step parameter-search",
        ],
        run=run_results,
        detail="Of a job with next steps, each analysis gets a folder; --step fetches one of them, without.",
    )
    parser.add_argument("-o", "--output-dir", metavar="DIR", help="where to (a folder named after the job, here)")
    parser.add_argument("--step", metavar="ANALYSIS", help="only what this analysis made, the first one's or a step's")
    return parser


def run_results(context: Context) -> Answer:
    """Download what the job and its steps made."""
    from ncap_iac.job.following import read_followed
    from ncap_iac.job.jobs import JobReader
    from ncap_iac.job.results import relative_names

    desk, ref = which_job(context)
    followed = read_followed(desk.objects, JobReader(desk.objects, ref).status())
    root = context.world.folder / Path(context.get("output_dir") or _folder_name(ref.job))
    wanted = _wanted(followed, context.get("step"))
    fetched, unseen = _fetched(context, desk, wanted, root)
    files = [f"{folder}/{name}" if folder else name for (_, folder), found in fetched for name in relative_names(found)]
    downloads = [found for _, found in fetched]
    refused = [key for found in downloads for key in found.refused]
    paths = [str(path) for found in downloads for path in found.files]
    return Answer(
        kind="JobResults",
        data={
            "job": ref.job,
            "outcome": followed.statuses[0].outcome.value,
            "folder": str(root),
            "files": files,
            "refused": refused,
            "bytes": sum(found.total_bytes for found in downloads),
            "elsewhere": [status.results_url for status, _ in wanted if status.results_url],
            "steps": [{"job": status.ref.job, "folder": folder} for status, folder in wanted],
        },
        blocks=(Text("\n".join(paths)),) if paths else (),
        notes=(*_notes(wanted, downloads, root), *unseen),
        exit_code=ExitCode.FAILED if refused or unseen else ExitCode.DONE,
    )


def _fetched(
    context: Context, desk: Desk, wanted: Sequence[Wanted], root: Path
) -> tuple[list[tuple[Wanted, Downloaded]], list[str]]:
    """What was fetched of each job, wherever its results went; and how to fetch what these keys may not read."""
    from ncap_iac.job.results import download_elsewhere, download_results

    fetched: list[tuple[Wanted, Downloaded]] = []
    unseen: list[str] = []
    for status, folder in wanted:
        here = root / folder
        found = download_results(status.ref, desk.objects, here, report=context.report)
        fetched.append(((status, folder), found))
        if url := status.results_url:
            try:
                there = download_elsewhere(url, desk.objects, here, report=context.report)
            except (AccessError, NotFoundError):
                command = f"aws s3 cp --recursive {shlex.quote(url)}/ {shlex.quote(str(here))}"
                unseen.append(f"Results of {status.ref.job} are in {url}/, which these keys may not read: {command}")
                continue
            fetched.append(((status, folder), there))
    return fetched, unseen


def _notes(wanted: Sequence[Wanted], fetched: Sequence[Downloaded], root: Path) -> tuple[str, ...]:
    count, size = sum(len(found.files) for found in fetched), sum(found.total_bytes for found in fetched)
    notes = [f"{count} files, {size / 1e6:.1f} MB in {root}."]
    for status, folder in wanted:
        if not status.outcome.is_over:
            what = f"{status.ref.job}" if folder else "The job"
            notes.append(f"{what} is {status.outcome.value}: more may come.")
    refused = (key for found in fetched for key in found.refused)
    return (*notes, *(f"Refused, its name leads out of the folder or is taken: {key}" for key in refused))


def _wanted(followed: Followed, step: str | None) -> list[Wanted]:
    """The jobs to fetch from, with their folders. Raises NotFoundError for a step the job has not."""
    statuses = followed.statuses
    if step is not None:
        found = [status for status in statuses if step in (status.ref.bucket, status.ref.job)]
        if not found:
            names = ", ".join(dict.fromkeys(status.ref.bucket for status in statuses))
            raise NotFoundError(
                f"it has no step {step!r} with results", where=statuses[0].ref.job, hint=f"There are: {names}."
            )
        return [(status, "" if len(found) == 1 else _folder_name(status.ref.job)) for status in found]
    if len(statuses) == 1:
        return [(statuses[0], "")]
    buckets = [status.ref.bucket for status in statuses]
    return [
        (status, status.ref.bucket if buckets.count(status.ref.bucket) == 1 else _folder_name(status.ref.job))
        for status in statuses
    ]


def _folder_name(job: str) -> str:
    """A job's name as a folder's, also where ':' cannot be in one."""
    return job.replace(":", "-").replace("/", "-")
