"""`ncap environment`: build, list, verify and pin immutable analysis environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table, Text
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SubParsers, add_noun, add_verb
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.deploy.images import ImageMaker, ListedEnvironment


def add_to(nouns: SubParsers) -> None:
    """Add the noun and its verbs."""
    verbs = add_noun(
        nouns,
        "environment",
        ["ncap environment build kalman-lds", "ncap environment pin kalman-lds"],
    )
    name = "an analysis of the project, or its folder"
    parser = add_verb(
        verbs,
        "build",
        "Build the environment of an analysis as an image on this computer.",
        ["ncap environment build kalman-lds"],
        run=run_build,
        detail="Nothing happens if an image of the same recipe is there: a recipe's digest names its image.",
    )
    parser.add_argument("name", metavar="NAME", help=name)
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


def image_maker(context: Context) -> ImageMaker:
    """The builder of images on this computer."""
    from ncap_iac.deploy.images import ImageMaker

    world = context.world
    return ImageMaker(context.project, world.environment, world.home, context.report, world.clock)


def run_build(context: Context) -> Answer:
    """Build, if it is not there."""
    path = context.project.document(Kind.BLUEPRINT, context.arguments.name)
    built = image_maker(context).build(path.parent)
    return Answer(
        kind="Image",
        data={"environment": built.environment, "folder": str(built.folder)},
        blocks=(Text(built.environment),),
        notes=(f"The image is in {built.folder}.",),
        next_commands=(f"ncap environment pin {context.arguments.name}",),
    )


def run_list(context: Context) -> Answer:
    """Environments of the project, and images."""
    listed = image_maker(context).listing()
    return Answer(
        kind="EnvironmentList",
        data={
            "environments": [
                {
                    "name": item.name,
                    "environment": item.environment,
                    "pinned": item.is_pinned,
                    "folder": None if item.folder is None else str(item.folder),
                    "sizeBytes": item.size_bytes,
                }
                for item in listed
            ]
        },
        blocks=(
            Table(
                ("name", "environment", "blueprint names it", "image"),
                tuple(
                    (item.name, item.environment, "yes" if item.is_pinned else "no", _image(item)) for item in listed
                ),
                empty="No environments here.",
            ),
        ),
    )


def _image(item: ListedEnvironment) -> str:
    if item.folder is None or item.size_bytes is None:
        return "not built"
    return f"{item.folder.name} ({item.size_bytes / 1e6:.0f} MB)"


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
