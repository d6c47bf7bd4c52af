"""The pictures of a run: labelled images with what the network sees, and the training. Draws only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from analysis_kit import PALETTE
from dgp_training import Progress

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

MARKERS = "os^Dv<>pPX"
MOST_IMAGES = 8
TRACE_FRAMES = 600
SURE = 0.5
"""Likelihood from which a part counts as seen."""


@dataclass(frozen=True)
class Shown:
    """An image (rows, columns, 3) with the network's points (parts, 2), likelihoods (parts) and labels, if any."""

    title: str
    image: np.ndarray
    points: np.ndarray
    likelihood: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Trace:
    """The track of one part of a video (frames, 2) with likelihoods (frames); `fps` 0: not known."""

    video: str
    part: str
    points: np.ndarray
    likelihood: np.ndarray
    fps: float


def draw_labelled(
    path: Path, title: str, shown: Sequence[Shown], bodyparts: Sequence[str], skeleton: Sequence[tuple[int, int]]
) -> None:
    """Images side by side with the skeleton as seen; a filled marker is a part that is seen, a cross a label."""
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    with plt.rc_context({"font.size": 10}):
        figure, grid = plt.subplots(
            rows, columns, figsize=(3.2 * columns, 3.3 * rows + 1), layout="constrained", squeeze=False
        )
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, one in zip(grid.flat, shown, strict=False):
            _image(axes, one, skeleton)
        figure.suptitle(title)
        keys = [
            Line2D(
                [],
                [],
                ls="",
                marker=MARKERS[part % len(MARKERS)],
                c=PALETTE[part % len(PALETTE)],
                mec="white",
                label=name,
            )
            for part, name in enumerate(bodyparts)
        ]
        keys += [
            Line2D([], [], ls="", marker="o", mfc="none", c="white", mec="black", label=f"likelihood below {SURE:g}"),
            Line2D([], [], ls="", marker="+", c="black", ms=9, label="label"),
        ]
        figure.legend(handles=keys, loc="outside lower center", ncols=min(6, len(keys)), facecolor="0.85")
        figure.savefig(path, dpi=110)
        plt.close(figure)


def _image(axes: Axes, one: Shown, skeleton: Sequence[tuple[int, int]]) -> None:
    rows, columns = one.image.shape[:2]
    axes.imshow(one.image, extent=(0, columns, rows, 0))
    for first, second in skeleton:
        axes.plot(*one.points[[first, second]].T, "-", color="white", lw=1.2, alpha=0.8)
    for part, (place, likelihood, label) in enumerate(zip(one.points, one.likelihood, one.labels, strict=True)):
        colour, marker = PALETTE[part % len(PALETTE)], MARKERS[part % len(MARKERS)]
        filled = likelihood >= SURE
        axes.plot(
            *place,
            marker,
            color=colour,
            mfc=colour if filled else "none",
            mec="white" if filled else colour,
            ms=8,
            mew=1.5,
        )
        if np.isfinite(label).all():
            axes.plot(*label, "+", color="black", ms=9, mew=1.5)
    axes.set(title=one.title, xlim=(0, columns), ylim=(rows, 0))


def draw_training(
    path: Path,
    title: str,
    lines: Sequence[Progress],
    errors: Mapping[str, float | None],
    trace: Trace,
) -> None:
    """Losses, how far the graph moves markers, errors at labels, and a trace of one part."""
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplot_mosaic(
            [["loss", "graph", "errors"], ["trace"] * 3], figsize=(12, 7.5), layout="constrained"
        )
        _losses(axes["loss"], lines)
        _graph(axes["graph"], lines)
        _errors(axes["errors"], errors)
        _trace(axes["trace"], trace)
        figure.suptitle(title)
        figure.savefig(path, dpi=110)
        plt.close(figure)


def _losses(axes: Axes, lines: Sequence[Progress]) -> None:
    steps = [line.step for line in lines]
    axes.plot(steps, [line.labelled_loss for line in lines], "o-", ms=3, color=PALETTE[0], label="labels")
    graph = [(line.step, line.graph_loss) for line in lines if line.stage == "graph"]
    if graph:
        axes.plot(*zip(*graph, strict=True), "s-", ms=3, color=PALETTE[3], label="posterior of unlabelled frames")
    axes.set(title="Losses", xlabel="step", ylabel="nats a marker")
    axes.legend(fontsize=8)


def _graph(axes: Axes, lines: Sequence[Progress]) -> None:
    graph = [line for line in lines if line.stage == "graph"]
    axes.set(title="What the graph changes", xlabel="epoch", ylabel="markers moved (pixels, root mean square)")
    if not graph:
        axes.text(0.5, 0.5, "trained on labels alone", ha="center", transform=axes.transAxes)
        return
    axes.plot([line.epoch for line in graph], [line.moved_px for line in graph], "s-", ms=4, color=PALETTE[3])
    axes.set_ylim(bottom=0)


def _errors(axes: Axes, errors: Mapping[str, float | None]) -> None:
    known = {name: value for name, value in errors.items() if value is not None}
    bars = axes.bar(list(known), list(known.values()), color=[PALETTE[place] for place in range(len(known))], width=0.6)
    axes.bar_label(bars, fmt="%.2f")
    axes.set(title="Error at labels", ylabel="RMSE (pixels)")
    axes.margins(y=0.15)


def _trace(axes: Axes, trace: Trace) -> None:
    shown = np.arange(min(TRACE_FRAMES, len(trace.points)))
    time, unit = (shown / trace.fps, "s") if trace.fps else (shown.astype(float), "frame")
    for axis, name in enumerate(("x", "y")):
        axes.plot(time, trace.points[shown, axis], color=PALETTE[axis], lw=1.2, label=name)
    unsure = trace.likelihood[shown] < SURE
    axes.fill_between(
        time,
        0,
        1,
        where=unsure,
        transform=axes.get_xaxis_transform(),
        color="0.85",
        lw=0,
        label=f"likelihood below {SURE:g}",
    )
    axes.set(
        title=f"{trace.video}: {trace.part}, the part seen least", xlabel=f"time ({unit})", ylabel="place (pixels)"
    )
    axes.margins(x=0)
    axes.legend(loc="upper right", fontsize=8, ncols=3)
