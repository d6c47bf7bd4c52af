"""What a run took of its machine over time, as the object ``…_RESOURCES.json`` (docs/contracts.md section 2). Pure.

At most ``MAX_ROWS`` rows however long the run: when they are full, neighbours are merged and the interval doubles.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from workflow.status import Usage

SCHEMA_VERSION = 1
COLUMNS = ("t_s", "cpu_percent", "memory_bytes", "disk_bytes", "gpu_percent")
MAX_ROWS = 1000
MB = 1e6


@dataclass(frozen=True)
class Row:
    """One interval: mean CPU and GPU, the most memory and disk; ``t_s`` is its end, from the start of the run."""

    t_s: float
    usage: Usage

    def document(self) -> list[float | int | None]:
        """The values in the order of ``COLUMNS``."""
        usage = self.usage
        return [
            round(self.t_s, 1),
            _rounded(usage.cpu_percent),
            _bytes(usage.memory_mb),
            _bytes(usage.disk_mb),
            _rounded(usage.gpu_percent),
        ]


class Series:
    """Rows of one run. ``interval_s`` starts at the distance of two samples."""

    def __init__(self, *, interval_s: float = 1.0, max_rows: int = MAX_ROWS) -> None:
        self.interval_s = interval_s
        self._max_rows = max_rows
        self._rows: list[Row] = []
        self._pending: list[Row] = []
        self._slot = 0

    def add(self, t_s: float, usage: Usage) -> None:
        """Take a sample made ``t_s`` seconds after the start; times must not fall."""
        slot = math.floor(t_s / self.interval_s)
        if self._pending and slot != self._slot:
            self._rows.append(_merged(self._pending))
            self._pending = []
            if len(self._rows) >= self._max_rows:
                self._thin()
                slot = math.floor(t_s / self.interval_s)
        self._slot = slot
        self._pending.append(Row(t_s, usage))

    def rows(self) -> tuple[Row, ...]:
        """All rows, the unfinished one included."""
        return (*self._rows, _merged(self._pending)) if self._pending else tuple(self._rows)

    def render(self) -> bytes:
        """The object's bytes."""
        document = {
            "schemaVersion": SCHEMA_VERSION,
            "interval_s": self.interval_s,
            "columns": list(COLUMNS),
            "rows": [row.document() for row in self.rows()],
        }
        return json.dumps(document, separators=(",", ":")).encode()

    def _thin(self) -> None:
        self._rows = [_merged(self._rows[i : i + 2]) for i in range(0, len(self._rows), 2)]
        self.interval_s *= 2


def _merged(rows: Sequence[Row]) -> Row:
    return Row(
        rows[-1].t_s,
        Usage(
            memory_mb=_most([row.usage.memory_mb for row in rows]),
            cpu_percent=_mean([row.usage.cpu_percent for row in rows]),
            disk_mb=_most([row.usage.disk_mb for row in rows]),
            gpu_percent=_mean([row.usage.gpu_percent for row in rows]),
        ),
    )


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _bytes(megabytes: float | None) -> int | None:
    return None if megabytes is None else round(megabytes * MB)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
