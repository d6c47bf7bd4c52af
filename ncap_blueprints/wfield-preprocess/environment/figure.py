"""The pictures of a preprocessed recording: still frame, motion, blood, and traces before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from analysis_kit import PALETTE

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

CALCIUM, BLOOD, AFTER = PALETTE[2], PALETTE[3], "black"
_SECONDS = 20.0


@dataclass(frozen=True)
class Drawing:
    """What is shown. Images (rows, columns); shifts (channels, frames, 2) in pixels; traces (frames,) in dF/F."""

    title: str
    mean: np.ndarray
    variance: np.ndarray
    share: np.ndarray | None
    shifts: np.ndarray
    examples: list[tuple[int, int, np.ndarray, np.ndarray | None, np.ndarray]]
    """Row, column, first colour, second colour, corrected trace."""
    rate: float
    """Frames of one colour a second."""


def draw(path: Path, it: Drawing) -> None:
    """One PNG."""
    with plt.rc_context({"font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False}):
        figure = plt.figure(figsize=(11, 9.5), layout="constrained")
        grid = figure.add_gridspec(2 + len(it.examples), 3, height_ratios=[1.5, 0.7, *[0.7] * len(it.examples)])
        _image(figure.add_subplot(grid[0, 0]), it.mean, "Mean of the first colour", "counts", "Greys_r", it)
        _image(
            figure.add_subplot(grid[0, 1]),
            100 * np.sqrt(it.variance),
            "Change after denoising",
            "sd of dF/F (%)",
            "viridis",
            it,
        )
        if it.share is not None:
            most = float(np.quantile(np.abs(it.share), 0.995)) or 1.0
            _image(
                figure.add_subplot(grid[0, 2]), it.share, "Blood: share of the second colour", "r", "RdBu_r", it, most
            )
        _motion(figure.add_subplot(grid[1, :]), it)
        for place, example in enumerate(it.examples):
            _traces(
                figure.add_subplot(grid[2 + place, :]),
                example,
                it.rate,
                number=place + 1,
                last=place == len(it.examples) - 1,
            )
        figure.suptitle(it.title)
        figure.savefig(path, dpi=130)
        plt.close(figure)


def _image(
    axes: Axes, image: np.ndarray, title: str, unit: str, colours: str, it: Drawing, most: float | None = None
) -> None:
    limits = {} if most is None else {"vmin": -most, "vmax": most}
    shown = axes.imshow(image, cmap=colours, **limits)
    axes.figure.colorbar(shown, ax=axes, shrink=0.75, label=unit)
    for number, (row, column, *_) in enumerate(it.examples, start=1):
        axes.plot(column, row, "o", ms=7, mfc="none", mec=PALETTE[1], mew=1.8)
        axes.annotate(str(number), (column, row), (5, 5), textcoords="offset points", color=PALETTE[1], weight="bold")
    axes.set(title=title, xlabel="column (pixels)", ylabel="row (pixels)")


def _motion(axes: Axes, it: Drawing) -> None:
    seconds = np.arange(it.shifts.shape[1]) / it.rate
    for axis, (name, colour) in enumerate((("rows", PALETTE[0]), ("columns", PALETTE[1]))):
        axes.plot(seconds, it.shifts[0, :, axis], color=colour, lw=0.9, label=name)
    axes.set(title="Motion found in the first colour", xlabel="time (s)", ylabel="shift (pixels)")
    axes.margins(x=0.005)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)


def _traces(axes: Axes, example: tuple, rate: float, *, number: int, last: bool) -> None:
    row, column, calcium, blood, after = example
    shown = slice(0, min(len(after), int(_SECONDS * rate)))
    seconds = np.arange(len(after))[shown] / rate
    axes.plot(seconds, 100 * calcium[shown], color=CALCIUM, lw=0.8, alpha=0.8, label="first colour")
    if blood is not None:
        axes.plot(seconds, 100 * blood[shown], color=BLOOD, lw=0.8, alpha=0.8, label="second colour")
    axes.plot(seconds, 100 * after[shown], color=AFTER, lw=1.2, label="after")
    axes.set(title=f"Pixel {number}: row {row}, column {column}", ylabel="dF/F (%)")
    axes.margins(x=0.005)
    if last:
        axes.set_xlabel("time (s)")
    if number == 1:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False)
