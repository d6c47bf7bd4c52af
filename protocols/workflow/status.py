"""The STATUS object of a dataset (docs/contracts.md section 2) as text, and how often it may be written. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

NOT_YET = "N/A"


class Phase(Enum):
    """What STATUS says of a dataset; the values are part of the contract."""

    INITIALIZING = "INITIALIZING"
    IN_PROGRESS = "IN PROGRESS"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


@dataclass(frozen=True)
class About:
    """What of a status never changes during an attempt."""

    instance: str
    command: str
    input: str
    attempt: int
    environment: str
    isolation: str
    spot: bool = False


@dataclass(frozen=True)
class Usage:
    """What a run takes: memory and disk in MB, CPU in percent of the cores given, GPU in percent of all processors.

    None where it cannot be known.
    """

    memory_mb: float | None = None
    cpu_percent: float | None = None
    disk_mb: float | None = None
    gpu_percent: float | None = None


@dataclass(frozen=True)
class Status:
    """One state of an attempt."""

    phase: Phase
    started: datetime
    finished: datetime | None = None
    exit_code: int | None = None
    failure: str | None = None
    message: str | None = None


def render_status(about: About, status: Status, usage: Usage, lines: dict[str, str]) -> bytes:
    """The object's bytes. Field order and formats are fixed by the contract."""
    document = {
        "instance": about.instance,
        "command": about.command,
        "input": about.input,
        "status": status.phase.value,
        "reason": status.exit_code,
        "memory_usage": _amount(usage.memory_mb, "{:.0f} MB"),
        "cpu_usage": _amount(usage.cpu_percent, "{:.1f} %"),
        "job_start": render_time(status.started),
        "job_finish": render_time(status.finished),
        "std": lines,
        "attempt": about.attempt,
        "failure": status.failure,
        "message": status.message,
        "disk_usage": _amount(usage.disk_mb, "{:.0f} MB"),
        "environment": about.environment,
        "isolation": about.isolation,
        "spot": about.spot,
    }
    return json.dumps(document, indent=4, ensure_ascii=False).encode("utf-8", "replace")


def render_time(moment: datetime | None) -> str:
    """UTC as ``YYYY-MM-DDTHH:MM:SSZ``, or ``N/A``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else NOT_YET


def _amount(value: float | None, form: str) -> str:
    return NOT_YET if value is None else form.format(value)


class Pace:
    """When a status is due: a turn at once, a changed one every 2 s rising to 10 s, an unchanged one each minute.

    Large ones are rarer, so that a chatty command costs at most ``BYTES_PER_S``.
    """

    FASTEST_S = 2.0
    SLOWEST_S = 10.0
    SILENT_S = 60.0
    BYTES_PER_S = 2**16

    def __init__(self, started_s: float) -> None:
        self._started_s = started_s
        self._last_s = float("-inf")
        self._last: tuple[object, object] = (None, None)
        self._bytes = 0

    def wrote(self, count: int) -> None:
        """The status that was due had this many bytes."""
        self._bytes = count

    def is_due(self, now_s: float, *, turn: object, mark: object) -> bool:
        """Whether to write now; True counts as written.

        ``turn`` differs from the one before when people wait for it (a phase, the first line of output); ``mark``
        differs when anything did.
        """
        wait_s = min(self.SLOWEST_S, max(self.FASTEST_S, (now_s - self._started_s) / 60))
        wait_s = max(wait_s, self._bytes / self.BYTES_PER_S)
        if (turn, mark) == self._last:
            wait_s = self.SILENT_S
        if turn == self._last[0] and now_s - self._last_s < wait_s:
            return False
        self._last_s = now_s
        self._last = (turn, mark)
        return True
