"""From densities to rolonies: local maxima of the blurred density above a threshold. Lists values, draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from model import blur
from scipy import ndimage


@dataclass(frozen=True)
class Rolony:
    """One amplified molecule: its barcode, its voxel, and how bright it is in units of the brightest."""

    barcode: int
    row: int
    column: int
    slice: int
    score: float


def find_rolonies(density: np.ndarray, *, psf: Sequence[float], threshold: float, poolsize: int) -> list[Rolony]:
    """Peaks of each barcode's blurred density (barcodes, rows, columns, slices), the brightest first.

    A peak is the largest value within `poolsize` voxels and above `threshold` times the 99.9th percentile of all
    peaks' own heights, so that the threshold does not depend on how many voxels are empty.
    """
    smooth = blur(density, psf)
    window = (1, poolsize, poolsize, min(poolsize, density.shape[3]))
    peaks = (smooth == ndimage.maximum_filter(smooth, size=window, mode="constant")) & (smooth > 0)
    heights = smooth[peaks]
    if not len(heights):
        return []
    brightest = float(np.percentile(heights, 99.9))
    kept = np.argwhere(peaks & (smooth > threshold * brightest))
    found = [
        Rolony(int(j), int(row), int(column), int(level), float(smooth[j, row, column, level] / brightest))
        for j, row, column, level in kept
    ]
    return sorted(found, key=lambda it: (-it.score, it.barcode, it.row, it.column, it.slice))
