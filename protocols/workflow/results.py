"""Stores the files an analysis left in its results folder under ``process_results/``, several at once.

Keys follow docs/contracts.md section 6: a file keeps its name; if another dataset of the job already has that key,
it is stored below a folder named after this dataset. It must not change or delete a local file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workflow.parallel import each
from workflow.storage import Storage, StorageError, Trouble
from workflow.transfer import THREADS, Progress

OWNER = "neurocaas-dataset"
"""User metadata of a result: which dataset of the job it belongs to (a digest, because metadata is ASCII)."""

RESERVED = {"end.txt", "update.txt", ".neurocaas"}
"""Names with which the platform marks the end of a job and of a dataset, and tries whether it may write."""


@dataclass(frozen=True)
class Stored:
    """What became of the files of one dataset: how many are stored, and why each of the others is not."""

    count: int
    problems: tuple[StorageError, ...]

    def __add__(self, other: Stored) -> Stored:
        return Stored(self.count + other.count, self.problems + other.problems)


@dataclass(frozen=True)
class Target:
    """Where the results of one dataset go: ``prefix`` ends in ``process_results``; ``label`` names the dataset."""

    prefix: str
    label: str

    @property
    def labels(self) -> dict[str, str]:
        """The metadata that marks an object as this dataset's."""
        return {OWNER: hashlib.sha256(self.label.encode("utf-8", "surrogatepass")).hexdigest()[:32]}


def store_results(
    storage: Storage, folder: Path, target: Target, *, takes: Callable[[str], bool] = lambda name: True
) -> Stored:
    """Upload every regular file of the tree that ``takes`` names. One that fails does not stop the others."""
    files = sorted(filter(takes, result_files(folder)))

    def store(name: str) -> StorageError | None:
        try:
            store_result(storage, folder / name, name, target)
        except StorageError as error:
            return error
        return None

    problems = [problem for problem in each(store, files, threads=THREADS) if problem]
    return Stored(len(files) - len(problems), tuple(problems))


def result_files(folder: Path) -> Iterator[str]:
    """Paths of files below ``folder``, relative to it; links to folders are not followed."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if path.is_file():
                yield str(path.relative_to(folder))


def store_result(
    storage: Storage,
    path: Path,
    name: str,
    target: Target,
    *,
    progress: Progress | None = None,
    journals: Path | None = None,
) -> str:
    """Store one file as ``name`` and return its key; the rest is as in ``Storage.put_file``. Raises StorageError.

    A key that this dataset wrote in an earlier attempt is written over; one of another dataset never is. Candidates:
    the file's own name, then below the label's stem, then below the whole label, which no other dataset has.
    """
    name = _printable(name)
    label = PurePosixPath(target.label)
    candidates = [f"{target.prefix}/{label.stem or label.name}/{name}", f"{target.prefix}/{target.label}/{name}"]
    if name not in RESERVED:
        candidates.insert(0, f"{target.prefix}/{name}")
    for key in candidates:
        if storage.put_file(key, path, labels=target.labels, progress=progress, journals=journals):
            return key
        found = storage.labels(key)
        if found is None or found.get(OWNER) == target.labels[OWNER]:
            storage.put_file(key, path, labels=target.labels, replace=True, progress=progress, journals=journals)
            return key
    raise StorageError(Trouble.OTHER, f"Every key for the result file '{name}' is taken by another dataset.")


def _printable(name: str) -> str:
    """A file name as a key: bytes that are not UTF-8 are replaced, because a key must be text."""
    return os.fsencode(name).decode("utf-8", "replace")
