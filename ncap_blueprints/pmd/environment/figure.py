"""Pictures of a decomposition: where signal is before and after, how many components, example traces, the tests.

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
from pmd_blocks import Tile
from pmd_decomposition import Block, Thresholds
from quality import Quality

STYLE = {"font.size": 8.5, "axes.titlesize": 9.5, "axes.titlelocation": "left"}
MAX_FRAMES = 600
EXAMPLES = 3


@dataclass(frozen=True)
class Drawing:
    """What the picture shows. `examples`: row, column, raw trace, denoised trace."""

    title: str
    quality: Quality
    placed: list[Tile]
    found: list[Block]
    thresholds: Thresholds
    singular_values: np.ndarray
    examples: list[tuple[int, int, np.ndarray, np.ndarray]]
    frame_rate: float


def draw(path: Path, drawing: Drawing) -> None:
    """Write the picture of a finished run."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 9.6), layout="constrained")
        FigureCanvasAgg(figure)
        top, middle, bottom = figure.subfigures(3, 1, height_ratios=(1.1, 1.15, 1))
        _draw_correlations(top, drawing)
        _draw_examples(middle.subplots(), drawing)
        left, centre, right = bottom.subplots(1, 3)
        _draw_ranks(left, drawing.quality.raw.shape, drawing.placed, drawing.found)
        _draw_tests(centre, drawing)
        right.semilogy(np.arange(1, len(drawing.singular_values) + 1), drawing.singular_values, ".-", color=PALETTE[0])
        right.set(title="Singular values of U V", xlabel="component", ylabel="movie units")
        figure.suptitle(drawing.title, x=0.01, ha="left", weight="bold")
        figure.savefig(path, dpi=110)


def draw_preview(path: Path, shape: tuple[int, int], placed: list[Tile], found: list[Block]) -> None:
    """Components of the blocks that are done, while the run goes on; the finished picture replaces it."""
    with rc_context(STYLE):
        figure = Figure(figsize=(5, 4.4), layout="constrained")
        FigureCanvasAgg(figure)
        _draw_ranks(figure.subplots(), shape, placed[: len(found)], found)
        figure.suptitle(f"Running: {len(found)} of {len(placed)} blocks", x=0.01, ha="left", weight="bold")
        figure.savefig(path, dpi=110)


def _draw_correlations(figure: Any, drawing: Drawing) -> None:
    quality = drawing.quality
    images = {"Movie": quality.raw, "Denoised": quality.denoised, "Taken away": quality.residual}
    all_axes = figure.subplots(1, 3, sharex=True, sharey=True)
    shown = None
    for axes, (name, image) in zip(all_axes, images.items(), strict=True):
        shown = axes.imshow(image, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
        axes.set(title=f"{name} (mean {image.mean():.2f})", xlabel="column (pixels)")
    all_axes[0].set_ylabel("row (pixels)")
    figure.colorbar(shown, ax=list(all_axes), label="correlation with neighbours", pad=0.01)


def _draw_examples(axes: Any, drawing: Drawing) -> None:
    shown = slice(0, MAX_FRAMES)
    labels: list[str] = []
    heights: list[float] = []
    height = 0.0
    for number, (row, column, raw, denoised) in enumerate(drawing.examples[:EXAMPLES]):
        seconds = np.arange(len(raw[shown])) / drawing.frame_rate
        gap = float(np.ptp(raw[shown]))
        axes.plot(seconds, raw[shown] + height, color="0.72", lw=0.7)
        axes.plot(seconds, denoised[shown] + height, color=PALETTE[(0, 3, 2)[number % 3]], lw=1.3)
        labels.append(f"row {row}\ncolumn {column}")
        heights.append(height)
        height -= gap
    axes.set_yticks(heights, labels)
    axes.margins(x=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(title="Pixels with most signal: movie (grey) and denoised (colour), mean removed", xlabel="time (s)")


def _draw_ranks(axes: Any, shape: tuple[int, int], placed: list[Tile], found: list[Block]) -> None:
    total = np.zeros(shape)
    covered = np.zeros(shape)
    for tile, block in zip(placed, found, strict=True):
        total[tile.slices] += block.U.shape[1]
        covered[tile.slices] += 1
    image = axes.imshow(
        np.where(covered > 0, total / np.maximum(covered, 1), np.nan), cmap="cividis", vmin=0, interpolation="nearest"
    )
    axes.set(title="Components a block", xlabel="column (pixels)", ylabel="row (pixels)")
    axes.figure.colorbar(image, ax=axes, pad=0.02)


def _draw_tests(axes: Any, drawing: Drawing) -> None:
    statistics = np.concatenate([np.zeros((0, 2)), *(block.roughness for block in drawing.found)])
    kept = np.concatenate([np.zeros(0, bool), *(block.kept for block in drawing.found)])
    for chosen, colour, mark, name in ((~kept, "0.6", "x", "rejected"), (kept, PALETTE[0], "o", "kept")):
        axes.plot(*statistics[chosen].T, mark, ms=3.5, color=colour, label=f"{name} ({chosen.sum()})")
    axes.axvline(drawing.thresholds.spatial, color=PALETTE[3], lw=1, ls="--")
    axes.axhline(drawing.thresholds.temporal, color=PALETTE[3], lw=1, ls="--", label="threshold (noise)")
    axes.set(title="Roughness of components tried", xlabel="TV(u) / |u|₁", ylabel="|D²v|₁ / |v|₁")
    axes.legend(fontsize=7, loc="lower right")
