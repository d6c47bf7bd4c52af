"""Images on this computer: the sound one that is there, or a fresh one, made visible by one rename.

Nothing is ever rebuilt in place: an image that is sound is used as it is, a broken one is moved aside first. Packages
come from the user's index, and only those the locks name by hash; what was fetched stays in a cache, so that a build
that was interrupted does not fetch it again.
"""

from __future__ import annotations

import platform
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.environments.assemble import BuildError, Installer, fill_image
from ncap_iac.environments.contents import Contents
from ncap_iac.environments.indexes import installer_environment
from ncap_iac.environments.manifest import ImageError
from ncap_iac.environments.os_packages import missing_packages
from ncap_iac.environments.python_range import satisfies
from ncap_iac.environments.source import Source
from ncap_iac.environments.store import (
    Image,
    build_lock,
    check_for_boot,
    collect_garbage,
    load_image,
    remove_image,
)
from ncap_iac.local.filelock import exclusive
from ncap_iac.local.runner.firmware import remove_tree

__all__ = ["BuildError", "Workshop", "build_contents", "build_image", "find_installer", "image_folder_name"]

_LONGEST_BUILD_S = 1800.0
_DIGEST_IN_NAMES = 12
_EXECUTABLE = 0o755


@dataclass(frozen=True)
class Workshop:
    """Where and with what images are built."""

    images: Path
    uv_cache: Path
    environ: Mapping[str, str]
    """The user's environment variables: index settings, proxies, certificates."""
    home: Path
    clock: Callable[[], float]
    """Seconds since the epoch."""
    say: Callable[[str], None]
    """Told what happens, in a few words."""


def image_folder_name(digest: str) -> str:
    """`<recipe digest>-<python tag>-<platform>`: what the same recipe becomes on this computer."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{digest}-{tag}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def build_image(source: Source, workshop: Workshop) -> Image:
    """The image of a recipe on this computer: the one that is there, or a fresh one.

    Raises BuildError. Two builds of one recipe at a time wait for each other; builds of different ones do not.
    """
    return build_contents(source.contents, workshop)


def build_contents(contents: Contents, workshop: Workshop) -> Image:
    """As `build_image`, from contents that may have come in an archive."""
    if not satisfies(sys.version_info[:3], contents.python):
        raise BuildError(
            f"environment {contents.name}: its recipe asks for Python {contents.python}, and ncap runs on "
            f"{platform.python_version()}. Install ncap with such a Python and build again."
        )
    folder = workshop.images / image_folder_name(contents.digest)
    if (image := _sound(folder)) is not None:
        return image
    if missing := missing_packages(contents.os_packages, search_path=workshop.environ.get("PATH")):
        raise BuildError(
            f"environment {contents.name}: packages of the operating system are missing here: {', '.join(missing)}. "
            f"Install them (Debian, Ubuntu: sudo apt-get install {' '.join(missing)}) and build again."
        )
    workshop.images.mkdir(parents=True, exist_ok=True)
    collect_garbage(workshop.images, clock=workshop.clock)
    with exclusive(build_lock(workshop.images, contents.digest), timeout_s=_LONGEST_BUILD_S):
        if (image := _sound(folder)) is not None:
            return image
        if folder.exists():
            workshop.say("the image that was here is not as it was sealed: building it again")
            remove_image(folder)
        try:
            return _build(contents, workshop, folder)
        except OSError as error:
            raise BuildError(
                f"environment {contents.name}: the image could not be written to {workshop.images}: {error}. Is "
                "the disk full, or the folder not yours?"
            ) from error


def _sound(folder: Path) -> Image | None:
    try:
        return check_for_boot(folder)
    except ImageError:
        return None


def _build(contents: Contents, workshop: Workshop, folder: Path) -> Image:
    place = Path(tempfile.mkdtemp(prefix=f".building-{contents.digest[:_DIGEST_IN_NAMES]}-", dir=workshop.images))
    try:
        built = place / "image"
        fill_image(contents, built, find_installer(workshop), notes=place, now_s=workshop.clock())
        # A sealed folder may not be renamed into another one by its owner: the parent entry in it would change.
        built.chmod(_EXECUTABLE)
        built.rename(folder)
        folder.chmod(_EXECUTABLE & ~0o222)
        return load_image(folder)
    finally:
        with suppress(OSError):
            remove_tree(place)


def find_installer(workshop: Workshop) -> Installer:
    """uv, with the user's index settings and our cache. Raises BuildError where uv is not installed."""
    environ = installer_environment(workshop.environ, home=workshop.home, prefix=Path(sys.prefix))
    cache = {"UV_CACHE_DIR": str(workshop.uv_cache), "UV_PYTHON_DOWNLOADS": "never"}
    return Installer(_find_uv(), {**environ, **cache}, workshop.say)


def _find_uv() -> str:
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        raise BuildError("building an environment needs uv: pip install 'neurocaas[local]'") from error
