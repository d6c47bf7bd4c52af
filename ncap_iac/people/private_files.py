"""Files with secrets: made with mode 0600 from their first moment, replaced whole, never through a temporary name
that others may read. Knows nothing of what is in them.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from ncap_iac.errors import UsageError

PRIVATE = 0o600
OTHERS = 0o077
"""Bits of a mode that let anybody but the owner in."""


def reserve_private(path: Path) -> int:
    """Make an empty file that is ours alone, and a descriptor to write it. Raises UsageError if it cannot be made.

    It never existed with another mode, and is never one that was there before, nor what a link points to.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, PRIVATE)
    except FileExistsError as error:
        raise UsageError("the file exists", where=str(path), hint="Name one that does not.") from error
    except OSError as error:
        raise UsageError(
            error.strerror or "cannot be made", where=str(path), hint="Choose a folder you may write to."
        ) from error
    return descriptor


def write_all(descriptor: int, data: bytes) -> None:
    """Write, make sure it is on disk, close. Raises OSError; the descriptor is closed either way."""
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_private(path: Path, data: bytes) -> None:
    """A file of ours becomes `data`, at once and with mode 0600; folders are made 0700. Raises UsageError."""
    target = path.resolve()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            write_all(descriptor, data)
            Path(beside).replace(target)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(
            error.strerror or "cannot be written", where=str(path), hint="Check the folder's permissions."
        ) from error


def is_private(path: Path) -> bool:
    """Whether nobody but its owner may read or write a file."""
    return not stat.S_IMODE(path.stat().st_mode) & OTHERS
