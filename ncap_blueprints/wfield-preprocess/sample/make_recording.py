"""Makes the sample: a widefield recording of two colours, signals known. `python make_recording.py`; numpy, scipy.

Four areas of a 40 x 40 field have a calcium signal each; blood (a slow change and the heart beat) dims both colours,
not everywhere by the same share; the head drifts and jitters under the camera; photons are counted. The seed makes the
files the same every time.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from scipy import ndimage

HERE = Path(__file__).parent
SIDE, FRAMES, RATE, SEED = 40, 420, 20.0, 3
"""Pixels a side; frames of each colour; frames of one colour a second."""
AREAS = {1: "MOp-L", 2: "VISp-L", -1: "MOp-R", -2: "VISp-R"}


def make_atlas() -> np.ndarray:
    """(rows, columns): four areas, the right hemisphere negative, 0 outside of the brain."""
    rows, columns = np.indices((SIDE, SIDE))
    brain = ((rows - 19.5) / 18.5) ** 2 + ((columns - 19.5) / 17.5) ** 2 < 1
    area = np.where(rows < 20, 1, 2) * np.where(columns < 20, 1, -1)
    return np.where(brain, area, 0).astype(np.int32)


def make_signals(random: np.random.Generator) -> np.ndarray:
    """(areas, frames): transients that rise at once and decay in 0.4 s, relative to the mean."""
    events = random.random((len(AREAS), FRAMES)) < 1.2 / RATE
    kernel = np.exp(-np.arange(int(2 * RATE)) / (0.4 * RATE))
    signals = [np.convolve(row * random.uniform(0.6, 1.4, FRAMES), kernel)[:FRAMES] for row in events.astype(float)]
    return 0.03 * np.array(signals)


def make_blood(random: np.random.Generator) -> np.ndarray:
    """(frames,): slow changes, and the heart at 8 Hz."""
    slow = ndimage.gaussian_filter1d(random.normal(size=FRAMES), 0.3 * RATE)
    beat = np.sin(2 * np.pi * 8 * np.arange(FRAMES) / RATE + 0.3)
    return np.asarray(0.02 * slow / slow.std() + 0.008 * beat)


def make_motion(random: np.random.Generator) -> np.ndarray:
    """(frames, 2): drift and jitter in pixels."""
    jitter = ndimage.gaussian_filter1d(random.normal(size=(FRAMES, 2)), 2, axis=0)
    drift = np.linspace(-0.8, 0.8, FRAMES)[:, None] * np.array([1.0, -0.6])
    return np.asarray(drift + 0.7 * jitter / jitter.std())


def make_recording() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Frames (n, rows, columns), colours in turn, and the truth."""
    random = np.random.default_rng(SEED)
    atlas, signals = make_atlas(), make_signals(random)
    blood, motion = make_blood(random), make_motion(random)
    vessels = ndimage.gaussian_filter(random.normal(size=(SIDE, SIDE)), 1.2)
    tissue = (
        1 + 0.25 * vessels / np.abs(vessels).max() + 0.3 * ndimage.gaussian_filter(random.normal(size=(SIDE, SIDE)), 8)
    )
    soft = np.stack([ndimage.gaussian_filter((atlas == label).astype(float), 1.5) for label in AREAS])
    share = 0.7 + 0.6 * np.linspace(0, 1, SIDE)[None, :] * np.ones((SIDE, 1))
    calcium = np.tensordot(signals.T, soft, 1)
    frames = np.empty((2 * FRAMES, SIDE, SIDE), np.uint16)
    for colour, (light, own, blood_share) in enumerate(
        ((9000, calcium, share), (7000, 0 * calcium, np.ones_like(share)))
    ):
        still = (
            light
            * tissue
            * np.where(atlas != 0, 1.0, 0.5)
            * (1 + own + blood[:, None, None] * blood_share * (atlas != 0))
        )
        moved = np.stack(
            [ndimage.shift(frame, shift, order=3, mode="nearest") for frame, shift in zip(still, motion, strict=True)]
        )
        frames[colour::2] = random.poisson(moved).astype(np.uint16)
    return frames, {"signals": signals, "motion": motion, "atlas": atlas, "share": share}


def packed(array: np.ndarray) -> bytes:
    """The array as the bytes of a .npy file."""
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


if __name__ == "__main__":
    frames, truth = make_recording()
    files = {
        f"frames_2_{SIDE}_{SIDE}_uint16.dat": frames.astype("<u2").tobytes(),
        "atlas.npy": packed(truth["atlas"]),
        "brainmask.npy": packed((truth["atlas"] != 0).astype(np.uint8)),
        "labels.json": json.dumps([{"acronym": name, "label": label} for label, name in AREAS.items()]).encode(),
    }
    with zipfile.ZipFile(HERE / "cortex.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), body, zipfile.ZIP_DEFLATED)
    kept = {name: array.astype(np.float32) for name, array in truth.items()}
    np.savez_compressed(HERE / "cortex_truth.npz", **kept)
    print((HERE / "cortex.zip").stat().st_size, "bytes")
