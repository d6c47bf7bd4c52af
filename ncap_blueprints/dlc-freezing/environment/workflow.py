"""Tracking with DeepLabCut, then freezing: when the animal in each video did not move.

    python workflow.py DATA CONFIG RESULTS

DATA is a DeepLabCut project with videos, a .zip file or a folder; CONFIG a JSON or YAML file of parameters; RESULTS a
folder that exists. Progress goes to stdout. Exit code 2 and one sentence on stderr: data or config cannot be used.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from analysis_kit import InputError, Summary, load_parameters, run, say
from freezing import Rules, find_bouts, speed_of, valley_threshold
from freezing_results import Found, describe, write_bouts, write_freezing

if TYPE_CHECKING:
    from dlc_poses import Poses
    from dlc_run import Tracked

PACKAGES = ("deeplabcut", "torch", "torchvision", "timm", "numpy", "opencv-python-headless")
RULES = ("pcutoff", "smooth_s", "min_duration_s", "merge_gap_s", "max_hidden_s")
BY_TRACKING = {"filter_window": 1, "labeled_video": False}
"""What tracking is not asked for here: positions are filtered below, and the video shows freezing as well."""


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run: tracks, speeds, one threshold for all videos, bouts, pictures, videos."""
    from dlc_run import describe as describe_tracking
    from dlc_run import track

    parameters = load_parameters(config)
    summary = Summary(data, parameters, PACKAGES)
    with tempfile.TemporaryDirectory(prefix="dlc-") as place:
        check = _checker(parameters)
        tracked = track(data, {**parameters, **BY_TRACKING}, results, Path(place), needs_video=True, check=check)
        threshold, found = find_freezing(tracked, parameters)
        stem = str(results / data.stem)
        unit = "cm/s" if parameters["px_per_cm"] else "px/s"
        write_bouts(Path(f"{stem}_bouts.csv"), found)
        write_freezing(
            Path(f"{stem}_freezing.json"), found, threshold, unit, is_given=bool(parameters["speed_threshold"])
        )
        _draw(stem, tracked, found, threshold, unit, parameters)
        freezing = {"threshold": threshold, "speed_unit": unit, "freezing": [describe(one) for one in found]}
        summary.write(results, {**describe_tracking(tracked, parameters), **freezing})


def _checker(parameters: Mapping[str, Any]) -> Any:
    """Refuses, before the training, what would fail after it: unknown body parts, videos without a frame rate."""

    def check(project: Any, clips: list[Any]) -> None:
        unknown = [part for part in parameters["freezing_bodyparts"] if part not in project.bodyparts]
        if unknown:
            known = ", ".join(project.bodyparts)
            raise InputError(f"Config: 'freezing_bodyparts' names {', '.join(unknown)}; the project has {known}.")
        timeless = [clip.path.name for clip in clips if not (clip.fps or parameters["fps"])]
        if timeless:
            raise InputError(f"Dataset {project.name}: {timeless[0]} does not say its frame rate; give 'fps'.")

    return check


def find_freezing(tracked: Tracked, parameters: Mapping[str, Any]) -> tuple[float | None, list[Found]]:
    """The threshold and what was found in each video; without a threshold there are no bouts."""
    rules = Rules(**{name: parameters[name] for name in RULES})
    wanted = parameters["freezing_bodyparts"] or list(tracked.project.bodyparts)
    parts = [tracked.project.bodyparts.index(part) for part in wanted]
    scale = parameters["px_per_cm"] or 1.0

    def speed_in(poses: Poses) -> np.ndarray:
        fps = parameters["fps"] or poses.clip.fps
        return speed_of(poses.points[:, parts] / scale, poses.likelihood[:, parts], fps, rules)

    found = [Found(poses, parameters["fps"] or poses.clip.fps, speed_in(poses), ()) for poses in tracked.poses]
    threshold = parameters["speed_threshold"] or valley_threshold(np.concatenate([one.speed for one in found]))
    if threshold is None:
        say(
            "Speeds have one mode, so the animal always moved or never: no threshold, no bouts. Give 'speed_threshold'."
        )
        return None, found
    found = [replace(one, bouts=tuple(find_bouts(one.speed, threshold, one.fps, rules))) for one in found]
    for one in found:
        name = one.poses.clip.path.name
        say(f"{name}: {len(one.bouts)} bouts below {threshold:.3g}, {one.percent:.1f} % of the time.")
    return threshold, found


def _draw(
    stem: str,
    tracked: Tracked,
    found: list[Found],
    threshold: float | None,
    unit: str,
    parameters: Mapping[str, Any],
) -> None:
    from dlc_frames import write_labeled_video
    from freezing_pictures import annotate, draw_freezing

    pooled = np.concatenate([one.speed for one in found])
    for one in found:
        name = one.poses.clip.path.stem
        draw_freezing(Path(f"{stem}_{name}_freezing.png"), one, threshold, unit, pooled)
        if parameters["labeled_video"]:
            say(f"Writing {one.poses.clip.path.name} with its body parts and freezing.")
            path = Path(f"{stem}_{name}_freezing.avi")
            extra = annotate(one, unit)
            write_labeled_video(
                path, one.poses, pcutoff=parameters["pcutoff"], skeleton=tracked.project.skeleton, extra=extra
            )


if __name__ == "__main__":
    sys.exit(run(analyse, folders=True))
