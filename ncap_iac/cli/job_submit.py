"""`ncap job submit`: upload datasets and a config, and ask for a job."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.desk import Desk, job_command, open_desk
from ncap_iac.cli.job_options import add_asked, add_scatter, wanted_scatter
from ncap_iac.cli.job_quote import add_spot
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import UsageError

if TYPE_CHECKING:
    from ncap_iac.job.jobs import JobRef
    from ncap_iac.job.scatter import Scatter
    from ncap_iac.job.submission import Submitted

Watched = Callable[[Context, Desk, "JobRef"], Answer]


def add_submit(verbs: SubParsers, *, watched: Watched) -> argparse.ArgumentParser:
    """Add the verb; `watched` waits for a job's end and answers with it."""
    parser = add_verb(
        verbs,
        "submit",
        "Upload datasets and a config, and ask for a job.",
        [
            "ncap job submit kalman-lds --data recordings/*.csv --config config.yaml",
            "ncap job submit kalman-lds --data demo/inputs/a.csv --config demo/configs/config.yaml --watch",
            "ncap job submit kalman-lds --data a.csv --config c.json --grid latent_dim=2,4,6 --grid seed=1..3 --watch",
            "ncap job submit kalman-lds --data a.csv --config c.json --instance-type m7i.xlarge --output json",
            "ncap job submit kalman-lds --data a.csv --config c.json --analysis-version v-0123456789abcdef",
            "ncap job submit kalman-lds --data s3://lab-archive/raw/a.csv --config c.json --results-to s3://lab-archive/out",
        ],
        run=lambda context: run_submit(context, watched),
        detail="Each dataset is worked on by an instance of its own. Names of files on this computer are uploaded;\n"
        "names that begin with your group (demo/inputs/a.csv) mean what is in the bucket already,\n"
        "s3:// addresses what is in another bucket your group may read.",
    )
    add_asked(parser, data="files, globs, keys or s3:// addresses; what ends in / is a folder")
    parser.add_argument(
        "--results-to", metavar="ADDRESS", help="s3://bucket/folder of your group's for the results, not the job's own"
    )
    add_spot(parser)
    add_scatter(parser)
    parser.add_argument("--timestamp", metavar="TEXT", help="the end of the job's name (the time, if not given)")
    parser.add_argument(
        "--analysis-version", metavar="VERSION", help="run this kept version, v-…, not the one served by default"
    )
    parser.add_argument("--watch", action="store_true", help="stay until the job has ended")
    return parser


def run_submit(context: Context, watched: Watched) -> Answer:
    """Upload, ask, and if wanted wait."""
    from ncap_iac.documents import check_config
    from ncap_iac.job import submission

    scatter = wanted_scatter(context)
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
        check_config(config.path, desk.bucket, context.project, scatter=scatter)
    context.say_target()
    request = submission.Request(
        bucket=desk.bucket,
        group=desk.group,
        datasets=datasets,
        config=config,
        timestamp=context.get("timestamp"),
        instance_type=context.get("instance_type"),
        spot=context.get("spot"),
        version=version,
        scatter=scatter,
        folders=context.get("folders"),
        results_to=context.get("results_to"),
    )
    submitted = submission.submit(request, desk.objects, now=context.world.now, report=context.report)
    if context.get("watch", False):
        context.report(progress.Note(f"Submitted {submitted.ref.job}."))
        return watched(context, desk, submitted.ref)
    return _submitted_result(context, submitted, scatter)


def _version_id(context: Context, desk: Desk) -> str | None:
    """The version named, whole; None for the one served by default. Raises NotFoundError, UsageError."""
    from ncap_iac.deploy.versions import known_id

    said = context.get("analysis_version")
    return None if said is None else known_id(desk.objects, desk.bucket, said)


def _submitted_result(context: Context, submitted: Submitted, scatter: Scatter | None) -> Answer:
    return Answer(
        kind="Submission",
        data={
            "job": submitted.ref.job,
            "bucket": submitted.ref.bucket,
            "group": submitted.ref.group,
            "submission": submitted.key,
            "datasets": list(submitted.datasets),
            "config": submitted.config,
            **({} if scatter is None else {"scatter": scatter.document()}),
            "resultsTo": context.get("results_to"),
            "uploadedBytes": submitted.uploaded_bytes,
        },
        blocks=(Text(submitted.ref.job),),
        next_commands=(
            job_command(context, "status", submitted.ref, "--watch"),
            job_command(context, "results", submitted.ref),
        ),
    )
