"""Runs a trained network over whole videos: tracks and score maps, block by block. Learns nothing.

`<video>_scoremaps.h5` is what an ensemble's consensus reads: `logits` (frames, parts, rows, columns) as half floats
with the attributes `stride` (pixels of the video a cell), `bodyparts` (a JSON list) and `fps`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from dgp_frames import STRIDE, Video, as_input, blocks_of
from dgp_maps import moments
from torch import nn

BLOCK_PIXELS = 8_000_000
LARGEST_LOGIT = 60_000.0
"""Half floats end at 65,504."""


@dataclass(frozen=True)
class Track:
    """`points` (frames, parts, 2) in pixels of the video, `likelihood` (frames, parts): of the best cell."""

    points: np.ndarray
    likelihood: np.ndarray


@torch.no_grad()
def see(network: nn.Module, images: Sequence[np.ndarray]) -> tuple[np.ndarray, Track]:
    """Logits (images, parts, rows, columns) and the track of scaled frames, in pixels of those."""
    network.eval()
    logits = network(as_input(images, next(network.parameters()).device))
    found = moments(logits)
    return logits.cpu().numpy(), Track(found.mean.cpu().numpy(), found.probability.cpu().numpy())


def track_video(
    network: nn.Module,
    video: Video,
    bodyparts: Sequence[str],
    maps: Path | None,
    *,
    scale: float,
    report: Callable[[str], None],
) -> Track:
    """Track a video; its score maps are written to `maps` as they come."""
    size = int(max(1, min(256, BLOCK_PIXELS / max(1.0, video.rows * video.columns * scale**2))))
    points, likelihood, done = [], [], 0
    with h5py.File(maps, "w", libver="latest") if maps else _Nowhere() as file:
        for block in blocks_of(video, scale=scale, size=size):
            logits, track = see(network, list(block))
            points.append(track.points / scale)
            likelihood.append(track.likelihood)
            if isinstance(file, h5py.File):
                _append(file, logits, bodyparts, stride=STRIDE / scale, fps=video.fps)
            if (done + len(block)) * 10 // video.frames > done * 10 // video.frames:
                report(f"{video.name}: {done + len(block)} of {video.frames} frames tracked.")
            done += len(block)
    return Track(np.concatenate(points), np.concatenate(likelihood))


class _Nowhere:
    """Stands for the file when no maps are kept."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _append(file: h5py.File, logits: np.ndarray, bodyparts: Sequence[str], *, stride: float, fps: float) -> None:
    if "logits" not in file:
        more = (None, *logits.shape[1:])
        shape, packed = (0, *logits.shape[1:]), {"chunks": True, "compression": "gzip", "shuffle": True}
        data = file.create_dataset("logits", shape, np.float16, maxshape=more, **packed)
        data.attrs["stride"] = stride
        data.attrs["bodyparts"] = json.dumps(list(bodyparts))
        if fps:
            data.attrs["fps"] = fps
    data = file["logits"]
    start = len(data)
    data.resize(start + len(logits), axis=0)
    data[start:] = np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT).astype(np.float16)


def write_track(path: Path, track: Track, bodyparts: Sequence[str], *, scorer: str) -> None:
    """The table DeepLabCut writes: rows scorer, bodyparts, coords; then x, y, likelihood of each part by frame."""
    names = ("x", "y", "likelihood")
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["scorer", *[scorer] * len(names) * len(bodyparts)])
        table.writerow(["bodyparts", *(part for part in bodyparts for _ in names)])
        table.writerow(["coords", *names * len(bodyparts)])
        for frame, (points, likelihood) in enumerate(zip(track.points, track.likelihood, strict=True)):
            values = np.column_stack([points, likelihood]).ravel()
            table.writerow([frame, *(f"{value:.4f}" for value in values)])
