"""The folder of images on this computer: what is there, whether it is sound, what can go.

Builds nothing. An image is a folder whose name begins with its recipe digest; names with a leading dot are builds
under way, or the remains of one that was killed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.environments.manifest import (
    ImageError,
    Seal,
    content_digest,
    fingerprint,
    image_files,
    load_digests,
    load_seal,
)
from ncap_iac.local.runner.firmware import remove_tree

_SHOWN_CHANGES = 5
_ABANDONED_S = 24 * 3600.0
_SOUND_FOR_S = 10.0
_DIGEST_IN_LOCKS = 12
_INTERPRETERS = ("env/bin/python", "tool/bin/python")


@dataclass(frozen=True)
class Image:
    """One sealed image of this computer."""

    folder: Path
    seal: Seal

    @property
    def environment(self) -> str:
        """As a blueprint names it: `iae:<name>@sha256:<digest>`."""
        return f"iae:{self.seal.name}@sha256:{self.seal.recipe_digest}"


def load_image(folder: Path) -> Image:
    """The image in a folder, not yet checked. Raises ImageError."""
    return Image(folder, load_seal(folder))


def list_images(images: Path) -> list[Image]:
    """All readable images, newest first."""
    found = []
    if images.is_dir():
        for folder in images.iterdir():
            if folder.is_dir() and not folder.name.startswith("."):
                with suppress(ImageError):
                    found.append(load_image(folder))
    return sorted(found, key=lambda image: (image.seal.built, image.folder.name), reverse=True)


def find_image(images: Path, recipe_digest: str) -> Image | None:
    """The newest image built from this recipe, whatever its Python; None if there is none."""
    digest = recipe_digest.removeprefix("sha256:")
    return next((image for image in list_images(images) if image.seal.recipe_digest == digest), None)


def verify_image(folder: Path) -> Image:
    """The image, every file's content compared with the manifest. Raises ImageError naming what differs."""
    image = load_image(folder)
    sealed = load_digests(folder)
    now = {file.name: content_digest(folder, file) for file in image_files(folder)}
    changes = [
        *(f"{name} was added" for name in sorted(now.keys() - sealed.keys())),
        *(f"{name} is missing" for name in sorted(sealed.keys() - now.keys())),
        *(f"{name} was changed" for name in sorted(now.keys() & sealed.keys()) if now[name] != sealed[name]),
    ]
    if changes:
        more = f" and {len(changes) - _SHOWN_CHANGES} more" if len(changes) > _SHOWN_CHANGES else ""
        raise _tampered(folder, "; ".join(changes[:_SHOWN_CHANGES]) + more)
    return image


def check_for_boot(folder: Path) -> Image:
    """The image, compared with its seal by names, sizes and times: milliseconds, where reading it takes a second.

    That finds what an installer, an editor or a broken disk did; whoever forges times as well is found by
    `verify_image`. Raises ImageError, also when the Python the image points at is gone.
    """
    image = load_image(folder)
    if fingerprint(image_files(folder)) != image.seal.fingerprint:
        verify_image(folder)  # names the files, if it is more than their times
        raise _tampered(folder, "times of files differ")
    python = image.seal.interpreter
    if any((folder / name).is_symlink() and not (folder / name).exists() for name in _INTERPRETERS):
        raise ImageError(
            f"{folder}: its Python {python.version} at {python.executable} is gone; build the image again: "
            "ncap environment build"
        )
    return image


class BootCheck:
    """`check_for_boot` for many boots: an image found sound counts as sound for a few seconds more.

    A hundred instances of one launch would otherwise look at ten thousand files each.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sound: dict[Path, tuple[float, Image]] = {}

    def __call__(self, folder: Path) -> Image:
        """The image. Raises ImageError."""
        with self._lock:
            checked_at, image = self._sound.get(folder, (float("-inf"), None))
            if image is None or self._clock() - checked_at > _SOUND_FOR_S:
                self._sound.pop(folder, None)
                image = check_for_boot(folder)
                self._sound[folder] = (self._clock(), image)
            return image


def _tampered(folder: Path, how: str) -> ImageError:
    return ImageError(
        f"{folder}: the image is not as it was sealed: {how}. An environment never changes; build it again: "
        "ncap environment build"
    )


def build_lock(images: Path, recipe_digest: str) -> Path:
    """The file that whoever builds or removes an image of this recipe holds."""
    return images / f".{recipe_digest[:_DIGEST_IN_LOCKS]}.lock"


def remove_image(folder: Path) -> None:
    """Take an image away; it is out of the list at once, even if the removal is interrupted."""
    aside = folder.with_name(f".removed-{folder.name}")
    remove_tree(aside)
    if folder.exists():
        folder.rename(aside)
        remove_tree(aside)


def collect_garbage(images: Path, *, clock: Callable[[], float] = time.time) -> list[Path]:
    """Remove what killed builds and removals left; a build of the last day is left alone. What was removed."""
    removed = []
    for folder in images.glob(".*") if images.is_dir() else ():
        with suppress(FileNotFoundError):
            if folder.is_dir() and clock() - folder.stat().st_mtime > _ABANDONED_S:
                remove_tree(folder)
                removed.append(folder)
    return removed
