"""Pictures of freezing: speed with threshold and bouts, and what is written on the frames of the video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from analysis_kit import PALETTE
from freezing import log_speed_density
from freezing_results import Found
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
FREEZING = PALETTE[4]
BLUE = (178, 114, 0)
WHITE = (255, 255, 255)


def draw_freezing(path: Path, one: Found, threshold: float | None, unit: str, pooled: np.ndarray) -> None:
    """Speed against time with threshold and bouts, distribution of speed, and how long bouts lasted."""
    time_s = np.arange(len(one.speed)) / one.fps
    floor = float(np.nanmin(np.where(one.speed > 0, one.speed, np.nan))) if np.any(one.speed > 0) else 1e-3
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 6.6), layout="constrained")
        FigureCanvasAgg(figure)
        share = "no threshold" if threshold is None else f"{one.percent:.1f} % of the time in {len(one.bouts)} bouts"
        figure.suptitle(f"Freezing: {one.poses.clip.path.name}, {share}", x=0.01, ha="left", weight="bold")
        above, below = figure.subfigures(2, 1, height_ratios=(1.25, 1))
        axis = above.subplots()
        for bout in one.bouts:
            axis.axvspan(bout.start / one.fps, bout.stop / one.fps, color=FREEZING, alpha=0.45, lw=0)
        axis.plot(time_s, np.maximum(one.speed, floor), color="0.15", lw=0.9)
        if threshold is not None:
            axis.axhline(threshold, color=PALETTE[3], ls="--", lw=1.2, label=f"threshold {threshold:.3g} {unit}")
            axis.legend(loc="upper right", bbox_to_anchor=(1, 1.13), frameon=False)
        axis.set(title="Mean speed of the body parts (blue: freezing)", xlabel="time (s)", ylabel=f"speed ({unit})")
        axis.set(yscale="log", xlim=(0, time_s[-1] if len(time_s) > 1 else 1))
        _draw_speeds(*below.subplots(1, 2, width_ratios=(1.3, 1)), one, threshold, unit, pooled)
        figure.savefig(path, dpi=120)


def _draw_speeds(left: Any, right: Any, one: Found, threshold: float | None, unit: str, pooled: np.ndarray) -> None:
    if np.isfinite(pooled).any():
        centres, heights = log_speed_density(pooled)
        left.fill_between(10**centres, heights / max(heights.max(), 1e-12), color="0.75", lw=0)
        left.plot(10**centres, heights / max(heights.max(), 1e-12), color="0.3", lw=1)
    if threshold is not None:
        left.axvline(threshold, color=PALETTE[3], ls="--", lw=1.2)
    left.set(title="Speeds of all videos (dashed: threshold)", xscale="log", xlabel=f"speed ({unit})", ylim=(0, None))
    left.set_ylabel("frames (share of the mode)")
    durations = [(bout.stop - bout.start) / one.fps for bout in one.bouts]
    right.bar(np.arange(1, len(durations) + 1), durations, color=FREEZING, edgecolor=PALETTE[0])
    right.set(title="Bouts", xlabel="bout", ylabel="duration (s)")


def annotate(one: Found, unit: str) -> Callable[[Any, int], None]:
    """What draws time and speed on a frame of the video, and a frame and a word while the animal freezes."""
    import cv2

    is_freezing = one.is_freezing
    font = cv2.FONT_HERSHEY_SIMPLEX

    def write(frame: Any, text: str, line: int) -> None:
        size = frame.shape[0] / 600
        place = (round(10 * size) + 4, round((24 + 26 * line) * size) + 6)
        # A shadow of the same thickness: OpenCV sets thicker letters wider apart.
        shadow = (place[0] + 1, place[1] + 1)
        cv2.putText(frame, text, shadow, font, 0.8 * size + 0.1, (0, 0, 0), 1, cv2.LINE_AA)
        cv2.putText(frame, text, place, font, 0.8 * size + 0.1, WHITE, 1, cv2.LINE_AA)

    def draw(frame: Any, number: int) -> None:
        speed = one.speed[number]
        write(frame, f"{number / one.fps:.2f} s   {speed:.3g} {unit}" if np.isfinite(speed) else "not judged", 0)
        if is_freezing[number]:
            write(frame, "FREEZING", 1)
            cv2.rectangle(frame, (0, 0), (frame.shape[1] - 1, frame.shape[0] - 1), BLUE, max(3, frame.shape[0] // 60))

    return draw
