"""Frames of videos: read one by one or in order, and written with points drawn in. It must not know networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from analysis_kit import PALETTE
from dlc_poses import Clip, Poses

LONGEST_SIDE = 1280
SHORTEST_SIDE = 240


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """All frames of a video in order, (height, width, 3) uint8, blue-green-red as OpenCV has them."""
    import cv2

    video = cv2.VideoCapture(str(path))
    try:
        while True:
            is_read, frame = video.read()
            if not is_read:
                return
            yield frame
    finally:
        video.release()


def pick_frames(path: Path, wanted: Sequence[int]) -> dict[int, np.ndarray]:
    """Some frames by number, red-green-blue. The video is read in order: jumping is not exact in every format."""
    picked = {}
    last = max(wanted, default=-1)
    for number, frame in enumerate(read_frames(path)):
        if number in wanted:
            picked[number] = frame[..., ::-1]
        if number >= last:
            break
    return picked


def colours(count: int) -> list[tuple[int, int, int]]:
    """A colour for each body part, blue-green-red; they repeat after eight."""
    pairs = [PALETTE[place % len(PALETTE)].lstrip("#") for place in range(count)]
    return [(int(text[4:], 16), int(text[2:4], 16), int(text[:2], 16)) for text in pairs]


def write_labeled_video(
    path: Path,
    poses: Poses,
    *,
    pcutoff: float,
    skeleton: Sequence[tuple[str, str]],
    extra: Callable[[Any, int], None] = lambda frame, number: None,
) -> None:
    """The video as MJPG .avi with the body parts that are sure enough drawn in; `extra` draws more on each frame."""
    import cv2

    clip = poses.clip
    scale = _scale(clip)
    size = (round(clip.width * scale), round(clip.height * scale))
    part_colours = colours(len(poses.bodyparts))
    lines = [(poses.bodyparts.index(a), poses.bodyparts.index(b)) for a, b in skeleton]
    radius = max(2, round(min(size) / 90))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), clip.fps or 30.0, size)
    try:
        for number, (frame, points, sure) in enumerate(
            zip(read_frames(clip.path), poses.points, poses.likelihood >= pcutoff, strict=False)
        ):
            shown = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
            centres = [tuple(int(v) for v in np.round((point + 0.5) * scale)) for point in np.nan_to_num(points)]
            for a, b in lines:
                if sure[a] and sure[b]:
                    cv2.line(shown, centres[a], centres[b], (255, 255, 255), max(1, radius // 2), cv2.LINE_AA)
            for centre, colour, is_sure in zip(centres, part_colours, sure, strict=True):
                if is_sure:
                    cv2.circle(shown, centre, radius, colour, -1, cv2.LINE_AA)
            extra(shown, number)
            writer.write(shown)
    finally:
        writer.release()


def _scale(clip: Clip) -> float:
    """Small videos are enlarged so that what is drawn can be read, large ones reduced."""
    longest, shortest = max(clip.width, clip.height), min(clip.width, clip.height)
    return min(LONGEST_SIDE / longest, 1.0) if shortest >= SHORTEST_SIDE else float(np.ceil(SHORTEST_SIDE / shortest))
