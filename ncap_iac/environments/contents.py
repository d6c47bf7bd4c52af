"""What goes into an image, read and ready; and the archive that takes it to another computer.

Standard library only, and no module of ours: this file travels in the archive and runs where an AMI is built. Equal
contents give equal archives, byte for byte.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 1
TOOL_LOCK = "workflow/requirements.lock"

_HEAD = "contents.json"
_LOCK = "requirements.lock"
_ANALYSIS = "analysis/"
_TOOL = "tool/"
_PLAIN = 0o644
_EXECUTABLE = 0o755


class ArchiveError(Exception):
    """An archive that is none of ours; the message says why."""


@dataclass(frozen=True)
class Contents:
    """Everything an image is made of."""

    name: str
    digest: str
    """Of the recipe, 64 hex digits."""
    python: str
    """Version range: `>=3.11,<3.15`."""
    os_packages: tuple[str, ...]
    network: bool
    """Whether the workflow may use the network."""
    lock: bytes
    analysis: Mapping[str, bytes]
    """Files of the image's `analysis` folder by path, the recipe among them."""
    executables: frozenset[str]
    """Those of `analysis` that may be executed."""
    tool: Mapping[str, bytes]
    """The in-instance tool by path: `workflow/boot.py`, `workflow/requirements.lock`."""

    @property
    def environment(self) -> str:
        """As a blueprint names it: `iae:<name>@sha256:<digest>`."""
        return f"iae:{self.name}@sha256:{self.digest}"


def pack(contents: Contents, builder: Mapping[str, bytes]) -> bytes:
    """The archive (tar, not compressed: compressors differ). `builder`: what builds there, by path in the archive."""
    head = {
        "schemaVersion": SCHEMA_VERSION,
        "name": contents.name,
        "digest": contents.digest,
        "python": contents.python,
        "osPackages": sorted(contents.os_packages),
        "network": contents.network,
        "executables": sorted(contents.executables),
    }
    files = {_HEAD: (json.dumps(head, sort_keys=True, indent=1) + "\n").encode(), _LOCK: contents.lock}
    files |= {_ANALYSIS + path: content for path, content in contents.analysis.items()}
    files |= {_TOOL + path: content for path, content in contents.tool.items()}
    files |= builder
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = _EXECUTABLE if path.removeprefix(_ANALYSIS) in contents.executables else _PLAIN
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def unpack(archive: bytes) -> Contents:
    """The contents of an archive. Nothing is written to disk. Raises ArchiveError."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
            for entry in opened:
                content = opened.extractfile(entry) if entry.isfile() else None
                if content is not None and is_plain(entry.name):
                    files[entry.name] = content.read()
        return _contents(json.loads(files[_HEAD]), files)
    except (tarfile.TarError, KeyError, TypeError, ValueError) as error:
        raise ArchiveError(f"it is not the archive of an environment: {error}") from error


def is_plain(path: str) -> bool:
    """Whether a path stays below the folder it is put into."""
    return not path.startswith("/") and ".." not in path.split("/")


def _contents(head: Mapping[str, Any], files: Mapping[str, bytes]) -> Contents:
    if head.get("schemaVersion") != SCHEMA_VERSION:
        raise ValueError("it was written by another version of neurocaas")
    return Contents(
        name=str(head["name"]),
        digest=str(head["digest"]),
        python=str(head["python"]),
        os_packages=tuple(head["osPackages"]),
        network=bool(head["network"]),
        lock=files[_LOCK],
        analysis=_below(files, _ANALYSIS),
        executables=frozenset(head["executables"]),
        tool=_below(files, _TOOL),
    )


def _below(files: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    return {path.removeprefix(folder): content for path, content in files.items() if path.startswith(folder)}
