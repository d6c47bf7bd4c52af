"""Upkeep of environments: their locks, and the images of this computer nobody needs. Where projects meet both."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.deploy.images import ImageMaker, environment_errors, named_environment
from ncap_iac.errors import NcapError, UsageError
from ncap_iac.project import Kind, read_bytes

if TYPE_CHECKING:
    from ncap_iac.environments.garbage import Leftovers, Verdict
    from ncap_iac.environments.lock import Locking

_DIGEST = re.compile(r"iae:[^@]+@sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Locked:
    """What became of a lock."""

    file: Path
    changed: bool
    packages: int


@dataclass(frozen=True)
class Swept:
    """What a collection found and removed."""

    verdicts: tuple[Verdict, ...]
    removed: tuple[Verdict, ...]
    leftovers: Leftovers
    won_bytes: int


def locking_of(folder: Path) -> Locking:
    """What there is to lock of the analysis in `folder`. Raises NcapError."""
    from ncap_compiler.recipe import load_recipe
    from ncap_iac.environments.lock import REQUIREMENTS, Locking
    from ncap_iac.environments.source import RECIPE

    place = folder / "environment"
    with environment_errors(folder):
        recipe = load_recipe((place / RECIPE).read_text(encoding="utf-8"), file=str(place / RECIPE))
        if not (place / REQUIREMENTS).is_file():
            raise UsageError(
                "there is no such file",
                where=str(place / REQUIREMENTS),
                hint="Write one requirement a line, such as numpy>=2, and lock again.",
            )
    return Locking(place / REQUIREMENTS, place / recipe.requirements, recipe.python)


def lock(maker: ImageMaker, folder: Path, *, upgrade: bool = False) -> Locked:
    """Write the lock of the analysis in `folder`. Raises NcapError."""
    from ncap_iac.environments.lock import resolve

    locking = locking_of(folder)
    with environment_errors(folder):
        text = resolve(locking, maker.installer(), upgrade=upgrade)
    before = locking.lock.read_text(encoding="utf-8") if locking.lock.is_file() else ""
    if text != before:
        locking.lock.write_text(text, encoding="utf-8", newline="\n")
    return Locked(locking.lock, text != before, text.count("=="))


def check_lock(maker: ImageMaker, folder: Path) -> None:
    """Raise NcapError unless the lock is in date. Asks the package index only about a lock without our head."""
    from ncap_iac.environments.lock import is_in_date, resolve, without_head

    locking = locking_of(folder)
    with environment_errors(folder):
        fresh = is_in_date(locking)
        if fresh is None:
            found = without_head(locking.lock.read_text(encoding="utf-8"))
            fresh = without_head(resolve(locking, maker.installer())) == found
    if not fresh:
        raise NcapError(
            "the lock is not that of the requirements beside it",
            where=str(locking.lock),
            hint=f"Run `ncap environment lock {folder.name}`, then `ncap environment pin {folder.name}`.",
        )


def sweep(maker: ImageMaker, keep: Collection[str], *, dry_run: bool) -> Swept:
    """Judge every image of this computer and, unless `dry_run`, remove those nobody needs."""
    from ncap_iac.environments.garbage import judge, leftovers, prune_packages, remove, remove_leftovers
    from ncap_iac.local import base_environment

    places = maker.places
    try:
        verdicts = judge(places.images, places.clouds, _named(maker), keep)
        emulator = Path(base_environment.__file__).with_name("base-requirements.txt").read_bytes()
        rest = leftovers(places.base, base_environment.environment_name(emulator))
        if dry_run:
            return Swept(tuple(verdicts), (), rest, 0)
        removed = tuple(item for item in verdicts if not item.kept_by and remove(item, places.images))
        remove_leftovers(rest, places.images)
    except OSError as error:
        raise NcapError(str(error), where=str(places.images), hint="Mend that, then run it again.") from error
    with environment_errors(maker.project.root):
        won = prune_packages(maker.installer(), places.uv)
    return Swept(tuple(verdicts), removed, rest, won + rest.size_bytes + sum(item.size_bytes for item in removed))


def _named(maker: ImageMaker) -> dict[str, list[str]]:
    """Digests by who names them: blueprints, and recipes as they are now."""
    found: dict[str, list[str]] = {}
    for path in maker.project.documents(Kind.BLUEPRINT):
        name = path.parent.name
        pinned = _DIGEST.fullmatch(named_environment(read_bytes(path), where=str(path)))
        if pinned:
            found.setdefault(pinned[1], []).append(f"blueprint {name}")
        if (path.parent / "environment").is_dir():
            found.setdefault(maker.source(path.parent).digest, []).append(f"recipe of {name}")
    return found
