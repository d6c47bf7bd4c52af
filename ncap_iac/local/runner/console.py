"""A machine's console: everything it prints, in a file that cannot fill the disk."""

from __future__ import annotations

import os
from pathlib import Path

_KEPT_SHARE = 2
"""A log that reached its limit keeps its last half."""


class Console:
    """Appends to a file of at most `limit_bytes`; what is dropped is the oldest."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path = path
        self._limit = limit_bytes
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size

    def write(self, output: bytes) -> None:
        """Append; a full disk loses the output, not the machine."""
        try:
            if self._size + len(output) > self._limit:
                self._shorten()
            self._size += os.write(self._file, output[-self._limit :])
        except OSError:
            return

    def say(self, sentence: str) -> None:
        """A line of the machine's own keeper, told apart from the program's output."""
        self.write(f"[machine] {sentence}\n".encode())

    def _shorten(self) -> None:
        kept = self._limit // _KEPT_SHARE
        tail = os.pread(self._file, kept, max(0, self._size - kept))
        os.ftruncate(self._file, 0)
        note = f"[machine] console over {self._limit} bytes: older output dropped\n".encode()
        self._size = os.write(self._file, note + tail)


def console_tail(path: Path, length_bytes: int) -> bytes:
    """The end of a console file; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - length_bytes))
            return file.read(length_bytes)
    except FileNotFoundError:
        return b""
