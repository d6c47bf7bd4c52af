"""Pictures of a tracking run: training, and tracks of a video. It must not compute what is not in the result files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from analysis_kit import PALETTE
from dlc_frames import pick_frames
from dlc_poses import Poses
from dlc_training import Tested
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
EXAMPLES = 4
MOST_POINTS = 20_000


def draw_training(path: Path, title: str, losses: Path, tested: Tested | None) -> None:
    """Losses and test error against the epoch; with the evaluation also its errors, and frames with both points."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 6.4 if tested else 3.2), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.1)) if tested else (figure, None)
        panels = above.subplots(1, 3 if tested else 2)
        history = np.atleast_1d(np.genfromtxt(losses, delimiter=",", names=True))
        _draw_losses(panels[0], history)
        _draw_test_error(panels[1], history)
        if tested:
            _draw_errors(panels[2], tested)
            _draw_examples(below, tested)
        figure.savefig(path, dpi=120)


def _column(history: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and values of one of DeepLabCut's columns, without the epochs that have none."""
    plain = name.replace("/", "").replace(".", "")
    if plain not in (history.dtype.names or ()):
        return np.empty(0), np.empty(0)
    known = np.isfinite(history[plain])
    return history["step"][known], history[plain][known]


def _draw_losses(axis: Any, history: np.ndarray) -> None:
    for name, label, colour in (("train", "training", PALETTE[0]), ("eval", "test", PALETTE[3])):
        epochs, values = _column(history, f"losses/{name}.total_loss")
        axis.plot(epochs, values, "o-" if len(values) < 30 else "-", ms=3, color=colour, label=label)
    axis.set(title="Loss", xlabel="epoch", ylabel="loss", yscale="log")
    axis.legend(frameon=False)


def _draw_test_error(axis: Any, history: np.ndarray) -> None:
    epochs, values = _column(history, "metrics/test.rmse")
    axis.plot(epochs, values, "o-", ms=3, color=PALETTE[3])
    axis.set(title="Error on test frames", xlabel="epoch", ylabel="root mean square (pixels)")
    axis.set_ylim(bottom=0)


def _draw_errors(axis: Any, tested: Tested) -> None:
    for is_test, label, colour in ((False, "trained on", PALETTE[0]), (True, "test", PALETTE[3])):
        errors = np.sort(tested.errors(test=is_test))
        if len(errors):
            said = f"{label}: median {np.median(errors):.2f} px"
            axis.step(errors, np.arange(1, len(errors) + 1) / len(errors), where="post", color=colour, label=said)
    axis.set(title="Errors of labelled points", xlabel="distance (pixels)", ylabel="share of points", ylim=(0, 1.02))
    axis.set_xlim(left=0)
    axis.legend(frameon=False, loc="lower right")


def _draw_examples(figure: Any, tested: Tested) -> None:
    """Test frames from the best to the worst, with labels and estimates."""
    from PIL import Image

    mean = np.nanmean(np.linalg.norm(tested.estimates - tested.labels, axis=2), axis=1)
    rows = [row for row in np.argsort(mean) if tested.is_test[row] and np.isfinite(mean[row])]
    picked = [rows[int(place)] for place in np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows)))]
    for axis, row in zip(np.atleast_1d(figure.subplots(1, max(1, len(picked)))), picked, strict=False):
        with Image.open(tested.images[row]) as image:
            axis.imshow(np.asarray(image.convert("RGB")))
        axis.plot(*tested.labels[row].T, "+", ms=11, mew=1.8, color="white", label="label")
        axis.plot(*tested.estimates[row].T, "o", ms=8, mfc="none", mew=1.6, color=PALETTE[6], label="network")
        axis.set(title=f"test frame {tested.images[row].name}\nmean error {mean[row]:.1f} px", xticks=[], yticks=[])
    if picked:
        axis.legend(loc="upper right", fontsize=7, facecolor="0.25", labelcolor="white", framealpha=0.8)


def draw_tracks(path: Path, title: str, poses: Poses, *, pcutoff: float, labels: Sequence[int] = ()) -> None:
    """Frames with the body parts, x and y of each part against time, and how sure the network is.

    `labels`: numbers of frames that were labelled, marked below.
    """
    frames = len(poses.points)
    shown = np.unique(np.linspace(0, frames - 1, min(EXAMPLES, frames)).astype(int)).tolist()
    step = -(-frames // MOST_POINTS)
    time_s = np.arange(0, frames, step) / (poses.clip.fps or 1.0)
    unit = "s" if poses.clip.fps else "frames"
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 9), layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.9))
        _draw_shown(above, poses, shown, pcutoff)
        panels = below.subplots(3, 1, sharex=True, height_ratios=(1.2, 1.2, 0.9))
        for part, name in enumerate(poses.bodyparts):
            colour = PALETTE[part % len(PALETTE)]
            is_sure = poses.likelihood[::step, part] >= pcutoff
            for axis, coordinate in zip(panels[:2], (0, 1), strict=True):
                values = poses.points[::step, part, coordinate]
                axis.plot(time_s, np.where(is_sure, values, np.nan), color=colour, lw=1.1, label=name)
                axis.plot(time_s[~is_sure], values[~is_sure], ".", ms=2, color="0.7", zorder=0)
            panels[2].plot(time_s, poses.likelihood[::step, part], color=colour, lw=0.9)
        panels[2].axhline(pcutoff, color="0.3", ls="--", lw=0.9)
        panels[2].plot([number / (poses.clip.fps or 1.0) for number in labels], [-0.04] * len(labels), "k|", ms=5)
        panels[0].set(title=f"Position (grey: likelihood below {pcutoff:g})", ylabel="x (pixels)")
        panels[1].set(ylabel="y (pixels)")
        panels[2].set(
            title="Likelihood (dashed: cut-off; marks below: labelled frames)", ylabel="likelihood", ylim=(-0.08, 1.05)
        )
        panels[2].set_xlabel(f"time ({unit})")
        panels[0].legend(frameon=False, ncols=min(6, len(poses.bodyparts)), loc="lower right", bbox_to_anchor=(1, 0.98))
        figure.savefig(path, dpi=120)


def _draw_shown(figure: Any, poses: Poses, shown: list[int], pcutoff: float) -> None:
    picked = pick_frames(poses.clip.path, shown)
    for axis, number in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
        if number in picked:
            axis.imshow(picked[number])
        for part, point in enumerate(poses.points[number]):
            is_sure = poses.likelihood[number, part] >= pcutoff
            colour = PALETTE[part % len(PALETTE)]
            axis.plot(*point, "o", ms=7, mfc=colour if is_sure else "none", mec="white" if is_sure else colour)
        axis.set(title=f"frame {number}", xticks=[], yticks=[])
