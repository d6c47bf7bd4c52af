"""Draws a search: the figure against one parameter, a map over two, small multiples over more.

It must not compute anything that is not also in the result files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from analysis_kit import PALETTE
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from ranking import Ranked, Ranking
from runs import Value

STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
BEST = PALETTE[3]
COLOURS = "cividis"
"""Runs evenly from dark to light for any kind of colour vision."""
MAX_NUMBERS = 400
"""Cells of a map that are labelled with their number."""
MAX_TICKS = 24
WIDE_RANGE = 50.0
"""From this ratio of the largest to the smallest value an axis is logarithmic."""
PANELS_A_ROW = 3
MAX_PANELS = 12
MAX_TITLE = 60


def draw_search(path: Path, title: str, ranking: Ranking) -> None:
    """One parameter: a line; two: a map; more: a panel each."""
    with matplotlib.rc_context(STYLE):
        count = len(ranking.parameters)
        # A map of a single row or column says less than a line.
        sizes = [len(_values(ranking, name)) for name in ranking.parameters]
        several = [name for name, size in zip(ranking.parameters, sizes, strict=True) if size > 1]
        shown = tuple(several) or ranking.parameters[:1]
        rows = math.ceil(min(len(shown), MAX_PANELS) / PANELS_A_ROW)
        size = (8.0, 4.6) if len(shown) == 1 else (8.4, 5.6) if len(shown) == 2 else (10.0, 1.0 + 3.1 * rows)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        if len(shown) == 1:
            _draw_line(figure.subplots(), ranking, shown[0])
        elif len(shown) == 2:
            _draw_map(figure, ranking, shown)
        else:
            _draw_panels(figure, ranking, shown)
        best = ranking.points[0]
        what = "largest" if ranking.direction == "max" else "smallest"
        short = title if len(title) <= MAX_TITLE else f"{title[:MAX_TITLE]}…"
        told = ", ".join(f"{name} {_text(best.values.get(name))}" for name in ranking.parameters[:4])
        more = "" if count <= 4 else ", …"
        figure.suptitle(
            f"Parameter search {short}: {len(ranking.points)} points\n{what} {ranking.figure} "
            f"{best.mean:.4g} at {told}{more}",
            x=0.01,
            ha="left",
            fontsize=11,
        )
        figure.savefig(path, dpi=120)


def _values(ranking: Ranking, name: str) -> list[Value]:
    """The values of a parameter: numbers in their order, then texts as they were met."""
    found = list(dict.fromkeys(point.values.get(name) for point in ranking.points))
    numbers = sorted((it for it in found if _is_number(it)), key=lambda it: float(it))  # type: ignore[arg-type]
    return [*numbers, *sorted((it for it in found if not _is_number(it)), key=str)]


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Value) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"


def _places(values: Sequence[Value]) -> tuple[np.ndarray, bool]:
    """Where values stand on an axis, and whether that is a scale of numbers."""
    if len(values) > 1 and all(map(_is_number, values)):
        return np.array([float(it) for it in values if it is not None]), True
    return np.arange(len(values), dtype=float), False


def _set_axis(axis: Any, name: str, values: Sequence[Value]) -> np.ndarray:
    """Label the horizontal axis with a parameter; the places of its values."""
    places, is_scale = _places(values)
    axis.set_xlabel(name)
    if is_scale and places.min() > 0 and places.max() / places.min() >= WIDE_RANGE:
        axis.set_xscale("log")
        return places
    if not is_scale or len(values) <= MAX_TICKS // 2:
        step = -(-len(values) // MAX_TICKS)
        labels = [_text(it) for it in values[::step]]
        turned = sum(map(len, labels)) > 60
        axis.set_xticks(places[::step], labels, rotation=40 if turned else 0, ha="right" if turned else "center")
    return places


def _draw_line(axis: Any, ranking: Ranking, name: str) -> None:
    """The figure against one parameter; a bar shows the range over datasets."""
    values = _values(ranking, name)
    places = dict(zip(map(repr, values), _set_axis(axis, name, values), strict=True))
    points = sorted(ranking.points, key=lambda it: places[repr(it.values.get(name))])
    x = np.array([places[repr(it.values.get(name))] for it in points])
    y = np.array([it.mean for it in points])
    below, above = y - [it.low for it in points], [it.high for it in points] - y
    several = any(len(it.runs) > 1 for it in points)
    line = "-" if _places(values)[1] else "none"
    axis.errorbar(
        x, y, yerr=(below, above) if several else None, fmt="o", ls=line, ms=5, lw=1.4, capsize=3, color=PALETTE[0]
    )
    best = ranking.points[0]
    axis.plot(
        places[repr(best.values.get(name))],
        best.mean,
        "o",
        ms=12,
        mfc="none",
        mec=BEST,
        mew=2,
        label=f"best: {_text(best.values.get(name))}",
    )
    note = "mean, bar: lowest and highest of the datasets" if several else "one run a point"
    axis.set(title=note, ylabel=ranking.figure)
    axis.margins(x=0.05, y=0.12)
    axis.legend(frameon=False, loc="best")
    axis.grid(axis="y", color="0.9", lw=0.7)


def _draw_map(figure: Any, ranking: Ranking, shown: tuple[str, ...]) -> None:
    """The figure over two parameters; the best is framed, what has no run is hatched."""
    axis = figure.subplots()
    # The longer parameter lies flat.
    across, up = sorted(shown, key=lambda name: -len(_values(ranking, name)))
    columns, rows = _values(ranking, across), _values(ranking, up)
    table = np.full((len(rows), len(columns)), np.nan)
    place = {repr(it): index for index, it in enumerate(columns)}, {repr(it): index for index, it in enumerate(rows)}

    def cell(point: Ranked) -> tuple[int, int]:
        return place[1][repr(point.values.get(up))], place[0][repr(point.values.get(across))]

    for point in reversed(ranking.points):
        table[cell(point)] = point.mean
    colours = matplotlib.colormaps[COLOURS].copy()
    if ranking.direction == "min":
        colours = colours.reversed()
    axis.set_facecolor("0.93")
    image = axis.imshow(np.ma.masked_invalid(table), aspect="auto", cmap=colours, origin="lower")
    for row, column in zip(*np.nonzero(np.isnan(table)), strict=True):
        axis.text(column, row, "no run", ha="center", va="center", color="0.45", fontsize=8)
    low, high = float(np.nanmin(table)), float(np.nanmax(table))
    if table.size <= MAX_NUMBERS:
        for row, column in zip(*np.nonzero(~np.isnan(table)), strict=True):
            shade = (table[row, column] - low) / (high - low) if high > low else 1.0
            is_dark = shade < 0.5 if ranking.direction == "max" else shade > 0.5
            size = 9 if len(columns) <= 10 else 7
            axis.text(
                column,
                row,
                f"{table[row, column]:.3g}",
                ha="center",
                va="center",
                color="white" if is_dark else "black",
                fontsize=size,
            )
    row, column = cell(ranking.points[0])
    axis.add_patch(
        matplotlib.patches.Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec=BEST, lw=3, clip_on=False)
    )
    _label(axis.set_xticks, columns)
    _label(axis.set_yticks, rows)
    several = any(len(it.runs) > 1 for it in ranking.points)
    note = f"{ranking.figure}" + (", mean over datasets" if several else "") + "; framed: the best"
    axis.set(title=note, xlabel=across, ylabel=up)
    axis.spines[:].set_visible(False)
    figure.colorbar(image, ax=axis, label=ranking.figure, pad=0.02)


def _label(set_ticks: Any, values: Sequence[Value]) -> None:
    step = -(-len(values) // MAX_TICKS)
    set_ticks(range(0, len(values), step), [_text(it) for it in values[::step]])


def _draw_panels(figure: Any, ranking: Ranking, shown: tuple[str, ...]) -> None:
    """A panel for each parameter: every point, and the best there is at each of its values."""
    count = min(len(shown), MAX_PANELS)
    rows = math.ceil(count / PANELS_A_ROW)
    panels = figure.subplots(rows, PANELS_A_ROW, sharey=True, squeeze=False)
    sign = 1 if ranking.direction == "max" else -1
    for axis, name in zip(panels.flat, shown[:count], strict=False):
        values = _values(ranking, name)
        at = dict(zip(map(repr, values), _set_axis(axis, name, values), strict=True))
        x = [at[repr(it.values.get(name))] for it in ranking.points]
        axis.plot(x, [it.mean for it in ranking.points], "o", ms=3.5, color="0.6", alpha=0.7, label="a point")
        best = dict.fromkeys(at.values(), -sign * math.inf)
        for place, point in zip(x, ranking.points, strict=True):
            best[place] = max(best[place], point.mean, key=lambda it: sign * it)
        line = "-" if _places(values)[1] else "none"
        places = sorted(best)
        axis.plot(
            places, [best[it] for it in places], "s", ls=line, ms=5, color=PALETTE[0], label="best with this value"
        )
        first = ranking.points[0]
        axis.plot(
            at[repr(first.values.get(name))], first.mean, "o", ms=11, mfc="none", mec=BEST, mew=2, label="best of all"
        )
        axis.margins(x=0.08, y=0.1)
        axis.grid(axis="y", color="0.9", lw=0.7)
    for axis in panels.flat[count:]:
        axis.set_axis_off()
    for row in panels:
        row[0].set_ylabel(ranking.figure)
    panels.flat[0].legend(frameon=False, fontsize=8, loc="best")
