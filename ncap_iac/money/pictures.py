"""Money as pictures: bars of budgets and of usage, PNG or SVG. Draws values it is given; computes none.

The only module of `ncap_iac` that needs matplotlib, which is imported when something is drawn. Colours are Okabe and
Ito's (jfly.uni-koeln.de/color, 2008): everybody can tell them apart; hatches and numbers tell the same without colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncap_iac.errors import UsageError
from ncap_iac.money.amounts import MICRO, usd_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ncap_iac.money.budgets import Standing
    from ncap_iac.money.usage import Line

ORANGE, SKY, GREEN, BLUE, GREY = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D9D9D9"
FORMATS = (".png", ".svg")
EXTRA = "plots"
"""The extra of this package that brings matplotlib."""
PNG_DPI = 160
MOST_BARS = 60
LONGEST_LABEL = 48
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "neurocaas",
    "hatch.linewidth": 0.6,
}


def picture_path(said: str, folder: Path) -> Path:
    """Where a picture goes. Raises UsageError before anything is read: no such format or folder, no matplotlib."""
    path = folder / said
    if path.suffix.lower() not in FORMATS:
        raise UsageError("a picture's name ends in .png or .svg", where=f"--plot {said}", hint="Rename it.")
    if not path.parent.is_dir():
        raise UsageError("there is no such folder", where=f"--plot {path.parent}", hint="Make it, or name another.")
    if find_spec("matplotlib") is None:
        raise UsageError(
            "drawing needs matplotlib, which is not installed",
            where=f"--plot {said}",
            hint=f"Install it: python -m pip install 'neurocaas[{EXTRA}]'. Or leave --plot out.",
        )
    return path


def draw_budgets(standings: Sequence[Standing], path: Path) -> None:
    """A bar a budget: spent, reserved, left, as parts of its limit; the amounts beside it."""
    import matplotlib as mpl

    shown = list(standings)[:MOST_BARS]
    with mpl.rc_context(_STYLE):
        figure = _figure(7.0, 1.3 + 0.3 * len(shown))
        axes = figure.subplots()
        for place, standing in enumerate(shown):
            _budget_bar(axes, place, standing)
        axes.set_yticks(range(len(shown)), [_label(f"{it.group}   {it.analysis}") for it in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel("part of the limit")
        axes.set_title(_title("Budgets", len(standings)), loc="left")
        _legend(figure, (("spent", BLUE, ""), ("reserved", ORANGE, "////"), ("left", GREY, "")))
        save_picture(figure, path)


def _budget_bar(axes: Axes, place: int, standing: Standing) -> None:
    sums, limit, left = standing.sums, standing.limit, standing.left
    # Without a limit, or beyond it, the bar is full and shows how the money divides.
    whole = max(limit or 0, sums.committed) or 1
    begun = 0.0
    for micro, colour, hatch in ((sums.spent, BLUE, ""), (sums.reserved, ORANGE, "////"), (left or 0, GREY, "")):
        width = micro / whole
        axes.barh(place, width, 0.62, left=begun, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4)
        begun += width
    of = ", no limit" if limit is None else f" of {usd_text(limit)}"
    rest = "" if left is None else f", {usd_text(left)} left" if not standing.is_exceeded else ", exceeded"
    text = f"{usd_text(sums.spent)} + {usd_text(sums.reserved)}{of}{rest}"
    _beside(axes, 1, place, text)


def draw_usage(lines: Sequence[Line], by: str, path: Path) -> None:
    """Two panels, hours and cost: a bar a line of the table, running and estimated parts included."""
    import matplotlib as mpl

    shown = list(lines)[-MOST_BARS:] if by == "day" else list(lines)[:MOST_BARS]
    with mpl.rc_context(_STYLE):
        figure = _figure(7.0, 1.3 + 0.28 * max(2, len(shown)))
        left, right = figure.subplots(1, 2, sharey=True)
        _usage_panel(left, [line.hours for line in shown], [f"{line.hours:,.2f} h" for line in shown], GREEN, "hours")
        costs = [line.cost_micro / MICRO for line in shown]
        _usage_panel(right, costs, [usd_text(line.cost_micro) for line in shown], BLUE, "USD")
        left.set_yticks(range(len(shown)), [_label(line.name) for line in shown])
        left.set_ylim(len(shown) - 0.4, -0.6)
        left.set_title(_title(f"Usage by {by}", len(lines)), loc="left")
        save_picture(figure, path)


def _usage_panel(axes: Axes, values: Sequence[float], labels: Sequence[str], colour: str, unit: str) -> None:
    axes.barh(range(len(values)), values, 0.62, color=colour)
    for place, (value, label) in enumerate(zip(values, labels, strict=True)):
        _beside(axes, value, place, label)
    axes.set_xlim(0, max([*values, 0]) * 1.25 or 1)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(unit)


def _beside(axes: Axes, x: float, y: float, text: str) -> None:
    """Words to the right of a place; dollars are no mathematics."""
    axes.annotate(text, (x, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7, parse_math=False)


def _label(name: str) -> str:
    """A name beside an axis: its beginning if it is long; dollars are no mathematics."""
    short = name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…"
    return plain(short)


def plain(text: str) -> str:
    """Text in which dollars are no mathematics."""
    return text.replace("$", r"\$")


def _title(what: str, count: int) -> str:
    if not count:
        return f"{what}: nothing"
    return what if count <= MOST_BARS else f"{what} ({MOST_BARS} of {count})"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _legend(figure: Figure, entries: Sequence[tuple[str, str, str]]) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=name) for name, colour, hatch in entries]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=7)


def save_picture(figure: Figure, path: Path, *, dpi: int = PNG_DPI) -> None:
    """Write a figure as PNG or SVG, the same bytes every time. Raises UsageError."""
    kind = path.suffix.lower()[1:]
    metadata: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    try:
        figure.savefig(path, format=kind, dpi=dpi, metadata=metadata)
    except OSError as error:
        raise UsageError(
            error.strerror or str(error), where=str(path), hint="Name a file that can be written."
        ) from error
