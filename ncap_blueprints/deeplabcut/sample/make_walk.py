"""Makes `walk.zip` and `walk_truth.npz`: a DeepLabCut project of a generated video whose points are known.

    python make_walk.py

An animal of two parts, a red snout and a green tail joined by a dark line, walks and turns on a textured floor; frames
have noise. Forty frames are labelled with the true points, in the .csv form. Needs numpy and OpenCV (the analysis's own
environment has both); the same seed gives the same points and frames.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import cv2
import numpy as np

SEED = 0
SIDE = 96
FRAMES = 200
LABELLED = 40
FPS = 30.0
PARTS = ("snout", "tail")
SCORER = "generator"
CONFIG = """Task: {task}
scorer: {scorer}
date: Jan1
multianimalproject: false
identity: null
project_path: /somewhere/else
engine: pytorch
video_sets:
  /somewhere/else/videos/{task}.avi:
    crop: 0, {side}, 0, {side}
bodyparts:
- snout
- tail
skeleton:
- - snout
  - tail
skeleton_color: black
pcutoff: 0.6
dotsize: 12
alphavalue: 0.7
colormap: rainbow
TrainingFraction:
- 0.95
iteration: 0
default_net_type: resnet_50
default_augmenter: default
snapshotindex: -1
batch_size: 8
cropping: false
start: 0
stop: 1
numframes2pick: 20
x1: 0
x2: 640
y1: 277
y2: 624
corner2move2:
- 50
- 50
move2corner: true
"""


def path_of(phase: np.ndarray) -> np.ndarray:
    """Points (frames, parts, 2) in pixels, for a phase that grows by 1 a frame while the animal walks."""
    centre = np.stack([48 + 28 * np.cos(2 * np.pi * phase / 67), 48 + 26 * np.sin(2 * np.pi * phase / 53)], 1)
    angle = 2 * np.pi * phase / 41
    half = 12 * np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.stack([centre + half, centre - half], 1)


def draw(points: np.ndarray, rng: np.random.Generator, noise_sd: float) -> list[np.ndarray]:
    """A frame (side, side, 3) for each row of points, blue-green-red."""
    floor = cv2.GaussianBlur(rng.integers(60, 140, (SIDE, SIDE, 3)).astype(np.uint8), (0, 0), 3)
    frames = []
    for snout, tail in points:
        frame = floor.copy()
        # OpenCV takes points in sixteenths of a pixel here, so that a frame shows the true place.
        ends = [tuple(int(v) for v in np.round(point * 16)) for point in (snout, tail)]
        cv2.line(frame, *ends, (30, 30, 30), 7, cv2.LINE_AA, 4)
        cv2.circle(frame, ends[0], 4 * 16, (40, 40, 230), -1, cv2.LINE_AA, 4)
        cv2.circle(frame, ends[1], 4 * 16, (40, 220, 40), -1, cv2.LINE_AA, 4)
        frames.append(np.clip(frame + rng.normal(0, noise_sd, frame.shape), 0, 255).astype(np.uint8))
    return frames


def encode(frames: list[np.ndarray], quality: int) -> tuple[bytes, list[np.ndarray]]:
    """The video's bytes, and the frames as it shows them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (SIDE, SIDE))
        writer.set(cv2.VIDEOWRITER_PROP_QUALITY, quality)
        for frame in frames:
            writer.write(frame)
        writer.release()
        video = cv2.VideoCapture(str(path))
        shown = [video.read()[1] for _ in frames]
        video.release()
        return path.read_bytes(), shown


def labels_csv(points: np.ndarray, numbers: np.ndarray, task: str) -> str:
    """Labels as DeepLabCut writes them as text."""
    columns = [(part, axis) for part in PARTS for axis in "xy"]
    out = io.StringIO()
    out.write("scorer," + ",".join(SCORER for _ in columns) + "\n")
    out.write("bodyparts," + ",".join(part for part, _ in columns) + "\n")
    out.write("coords," + ",".join(axis for _, axis in columns) + "\n")
    for number in numbers:
        values = ",".join(f"{value:.3f}" for value in points[number].ravel())
        out.write(f"labeled-data/{task}/img{number:04d}.png,{values}\n")
    return out.getvalue()


def write_project(task: str, points: np.ndarray, *, seed: int, noise_sd: float, quality: int) -> np.ndarray:
    """Write `<task>.zip` beside this file's caller; the numbers of the labelled frames."""
    rng = np.random.default_rng(seed)
    video, shown = encode(draw(points, rng, noise_sd), quality)
    numbers = np.sort(rng.choice(len(points), LABELLED, replace=False))
    files = {
        "config.yaml": CONFIG.format(task=task, scorer=SCORER, side=SIDE).encode(),
        f"videos/{task}.avi": video,
        f"labeled-data/{task}/CollectedData_{SCORER}.csv": labels_csv(points, numbers, task).encode(),
    }
    for number in numbers:
        files[f"labeled-data/{task}/img{number:04d}.png"] = cv2.imencode(".png", shown[number])[1].tobytes()
    with zipfile.ZipFile(f"{task}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(f"{task}/{name}", (2026, 1, 1, 0, 0, 0)), content)
    return numbers


def main() -> None:
    points = path_of(np.arange(FRAMES))
    numbers = write_project("walk", points, seed=SEED, noise_sd=4.0, quality=90)
    np.savez_compressed("walk_truth.npz", points=points.astype(np.float32), labelled=numbers, parts=PARTS)


if __name__ == "__main__":
    main()
