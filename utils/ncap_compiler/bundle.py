"""A folder's files as one zip whose bytes depend on nothing but the files: equal sources, equal digest.

Takes and gives bytes; reading the folder is the caller's. It must not look at the clock or the file system.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ncap_compiler.errors import DocumentError, Problem

FIXED_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest date a zip can hold."""

MAX_PATH_LENGTH = 512


@dataclass(frozen=True, slots=True)
class Bundle:
    """A zip and the SHA-256 of its bytes, in hex: its name in the artifact bucket."""

    data: bytes
    sha256: str


def bundle_files(files: Mapping[str, bytes]) -> Bundle:
    """Zip `files` (path with `/`, relative to the bundle's root -> content).

    Raises DocumentError (Z101, Z102) for paths that leave the root or that some systems take for one file.
    """
    problems = tuple(_check(files))
    if problems:
        raise DocumentError(problems)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, FIXED_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[path])
    data = buffer.getvalue()
    return Bundle(data, hashlib.sha256(data).hexdigest())


def is_inside(path: str) -> bool:
    """Whether `path` is a plain relative path: no empty part, `.`, `..`, drive, backslash or control character."""
    parts = path.split("/")
    return (
        0 < len(path) <= MAX_PATH_LENGTH
        and not any(part in ("", ".", "..") for part in parts)
        and not re.search(r"[\\:\x00-\x1f\x7f]", path)
    )


def _check(files: Mapping[str, bytes]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for path in sorted(files):
        if not is_inside(path):
            hint = "Use relative paths with `/` and without `..`."
            yield Problem("Z101", path, "", None, "this path cannot be in a bundle", hint)
        if path.casefold() in seen:
            message = f"it differs from `{seen[path.casefold()]}` only in case"
            yield Problem("Z102", path, "", None, message, "Rename one of them.")
        seen[path.casefold()] = path
