"""The summary picture of a factorisation: atlas, components with their regions, traces, localisation, R2.

It must not compute anything that is not also in the result files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from analysis_kit import PALETTE
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

STYLE = {"font.size": 8.5, "axes.titlesize": 9.5, "axes.titlelocation": "left"}
MAX_MAPS = 24
MAX_TRACES = 16
MAX_FRAMES = 900
MAPS_A_ROW = 8


@dataclass(frozen=True)
class Drawing:
    """What the picture shows. `A` (rows, columns, K), `C` (K, frames), `names`, `labels` and `share` of components.

    `region_names` and `region_r2` of regions; `loc_thresh` in percent.
    """

    title: str
    atlas: np.ndarray
    mask: np.ndarray
    A: np.ndarray
    C: np.ndarray
    names: list[str]
    labels: list[int]
    share: np.ndarray
    region_labels: tuple[int, ...]
    region_names: list[str]
    region_r2: np.ndarray
    loc_thresh: float
    frame_rate: float


def draw_summary(path: Path, drawing: Drawing) -> None:
    """Write the picture."""
    count = min(len(drawing.names), MAX_MAPS)
    lines = -(-count // MAPS_A_ROW)
    traces = min(len(drawing.names), MAX_TRACES)
    heights = (2.9, 1.5 * lines, 0.6 + 0.28 * traces)
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 0.6 + sum(heights)), layout="constrained")
        FigureCanvasAgg(figure)
        top, middle, bottom = figure.subfigures(3, 1, height_ratios=heights)
        atlas, regions, shares = top.subplots(1, 3, width_ratios=(1, 1.2, 1.6))
        _draw_atlas(atlas, drawing)
        _draw_regions(regions, drawing)
        _draw_shares(shares, drawing)
        _draw_maps(middle, drawing, count, lines)
        _draw_traces(bottom.subplots(), drawing, traces)
        figure.suptitle(drawing.title, x=0.01, ha="left", weight="bold")
        figure.savefig(path, dpi=110)


def _colour(drawing: Drawing, label: int) -> str:
    """One colour an area, the same in both hemispheres."""
    areas = list(dict.fromkeys(abs(it) for it in drawing.region_labels))
    return PALETTE[areas.index(abs(label)) % (len(PALETTE) - 2)]


def _draw_atlas(axes: Any, drawing: Drawing) -> None:
    from matplotlib.colors import to_rgb

    image = np.ones((*drawing.atlas.shape, 3))
    image[drawing.mask] = 0.88
    for label, name in zip(drawing.region_labels, drawing.region_names, strict=True):
        inside = (drawing.atlas == label) & drawing.mask
        image[inside] = to_rgb(_colour(drawing, label))
        row, column = np.argwhere(inside).mean(0)
        axes.text(column, row, name, ha="center", va="center", fontsize=6.5)
    axes.imshow(0.45 + 0.55 * image, interpolation="nearest")
    axes.set(title="Regions of the atlas", xlabel="column (pixels)", ylabel="row (pixels)")


def _draw_regions(axes: Any, drawing: Drawing) -> None:
    places = np.arange(len(drawing.region_names))
    colours = [_colour(drawing, label) for label in drawing.region_labels]
    axes.bar(places, np.nan_to_num(drawing.region_r2), color=colours)
    axes.set_xticks(places, drawing.region_names, rotation=90, fontsize=6.5)
    axes.set(title="Variance explained in each region", ylabel="R²", ylim=(0, 1.02))
    axes.spines[["top", "right"]].set_visible(False)


def _draw_shares(axes: Any, drawing: Drawing) -> None:
    places = np.arange(len(drawing.names))
    axes.bar(places, 100 * drawing.share, color=[_colour(drawing, label) for label in drawing.labels])
    axes.axhline(drawing.loc_thresh, color="0.2", lw=1, ls="--")
    if len(places) <= 40:
        axes.set_xticks(places, drawing.names, rotation=90, fontsize=6.5)
    axes.set(title="Energy in the own region (dashed: asked)", ylabel="percent", ylim=(0, 102))
    axes.spines[["top", "right"]].set_visible(False)


def _draw_maps(figure: Any, drawing: Drawing, count: int, lines: int) -> None:
    shown = figure.subplots(lines, MAPS_A_ROW, squeeze=False)
    for number, axes in enumerate(shown.ravel()):
        axes.axis("off")
        if number >= count:
            continue
        image = np.where(drawing.mask, drawing.A[..., number], np.nan)
        axes.imshow(image, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
        axes.contour(
            (drawing.atlas == drawing.labels[number]) & drawing.mask, levels=[0.5], colors="#D55E00", linewidths=1
        )
        axes.set_title(f"{drawing.names[number]}, {100 * drawing.share[number]:.0f}%", fontsize=7.5)
    left = "" if count == len(drawing.names) else f", first {count} of {len(drawing.names)}"
    figure.suptitle(
        f"Spatial components (largest value 1), own region outlined, share of energy in it{left}",
        x=0.01,
        ha="left",
        fontsize=9.5,
    )


def _draw_traces(axes: Any, drawing: Drawing, count: int) -> None:
    shown = slice(0, MAX_FRAMES)
    seconds = np.arange(drawing.C[:, shown].shape[1]) / drawing.frame_rate
    scale = np.maximum(drawing.C[:count, shown].std(axis=1), 1e-12)
    for number in range(count):
        trace = drawing.C[number, shown] - drawing.C[number, shown].mean()
        axes.plot(seconds, trace / scale[number] - 5 * number, lw=0.9, color=_colour(drawing, drawing.labels[number]))
    axes.set_yticks([-5 * number for number in range(count)], drawing.names[:count], fontsize=7)
    axes.set_ylim(-5 * (count - 1) - 4, 4)
    axes.margins(x=0)
    axes.spines[["top", "right"]].set_visible(False)
    left = "" if count == len(drawing.names) else f", first {count} of {len(drawing.names)}"
    axes.set(title=f"Temporal components (each scaled to variance 1{left})", xlabel="time (s)")
