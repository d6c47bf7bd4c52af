"""Makes the two sample fields of view: known rolonies, blurred, coloured, noisy. `python make_fields.py`; numpy, scipy.

Written from the model of Chen et al. 2021 (see README); the seed makes the files the same every time.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
from scipy import ndimage

HERE = Path(__file__).parent
ROUNDS, CHANNELS, SIDE = 7, 4, 80
FIELDS = {"sparse": (150, 60, 0.05, 11), "crowded": (400, 60, 0.25, 12)}
"""Rolonies, barcodes, noise (in units of a rolony's height), seed."""


def make_codebook(barcodes: int, random: np.random.Generator) -> np.ndarray:
    """(frames, barcodes): one channel a round, any two barcodes differ in at least three rounds."""
    chosen: list[np.ndarray] = []
    while len(chosen) < barcodes:
        word = random.integers(0, CHANNELS, ROUNDS)
        if all((word != other).sum() >= 3 for other in chosen):
            chosen.append(word)
    codebook = np.zeros((ROUNDS * CHANNELS, barcodes), np.uint8)
    for index, word in enumerate(chosen):
        codebook[np.arange(ROUNDS) * CHANNELS + word, index] = 1
    assert all((codebook[:, a] != codebook[:, b]).any() for a, b in combinations(range(barcodes), 2))
    return codebook


def make_field(rolonies: int, barcodes: int, noise: float, seed: int) -> dict[str, np.ndarray]:
    """One field of view and its truth."""
    random = np.random.default_rng(seed)
    codebook = make_codebook(barcodes, random)
    truth = np.column_stack(
        [random.integers(0, barcodes, rolonies), random.integers(3, SIDE - 3, (rolonies, 2))]
    ).astype(np.int32)
    density = np.zeros((barcodes, SIDE, SIDE))
    np.add.at(density, tuple(truth.T), random.uniform(0.7, 1.3, rolonies))
    gains = random.uniform(0.6, 1.4, ROUNDS * CHANNELS)
    peak = ndimage.gaussian_filter(np.eye(1, 81 * 81, 40 * 81 + 40).reshape(81, 81), 1.5).max()
    blurred = ndimage.gaussian_filter(density, (0, 1.5, 1.5)) / peak
    tissue = 0.3 * ndimage.gaussian_filter(random.normal(size=(SIDE, SIDE)), 12)
    tissue = 0.15 * (tissue - tissue.min()) / np.ptp(tissue)
    images = np.tensordot(codebook * gains[:, None], blurred, 1) + tissue + random.uniform(0, 0.1, (len(gains), 1, 1))
    images += noise * random.normal(size=images.shape)
    stored = np.clip(images * 8000 + 2000, 0, 65535).astype(np.uint16)
    return {"imagestack": stored, "codebook": codebook, "truth": truth, "gains": gains.astype(np.float32)}


if __name__ == "__main__":
    for name, about in FIELDS.items():
        field = make_field(*about)
        np.savez_compressed(HERE / f"{name}.npz", imagestack=field["imagestack"], codebook=field["codebook"])
        np.savez_compressed(HERE / f"{name}_truth.npz", truth=field["truth"], gains=field["gains"])
        print(name, field["imagestack"].shape, (HERE / f"{name}.npz").stat().st_size, "bytes")
