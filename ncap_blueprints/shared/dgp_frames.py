"""Frames of videos and labelled images: decoded, scaled, and ready for a network. Knows nothing of labels' meaning.

Videos are read from the beginning to the end, block by block. Frames to train on lie in files of the scratch folder, so
that memory does not grow with the videos.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from analysis_kit import InputError

STRIDE = 8
"""Pixels (of the scaled frame) a cell of the score maps."""
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours, which published weights of backbones expect."""
MAX_SIDE_PX = 8192


@dataclass(frozen=True)
class Video:
    """A video that can be decoded: its size is that of its frames as they are."""

    path: Path
    frames: int
    rows: int
    columns: int
    fps: float

    @property
    def name(self) -> str:
        """Its file's name without the ending."""
        return self.path.stem


@dataclass(frozen=True)
class Chain:
    """Frames that follow one another, `start` the first one's number; `images` (frames, rows, columns, 3) uint8."""

    video: int
    start: int
    images: np.ndarray


def open_video(path: Path) -> Video:
    """Decode a video once to know its length. Raises InputError."""
    capture = cv2.VideoCapture(str(path))
    try:
        is_read, first = capture.read()
        if not is_read:
            raise InputError(f"Video {path.name} cannot be decoded.")
        count = 1
        while capture.grab():
            count += 1
        fps = float(capture.get(cv2.CAP_PROP_FPS))
    finally:
        capture.release()
    rows, columns = first.shape[:2]
    if max(rows, columns) > MAX_SIDE_PX or min(rows, columns) < 2 * STRIDE:
        raise InputError(
            f"Video {path.name} is {columns} x {rows} pixels; sides of {2 * STRIDE} to {MAX_SIDE_PX} are accepted."
        )
    return Video(path, count, rows, columns, fps if np.isfinite(fps) and 0 < fps < 1e6 else 0.0)


def frames_of(video: Video, *, scale: float) -> Iterator[np.ndarray]:
    """Its frames, (rows, columns, 3) RGB uint8, scaled. Ends early only if the file changed since it was opened."""
    capture = cv2.VideoCapture(str(video.path))
    try:
        for _ in range(video.frames):
            is_read, frame = capture.read()
            if not is_read:
                return
            yield scaled(frame[..., ::-1], scale)
    finally:
        capture.release()


def blocks_of(video: Video, *, scale: float, size: int) -> Iterator[np.ndarray]:
    """Its frames in blocks (frames, rows, columns, 3)."""
    block: list[np.ndarray] = []
    for frame in frames_of(video, scale=scale):
        block.append(frame)
        if len(block) == size:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)


def read_image(path: Path, *, scale: float) -> np.ndarray:
    """A labelled image, (rows, columns, 3) RGB uint8, scaled. Raises InputError."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"Labelled image {path.parent.name}/{path.name} cannot be decoded.")
    if max(image.shape[:2]) > MAX_SIDE_PX or min(image.shape[:2]) < 2 * STRIDE:
        raise InputError(
            f"Labelled image {path.parent.name}/{path.name} has sides under {2 * STRIDE} or over {MAX_SIDE_PX} pixels."
        )
    return scaled(image[..., ::-1], scale)


def scaled(image: np.ndarray, scale: float) -> np.ndarray:
    """An image with its sides times `scale`."""
    if scale == 1:
        return np.ascontiguousarray(image)
    size = (max(2 * STRIDE, round(image.shape[1] * scale)), max(2 * STRIDE, round(image.shape[0] * scale)))
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)


def choose_chains(lengths: Sequence[int], *, most: int, chain: int) -> list[tuple[int, int, int]]:
    """(video, start, stop) of the frames to train on: all, or chains of `chain` frames evenly over all videos."""
    if sum(lengths) <= most:
        return [(video, 0, length) for video, length in enumerate(lengths)]
    chain = min(chain, most)
    starts = [(video, start) for video, length in enumerate(lengths) for start in range(0, length, chain)]
    picked = np.unique(np.linspace(0, len(starts) - 1, max(1, most // chain)).round().astype(int))
    return [(v, start, min(start + chain, lengths[v])) for v, start in (starts[place] for place in picked)]


def load_chains(
    videos: Sequence[Video], chosen: Sequence[tuple[int, int, int]], scratch: Path, *, scale: float
) -> list[Chain]:
    """Decode the chosen frames, each video once, into files in `scratch`."""
    chains: list[Chain] = []
    for number, video in enumerate(videos):
        spans = [(start, stop) for v, start, stop in chosen if v == number]
        if not spans:
            continue
        wanted = np.zeros(video.frames, bool)
        for start, stop in spans:
            wanted[start:stop] = True
        places = np.cumsum(wanted) - 1
        held: np.ndarray | None = None
        for frame, image in enumerate(frames_of(video, scale=scale)):
            if held is None:
                shape = (int(wanted.sum()), *image.shape)
                held = np.memmap(scratch / f"frames-{number}", np.uint8, "w+", shape=shape)
            if wanted[frame]:
                held[places[frame]] = image
        if held is not None:
            chains += [Chain(number, start, held[places[start] : places[stop - 1] + 1]) for start, stop in spans]
    return chains


def as_input(images: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """Images as a network's input (images, 3, rows, columns): normalised, and filled up with the mean colour below and
    on the right to one size, a multiple of the stride."""
    rows, columns = (STRIDE * -(-max(image.shape[axis] for image in images) // STRIDE) for axis in (0, 1))
    mean, sd = (torch.tensor(values, device=device)[:, None, None] for values in (MEAN, SD))
    batch = torch.zeros(len(images), 3, rows, columns, device=device)
    for place, image in enumerate(images):
        pixels = torch.from_numpy(np.array(image)).to(device).permute(2, 0, 1).float() / 255
        batch[place, :, : image.shape[0], : image.shape[1]] = (pixels - mean) / sd
    return batch
