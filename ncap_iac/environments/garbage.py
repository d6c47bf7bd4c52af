"""Which images of this computer nobody needs any more, and their removal: `ncap environment gc`.

An image is needed by a recipe or blueprint that names its digest, by a local cloud that registered it, running or not,
and by any process that has a file of it open. Never removes what it cannot be sure of.
"""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.environments.assemble import Installer
from ncap_iac.environments.store import Image, build_lock, collect_garbage, list_images, remove_image
from ncap_iac.local.filelock import LockedError, exclusive
from ncap_iac.local.runner.firmware import remove_tree

_IMAGES = "ec2-images"
_INSTANCES = "ec2-instances"
_LEAST_DIGITS = 4


@dataclass(frozen=True)
class Verdict:
    """One image, and who needs it."""

    image: Image
    size_bytes: int
    kept_by: tuple[str, ...]
    """In a few words each; nobody: it can go."""


def judge(images: Path, clouds: Path, named: Mapping[str, Collection[str]], keep: Collection[str]) -> list[Verdict]:
    """Every image of this computer. `named`: digest (64 hex) → who names it; `keep`: names or beginnings of digests.

    Raises OSError for a cloud whose records cannot be read: then nobody may say what it needs.
    """
    registered = dict(_registered(clouds))
    opened = _opened(images)
    found = []
    for image in list_images(images):
        digest, folder = image.seal.recipe_digest, image.folder.name
        reasons = [*named.get(digest, ()), *registered.get(folder, ())]
        reasons += ["a running process"] if folder in opened else []
        reasons += ["--keep"] if any(_is_meant(image, word) for word in keep) else []
        found.append(Verdict(image, image.seal.size_bytes, tuple(dict.fromkeys(reasons))))
    return found


def remove(verdict: Verdict, images: Path) -> bool:
    """Remove an image nobody needs; False if somebody just builds or removes it, or has begun to use it."""
    folder = verdict.image.folder
    try:
        with exclusive(build_lock(images, verdict.image.seal.recipe_digest), timeout_s=0.0):
            if folder.name in _opened(images):
                return False
            remove_image(folder)
    except LockedError:
        return False
    return True


@dataclass(frozen=True)
class Leftovers:
    """What else can go."""

    folders: tuple[Path, ...]
    """Of killed builds and removals, and of emulators no version of this package here starts any more."""
    size_bytes: int


def leftovers(base: Path, current_base: str) -> Leftovers:
    """Emulator environments other than the current one."""
    found = tuple(
        path
        for path in sorted(base.iterdir() if base.is_dir() else ())
        if path.is_dir() and not path.name.startswith(current_base) and path.name not in _opened(base)
    )
    return Leftovers(found, sum(folder_size(path) for path in found))


def remove_leftovers(found: Leftovers, images: Path) -> list[Path]:
    """Remove them, and what killed builds left a day ago."""
    for folder in found.folders:
        remove_tree(folder)
    return [*found.folders, *collect_garbage(images)]


def prune_packages(installer: Installer, cache: Path) -> int:
    """Let uv drop what its cache keeps in vain; bytes won."""
    before = folder_size(cache)
    if before:
        installer.run("cache", "prune", folder=cache)
    return max(0, before - folder_size(cache))


def folder_size(folder: Path) -> int:
    """Bytes of all files below."""
    total = 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        with suppress(OSError):
            total += path.lstat().st_size if not path.is_dir() or path.is_symlink() else 0
    return total


def _is_meant(image: Image, word: str) -> bool:
    digest = word.rpartition(":")[2]
    by_digest = len(digest) >= _LEAST_DIGITS and image.seal.recipe_digest.startswith(digest)
    return word == image.seal.name or by_digest


def _registered(clouds: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Image folders by name, and the clouds that know them as an AMI or run an instance of them."""
    found: dict[str, list[str]] = {}
    for store in sorted(clouds.glob("*/edge.db")):
        said = f"local cloud '{store.parent.name}'"
        for folder in _folders_of(store):
            found.setdefault(folder, []).append(said)
    yield from ((folder, tuple(said)) for folder, said in found.items())


def _folders_of(store: Path) -> Iterator[str]:
    """Read only, beside a cloud that may be running. Raises OSError."""
    query = "SELECT json_extract(body, ?) FROM documents WHERE name = ?"
    try:
        with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as connection:
            for table, member in ((_IMAGES, "$.folder"), (_INSTANCES, "$.image_folder")):
                yield from (str(row[0]) for row in connection.execute(query, (member, table)) if row[0])
    except sqlite3.Error as error:
        raise OSError(f"{store}: the cloud's records cannot be read ({error}); nothing is removed") from error


def _opened(folder: Path) -> set[str]:
    """Names in `folder` below which some process of this user has a file mapped, open, or works."""
    place = str(folder.resolve()) + "/"
    found: set[str] = set()
    if not Path("/proc/self/maps").exists():
        return _opened_by_lsof(place)
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            for text in _places_of(process):
                start = text.find(place)
                while start >= 0:
                    found.add(text[start + len(place) :].partition("/")[0].partition("\n")[0])
                    start = text.find(place, start + 1)
    return found


def _places_of(process: Path) -> Iterator[str]:
    """Everything of a process that may name a file: what it mapped, runs, works in, was started as."""
    for name in ("maps", "mountinfo", "cmdline"):
        with suppress(OSError):
            yield (process / name).read_text(errors="replace")
    for name in ("cwd", "exe", "root"):
        with suppress(OSError):
            yield str((process / name).readlink()) + "/"


def _opened_by_lsof(place: str) -> set[str]:
    """Where there is no /proc (macOS)."""
    done = subprocess.run(["lsof", "-Fn", "+D", place], capture_output=True, text=True, check=False)
    lines = (line[1:] for line in done.stdout.splitlines() if line.startswith("n" + place))
    return {line.removeprefix(place).partition("/")[0] for line in lines}
