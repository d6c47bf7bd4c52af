"""Panels as pictures a journal would print: colours everybody can tell apart, no ink without meaning.

Draws values it is given; computes none. Colours are Okabe and Ito's palette (jfly.uni-koeln.de/color, 2008).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.panels import Value, of_panel

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PINK = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip

COLOURS: dict[str, str] = {
    "NeuroCAAS (upload)": YELLOW,
    "NeuroCAAS (compute)": GREEN,
    "Local": ORANGE,
    "Standard": BLUE,
    "Save": SKY,
}
TITLES = {
    "Time": "Time",
    "Cost": "Cost on NeuroCAAS",
    "LCC": "Local Cost Crossover",
    "LUC": "Local Utilization Crossover",
}
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "svg.fonttype": "none",
    "svg.hashsalt": "neurocaas",
    "figure.dpi": 100,
}
PNG_DPI = 200
HATCH = "////"
"""Marks the optimistic lifetime, so that the figure can be read without colour."""


def new_figure(width: float, height: float) -> Figure:
    """A figure in our style, inches; not registered anywhere, so nothing has to be closed."""
    with mpl.rc_context(STYLE):
        return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """`<name>.png` and `<name>.svg`; equal values give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    with mpl.rc_context(STYLE):
        figure.savefig(png, dpi=PNG_DPI, metadata={"Software": None})
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
    return png, svg


def styled(draw: Callable[[], None]) -> None:
    """Run `draw` with our style in force."""
    with mpl.rc_context(STYLE):
        draw()


def colour(series: str) -> str:
    """The colour of a series; of a mode, whatever lifetime it is shown with."""
    return COLOURS.get(series) or COLOURS.get(series.partition(",")[0], PINK)


def draw_panel(axes: Axes, values: Sequence[Value], *, legend: bool = True) -> None:
    """One panel as horizontal bars: a block a size, a bar a series; upload and compute of Time stacked."""
    panel = values[0].panel
    sizes = list(dict.fromkeys(value.size_label for value in values))
    series = list(dict.fromkeys(value.series for value in values))
    stacked = panel == "Time"
    rows = ["NeuroCAAS", "Local"] if stacked else series
    height = 0.8 / len(rows)
    begun: dict[tuple[str, str], float] = {}
    for value in values:
        row = value.series.partition(" (")[0] if stacked else value.series
        place = sizes.index(value.size_label) + (rows.index(row) - (len(rows) - 1) / 2) * height
        left = begun.get((value.size_label, row), 0.0)
        label = value.series if value.size_label == sizes[0] else None
        axes.barh(
            place,
            value.value,
            height * 0.92,
            left=left,
            color=colour(value.series),
            edgecolor="white",
            linewidth=0.3,
            hatch=HATCH if "optimistic" in value.series else None,
            label=label,
        )
        begun[value.size_label, row] = left + value.value
        if not stacked or row == "Local" or "compute" in value.series:
            axes.annotate(
                _short(begun[value.size_label, row]),
                (begun[value.size_label, row], place),
                xytext=(2, 0),
                textcoords="offset points",
                va="center",
                fontsize=6,
            )
    axes.set_yticks(range(len(sizes)), sizes)
    axes.invert_yaxis()
    axes.set_xlabel(values[0].unit)
    axes.set_title(TITLES[panel.partition("_")[0]])
    axes.margins(x=0.14)
    if panel.startswith("LUC"):
        axes.axvline(100, color=BLACK, linestyle="--", linewidth=0.8)
        axes.set_xlim(0, max(110, max(value.value for value in values) * 1.15))
    if legend:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=2 if len(series) > 2 else len(series))


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def panel_figure(values: Sequence[Value]) -> Figure:
    """One panel by itself."""
    figure = new_figure(3.5, 2.6)
    styled(lambda: draw_panel(figure.subplots(), values))
    return figure


def overview(values: Sequence[Value], panels: Sequence[str], analyses: Sequence[str], *, title: str) -> Figure:
    """All panels of all analyses: a row an analysis, a column a panel, one legend a column."""
    figure = new_figure(3.1 * len(panels), 2.1 * len(analyses) + 0.6)

    def draw() -> None:
        grid = figure.subplots(len(analyses), len(panels), squeeze=False)
        for row, analysis in enumerate(analyses):
            for column, panel in enumerate(panels):
                axes = grid[row][column]
                draw_panel(axes, of_panel(values, panel, analysis), legend=row == len(analyses) - 1)
                if column == 0:
                    axes.set_ylabel(analysis, fontweight="bold")
                if row:
                    axes.set_title("")
        figure.suptitle(title, fontsize=10)

    styled(draw)
    return figure
