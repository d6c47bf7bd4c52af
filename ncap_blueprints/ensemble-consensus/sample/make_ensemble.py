"""Makes the sample: score maps of nine networks with known faults. `python make_ensemble.py`; needs numpy and h5py.

An animal's nose and two ears move on a smooth path in 96 x 96 pixels. Each network gives maps of 12 x 12 cells of logits:
a peak at the part, shifted by an error of its own, on noise. Now and then a network jumps to a wrong place for a
while (the glitches of the paper), and one is so sure of itself that the sigmoid of its logits is 1 in floating point.
The seed makes the files the same every time.
"""

from __future__ import annotations

import csv
import json
import zipfile
from io import BytesIO, StringIO
from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).parent
FRAMES, CELLS, STRIDE, FPS, SEED = 200, 12, 8.0, 30.0, 5
PARTS = ("nose", "left_ear", "right_ear")
NETWORKS, HELD_OUT_EVERY = 9, 4
OFF_PX, GLITCHES, GLITCH_FRAMES = 1.2, 5, 12


def smooth(random: np.random.Generator, width: int) -> np.ndarray:
    """A smooth path between -1 and 1."""
    steps = np.convolve(random.normal(size=FRAMES + 4 * width), np.hanning(width), "same")[2 * width : 2 * width + FRAMES]
    return np.asarray(steps / np.abs(steps).max())


def make_truth(random: np.random.Generator) -> np.ndarray:
    """(frames, parts, 2) in pixels."""
    centre = 48 + 26 * np.stack([smooth(random, 60), smooth(random, 60)], axis=-1)
    angle = np.pi * smooth(random, 80)
    points = []
    for distance, turn in ((12.0, 0.0), (9.0, 2.0), (9.0, -2.0)):
        points.append(centre + distance * np.stack([np.cos(angle + turn), np.sin(angle + turn)], axis=-1))
    return np.stack(points, axis=1)


def make_logits(truth: np.ndarray, random: np.random.Generator, *, gain: float) -> np.ndarray:
    """One network's maps (frames, parts, rows, columns) of its own idea of where the parts are."""
    seen = truth + np.stack([smooth(random, 15) for _ in range(6)], axis=-1).reshape(truth.shape) * OFF_PX * 2
    for _ in range(GLITCHES):
        start, part = int(random.integers(0, FRAMES - GLITCH_FRAMES)), int(random.integers(0, len(PARTS)))
        seen[start : start + GLITCH_FRAMES, part] = random.uniform(8, 88, 2)
    middle = np.arange(CELLS) * STRIDE + STRIDE / 2
    dx = middle[None, None, None, :] - seen[..., 0, None, None]
    dy = middle[None, None, :, None] - seen[..., 1, None, None]
    peak = 14 * np.exp(-(dx**2 + dy**2) / (2 * 9.0**2)) - 9
    return np.asarray(gain * (peak + 0.3 * random.normal(size=peak.shape)))


def scoremaps(logits: np.ndarray) -> bytes:
    """The file a network leaves."""
    held = BytesIO()
    with h5py.File(held, "w", libver="latest", track_order=False) as file:
        data = file.create_dataset("logits", data=logits.astype(np.float16), compression="gzip", shuffle=True)
        data.attrs["stride"] = STRIDE
        data.attrs["bodyparts"] = json.dumps(PARTS)
        data.attrs["fps"] = FPS
    return held.getvalue()


def labels(truth: np.ndarray) -> str:
    """Held-out labels of every fourth frame."""
    text = StringIO()
    table = csv.writer(text)
    table.writerow(("frame", "bodypart", "x", "y"))
    for frame in range(0, FRAMES, HELD_OUT_EVERY):
        table.writerows((frame, name, *(f"{v:.3f}" for v in truth[frame, part])) for part, name in enumerate(PARTS))
    return text.getvalue()


if __name__ == "__main__":
    random = np.random.default_rng(SEED)
    truth = make_truth(random)
    with zipfile.ZipFile(HERE / "arena.zip", "w", zipfile.ZIP_STORED) as archive:
        for number in range(1, NETWORKS + 1):
            logits = make_logits(truth, random, gain=9.0 if number == 3 else 1.0)
            files = {"arena_scoremaps.h5": scoremaps(logits), "arena_heldout.csv": labels(truth).encode()}
            for name, body in files.items():
                entry = zipfile.ZipInfo(f"model__seed-{number}/{name}", (2026, 1, 1, 0, 0, 0))
                archive.writestr(entry, body)
    np.savez_compressed(HERE / "arena_truth.npz", truth=truth.astype(np.float32))
    print((HERE / "arena.zip").stat().st_size, "bytes")
