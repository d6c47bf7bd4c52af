"""The pictures of a run: a preview once the movie stands still, and the cells with their traces at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from analysis_kit import PALETTE
from estimates import Estimates
from model import image_of

MOST_TRACES = 14
MOST_POINTS = 3000
"""Of a trace that are drawn; longer recordings show their beginning."""
COLOURS = PALETTE[:6]
"""The two that are left out, yellow and black, cannot be seen on the image or are its own."""


def _figure(width: float, height: float) -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def draw_preview(path: Path, title: str, *, mean: np.ndarray, correlation: np.ndarray) -> None:
    """Mean and local correlation of the corrected movie, both (rows, columns)."""
    figure = _figure(9, 4.4)
    left, right = figure.subplots(1, 2)
    for axes, image, what in ((left, mean, "Mean after motion correction"), (right, correlation, "Local correlation")):
        shown = axes.imshow(image, cmap="gray", vmin=np.percentile(image, 1), vmax=np.percentile(image, 99.7))
        axes.set(title=what, xlabel="column (pixels)", ylabel="row (pixels)")
        figure.colorbar(shown, ax=axes, shrink=0.8)
    figure.suptitle(title)
    figure.savefig(path, dpi=100)


def draw_cells(path: Path, title: str, found: Estimates, *, frame_rate_hz: float, limits: tuple[float, float]) -> None:
    """Contours on the correlation image, traces, shifts, and the tests; `limits` are those of SNR and r."""
    figure = _figure(13, 8.4)
    grid = figure.add_gridspec(2, 3, height_ratios=(2.1, 1), width_ratios=(1, 1, 1.25))
    kept = np.flatnonzero(found.quality.accepted)
    named = kept[np.argsort(-found.quality.snr[kept], kind="stable")][:MOST_TRACES]
    _draw_field(figure.add_subplot(grid[0, :2]), found, named)
    _draw_traces(figure.add_subplot(grid[:, 2]), found, named, frame_rate_hz=frame_rate_hz)
    _draw_shifts(figure.add_subplot(grid[1, 0]), found.shifts, frame_rate_hz=frame_rate_hz)
    _draw_tests(figure.add_subplot(grid[1, 1]), found, limits)
    figure.suptitle(f"{title}: {len(kept)} cells accepted, {len(found.quality.snr) - len(kept)} rejected")
    figure.savefig(path, dpi=110)


def _draw_field(axes: Any, found: Estimates, named: np.ndarray) -> None:
    from matplotlib.patheffects import withStroke

    image = found.correlation
    axes.imshow(image, cmap="gray", vmin=np.percentile(image, 1), vmax=np.percentile(image, 99.8))
    colours = {int(k): COLOURS[place % len(COLOURS)] for place, k in enumerate(named)}
    middle = found.centres()
    for k, accepted in enumerate(found.quality.accepted):
        footprint, top, left = image_of(found.model.A[:, [k]], found.shape)
        padded = np.pad(footprint, 1)
        rows, columns = np.arange(padded.shape[0]) + top - 1, np.arange(padded.shape[1]) + left - 1
        # An accepted cell without a trace beside it is white; a rejected one is dashed.
        colour = colours.get(k, "white") if accepted else "0.75"
        style = {"linewidths": 1.6} if accepted else {"linewidths": 1.0, "linestyles": "dashed"}
        axes.contour(columns, rows, padded, levels=[0.3 * padded.max()], colors=[colour], **style)
        if k in colours:
            axes.text(
                middle[k, 1],
                middle[k, 0],
                str(k),
                color="white",
                fontsize=8,
                ha="center",
                va="center",
                weight="bold",
                path_effects=[withStroke(linewidth=2, foreground="black")],
            )
    axes.set(title="Local correlation and footprints (contour: 30 % of the peak)", xlabel="column (pixels)")
    axes.set_ylabel("row (pixels)")


def _draw_traces(axes: Any, found: Estimates, named: np.ndarray, *, frame_rate_hz: float) -> None:
    shown = slice(0, MOST_POINTS)
    frames = np.arange(min(found.dff.shape[1], MOST_POINTS))
    seconds = frames / frame_rate_hz
    peaks = [np.nanmax(found.dff[k, shown], initial=0.0) for k in named]
    step = 1.05 * float(np.median(peaks)) if peaks and np.median(peaks) > 0 else 1.0
    for place, k in enumerate(named):
        colour, base = COLOURS[place % len(COLOURS)], -place * step
        axes.plot(seconds, base + found.dff[k, shown], color=colour, lw=0.5, alpha=0.45)
        squares = float(found.model.A[:, [int(k)]].power(2).sum())
        raw, course = found.model.raw[k, shown], found.dff[k, shown]
        good = np.isfinite(course)
        # The denoised trace in the units of the raw one: both are straight-line functions of each other here.
        if squares and good.sum() > 2 and np.ptp(raw[good]) > 0:
            slope, offset = np.polyfit(raw[good], course[good], 1)
            axes.plot(seconds, base + slope * found.model.C[k, shown] + offset, color=colour, lw=1.2)
        axes.text(-0.01, base, str(k), transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=8)
    if len(named):
        axes.plot([seconds[-1] * 1.02] * 2, [0, step], color="black", lw=2, clip_on=False)
        axes.text(seconds[-1] * 1.04, step / 2, f"{step:.2g}", va="center", fontsize=8)
    axes.set_yticks([])
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.set(title="ΔF/F of the best cells (thin) and denoised (thick)", xlabel="time (s)")


def _draw_shifts(axes: Any, shifts: np.ndarray, *, frame_rate_hz: float) -> None:
    every = max(1, len(shifts) // MOST_POINTS)
    seconds = np.arange(len(shifts))[::every] / frame_rate_hz
    for side, (name, colour) in enumerate((("rows", PALETTE[0]), ("columns", PALETTE[1]))):
        axes.plot(seconds, shifts[::every, side], lw=0.8, color=colour, label=name)
    axes.set(title="Motion that was undone", xlabel="time (s)", ylabel="shift (pixels)")
    axes.legend(fontsize=8, ncols=2, frameon=False, loc="upper right")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.2 * (high - low))


def _draw_tests(axes: Any, found: Estimates, limits: tuple[float, float]) -> None:
    quality = found.quality
    for chosen, colour, marker, name in (
        (quality.accepted, PALETTE[0], "o", "accepted"),
        (~quality.accepted, PALETTE[3], "x", "rejected"),
    ):
        if chosen.any():
            axes.scatter(quality.snr[chosen], quality.r[chosen], s=26, color=colour, marker=marker, label=name)
    axes.axvline(limits[0], color="0.4", lw=0.8, ls="--")
    axes.axhline(limits[1], color="0.4", lw=0.8, ls="--")
    axes.set(title="Tests of the cells (dashed: limits)", xlabel="SNR of the best transient", ylabel="spatial r")
    if len(quality.snr):
        axes.legend(fontsize=8, frameon=False, loc="best")
