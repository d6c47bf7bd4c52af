"""Regions of an atlas, how far each pixel is from them, and how much of a component lies in its own region.

Images are (rows, columns); lists of pixels are those of the brain mask, in its order. It must not know the video.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt


@dataclass(frozen=True)
class Regions:
    """`labels` (R) in increasing size of the number, left before right; `of_pixel` (pixels): index into it, -1: none.

    `distances` (R, pixels): distance of each pixel to a region, 0 inside, as a share of the larger side of the image.
    """

    labels: tuple[int, ...]
    of_pixel: np.ndarray
    distances: np.ndarray
    too_small: tuple[int, ...]

    def inside(self, region: int) -> np.ndarray:
        """Which pixels lie in a region."""
        return self.of_pixel == region


def find_regions(atlas: np.ndarray, mask: np.ndarray, *, min_pixels: int) -> Regions:
    """Regions with at least so many pixels in the mask."""
    found, counts = np.unique(atlas[mask & (atlas != 0)], return_counts=True)
    ordered = sorted(zip(found.tolist(), counts.tolist(), strict=True), key=lambda it: (abs(it[0]), -it[0]))
    labels = tuple(label for label, count in ordered if count >= min_pixels)
    too_small = tuple(label for label, count in ordered if count < min_pixels)
    of_pixel = np.full(int(mask.sum()), -1)
    distances = np.zeros((len(labels), len(of_pixel)), np.float32)
    for index, label in enumerate(labels):
        inside = (atlas == label) & mask
        of_pixel[inside[mask]] = index
        distances[index] = (distance_transform_edt(~inside) / max(atlas.shape))[mask]
    return Regions(labels, of_pixel, distances, too_small)


def localised_share(A: np.ndarray, owners: np.ndarray, regions: Regions) -> np.ndarray:
    """Of each component (column of A, pixels x K), the share of its energy, sum a^2, in the region that owns it."""
    own = regions.of_pixel[:, None] == owners[None, :]
    energy = A.astype(np.float64) ** 2
    return (energy * own).sum(0) / np.maximum(energy.sum(0), 1e-300)
