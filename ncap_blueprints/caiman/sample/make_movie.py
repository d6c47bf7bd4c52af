"""Makes ``twophoton.tif`` and ``twophoton_truth.npz``: a two-photon movie whose cells are known.

    python make_movie.py

Twenty round somata, partly overlapping, in 100 x 100 pixels and 460 frames at 30 Hz. Each fires Poisson spikes (0.5 a
second) seen through an indicator that decays with 0.4 s; a smooth, slowly changing neuropil lies over everything; the
field moves by 1.5 pixels (standard deviation, each axis); white noise has a quarter of the height of one spike at the
centre of a cell. Stored as counts: 8 for a height of 1, 60 for darkness.

    y[t] = move(A c[t] + b f[t], shift[t]) + noise,   c[t] = g c[t-1] + s[t]

Needs numpy, scipy and tifffile; the same seed gives the same movie.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter, gaussian_filter1d, shift

SEED = 11
SIDE, FRAMES, CELLS = 100, 460, 20
FRAME_RATE_HZ, DECAY_S, SPIKES_HZ = 30.0, 0.4, 0.5
NOISE_SD, JITTER_PX = 0.25, 1.5
NEAREST_PX = 9.0
"""Centres of two cells are at least this far apart: less than the width of one, so that neighbours overlap."""
COUNTS, DARK = 8.0, 60.0


def make() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The movie in counts, (frames, rows, columns), uint16, and what it was made from."""
    rng = np.random.default_rng(SEED)
    centres: list[np.ndarray] = []
    while len(centres) < CELLS:
        centre = rng.uniform(10, SIDE - 10, 2)
        if all(np.hypot(*(centre - other)) > NEAREST_PX for other in centres):
            centres.append(centre)
    row, column = np.mgrid[:SIDE, :SIDE]
    footprints = np.stack(
        [np.exp(-((row - r) ** 2 + (column - c) ** 2) / (2 * rng.uniform(2.5, 3.5) ** 2)) for r, c in centres]
    )
    footprints[footprints < 0.05] = 0
    spikes = rng.poisson(SPIKES_HZ / FRAME_RATE_HZ, (CELLS, FRAMES))
    calcium = spikes.astype(float)
    for t in range(1, FRAMES):
        calcium[:, t] += np.exp(-1 / (DECAY_S * FRAME_RATE_HZ)) * calcium[:, t - 1]
    neuropil = 1 + 1.25 * gaussian_filter(rng.normal(size=(SIDE, SIDE)), 15)
    drift = 1 + 1.33 * gaussian_filter1d(rng.normal(size=FRAMES), 20)
    still = np.einsum("kt,kij->tij", calcium, footprints) + drift[:, None, None] * neuropil
    shifts = gaussian_filter1d(rng.normal(size=(FRAMES, 2)), 2, axis=0)
    shifts = (shifts - shifts.mean(0)) * JITTER_PX / shifts.std(0)
    moved = np.stack([shift(frame, by, order=1, mode="nearest") for frame, by in zip(still, shifts, strict=True)])
    noisy = moved + NOISE_SD * rng.normal(size=moved.shape)
    movie = np.clip(np.round(DARK + COUNTS * noisy), 0, 65535).astype(np.uint16)
    truth = {
        "footprints": footprints.astype(np.float16),
        "calcium": calcium.astype(np.float32),
        "spikes": spikes.astype(np.uint8),
        "shifts": shifts.astype(np.float32),
    }
    return movie, truth


def main() -> None:
    here = Path(__file__).parent
    movie, truth = make()
    with tifffile.TiffWriter(here / "twophoton.tif") as file:
        for frame in movie:
            file.write(frame, compression="zlib", compressionargs={"level": 9}, contiguous=False, metadata=None)
    np.savez_compressed(here / "twophoton_truth.npz", **truth)


if __name__ == "__main__":
    main()
