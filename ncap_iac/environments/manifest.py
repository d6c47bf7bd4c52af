"""What a sealed image consists of: a short seal that a boot can check, and the digest of every file.

`seal.json` says what the image is and holds a fingerprint of all names, sizes and times: compared in milliseconds.
`manifest.json` says the same and holds the SHA-256 of every file. Reads and looks at files; changes no image.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
SEAL = "seal.json"
_SCHEMA_VERSION = 1


class ImageError(Exception):
    """An image that cannot be used: which, why, what to do."""


@dataclass(frozen=True)
class Interpreter:
    """The Python an image's virtual environments point at; it stays outside the image."""

    version: str
    executable: str
    prefixes: tuple[str, ...]
    """Its installation folders; a machine must see them."""


@dataclass(frozen=True)
class Seal:
    """What an image is."""

    name: str
    recipe_digest: str
    """64 hex digits."""
    interpreter: Interpreter
    platform: str
    built: str
    """UTC, ISO 8601."""
    size_bytes: int
    file_count: int
    fingerprint: str
    """SHA-256 over name, size and modification time of every file."""


@dataclass(frozen=True)
class FileFacts:
    """One file or symbolic link of an image, without its content."""

    name: str
    """Relative to the image, `/` between folders."""
    size: int
    modified_ns: int
    link: str | None = None
    """Where a symbolic link points; size and time of a link do not count."""


def image_files(image: Path) -> Iterator[FileFacts]:
    """Every file and link below an image but seal and manifest. Raises OSError."""
    waiting = [("", str(image))]
    while waiting:
        prefix, folder = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_symlink():
                    yield FileFacts(name, 0, 0, str(Path(entry.path).readlink()))
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((f"{name}/", entry.path))
                elif name not in (MANIFEST, SEAL):
                    facts = entry.stat(follow_symlinks=False)
                    yield FileFacts(name, facts.st_size, facts.st_mtime_ns)


def fingerprint(files: Iterator[FileFacts]) -> str:
    """SHA-256 over the facts of files, in the order of their names."""
    lines = sorted(f"{file.name}\0{file.size}\0{file.modified_ns}\0{file.link}" for file in files)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def content_digest(image: Path, file: FileFacts) -> str:
    """SHA-256 of a file's content, or of where a link points. Raises OSError."""
    if file.link is not None:
        return hashlib.sha256(f"link {file.link}".encode("utf-8", "surrogateescape")).hexdigest()
    with (image / file.name).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def seal_text(seal: Seal) -> str:
    """The text of `seal.json`."""
    return _text(asdict(seal))


def manifest_text(seal: Seal, digests: Mapping[str, str]) -> str:
    """The text of `manifest.json`."""
    return _text({**asdict(seal), "files": dict(digests)})


def load_seal(image: Path) -> Seal:
    """The seal of an image folder. Raises ImageError if it is missing or unreadable."""
    document = _load(image / SEAL)
    try:
        interpreter = document.pop("interpreter")
        prefixes = tuple(interpreter.pop("prefixes"))
        return Seal(**document, interpreter=Interpreter(**interpreter, prefixes=prefixes))
    except (AttributeError, KeyError, TypeError) as error:
        raise _unreadable(image / SEAL, error) from error


def load_digests(image: Path) -> dict[str, str]:
    """SHA-256 of every file by name, as sealed. Raises ImageError."""
    files = _load(image / MANIFEST).get("files")
    if not isinstance(files, dict):
        raise _unreadable(image / MANIFEST, ValueError("it lists no files"))
    return files


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps({"schemaVersion": _SCHEMA_VERSION, **document}, sort_keys=True, indent=1) + "\n"


def _load(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict) or document.pop("schemaVersion", None) != _SCHEMA_VERSION:
            raise ValueError("it was written by another version of neurocaas")
    except FileNotFoundError:
        raise ImageError(f"{path.parent}: no sealed image is here ({path.name} is missing); build it again") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return document


def _unreadable(path: Path, error: Exception) -> ImageError:
    return ImageError(f"{path}: not readable ({error}); remove the folder and build the image again")
