"""Makes the sample: a DeepLabCut project of a crawling animal whose path is known. `python make_crawler.py`.

An animal of three parts (head, middle, tail) crawls over a textured floor in 96 x 96 pixels. Now and then a leaf of
the floor's texture lies over one of the parts for some frames, so that nothing but its neighbours and the frames
before and after tell where it is. 20 frames are labelled; a covered part has no label, as a person would leave it.

Needs numpy and OpenCV. The seed makes the same frames every time.
"""

from __future__ import annotations

import csv
import tempfile
import zipfile
from io import StringIO
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
SIZE, FRAMES, FPS, SEED = 96, 300, 30, 3
PARTS = ("head", "middle", "tail")
SKELETON = (("head", "middle"), ("middle", "tail"))
COLOURS = ((0.95, 0.25, 0.2), (0.2, 0.8, 0.3), (0.25, 0.35, 0.95))
LABELLED, COVERINGS, COVERED_FRAMES = 20, 22, (6, 12)
SEGMENT_PX, LEAF_PX = 13.0, 7.0
CONFIG = f"""Task: crawler
scorer: maker
date: Jan1
multianimalproject: false
video_sets:
  C:\\Users\\maker\\videos\\crawler.avi:
    crop: 0, {SIZE}, 0, {SIZE}
bodyparts:
{"".join(f"- {name}{chr(10)}" for name in PARTS)}skeleton:
{"".join(f"- - {one}{chr(10)}  - {other}{chr(10)}" for one, other in SKELETON)}"""


def smooth(random: np.random.Generator, frames: int, width: int) -> np.ndarray:
    """A smooth random path of mean 0 and standard deviation 1."""
    steps = np.convolve(random.normal(size=frames + 4 * width), np.hanning(width), "same")[2 * width : 2 * width + frames]
    return (steps - steps.mean()) / steps.std()


def blurred(random: np.random.Generator, sd: float) -> np.ndarray:
    """Texture between 0 and 1."""
    image = cv2.GaussianBlur(random.normal(size=(SIZE, SIZE)), (0, 0), sd)
    return (image - image.min()) / (image.max() - image.min())


def make_path(random: np.random.Generator) -> np.ndarray:
    """Where the parts are, (frames, parts, 2) as x, y in pixels."""
    time = np.arange(FRAMES)
    middle = SIZE / 2 + np.stack([25 * np.cos(2 * np.pi * time / 71), 23 * np.sin(2 * np.pi * time / 57)], axis=-1)
    heading = 2 * np.pi * time / 83 + 0.6 * smooth(random, FRAMES, 40)
    bend = 0.6 * smooth(random, FRAMES, 30)

    def away(angle: np.ndarray) -> np.ndarray:
        return middle + SEGMENT_PX * np.stack([np.cos(angle), np.sin(angle)], axis=-1)

    return np.stack([away(heading), middle, away(heading + np.pi + bend)], axis=1)


def make_coverings(random: np.random.Generator) -> np.ndarray:
    """Which part is covered when, (frames, parts)."""
    covered = np.zeros((FRAMES, len(PARTS)), bool)
    for start in np.linspace(4, FRAMES - 16, COVERINGS).astype(int):
        covered[start : start + int(random.integers(*COVERED_FRAMES)), random.integers(len(PARTS))] = True
    return covered


def draw(path: np.ndarray, covered: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The video, (frames, rows, columns, 3), RGB of 8 bits."""
    floor = np.repeat((0.3 + 0.3 * blurred(random, 2.0))[..., None], 3, axis=2)
    leaf = np.repeat((0.3 + 0.3 * blurred(random, 2.0))[..., None], 3, axis=2)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    frames = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)

    def distance2(place: np.ndarray) -> np.ndarray:
        return (columns - place[0]) ** 2 + (rows - place[1]) ** 2

    for t, places in enumerate(path):
        image = floor.copy()
        for one, other in ((0, 1), (1, 2)):
            for share in np.linspace(0, 1, 7):
                at = share * places[one] + (1 - share) * places[other]
                image *= 1 - 0.45 * np.exp(-distance2(at) / 12)[..., None]
        for place, colour in zip(places, COLOURS, strict=True):
            blob = 0.85 * np.exp(-distance2(place) / 9)[..., None]
            image = image * (1 - blob) + blob * np.array(colour)
        for place in places[covered[t]]:
            under = 1 / (1 + np.exp((np.sqrt(distance2(place)) - LEAF_PX) / 0.5))[..., None]
            image = image * (1 - under) + under * leaf
        noisy = image + random.normal(0, 0.03, image.shape)
        frames[t] = np.clip(255 * noisy, 0, 255).astype(np.uint8)
    return frames


def table(path: np.ndarray, labelled: np.ndarray, covered: np.ndarray) -> str:
    """The labels as DeepLabCut writes them."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["scorer", "", "", *["maker"] * 2 * len(PARTS)])
    rows.writerow(["bodyparts", "", "", *(name for name in PARTS for _ in "xy")])
    rows.writerow(["coords", "", "", *["x", "y"] * len(PARTS)])
    for frame in labelled:
        points = np.where(covered[frame][:, None], np.nan, path[frame]).ravel()
        rows.writerow(["labeled-data", "crawler", f"img{frame:03d}.png", *("" if v != v else f"{v:.2f}" for v in points)])
    return text.getvalue()


def encoded(frames: np.ndarray) -> bytes:
    """The video as MJPG in an .avi."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "crawler.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (SIZE, SIZE))
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
        return path.read_bytes()


def make_project(target: Path) -> None:
    """Write the project to a .zip and the truth beside it."""
    random = np.random.default_rng(SEED)
    path, covered = make_path(random), make_coverings(random)
    frames = draw(path, covered, random)
    labelled = np.sort(random.choice(FRAMES, LABELLED, replace=False))
    files = {"config.yaml": CONFIG.encode(), "videos/crawler.avi": encoded(frames)}
    files["labeled-data/crawler/CollectedData_maker.csv"] = table(path, labelled, covered).encode()
    for frame in labelled:
        _, image = cv2.imencode(".png", np.ascontiguousarray(frames[frame][..., ::-1]))
        files[f"labeled-data/crawler/img{frame:03d}.png"] = image.tobytes()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(f"crawler-maker/{name}", (2026, 1, 1, 0, 0, 0)), body)
    np.savez_compressed(
        target.with_name("crawler_truth.npz"), path=path.astype(np.float32), covered=covered, labelled=labelled
    )


if __name__ == "__main__":
    make_project(HERE / "crawler.zip")
    print((HERE / "crawler.zip").stat().st_size, "bytes")
