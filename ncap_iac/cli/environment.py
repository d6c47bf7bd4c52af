"""`ncap environment`: lock, build, list, verify, pin and collect immutable analysis environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.environment_upkeep import run_gc, run_list, run_lock
from ncap_iac.cli.options import SubParsers, add_noun, add_verb
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.deploy.images import ImageMaker


def add_to(nouns: SubParsers) -> None:
    """Add the noun and its verbs."""
    verbs = add_noun(
        nouns,
        "environment",
        ["ncap environment lock kalman-lds", "ncap environment build kalman-lds", "ncap environment pin kalman-lds"],
    )
    name = "an analysis of the project, or its folder"
    _add_lock(verbs, name)
    _add_build(verbs, name)
    add_verb(
        verbs,
        "list",
        "List the environments of the project and the images on this computer.",
        ["ncap environment list", "ncap environment list --output json"],
        run=run_list,
    )
    parser = add_verb(
        verbs,
        "verify",
        "Compare every file of an image with its seal.",
        ["ncap environment verify kalman-lds"],
        run=run_verify,
    )
    parser.add_argument("name", metavar="NAME", help=name)
    parser = add_verb(
        verbs,
        "pin",
        "Write the digest of an environment's recipe into its blueprint; nothing else of the file changes.",
        ["ncap environment pin kalman-lds"],
        run=run_pin,
    )
    parser.add_argument("name", metavar="NAME", help=name)
    parser = add_verb(
        verbs,
        "gc",
        "Remove images and caches nobody needs any more from this computer.",
        ["ncap environment gc --dry-run", "ncap environment gc --keep kalman-lds"],
        run=run_gc,
        detail="Kept is what a blueprint or recipe of this project names, what a local cloud of this computer knows, "
        "running or not, and what any process uses.",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would go, and remove nothing")
    parser.add_argument(
        "--keep", metavar="NAME", action="append", help="keep this environment, by name or beginning of its digest"
    )


def _add_lock(verbs: SubParsers, name: str) -> None:
    parser = add_verb(
        verbs,
        "lock",
        "Lock the requirements of an environment: versions and hashes, for every platform.",
        ["ncap environment lock kalman-lds", "ncap environment lock kalman-lds --check"],
        run=run_lock,
        detail="Reads requirements.in, writes the file the recipe names. Versions locked before stay where they fit.",
    )
    parser.add_argument("name", metavar="NAME", help=name)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="only say whether the lock is in date")
    how.add_argument("--upgrade", action="store_true", help="take the latest versions that fit")


def _add_build(verbs: SubParsers, name: str) -> None:
    parser = add_verb(
        verbs,
        "build",
        "Build the environment of an analysis: an image on this computer, or an AMI.",
        [
            "ncap environment build kalman-lds",
            "ncap environment build kalman-lds --on aws --dry-run",
            "ncap environment build kalman-lds --on aws --profile lab --regions eu-central-1,us-west-2",
            "ncap environment build kalman-lds --on aws --cloud default",
        ],
        run=run_build,
        detail="Nothing happens if an image of the same recipe is there: a recipe's digest names its image.\n"
        "With --on aws EC2 Image Builder makes an AMI; it becomes usable when it has passed the analysis's own\n"
        "sample. AWS is meant unless --cloud names a local cloud. Interrupted, the same command goes on.",
    )
    parser.add_argument("name", metavar="NAME", help=name)
    parser.add_argument("--on", choices=("here", "aws"), default="here", help="this computer (default), or an AMI")
    parser.add_argument(
        "--regions", metavar="REGION,…", action="append", help="with --on aws: copy the AMI to these regions too"
    )
    parser.add_argument(
        "--wait", metavar="MINUTES", type=int, help="with --on aws: longest wait for Image Builder (180)"
    )
    parser.add_argument("--dry-run", action="store_true", help="with --on aws: show the plan, offline")


def image_maker(context: Context) -> ImageMaker:
    """The builder of images on this computer."""
    from ncap_iac.deploy.images import ImageMaker

    world = context.world
    return ImageMaker(context.project, world.environment, world.home, context.report, world.clock)


def run_build(context: Context) -> Answer:
    """Build, if it is not there."""
    if context.arguments.on == "aws":
        from ncap_iac.cli.environment_ami import build_ami

        return build_ami(context)
    alone = [name for name in ("regions", "wait", "dry_run") if context.get(name)]
    if alone:
        raise UsageError(
            f"--{alone[0].replace('_', '-')} is about AMIs", where="environment build", hint="Add --on aws."
        )
    path = context.project.document(Kind.BLUEPRINT, context.arguments.name)
    built = image_maker(context).build(path.parent)
    return Answer(
        kind="Image",
        data={"environment": built.environment, "folder": str(built.folder)},
        blocks=(Text(built.environment),),
        notes=(f"The image is in {built.folder}.",),
        next_commands=(f"ncap environment pin {context.arguments.name}",),
    )


def run_verify(context: Context) -> Answer:
    """Compare with the seal."""
    path = context.project.document(Kind.BLUEPRINT, context.arguments.name)
    image = image_maker(context).verify(path.parent)
    return Answer(
        kind="ImageVerified",
        data={"environment": image.environment, "folder": str(image.folder)},
        blocks=(Text(f"{image.environment}: every file is as it was sealed"),),
    )


def run_pin(context: Context) -> Answer:
    """Write the digest into the blueprint."""
    path = context.project.document(Kind.BLUEPRINT, context.arguments.name)
    environment, changed = image_maker(context).pin(path)
    said = "pinned" if changed else "was pinned already"
    return Answer(
        kind="Pin",
        data={"environment": environment, "file": str(path), "changed": changed},
        blocks=(Text(f"{path}: {environment} {said}"),),
        next_commands=(f"ncap blueprint deploy {context.arguments.name}",),
    )
