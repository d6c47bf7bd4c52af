"""Usage records -> jobs by their parallelism (Figure 6), the original way and the right way.

A record is one instance's life. Reads the shipped sample and what a platform of this kind writes to `logs/<group>/`.

Flaws of the original figure, and what is done instead:
1. Its bins hold both their edges, so jobs of 2, 4, 8, … instances count their hours twice. Here a bin holds its upper
   edge only.
2. Records without a start (the event was lost) count zero hours. Here they get the median of their job, else of their
   analysis, and the picture shows that part apart.
3. Jobs of 90 instances and more fall out of its last bin. Here the bins go on.
4. It counts instances, not datasets: instances spent on files that are no recordings, or twice on one, look like
   parallel use. Here the datasets can be counted instead, where a record tells them.
5. A difference of times is taken modulo a day in its cost helper. Here a run of 49 hours has 49.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.errors import InputError
from experiments.inputs import recorded_usage


@dataclass(frozen=True)
class Usage:
    """One instance's life. `start` and `end` are None when their event was lost; `datasets` when not known."""

    instance: str
    analysis: str
    group: str
    job: str
    price: float
    start: datetime | None
    end: datetime | None
    datasets: int | None = None
    """Recordings of its job."""

    @property
    def hours(self) -> float | None:
        """Hours it lived; None when not known, or when its end is before its start."""
        if self.start is None or self.end is None or self.end < self.start:
            return None
        return (self.end - self.start).total_seconds() / 3600


@dataclass(frozen=True)
class UsedJob:
    """A job as its records show it. `known_hours` are measured, `estimated_hours` stand in for lost events."""

    job: str
    analysis: str
    group: str
    instances: int
    datasets: int | None
    known_hours: float
    estimated_hours: float
    cost: float

    @property
    def hours(self) -> float:
        """All its hours."""
        return self.known_hours + self.estimated_hours


@dataclass(frozen=True)
class Bin:
    """Jobs of a parallelism above `above` and up to `upto`."""

    above: int
    upto: int
    jobs: int
    known_hours: float
    estimated_hours: float

    @property
    def label(self) -> str:
        """`1`, `2`, `3-4`, `5-8`, …"""
        return str(self.upto) if self.upto - self.above == 1 else f"{self.above + 1}-{self.upto}"


def sample_usage() -> tuple[Usage, ...]:
    """The shipped, pseudonymised records of 2020 and 2021."""
    return tuple(
        Usage(
            instance=record["instance"],
            analysis=record["analysis"],
            group=record["group"],
            job=record["job"],
            price=record["price_usd_per_hour"],
            start=_time(record["start"]),
            end=_time(record["end"]),
            datasets=record["job_recordings"],
        )
        for record in recorded_usage()
    )


def read_usage(folder: Path) -> tuple[Usage, ...]:
    """Records as a platform keeps them under `logs/<group>/`, downloaded into `folder`. Raises InputError."""
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise InputError(f"{folder}: no usage records (*.json) in it; download `logs/` of an analysis bucket there")
    return tuple(_live(path) for path in paths)


def _live(path: Path) -> Usage:
    try:
        record: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        paths = record["datapath"]
        listed = paths if isinstance(paths, list) else [paths]
        return Usage(
            instance=record["instance-id"],
            analysis=record["databucket"],
            group=str(record.get("group") or record["jobpath"].partition("/")[0]),
            job=record["jobpath"],
            price=float(record["price"]),
            start=_time(record["start"]),
            end=_time(record["end"]),
            datasets=len(set(listed)) if isinstance(paths, list) else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a usage record ({type(error).__name__}: {error})") from error


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def used_jobs(usages: Sequence[Usage], *, without: frozenset[str] = frozenset()) -> tuple[UsedJob, ...]:
    """Jobs, those in `without` left out; lost events estimated (flaw 2)."""
    by_job: dict[tuple[str, str], list[Usage]] = {}
    for usage in usages:
        if usage.job not in without:
            by_job.setdefault((usage.analysis, usage.job), []).append(usage)
    typical = {analysis: _median([it for it in usages if it.analysis == analysis]) for analysis, _ in by_job}
    return tuple(_used(group, typical[analysis]) for (analysis, _), group in by_job.items())


def _used(usages: Sequence[Usage], typical: float) -> UsedJob:
    own = _median(usages)
    stand_in = typical if math.isnan(own) else own
    estimate = 0.0 if math.isnan(stand_in) else stand_in
    known = [usage.hours for usage in usages if usage.hours is not None]
    lost = [usage for usage in usages if usage.hours is None]
    first = usages[0]
    told = [usage.datasets for usage in usages if usage.datasets is not None]
    distinct = max(told) if told else None
    return UsedJob(
        job=first.job,
        analysis=first.analysis,
        group=first.group,
        instances=len(usages),
        datasets=distinct,
        known_hours=sum(known),
        estimated_hours=estimate * len(lost),
        cost=sum((usage.hours if usage.hours is not None else estimate) * usage.price for usage in usages),
    )


def _median(usages: Iterable[Usage]) -> float:
    hours = [usage.hours for usage in usages if usage.hours is not None]
    return statistics.median(hours) if hours else math.nan


def parallelism_bins(jobs: Sequence[UsedJob], *, count_datasets: bool = False) -> tuple[Bin, ...]:
    """Jobs by powers of two of their instances, or of their datasets where known (flaw 4)."""
    sized = [(job.datasets if count_datasets and job.datasets else job.instances, job) for job in jobs]
    largest = max((size for size, _ in sized), default=1)
    bins, above, upto = [], 0, 1
    while above < largest:
        inside = [job for size, job in sized if above < size <= upto]
        known, estimated = sum(job.known_hours for job in inside), sum(job.estimated_hours for job in inside)
        bins.append(Bin(above, upto, len(inside), known, estimated))
        above, upto = upto, upto * 2
    return tuple(bins)


def original_hours(jobs: Sequence[UsedJob], upto: Sequence[int]) -> tuple[float, ...]:
    """Hours of each bin the original way: both edges inside, lost events as nothing (flaws 1 and 2)."""
    edges = [(limit // 2 if limit > 1 else 0, limit) for limit in upto]
    return tuple(sum(job.known_hours for job in jobs if low <= job.instances <= high) for low, high in edges)
