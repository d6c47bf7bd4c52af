"""Results and logs of a job on this computer.

A key decides only what a file is called below the chosen folder, never where that folder is: names with `..`, absolute
names, drive letters and links that lead outside are refused.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.errors import UsageError
from ncap_iac.job.jobs import JobRef, JobStatus

if TYPE_CHECKING:
    from ncap_iac.aws import Objects, StoredObject


@dataclass(frozen=True)
class Downloaded:
    """What was fetched, and which keys were not."""

    folder: Path
    files: tuple[Path, ...]
    refused: tuple[str, ...]
    total_bytes: int


def safe_path(folder: Path, name: str) -> Path | None:
    """Where the object called `name` goes below `folder`, or None if that would not be below it."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name or "\0" in name:
        return None
    path = folder.joinpath(*parts)
    root = folder.resolve()
    return path if path.resolve().is_relative_to(root) and path.resolve() != root else None


def download_results(ref: JobRef, objects: Objects, folder: Path, *, report: progress.Reporter) -> Downloaded:
    """Fetch everything below `process_results/`. Raises UsageError if the folder cannot be written."""
    return _download((ref.bucket, f"{ref.prefix}/process_results/"), objects, folder, report)


def download_elsewhere(url: str, objects: Objects, folder: Path, *, report: progress.Reporter) -> Downloaded:
    """Fetch everything below `s3://bucket/prefix`, with the keys at hand. Raises UsageError, AccessError."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return _download((bucket, f"{prefix}/"), objects, folder, report)


def _download(place: tuple[str, str], objects: Objects, folder: Path, report: progress.Reporter) -> Downloaded:
    bucket, prefix = place
    found = [item for item in objects.list(bucket, prefix).objects if not item.key.endswith("/")]
    found = [item for item in found if item.size or not item.key.endswith("/.neurocaas")]
    folders = {item.key[:end] for item in found for end, sign in enumerate(item.key) if sign == "/"}
    wanted: list[tuple[StoredObject, Path]] = []
    refused: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for item in found:
            path = safe_path(folder, item.key.removeprefix(prefix))
            if path is None or item.key in folders or not _make_room(path):
                refused.append(item.key)
            else:
                wanted.append((item, path))
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(lambda pair: _fetch(pair[0], pair[1], objects, bucket, report), wanted))
    except OSError as error:
        raise UsageError(
            error.strerror or str(error), where=error.filename or str(folder), hint="Choose another folder with -o."
        ) from error
    return Downloaded(folder, tuple(path for _, path in wanted), tuple(refused), sum(item.size for item, _ in wanted))


def _make_room(path: Path) -> bool:
    """Make the folders above a file; False where a file that is here and a folder want one name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return False
    return not path.is_dir()


def _fetch(item: StoredObject, path: Path, objects: Objects, bucket: str, report: progress.Reporter) -> None:
    lock, done = threading.Lock(), 0

    def moved(count: int) -> None:
        nonlocal done
        with lock:
            done += count
            report(progress.Transferred(path.name, min(done, item.size), item.size))

    objects.download(bucket, item.key, path, moved=moved)
    report(progress.Transferred(path.name, item.size, item.size))


def log_text(status: JobStatus) -> str:
    """The certificate and every dataset's log, one after the other."""
    parts = [status.certificate.rstrip()] if status.certificate else []
    for dataset in status.datasets:
        head = f"--- {dataset.label}: {dataset.status} ---"
        parts.append("\n".join([head, *(text for _, text in dataset.lines)]))
    return "\n\n".join(parts)


class LogFollower:
    """Reports each log line once, as it becomes known."""

    def __init__(self, report: progress.Reporter) -> None:
        self._report = report
        self._last: dict[tuple[str, int | None], int] = {}

    def see(self, status: JobStatus) -> None:
        """Take notice of a job's state; lines not reported before are reported."""
        several = len(status.datasets) > 1
        for dataset in status.datasets:
            key = (dataset.label, dataset.attempt)
            for number, text in self._unseen(key, dataset.lines):
                self._report(progress.Line(f"{dataset.label}: {text}" if several else text))
                self._last[key] = number

    def _unseen(self, key: tuple[str, int | None], lines: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
        last = self._last.get(key, -1)
        return [line for line in lines if line[0] > last]


def relative_names(downloaded: Downloaded) -> list[str]:
    """The fetched files, as paths below their folder."""
    return [str(PurePosixPath(path.relative_to(downloaded.folder))) for path in downloaded.files]
