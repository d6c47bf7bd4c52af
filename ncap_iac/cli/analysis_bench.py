"""What `run`, `test` and `report` of `ncap analysis` share: the developer's cloud, and the bench on it."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.cli.context import Context, open_gateway, open_member
from ncap_iac.cli.demo import start_cloud
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.analysis.bench import Laid
    from ncap_iac.analysis.laboratory import Laboratory
    from ncap_iac.deploy.images import ImageMaker

CLOUD = "developer"
"""The local cloud of the developer's loop, apart from those where analyses are deployed for others."""


def bench_options(parser: argparse.ArgumentParser) -> None:
    """`--timeout`."""
    parser.add_argument("--timeout", type=_positive, metavar="SECONDS", help="wait at most so long, then end with 6")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("a number above 0 is wanted")
    return value


def cloud_name(context: Context) -> str:
    """The local cloud that is meant."""
    return context.choice.cloud or context.world.environment.get("NCAP_CLOUD") or CLOUD


def place_words(context: Context) -> tuple[str, ...]:
    """The options that choose this cloud again."""
    name = cloud_name(context)
    return () if name == CLOUD else ("--cloud", name)


def check_places(context: Context) -> None:
    """Refuse a place that is no local cloud. Raises UsageError."""
    choice = context.choice
    if choice.aws or choice.profile or choice.endpoint_url:
        raise UsageError(
            "the working tree is tried in a local cloud",
            where="options",
            hint="On AWS deploy it (`ncap blueprint deploy NAME`) and submit a job (`ncap job submit NAME`).",
        )


@contextmanager
def open_laboratory(
    context: Context, paths: Sequence[Path]
) -> Iterator[tuple[Laboratory, list[Laid], list[str], ImageMaker]]:
    """The developer's cloud with these blueprints on the bench, their images built meanwhile; also the analyses' names.

    Starts the cloud if it does not run, and leaves it running. Raises NcapError.
    """
    from ncap_iac.analysis.bench import lay, set_up
    from ncap_iac.analysis.laboratory import Laboratory, Outside
    from ncap_iac.demo import in_background
    from ncap_iac.deploy.deployment import Deployment
    from ncap_iac.deploy.images import ImageMaker
    from ncap_iac.documents import Compiled

    world = context.world
    with tempfile.TemporaryDirectory(prefix="neurocaas-bench-") as place:
        bench = set_up(context.project, Path(place))
        maker = ImageMaker(bench.project, world.environment, world.home, context.report, world.clock)
        laid = [lay(bench, path, lambda folder: maker.source(folder).environment) for path in paths]
        building = {
            it.environment: in_background(lambda it=it: maker.build(it.path.parent))  # type: ignore[misc]
            for it in laid[:1]
        }
        target, _ = start_cloud(context, cloud_name(context))
        context.report(progress.Note(f"Everything happens in {target.name}, at {target.endpoint_url}."))
        gateway = open_gateway(target)

        def make_image(environment: str, folder: Path) -> str:
            begun = building.get(environment)
            return maker.register(maker.build(folder) if begun is None else begun.result(), gateway)

        deployment = Deployment(gateway, Compiled(bench.project), context.report, world.clock, world.sleep)
        outside = Outside(context.report, world.clock, world.sleep, world.now, open_member)
        laboratory = Laboratory(bench, deployment, make_image, outside)
        yield laboratory, laid, _names(context, laid), maker


def _names(context: Context, laid: Sequence[Laid]) -> list[str]:
    """Every analysis of the project that is sound, so that the developer's rights change only when the project does."""
    from ncap_iac.documents import analysis_name
    from ncap_iac.errors import NcapError

    found = {it.name for it in laid}
    for path in context.project.documents(Kind.BLUEPRINT):
        try:
            found.add(analysis_name(path))
        except NcapError:
            continue
    return sorted(found)


def with_developers_cloud(context: Context) -> None:
    """Let the context's target be the developer's cloud unless the options or NCAP_CLOUD choose another place."""
    choice = context.choice
    elsewhere = choice.aws or choice.profile or choice.endpoint_url
    if not elsewhere and choice.cloud is None and not context.world.environment.get("NCAP_CLOUD"):
        context.choice = replace(choice, cloud=CLOUD)
