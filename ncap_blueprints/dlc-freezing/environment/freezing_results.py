"""What was found in a video about freezing, and its files. It must not decide what freezing is."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from analysis_kit import write_json
from freezing import Bout, mask_of

if TYPE_CHECKING:
    from dlc_poses import Poses


@dataclass(frozen=True)
class Found:
    """`speed` (frames) in the unit asked for, NaN where it cannot be judged; `bouts` in order."""

    poses: Poses
    fps: float
    speed: np.ndarray
    bouts: tuple[Bout, ...]

    @property
    def is_freezing(self) -> np.ndarray:
        """Which frames lie in a bout."""
        return mask_of(self.bouts, len(self.speed))

    @property
    def percent(self) -> float:
        """Freezing, in percent of the frames that can be judged."""
        judged = np.isfinite(self.speed)
        return 100 * float(self.is_freezing[judged].mean()) if judged.any() else float("nan")


def write_bouts(path: Path, found: Sequence[Found]) -> None:
    """A row a bout; frames from 0, the last one not included."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "bout", "start_s", "stop_s", "duration_s", "start_frame", "stop_frame", "mean_speed"])
        for one in found:
            for number, bout in enumerate(one.bouts, start=1):
                start, stop = bout.start / one.fps, bout.stop / one.fps
                speed = float(np.nanmean(one.speed[bout.start : bout.stop]))
                times = [f"{value:.4f}" for value in (start, stop, stop - start)]
                writer.writerow([one.poses.clip.path.name, number, *times, bout.start, bout.stop, f"{speed:.4g}"])


def write_freezing(path: Path, found: Sequence[Found], threshold: float | None, unit: str, *, is_given: bool) -> None:
    """Threshold, and for each video share of the time, bouts, and the speed of every frame."""
    how = "given" if is_given else "valley of log speed, all videos" if threshold is not None else "none: one mode"
    videos = [{**describe(one), "speed": np.round(one.speed, 4)} for one in found]
    write_json(path, {"threshold": threshold, "threshold_from": how, "speed_unit": unit, "videos": videos})


def describe(one: Found) -> dict[str, object]:
    """One video in figures; durations in s."""
    durations = [(bout.stop - bout.start) / one.fps for bout in one.bouts]
    return {
        "video": one.poses.clip.path.name,
        "fps": one.fps,
        "percent_freezing": one.percent,
        "percent_judged": 100 * float(np.isfinite(one.speed).mean()),
        "bouts": len(one.bouts),
        "mean_bout_s": np.mean(durations) if durations else None,
        "latency_s": one.bouts[0].start / one.fps if one.bouts else None,
    }
