"""Poses of the videos of a project, by DeepLabCut's own functions, and as arrays.

Results are in DeepLabCut's formats and under its names: `<video>DLC_….h5` and `.csv`, columns scorer, bodyparts, coords
(x, y in pixels, likelihood 0 to 1), a row a frame. It must not train or draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from analysis_kit import InputError, say
from dlc_listen import listening
from dlc_project import Project
from dlc_training import Trained


@dataclass(frozen=True)
class Clip:
    """What a video's file says of itself; `frames` may be a guess for some formats."""

    path: Path
    frames: int
    fps: float
    width: int
    height: int


@dataclass(frozen=True)
class Poses:
    """`points` (frames, parts, 2): x and y in pixels; `likelihood` (frames, parts), 0 to 1."""

    clip: Clip
    bodyparts: tuple[str, ...]
    points: np.ndarray
    likelihood: np.ndarray
    table: Path
    """The .h5 file they are from."""


def read_clip(path: Path, dataset: str) -> Clip:
    """Open a video and read one frame of it. Raises InputError."""
    import cv2

    video = cv2.VideoCapture(str(path))
    try:
        has_frame = video.isOpened() and video.read()[0]
        size = [int(video.get(name)) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        frames, fps = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), float(video.get(cv2.CAP_PROP_FPS))
    finally:
        video.release()
    if not has_frame:
        raise InputError(f"Dataset {dataset}: the video {path.name} cannot be read; re-encode it (mp4 or MJPG avi).")
    return Clip(path, frames, fps if np.isfinite(fps) and fps > 0 else 0.0, size[0], size[1])


def find_poses(
    project: Project, trained: Trained, clip: Clip, device: str, *, batch_size: int, folder: Path, log: Path
) -> Poses:
    """Let the network find the body parts in each frame of a video; tables go to `folder`."""
    say(f"Analysing {clip.path.name}: {clip.frames:,} frames of {clip.width} x {clip.height} pixels.")
    folder.mkdir(parents=True, exist_ok=True)
    with listening(log):
        import deeplabcut

        scorer = deeplabcut.analyze_videos(
            project.config,
            [clip.path],
            shuffle=trained.shuffle,
            device=device,
            batch_size=batch_size,
            destfolder=folder,
            save_as_csv=True,
            overwrite=True,
        )
    table = folder / f"{clip.path.stem}{scorer}.h5"
    # Pickles of the same numbers, of use to tracking of several animals.
    for pickled in ("_full.pickle", "_meta.pickle"):
        table.with_name(f"{table.stem}{pickled}").unlink(missing_ok=True)
    return read_poses(table, clip, project)


def read_poses(table: Path, clip: Clip, project: Project) -> Poses:
    """The table DeepLabCut wrote, as arrays."""
    import pandas as pd

    found = pd.read_hdf(table)
    values = found[found.columns.get_level_values(0)[0]][list(project.bodyparts)].to_numpy(float)
    values = values.reshape(len(found), len(project.bodyparts), 3)
    return Poses(clip, project.bodyparts, values[..., :2], values[..., 2], table)


def filter_poses(project: Project, trained: Trained, poses: Poses, *, window: int, log: Path) -> Poses:
    """DeepLabCut's median filter over `window` frames (odd); its tables end in `_filtered`."""
    meta = poses.table.with_name(f"{poses.table.stem}_meta.pickle")
    with listening(log):
        import deeplabcut

        deeplabcut.filterpredictions(
            project.config,
            poses.clip.path,
            shuffle=trained.shuffle,
            filtertype="median",
            windowlength=window,
            save_as_csv=True,
            destfolder=poses.table.parent,
        )
    meta.unlink(missing_ok=True)
    return read_poses(poses.table.with_name(f"{poses.table.stem}_filtered.h5"), poses.clip, project)
