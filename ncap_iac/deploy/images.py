"""Environments of blueprints and the images they resolve to: which digest a recipe has, how an image is made and told.

The building itself is in `ncap_iac.environments`; here it meets projects, blueprints and targets.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.errors import DocumentProblemsError, NcapError, NotFoundError, UsageError
from ncap_iac.local.paths import Places, places
from ncap_iac.project import Kind, Project, read_bytes

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway
    from ncap_iac.environments.assemble import Installer
    from ncap_iac.environments.build import Workshop
    from ncap_iac.environments.source import Source
    from ncap_iac.environments.store import Image

AMI_FIELD = re.compile(rb'("AMI"\s*:\s*)"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class ListedEnvironment:
    """An environment of the project, with its image if there is one on this computer."""

    name: str
    environment: str
    """What its recipe is now: `iae:<name>@sha256:<digest>`."""
    is_pinned: bool
    """Whether that is what the blueprint names."""
    folder: Path | None
    size_bytes: int | None
    built: str | None = None
    """UTC, ISO 8601."""


def named_environment(blueprint: bytes, *, where: str) -> str:
    """What a blueprint's AMI field says. Raises UsageError."""
    fields = AMI_FIELD.findall(blueprint)
    if len(fields) != 1:
        raise UsageError(f"it has {len(fields)} AMI fields", where=where, hint="A blueprint has exactly one.")
    named: bytes = fields[0][1]
    return named.decode(errors="replace")


def pinned_text(blueprint: bytes, environment: str, *, where: str) -> bytes:
    """A blueprint's bytes with another environment in its AMI field, all else as it was. Raises UsageError."""
    named_environment(blueprint, where=where)
    return AMI_FIELD.sub(lambda match: match[1] + b'"' + environment.encode() + b'"', blueprint)


def recipe_folder(folder: Path) -> Path:
    """Where the recipe of the analysis in `folder` lies: beside its blueprint, or beside that of the analysis it names.

    Two analyses may differ in everything but their environment: then one of them has the recipe. Raises UsageError.
    """
    own, blueprint = folder / "environment", folder / Kind.BLUEPRINT.file
    if own.is_dir() or not blueprint.is_file():
        return own
    named = named_environment(read_bytes(blueprint), where=str(blueprint))
    lent = folder.parent / named.removeprefix("iae:").partition("@")[0] / "environment"
    return lent if named.startswith("iae:") and lent.is_dir() else own


@dataclass(frozen=True)
class ImageMaker:
    """Builds, finds and registers the images of a project's environments on this computer."""

    project: Project
    environment: Mapping[str, str]
    home: Path
    report: progress.Reporter
    clock: Callable[[], float]
    """For the seconds a step took."""

    @property
    def places(self) -> Places:
        """Where images are kept."""
        return places(self.environment, self.home)

    def workshop(self, say: Callable[[str], None]) -> Workshop:
        """Where and with what images are built."""
        from ncap_iac.environments.build import Workshop

        return Workshop(
            images=self.places.images,
            uv_cache=self.places.uv,
            environ=self.environment,
            home=self.home,
            clock=time.time,
            say=say,
        )

    def installer(self) -> Installer:
        """uv, with the user's index settings and our cache. Raises BuildError where it is not installed."""
        from ncap_iac.environments.build import find_installer

        return find_installer(self.workshop(lambda text: self.report(progress.Detail(text))))

    def build(self, folder: Path) -> Image:
        """The image of the analysis in `folder`, built if it is not there. Raises NcapError."""
        from ncap_iac.environments.build import build_image
        from ncap_iac.environments.store import find_image

        source = self.source(folder)
        name = f"build environment {source.recipe.name}"
        with environment_errors(folder), progress.step(name, self.report, self.clock) as step:
            known = find_image(self.places.images, source.digest)
            image = build_image(source, self.workshop(step.advance))
            step.text = "was built before" if known is not None and known.folder == image.folder else "built"
        return image

    def source(self, folder: Path) -> Source:
        """The recipe of the analysis in `folder`, read; one without its own uses that of the analysis its AMI names.

        Raises NcapError.
        """
        from ncap_iac.environments.source import read_source

        with environment_errors(folder):
            return read_source(recipe_folder(folder), self.project.protocols)

    def make(self, environment: str, folder: Path, *, gateway: Gateway) -> str:
        """The image id of a blueprint's environment in a local cloud, built and registered there.

        Raises NotFoundError elsewhere, UsageError if neither the recipe nor an image here is what the blueprint names.
        """
        if gateway.target.cloud is None:
            raise NotFoundError(
                f"{environment} has no image there",
                where=gateway.target.name,
                hint=f"Make an AMI of it: `ncap environment build {folder.name} --on aws`.",
            )
        return self.register(self.named(environment, folder), gateway)

    def named(self, environment: str, folder: Path) -> Image:
        """The image a blueprint names: built from the recipe beside it, or, if that has changed, built before.

        Raises UsageError if there is neither.
        """
        from ncap_iac.environments.store import find_image

        is_now = self.source(folder).environment
        if environment == is_now:
            return self.build(folder)
        image = find_image(self.places.images, environment.rpartition(":")[2])
        hint = f"Run `ncap environment pin {folder.name}` to use the recipe as it is."
        if image is None:
            raise UsageError(
                f"it names {environment}, and the recipe beside it is {is_now}",
                where=str(folder / Kind.BLUEPRINT.file),
                hint=hint,
            )
        self.report(progress.Warned(f"the recipe of {folder.name} has changed; the image built before is used. {hint}"))
        return image

    def register(self, image: Image, gateway: Gateway) -> str:
        """Tell a cloud that the image exists; its id there."""
        from ncap_iac.environments.register import register_image

        client = gateway.session.client("ec2")
        with gateway.session.translated(f"image {image.folder.name}"):
            return register_image(client, image)

    def listing(self) -> list[ListedEnvironment]:
        """The environments of the project, and whether each has an image here."""
        from ncap_iac.environments.store import find_image

        listed = []
        for path in self.project.documents(Kind.BLUEPRINT):
            if not recipe_folder(path.parent).is_dir():
                continue
            source = self.source(path.parent)
            image = find_image(self.places.images, source.digest)
            pinned = named_environment(read_bytes(path), where=str(path)) == source.environment
            listed.append(
                ListedEnvironment(
                    path.parent.name,
                    source.environment,
                    pinned,
                    None if image is None else image.folder,
                    None if image is None else image.seal.size_bytes,
                    None if image is None else image.seal.built,
                )
            )
        return listed

    def verify(self, folder: Path) -> Image:
        """The image of the analysis in `folder`, every file compared with its seal. Raises NcapError."""
        from ncap_iac.environments.store import find_image, verify_image

        source = self.source(folder)
        image = find_image(self.places.images, source.digest)
        if image is None:
            raise NotFoundError(
                f"{source.environment} has no image on this computer",
                where=str(self.places.images),
                hint=f"Build it: `ncap environment build {folder.name}`.",
            )
        with environment_errors(folder):
            return verify_image(image.folder)

    def pin(self, path: Path) -> tuple[str, bool]:
        """Write the recipe's digest into a blueprint; the environment, and whether the file changed."""
        environment = self.source(path.parent).environment
        before = read_bytes(path)
        after = pinned_text(before, environment, where=str(path))
        if after != before:
            path.write_bytes(after)
        return environment, after != before


@contextmanager
def environment_errors(folder: Path) -> Iterator[None]:
    """Say what the environments' modules complain about in our words."""
    from ncap_compiler import DocumentError
    from ncap_iac.environments.assemble import BuildError
    from ncap_iac.environments.manifest import ImageError

    try:
        yield
    except DocumentError as error:
        raise DocumentProblemsError(tuple(str(problem) for problem in error.problems)) from error
    except FileNotFoundError as error:
        raise UsageError(
            "there is no such file", where=str(error.filename), hint="An environment is described by recipe.json."
        ) from error
    except (BuildError, ImageError) as error:
        raise NcapError(
            str(error), where=f"environment of {folder.name}", hint="Mend that, then run the same command again."
        ) from error
