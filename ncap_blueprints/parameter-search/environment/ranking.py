"""Ranks what was varied by one figure: runs of one point over several datasets count as their mean.

Pure: runs come and go as values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from analysis_kit import InputError
from runs import Run, Value

Point = tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class Ranked:
    """One point of the search. `mean`, `sd`, `low`, `high`: the figure over its runs, one run a dataset."""

    place: int
    values: dict[str, Value]
    mean: float
    sd: float
    low: float
    high: float
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Ranking:
    """The points, the best first; `left_out` are runs without the figure, with why."""

    figure: str
    direction: str
    parameters: tuple[str, ...]
    points: tuple[Ranked, ...]
    left_out: tuple[tuple[str, str], ...]


def choose_figure(runs: Sequence[Run], asked: str) -> str:
    """The figure that ranks: the one asked for, the first of merit, or the first with decimals that differs.

    Raises InputError.
    """
    known = list(dict.fromkeys(name for run in runs for name in run.figures))
    if asked:
        if asked in known:
            return asked
        raise InputError(f"No run has the figure '{asked}'. Known: {', '.join(known[:40]) or 'none'}.")
    varied = {name for run in runs for name, _ in run.values}
    for name in known:
        found = [number for run in runs if (number := run.figures.get(name)) is not None]
        if name not in varied and any(isinstance(it, float) for it in found) and len(set(found)) > 1:
            return name
    # Runs may agree in everything, as copies of a deterministic analysis do.
    fractions = (name for name in known if any(isinstance(run.figures.get(name), float) for run in runs))
    first = next(fractions, None)
    if first is None:
        raise InputError("No run's summary has a figure to rank by; name one with the parameter 'figure'.")
    return first


def rank(runs: Sequence[Run], figure: str, direction: str) -> Ranking:
    """The points by their figure; equal figures share a place. Raises InputError if no run has it."""
    usable, left_out = [], []
    for run in runs:
        found = run.figures.get(figure)
        if found is None or not math.isfinite(found):
            left_out.append((run.name, f"its summary has no finite {figure}"))
        else:
            usable.append((run, float(found)))
    if not usable:
        raise InputError(f"No run has a finite figure '{figure}'.")
    parameters = tuple(dict.fromkeys(name for run, _ in usable for name, _ in run.values))
    by_point: dict[Point, list[tuple[Run, float]]] = {}
    for run, value in usable:
        # Runs that varied nothing known are points of their own.
        point = run.values or (("run", run.name),)
        by_point.setdefault(point, []).append((run, value))
    sign = -1 if direction == "max" else 1
    means = {point: fmean(value for _, value in found) for point, found in by_point.items()}
    order = sorted(by_point, key=lambda point: sign * means[point])
    places: dict[float, int] = {}
    for place, point in enumerate(order, 1):
        places.setdefault(means[point], place)
    return Ranking(
        figure=figure,
        direction=direction,
        parameters=parameters or ("run",),
        points=tuple(_ranked(places[means[point]], point, by_point[point]) for point in order),
        left_out=tuple(left_out),
    )


def _ranked(place: int, point: Point, found: Sequence[tuple[Run, float]]) -> Ranked:
    values = [value for _, value in found]
    return Ranked(
        place=place,
        values=dict(point),
        mean=fmean(values),
        sd=pstdev(values),
        low=min(values),
        high=max(values),
        runs=tuple(run.name for run, _ in found),
    )
