"""What a run took of its machine over time: the object `…_RESOURCES.json` of a dataset, read (docs/contracts.md 2).

Pure: bytes to values, and what the values come to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SUFFIX = "_RESOURCES.json"
COLUMNS = ("t_s", "cpu_percent", "memory_bytes", "disk_bytes", "gpu_percent")


@dataclass(frozen=True)
class Moment:
    """One sample; None where it could not be known. CPU and GPU in percent of what the run was given."""

    t_s: float
    cpu_percent: float | None
    memory_bytes: float | None
    disk_bytes: float | None
    gpu_percent: float | None


@dataclass(frozen=True)
class Series:
    """A dataset's samples, in order of time."""

    label: str
    interval_s: float
    moments: tuple[Moment, ...]
    cores: int | None = None
    """Cores the run was given; None where the object does not say."""

    @property
    def seconds(self) -> float:
        """From the first sample to the last."""
        return self.moments[-1].t_s - self.moments[0].t_s if self.moments else 0.0

    @property
    def peak_memory_bytes(self) -> float | None:
        """The largest memory sampled."""
        return largest([it.memory_bytes for it in self.moments])

    @property
    def peak_disk_bytes(self) -> float | None:
        """The largest disk sampled."""
        return largest([it.disk_bytes for it in self.moments])

    @property
    def peak_gpu_percent(self) -> float | None:
        """The busiest GPU sampled."""
        return largest([it.gpu_percent for it in self.moments])

    @property
    def mean_cpu_percent(self) -> float | None:
        """CPU over the run, each sample for the time since the one before."""
        known = [(it.t_s, it.cpu_percent) for it in self.moments if it.cpu_percent is not None]
        spans = [now - before for (before, _), (now, _) in pairwise(known)]
        if not spans or sum(spans) <= 0:
            return known[0][1] if known else None
        return sum(span * cpu for span, (_, cpu) in zip(spans, known[1:], strict=True)) / sum(spans)

    @property
    def high_cpu_percent(self) -> float | None:
        """What CPU stayed below in nine samples of ten."""
        known = sorted(it.cpu_percent for it in self.moments if it.cpu_percent is not None)
        return known[min(len(known) - 1, int(0.9 * len(known)))] if known else None

    def document(self) -> dict[str, object]:
        """For JSON: the figures and every sample."""
        return {
            "label": self.label,
            "seconds": self.seconds,
            "intervalSeconds": self.interval_s,
            "cores": self.cores,
            "peakMemoryBytes": self.peak_memory_bytes,
            "peakDiskBytes": self.peak_disk_bytes,
            "meanCpuPercent": self.mean_cpu_percent,
            "peakGpuPercent": self.peak_gpu_percent,
            "columns": list(COLUMNS),
            "rows": [[getattr(it, name) for name in COLUMNS] for it in self.moments],
        }


def largest(values: Sequence[float | None]) -> float | None:
    """The largest of those that are known."""
    return max((value for value in values if value is not None), default=None)


def parse_series(label: str, body: bytes) -> Series | None:
    """A resources object → value; None if it is damaged or of a later schema."""
    try:
        document = json.loads(body)
        if document["schemaVersion"] != 1:
            return None
        places = [document["columns"].index(name) if name in document["columns"] else None for name in COLUMNS]
        rows = [[None if place is None else row[place] for place in places] for row in document["rows"]]
        moments = tuple(
            Moment(float(row[0]), *(None if value is None else float(value) for value in row[1:]))
            for row in rows
            if row[0] is not None
        )
        cores = document.get("cores")
        return Series(label, float(document["interval_s"]), moments, cores if isinstance(cores, int) else None)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
