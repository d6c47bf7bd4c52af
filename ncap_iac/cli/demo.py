"""`ncap demo`: the whole path on this computer, in one command."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context, open_gateway, open_member
from ncap_iac.cli.local import cloud_errors, clouds
from ncap_iac.cli.options import SUMMARIES, SubParsers, add_verb
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind, read_bytes
from ncap_iac.target import local_target

if TYPE_CHECKING:
    from ncap_iac.demo import Shown
    from ncap_iac.deploy.deployment import Deployment
    from ncap_iac.deploy.images import ImageMaker
    from ncap_iac.target import Target

RESULTS_FOLDER = "neurocaas-demo-results"


def add_to(nouns: SubParsers) -> None:
    """Add the command."""
    parser = add_verb(
        nouns,
        "demo",
        SUMMARIES["demo"],
        ["ncap demo", "ncap demo --no-keep --output-dir results", "ncap demo --cloud default --output json"],
        run=run_demo_command,
        detail="Starts a local cloud of its own, named 'demo', if it does not run; needs no AWS account.\n"
        "Run it again: what is built and deployed is found and used.",
    )
    keep = parser.add_mutually_exclusive_group()
    keep.add_argument("--keep", dest="keep", action="store_true", default=True, help="let the cloud run on (default)")
    keep.add_argument("--no-keep", dest="keep", action="store_false", help="stop the cloud, if this command started it")
    parser.add_argument(
        "--output-dir", metavar="DIR", default=RESULTS_FOLDER, help=f"where results go (./{RESULTS_FOLDER})"
    )


def run_demo_command(context: Context) -> Answer:
    """Start what is missing, run the demo, say what there is to see."""
    from ncap_iac import demo
    from ncap_iac.deploy.images import named_environment

    began = context.world.clock()
    choice = context.choice
    if choice.aws or choice.profile or choice.endpoint_url:
        raise UsageError("the demo runs in a local cloud", where="options", hint="Choose one with --cloud NAME.")
    name = choice.cloud or demo.CLOUD
    project = context.project
    maker = _image_maker(context)
    path = project.document(Kind.BLUEPRINT, demo.ANALYSIS)
    folder = path.parent
    demo.find_sample(project)
    named = named_environment(read_bytes(path), where=str(path))
    building = demo.in_background(lambda: maker.named(named, folder))
    target, started = start_cloud(context, name)
    context.report(progress.Note(f"Everything happens in {target.name}, at {target.endpoint_url}."))
    try:
        deployment = _deployment(context, target)

        def make_image(_environment: str, _folder: Path) -> str:
            return maker.register(building.result(), deployment.gateway)

        outside = demo.Outside(
            report=context.report,
            clock=context.world.clock,
            began=began,
            sleep=context.world.sleep,
            now=context.world.now,
            make_deployment=lambda: deployment,
            make_image=make_image,
            open_member=open_member,
        )
        shown = demo.run_demo(project, context.world.folder / context.arguments.output_dir, outside)
    finally:
        if started and not context.arguments.keep:
            with progress.step(f"stop local cloud {name!r}", context.report, context.world.clock), cloud_errors():
                clouds(context).down(name)
    return _result(context, shown, target)


def start_cloud(context: Context, name: str) -> tuple[Target, bool]:
    """The cloud's target, and whether it had to be started. Raises CloudError."""
    from ncap_iac.local.cloud import CloudRunningError

    known = clouds(context)
    with cloud_errors():
        started = known.status(name) is None
        if started:
            with progress.step(f"start local cloud {name!r}", context.report, context.world.clock):
                try:
                    known.start(name, port=0)
                except CloudRunningError:  # someone else was quicker
                    started = False
    return local_target(name, context.world.environment, context.world.home), started


def _deployment(context: Context, target: Target) -> Deployment:
    from ncap_iac.deploy.deployment import Deployment
    from ncap_iac.documents import Compiled

    world = context.world
    return Deployment(open_gateway(target), Compiled(context.project), context.report, world.clock, world.sleep)


def _result(context: Context, shown: Shown, target: Target) -> Answer:
    ref, status = shown.status.ref, shown.status
    relative = partial(_shortest, base=context.world.folder)
    cost = shown.cost_usd
    lines = [
        f"{ref.job}: {status.outcome.value} in {shown.seconds:.1f} s",
        *([status.end_text] if status.end_text else []),
        f"Results      {relative(shown.folder)} ({len(shown.results.files)} files)",
        *(f"Picture      {relative(path)}" for path in shown.pictures),
        *([f"Certificate  {relative(shown.certificate)}"] if shown.certificate else []),
        *(f"Usage        {relative(record.path)}" for record in shown.records),
        "Cost         " + ("not settled yet" if cost is None else f"{cost} USD, at AWS's prices for these instances"),
    ]
    return Answer(
        kind="Demo",
        data={
            **status.document(),
            "seconds": round(shown.seconds, 3),
            "member": shown.member,
            "cloud": target.cloud,
            "endpoint": target.endpoint_url,
            "folder": str(shown.folder),
            "files": [str(path) for path in shown.results.files],
            "pictures": [str(path) for path in shown.pictures],
            "certificate": None if shown.certificate is None else str(shown.certificate),
            "usageRecords": [str(record.path) for record in shown.records],
            "cost": None if cost is None else {"amount": str(cost), "currency": "USD"},
        },
        blocks=(Text("\n".join(lines)), _instances(shown)),
        next_commands=_next(context, shown, target),
        exit_code=status.outcome.exit_code,
    )


def _instances(shown: Shown) -> Table:
    columns = ("instance", "type", "dataset", "outcome", "cost (USD)")
    rows = tuple(
        (
            record.instance,
            record.instance_type,
            record.dataset,
            record.outcome,
            "" if record.cost_usd is None else str(record.cost_usd),
        )
        for record in shown.records
    )
    return Table(columns, rows, empty="No instance was started.")


def _shortest(path: Path, *, base: Path) -> str:
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def _next(context: Context, shown: Shown, target: Target) -> tuple[str, ...]:
    """What to look at now; nothing, if the cloud is gone."""
    ref = shown.status.ref
    if not context.arguments.keep:
        return ("ncap demo",)
    look = ["aws", "s3", "ls", "--recursive", f"s3://{ref.bucket}/{ref.group}/", "--endpoint-url"]
    submit = ["ncap", "job", "submit", ref.bucket, "--data", "YOUR.csv", "--config", "YOUR.json"]
    return (
        shlex.join(["ncap", "job", "logs", ref.job, "--as", shown.member, "--cloud", str(target.cloud)]),
        f'eval "$(ncap local env --name {target.cloud})" && {shlex.join([*look, str(target.endpoint_url)])}',
        shlex.join([*submit, "--watch", "--as", shown.member, "--cloud", str(target.cloud)]),
        shlex.join(["ncap", "local", "down", "--name", str(target.cloud)]),
    )


def _image_maker(context: Context) -> ImageMaker:
    from ncap_iac.deploy.images import ImageMaker

    world = context.world
    return ImageMaker(context.project, world.environment, world.home, context.report, world.clock)
