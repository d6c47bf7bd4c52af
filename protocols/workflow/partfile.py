"""A download in parts that survives its process: ``<name>.part`` beside the target, and which parts it already holds.

It must not talk to S3. One line a part is added to the journal after its bytes are in the file, so that a killed
download goes on where it was; a journal of another object, or of another part size, is thrown away.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import TracebackType


class PartFile:
    """The unfinished download of one object into ``path``; use it as a context manager."""

    def __init__(self, path: Path, *, etag: str, size: int, part_bytes: int) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.part")
        self._journal = path.with_name(f"{path.name}.parts")
        self._identity = {"etag": etag, "size": size, "partBytes": part_bytes}
        self._starts = range(0, size, part_bytes)
        self._size = size
        self._part_bytes = part_bytes
        self._lock = threading.Lock()

    def __enter__(self) -> PartFile:
        """Open or go on. Raises OSError."""
        self._held = self._known_parts()
        self._partial.touch()
        self._file = self._partial.open("r+b", buffering=0)
        self._file.truncate(self._size)
        if not self._held:
            self._journal.write_text(json.dumps(self._identity) + "\n")
        self._log = self._journal.open("a")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # Under the lock: a part that arrives late finds the file closed, never another file under its number.
        with self._lock:
            self._file.close()
            self._log.close()

    def missing(self) -> list[int]:
        """Where the parts that are still to be fetched start."""
        return [start for start in self._starts if start not in self._held]

    def held_bytes(self) -> int:
        """Bytes that need not be fetched again."""
        return sum(min(self._part_bytes, self._size - start) for start in self._held)

    def write(self, start: int, body: bytes) -> int:
        """Put a part into the file and note it; returns its bytes. Raises OSError, also for a part too short."""
        wanted = min(self._part_bytes, self._size - start)
        if len(body) != wanted:
            raise OSError(f"a part of {wanted} bytes arrived with {len(body)}")
        with self._lock:
            written = 0
            while written < wanted:
                written += os.pwrite(self._file.fileno(), memoryview(body)[written:], start + written)
            self._log.write(f"{start}\n")
            self._log.flush()
        return wanted

    def finish(self) -> None:
        """The file is whole: it gets its name. Raises OSError."""
        self._partial.replace(self._path)
        self._journal.unlink(missing_ok=True)

    def discard(self) -> None:
        """What was fetched is of no use."""
        self._partial.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)

    def _known_parts(self) -> set[int]:
        try:
            first, *lines = self._journal.read_text().splitlines()
            if json.loads(first) != self._identity or self._partial.stat().st_size != self._size:
                return set()
            return {int(line) for line in lines if line.isdigit()} & set(self._starts)
        except (OSError, ValueError):
            return set()
