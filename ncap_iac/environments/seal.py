"""Sealing: the last step of a build. After it an image is only read.

Write bits stop accidents, not the owner; seal and manifest find what happened all the same.
"""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ncap_iac.environments.manifest import (
    MANIFEST,
    SEAL,
    Interpreter,
    Seal,
    content_digest,
    fingerprint,
    image_files,
    manifest_text,
    seal_text,
)

_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_HASHERS = 4


def seal_image(
    folder: Path, *, name: str, recipe_digest: str, interpreter: Interpreter, platform: str, built: str
) -> Seal:
    """Write seal and manifest of a finished image and drop every write bit below it. `built`: UTC, ISO 8601."""
    files = list(image_files(folder))
    with ThreadPoolExecutor(min(_HASHERS, os.cpu_count() or 1)) as pool:
        digests = list(pool.map(lambda file: content_digest(folder, file), files))
    seal = Seal(
        name=name,
        recipe_digest=recipe_digest.removeprefix("sha256:"),
        interpreter=interpreter,
        platform=platform,
        built=built,
        size_bytes=sum(file.size for file in files),
        file_count=len(files),
        fingerprint=fingerprint(iter(files)),
    )
    names = (file.name for file in files)
    (folder / MANIFEST).write_text(manifest_text(seal, dict(zip(names, digests, strict=True))))
    (folder / SEAL).write_text(seal_text(seal))
    drop_write_bits(folder)
    return seal


def drop_write_bits(folder: Path) -> None:
    """No file or folder below (nor the folder itself) may be written any more."""
    for place, _, names in os.walk(folder, topdown=False):
        for path in [*(Path(place, name) for name in names), Path(place)]:
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_WRITE)
