"""A run's resources over time as a picture: CPU, memory, disk, and GPU if there was one. Draws values it is given.

Needs matplotlib, which is imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncap_iac.money.pictures import plain, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ncap_iac.analysis.resources import Series

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000", "#999999")
"""Okabe and Ito's, and grey: everybody can tell them apart."""
DASHES = ("-", "--", ":", "-.")
PNG_DPI = 150
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "neurocaas",
}
_PANELS = (
    ("CPU (%)", "cpu_percent", 1.0),
    ("memory (MB)", "memory_bytes", 1e6),
    ("disk (MB)", "disk_bytes", 1e6),
    ("GPU (%)", "gpu_percent", 1.0),
)


def draw_resources(series: Sequence[Series], title: str, path: Path) -> None:
    """A panel a resource, a line a dataset, over seconds since the run's start. Raises UsageError."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = [panel for panel in _PANELS if any(_values(it, panel[1], 1) for it in series)] or list(_PANELS[:2])
    shown = series[: len(COLOURS)]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7, 0.9 + 1.45 * len(panels)), layout="constrained")
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for place, (label, name, unit) in zip(axes, panels, strict=True):
            _panel(place, shown, name, unit=unit)
            place.set_ylabel(label)
            if unit == 1.0:
                place.set_ylim(0, 105)
        axes[-1].set_xlabel("time since the run began (s)")
        more = f" (the first {len(shown)} of {len(series)} datasets)" if len(series) > len(shown) else ""
        figure.suptitle(plain(f"{title}{more}"), x=0.01, ha="left", fontsize=9)
        handles, labels = axes[0].get_legend_handles_labels()
        if len(shown) > 1:
            figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(shown)), fontsize=7)
        save_picture(figure, path, dpi=PNG_DPI)


def _panel(axes: Axes, series: Sequence[Series], name: str, *, unit: float) -> None:
    for number, it in enumerate(series):
        points = _values(it, name, unit)
        style = {"color": COLOURS[number], "linestyle": DASHES[number % len(DASHES)], "linewidth": 1.3}
        marker = "o" if len(points) < 3 else ""
        axes.plot(*_columns(points), label=plain(it.label), marker=marker, markersize=3, **style)  # type: ignore[arg-type]
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)


def _values(series: Series, name: str, unit: float) -> list[tuple[float, float]]:
    values = ((it.t_s, getattr(it, name)) for it in series.moments)
    return [(t_s, value / unit) for t_s, value in values if value is not None]


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [t_s for t_s, _ in points], [value for _, value in points]
