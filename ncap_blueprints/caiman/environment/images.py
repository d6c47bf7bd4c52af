"""Images of a whole field from its corrected movie: local correlation. It must not hold the movie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from field import Field, Tile, bands
from scipy import ndimage

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Half of the eight; the other half are the same pairs."""


def correlation_image(field: Field, tiles: Sequence[Tile], *, slow_frames: int) -> np.ndarray:
    """Mean correlation of every pixel with its eight neighbours over time, (rows, columns).

    What changes more slowly than `slow_frames` is subtracted, so that drift of the neuropil does not hide cells.
    """
    rows, columns = field.shape
    total, count = np.zeros((rows, columns)), np.zeros((rows, columns))
    for band in (band for tile in tiles for band in bands(tile, field.frames)):
        outer = (
            slice(max(0, band.rows.start - 1), min(rows, band.rows.stop + 1)),
            slice(max(0, band.columns.start - 1), min(columns, band.columns.stop + 1)),
        )
        movie = field.read(*outer)
        movie -= ndimage.uniform_filter1d(movie, min(slow_frames, field.frames), axis=-1, mode="nearest")
        movie /= np.maximum(movie.std(-1, keepdims=True), 1e-9)
        sums, pairs = np.zeros(movie.shape[:2]), np.zeros(movie.shape[:2])
        for down, right in NEIGHBOURS:
            here = (slice(None, -down or None), slice(max(0, -right), -right if right > 0 else None))
            there = (slice(down, None), slice(max(0, right), right if right < 0 else None))
            product = np.einsum("ijt,ijt->ij", movie[here], movie[there]) / field.frames
            for side in (here, there):
                sums[side] += product
                pairs[side] += 1
        inside = tuple(
            slice(own.start - o.start, own.stop - o.start)
            for own, o in zip((band.rows, band.columns), outer, strict=True)
        )
        total[band.rows, band.columns] = sums[inside]
        count[band.rows, band.columns] = pairs[inside]
    return total / np.maximum(count, 1)
