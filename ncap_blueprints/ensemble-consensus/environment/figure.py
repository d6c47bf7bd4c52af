"""The picture of an ensemble, after Figure 9 of the NeuroCAAS paper: the hardest frame, the errors, the traces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from analysis_kit import PALETTE
from members import Video
from tracking import Ensemble

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

MEMBER, CONSENSUS = PALETTE[0], PALETTE[1]
MARKERS = "o^sDvP*Xh<>p"
_TRACE_FRAMES = 600


def draw_video(path: Path, video: Video, ensembles: Sequence[Ensemble], labelled_next: Sequence[int]) -> None:
    """Three panels as PNG. The traces and the frame are those of the last ensemble, the largest training set."""
    last = ensembles[-1]
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplot_mosaic(
            [["A", "B"], ["C", "C"]], figsize=(11, 8.5), layout="constrained", height_ratios=(1.25, 1)
        )
        _frame(axes["A"], video, last)
        _errors(axes["B"], video, ensembles)
        _traces(axes["C"], video, last, labelled_next)
        figure.suptitle(f"{video.name}: {len(last.members)} networks and their consensus")
        figure.savefig(path, dpi=130)
        plt.close(figure)


def _frame(axes: Axes, video: Video, ensemble: Ensemble) -> None:
    frame = int(ensemble.difficulty.argmax())
    rows, columns = video.shape[2:]
    box = (0, columns * video.stride, rows * video.stride, 0)
    image = axes.imshow(ensemble.hardest_map, cmap="Greys", extent=box, vmin=0, vmax=1)
    for part, name in enumerate(video.bodyparts):
        marker = MARKERS[part % len(MARKERS)]
        x, y = ensemble.points[:, frame, part].T
        axes.scatter(x, y, 28, MEMBER, marker, alpha=0.8, linewidths=0)
        place = ensemble.consensus[frame, part]
        axes.scatter(*place, 90, CONSENSUS, marker, edgecolors="black", linewidths=0.8, label=name, zorder=3)
    axes.scatter([], [], 28, MEMBER, "o", label="one network")
    axes.figure.colorbar(image, ax=axes, shrink=0.75, label="mean probability of any part")
    axes.set(
        title=f"A  Hardest frame ({frame}): networks blue, consensus orange", xlabel="x (pixels)", ylabel="y (pixels)"
    )
    axes.legend(loc="upper left", fontsize=8, framealpha=0.9)


def _errors(axes: Axes, video: Video, ensembles: Sequence[Ensemble]) -> None:
    places = np.arange(len(ensembles))
    if video.heldout is None:
        for place, ensemble in zip(places, ensembles, strict=True):
            apart = np.sqrt(((ensemble.points - ensemble.consensus) ** 2).sum(-1).mean(axis=(1, 2)))
            axes.scatter(place + _jitter(len(apart)), apart, 34, MEMBER, label="one network" if place == 0 else None)
        axes.set(title="B  Distance of each network from the consensus", ylabel="root mean square (pixels)")
    else:
        errors = [ensemble.errors(video.heldout) for ensemble in ensembles]
        for place, (ensemble, found) in enumerate(zip(ensembles, errors, strict=True)):
            own = [found[member.name] for member in ensemble.members]
            axes.scatter(place + _jitter(len(own)), own, 34, MEMBER, label="one network" if place == 0 else None)
        axes.plot(
            places, [it["consensus"] for it in errors], "D-", color=CONSENSUS, mec="black", ms=8, label="consensus"
        )
        axes.set(title="B  Error on frames with held-out labels", ylabel="RMSE, formula 2 (pixels)")
    axes.set_ylim(bottom=0)
    axes.set_xlim(-0.6, len(ensembles) - 0.4)
    axes.set_xticks(places, [ensemble.label or "ensemble" for ensemble in ensembles])
    axes.legend(fontsize=9)


def _jitter(count: int) -> np.ndarray:
    return np.linspace(-0.18, 0.18, count) if count > 1 else np.zeros(1)


def _traces(axes: Axes, video: Video, ensemble: Ensemble, labelled_next: Sequence[int]) -> None:
    part = int(ensemble.spread.mean(axis=0).argmax())
    frames = len(ensemble.consensus)
    hardest = int(ensemble.difficulty.argmax())
    start = max(0, min(hardest - _TRACE_FRAMES // 2, frames - _TRACE_FRAMES))
    shown = np.arange(start, min(frames, start + _TRACE_FRAMES))
    time, unit = (shown / video.fps, "s") if video.fps else (shown.astype(float), "frame")
    for number, points in enumerate(ensemble.points[:, shown, part, 0]):
        axes.plot(time, points, color=MEMBER, lw=0.7, alpha=0.55, label="one network" if number == 0 else None)
    axes.plot(time, ensemble.consensus[shown, part, 0], color=CONSENSUS, lw=2, label="consensus")
    inside = [frame for frame in labelled_next if shown[0] <= frame <= shown[-1]]
    bottom = axes.get_ylim()[0]
    axes.plot(
        [frame / video.fps if video.fps else frame for frame in inside],
        [bottom] * len(inside),
        "^",
        color="black",
        ms=7,
        clip_on=False,
        label="worth labelling next",
    )
    axes.set(title=f"C  Traces of {video.bodyparts[part]}", xlabel=f"time ({unit})" if unit == "s" else "frame")
    axes.set_ylabel("x (pixels)")
    axes.margins(x=0.01, y=0.02)
    axes.set_ylim(top=axes.get_ylim()[1] + 0.15 * np.ptp(axes.get_ylim()))
    axes.legend(loc="upper right", ncols=3, fontsize=9, framealpha=0.9)
