"""Makes the two sample movies, whose true signal is known.

    python make_movies.py

`cells.tif`: a two-photon-like movie. 18 round cells with calcium transients (jumps that decay), a wide background that
waxes and wanes, white noise stronger than the signal.

`widefield.npz`: a widefield-like movie with an atlas of four regions, two a hemisphere (`movie`, `atlas`, `brainmask`,
`labels`), each region with a slow signal of its own that fades towards its edge, and white noise. What it becomes is a
dataset of the LocaNMF analysis.

The truth is kept as factors, `*_truth.npz`: signal = A C + offset, A (rows, columns, k), C (k, frames), in units of the
noise's standard deviation. Movies are stored with NOISE grey values a standard deviation. Needs numpy and tifffile; the
same seed gives the same files.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile

HERE = Path(__file__).parent
NOISE = 5.0
OFFSET = 200.0


def calcium(rng: np.random.Generator, count: int, frames: int, *, decay: float = 0.92) -> np.ndarray:
    """Transients: c[t] = decay c[t-1] + spike, 2% of frames with a spike."""
    spikes = rng.random((count, frames)) < 0.02
    C = np.zeros((count, frames))
    for t in range(1, frames):
        C[:, t] = decay * C[:, t - 1] + spikes[:, t]
    return C


def cells(rng: np.random.Generator, side: int = 64, frames: int = 500, count: int = 18) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:side, :side]
    centres = rng.uniform(5, side - 5, (count, 2))
    A = [np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 3.0**2)) for row, column in centres]
    A.append(np.exp(-((y - side / 2) ** 2 + (x - side / 3) ** 2) / (2 * (0.4 * side) ** 2)))
    background = np.sin(np.arange(frames) / 60) + 0.3
    return np.stack(A, -1), np.concatenate([2 * calcium(rng, count, frames), background[None]])


def smooth(rng: np.random.Generator, count: int, frames: int, *, width: float = 6.0) -> np.ndarray:
    """Independent slow signals of variance 1: white noise under a Gaussian of `width` frames."""
    window = np.exp(-0.5 * (np.arange(-30, 31) / width) ** 2)
    traces = np.stack([np.convolve(rng.normal(size=frames + 60), window, "valid") for _ in range(count)])
    return (traces - traces.mean(1, keepdims=True)) / traces.std(1, keepdims=True)


def widefield(rng: np.random.Generator, side: int = 40, frames: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, C and the atlas: +1 +2 on the left, -1 -2 on the right, 0 outside of the brain."""
    y, x = np.mgrid[:side, :side]
    inside = ((y - side / 2 + 0.5) / (0.47 * side)) ** 2 + ((x - side / 2 + 0.5) / (0.45 * side)) ** 2 < 1
    atlas = np.where(x < side / 2, 1, -1) * np.where(y < 0.45 * side, 1, 2) * inside
    A = []
    for label in (1, 2, -1, -2):
        row, column = np.argwhere(atlas == label).mean(0)
        A.append(np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * (0.14 * side) ** 2)) * inside)
    return np.stack(A, -1), smooth(rng, 4, frames), atlas.astype(np.int16)


def with_noise(rng: np.random.Generator, A: np.ndarray, C: np.ndarray) -> np.ndarray:
    """Grey values, uint16 (rows, columns, frames)."""
    signal = A @ C
    return np.round(OFFSET + NOISE * (signal + rng.normal(size=signal.shape))).clip(0, 65535).astype(np.uint16)


def main() -> None:
    rng = np.random.default_rng(3)
    A, C = cells(rng)
    movie = with_noise(rng, A, C)
    # Grey values under 255 or so: their upper byte is packed to nothing.
    tifffile.imwrite(HERE / "cells.tif", np.moveaxis(movie, -1, 0), compression="zlib", predictor=False, metadata=None)
    np.savez_compressed(HERE / "cells_truth.npz", A=A.astype(np.float32), C=C.astype(np.float32), noise=NOISE)

    A, C, atlas = widefield(rng)
    labels = [
        {"acronym": f"{name}{side}", "label": sign * number}
        for number, name in ((1, "MO"), (2, "VIS"))
        for sign, side in ((1, "_left"), (-1, "_right"))
    ]
    np.savez_compressed(
        HERE / "widefield.npz",
        movie=with_noise(rng, A, 1.5 * C),
        atlas=atlas,
        brainmask=atlas != 0,
        labels=np.array(json.dumps(labels)),
    )
    np.savez_compressed(HERE / "widefield_truth.npz", A=A.astype(np.float32), C=(1.5 * C).astype(np.float32), noise=NOISE)


if __name__ == "__main__":
    main()
