"""A dataset that is a whole folder: the list of its files, and bringing them here with sizes and ETags checked.

The list was made when the job was accepted, so the folder is the one of that moment. It must not write outside the
folder it is given, whatever the keys are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workflow.parallel import each
from workflow.storage import Storage, StorageError, Trouble
from workflow.transfer import THREADS, Progress


@dataclass(frozen=True)
class Part:
    """One file of the folder, as it was when the job was accepted."""

    key: str
    etag: str
    size: int


def read_parts(body: bytes, prefix: str) -> tuple[Part, ...]:
    """The files below ``prefix`` of a list, which may hold those of other datasets too. Raises StorageError."""
    try:
        parts = tuple(Part(str(it["key"]), str(it["etag"]), int(it["size"])) for it in json.loads(body))
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(Trouble.OTHER, f"The list of files of '{prefix}' cannot be read: {error!r}.") from error
    return tuple(part for part in parts if part.key.startswith(prefix))


def fetch_parts_of(storage: Storage, prefix: str, parts: tuple[Part, ...], folder: Path, progress: Progress) -> None:
    """Bring the files to ``folder``, several at once. Raises StorageError."""
    total = sum(part.size for part in parts)
    seen: dict[str, int] = {}
    targets = {part.key: folder / _local_name(part.key, prefix) for part in parts}
    folders = {folder, *(parent for target in targets.values() for parent in target.parents)}
    for key, target in targets.items():
        if target in folders:
            raise StorageError(Trouble.UNUSABLE, f"'{key}' is a file and a folder at once; rename one of them.")
    folder.mkdir(parents=True, exist_ok=True)

    def fetch(part: Part) -> None:
        target = targets[part.key]
        target.parent.mkdir(parents=True, exist_ok=True)
        size = storage.fetch(part.key, target, etag=part.etag)
        if size != part.size:
            raise StorageError(Trouble.CHANGED, f"'{part.key}' has {size} bytes, not {part.size} as it was submitted.")
        seen[part.key] = size
        progress(sum(list(seen.values())), total)

    each(fetch, parts, threads=THREADS)


def _local_name(key: str, prefix: str) -> str:
    """The path of a file in the folder. Raises StorageError for a key that no file below it can have."""
    name = key.removeprefix(prefix)
    segments = PurePosixPath(name).parts
    is_plain = name and not name.startswith("/") and "\0" not in name and "//" not in name
    if not is_plain or any(part in ("..", ".") or len(part.encode("utf-8", "replace")) > 255 for part in segments):
        raise StorageError(Trouble.UNUSABLE, f"'{key}' cannot be a file of a folder; rename it and submit again.")
    return name
