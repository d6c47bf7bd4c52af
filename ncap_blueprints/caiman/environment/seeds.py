"""Where cells are, to start from: greedy search of a residual movie, with tests of each seed.

The pixel with the most energy after a band-pass of the size of a cell is a seed (greedy initialisation of Pnevmatikakis
et al. 2016). It is kept if the two halves of its surroundings, the white and the black squares of a checkerboard, whose
noise is independent, agree on its trace, and if the footprint found with that trace looks like one cell. Its part is
then subtracted, and the search goes on. It must not read files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from deconvolution import noise_sd
from scipy import ndimage

WIDE = 2.5
"""The surroundings subtracted from a cell: a Gaussian this many times as wide."""
MIN_ENERGY = 0.3
"""Variance of the filtered signal at a seed, at least this share of that of the noise there."""
MIN_SHAPE = 0.4
"""Correlation of a seed's footprint with a Gaussian of the cells' size."""


@dataclass(frozen=True)
class Seed:
    """One presumed cell. `footprint` (rows, columns), zero outside its surroundings; `trace` (frames,)."""

    footprint: np.ndarray
    trace: np.ndarray


def find_seeds(
    residual: np.ndarray, known: np.ndarray, *, cell_sd: tuple[float, float], most: int, min_corr: float
) -> tuple[list[Seed], int]:
    """Seeds in `residual` (rows, columns, frames), which is used up, at most `most`; and how many the tests refused.

    `known` (cells, 2): centres of cells found before; what is left over in their middle is theirs.
    """
    rows, columns, _ = residual.shape
    residual -= residual.mean(-1, keepdims=True)
    filtered = _band_passed(residual, cell_sd)
    noise = np.maximum(np.square(noise_sd(filtered)), 1e-12)
    energy = np.square(filtered).mean(-1) / noise - 1
    open_pixels = np.ones((rows, columns), bool)
    for centre in known:
        open_pixels[_distance((centre[0], centre[1]), (rows, columns), cell_sd) <= 1] = False
    seeds: list[Seed] = []
    refused = 0
    while len(seeds) < most:
        place = np.where(open_pixels, energy, -np.inf)
        row, column = (int(index) for index in np.unravel_index(int(place.argmax()), place.shape))
        if place[row, column] < MIN_ENERGY:
            break
        box = _box((row, column), cell_sd, (rows, columns), reach=2 * WIDE)
        centre = (row - box[0].start, column - box[1].start)
        near = _distance((row, column), (rows, columns), cell_sd)
        if halves_correlation(residual[box], centre, cell_sd) < min_corr:
            open_pixels[near <= 1] = False
            refused += 1
            continue
        local = _footprint(residual[box], centre, cell_sd)
        if local is None:
            open_pixels[near <= 0.7] = False
            refused += 1
            continue
        a, c = local
        residual[box] -= (a[..., None] * c).astype(np.float32)
        whole = np.zeros((rows, columns), np.float32)
        whole[box] = a
        seeds.append(Seed(whole, c))
        # What is left at the very place is the rest of this cell, not another one.
        open_pixels[near <= 0.7] = False
        shadow = _band_passed(whole, cell_sd)
        touched = np.abs(shadow) > 1e-3 * np.abs(shadow).max()
        filtered[touched] -= (shadow[touched][:, None] * c).astype(np.float32)
        energy[touched] = np.square(filtered[touched]).mean(-1) / noise[touched] - 1
    return seeds, refused


def halves_correlation(box: np.ndarray, centre: tuple[int, int], cell_sd: tuple[float, float]) -> float:
    """Correlation over time of a cell's signal in the white and in the black squares of its surroundings.

    `box` (rows, columns, frames). Each half is a weighted sum of pixels, a Gaussian minus a wider one, weights adding
    up to zero, so that what the whole surroundings do together counts for nothing.
    """
    squared = np.square(_distance(centre, box.shape[:2], cell_sd))
    colour = np.add.outer(np.arange(box.shape[0]), np.arange(box.shape[1])) % 2
    halves = []
    for half in (0, 1):
        inner = np.where(colour == half, np.exp(-squared / 2), 0)
        outer = np.where(colour == half, np.exp(-squared / (2 * WIDE**2)), 0)
        halves.append(np.tensordot(inner / inner.sum() - outer / outer.sum(), box, 2))
    return float(np.corrcoef(halves)[0, 1]) if min(half.std() for half in halves) > 0 else 0.0


def _band_passed(images: np.ndarray, cell_sd: tuple[float, float]) -> np.ndarray:
    """Images (rows, columns[, frames]) less their surroundings, at the size of a cell."""
    still = (0.0,) * (images.ndim - 2)
    narrow = ndimage.gaussian_filter(images, (*cell_sd, *still), truncate=3)
    return narrow - ndimage.gaussian_filter(images, (*(WIDE * sd for sd in cell_sd), *still), truncate=2)


def _footprint(
    box: np.ndarray, centre: tuple[int, int], cell_sd: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rank-1 non-negative fit of a cell in its surroundings; None if what is found does not look like one."""
    distance = _distance(centre, box.shape[:2], cell_sd)
    model = np.exp(-np.square(distance) / 2)
    ring = (distance > 2.5) & (distance <= 4)
    around = box[ring].mean(0) if ring.any() else np.zeros(box.shape[-1])
    support = distance <= 2.5
    a = model * support
    for _ in range(4):
        c = np.tensordot(a, box - around, 2) / np.square(a).sum()
        c = c - np.median(c)
        if not c @ c > 0:
            return None
        a = np.where(support, np.maximum((box - around) @ c / (c @ c), 0), 0)
        if a.max() <= 0:
            return None
    if np.corrcoef(a.ravel(), model.ravel())[0, 1] < MIN_SHAPE:
        return None
    # Below a tenth of its height a footprint is noise; a cell is in one piece.
    labels, _ = ndimage.label(a > 0.1 * a.max())
    largest = labels == labels[np.unravel_index(int((a * model).argmax()), a.shape)]
    a = np.where(largest, a, 0)
    c = np.tensordot(a, box - around, 2) / np.square(a).sum()
    return a, c


def _box(
    centre: tuple[int, int], cell_sd: tuple[float, float], shape: tuple[int, int], *, reach: float
) -> tuple[slice, slice]:
    """Pixels up to `reach` times the cells' size from a centre, cut at the edges of the field."""
    sides = [
        slice(max(0, middle - int(np.ceil(reach * sd))), min(size, middle + int(np.ceil(reach * sd)) + 1))
        for middle, sd, size in zip(centre, cell_sd, shape, strict=True)
    ]
    return sides[0], sides[1]


def _distance(centre: tuple[float, float], shape: tuple[int, int], cell_sd: tuple[float, float]) -> np.ndarray:
    """Distance from a centre in units of the cells' size, (rows, columns)."""
    row, column = (np.arange(size) - middle for middle, size in zip(centre, shape, strict=True))
    return np.hypot.outer(row / cell_sd[0], column / cell_sd[1])
