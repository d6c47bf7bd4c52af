"""The files that tell other processes about a cloud: how to reach it while it runs, and its root keys for ever.

Written as a whole, readable by their owner only.
"""

from __future__ import annotations

import json
import os
import secrets
import string
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SECRET_LETTERS = string.ascii_letters + string.digits + "+/"


@dataclass(frozen=True)
class RootKeys:
    """The account's root credentials."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class CloudRecord:
    """`cloud.json`: a running cloud."""

    name: str
    pid: int
    endpoint: str
    region: str
    account_id: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    started: float
    """Seconds since the epoch."""


def write_private(path: Path, document: dict[str, Any]) -> None:
    """Replace the file by this JSON, readable by nobody else. Raises OSError."""
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def write_record(path: Path, record: CloudRecord) -> None:
    """Tell that the cloud runs."""
    write_private(path, asdict(record))


def read_record(path: Path) -> CloudRecord | None:
    """What the file says; None without one, or with one that is not ours to understand."""
    try:
        return CloudRecord(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def root_keys(path: Path) -> RootKeys:
    """The cloud's root keys: those on file, or random ones, which are then on file."""
    try:
        return RootKeys(**json.loads(path.read_text()))
    except FileNotFoundError:
        keys = RootKeys(
            "AKIA" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(16)),
            "".join(secrets.choice(_SECRET_LETTERS) for _ in range(40)),
        )
        write_private(path, asdict(keys))
        return keys
