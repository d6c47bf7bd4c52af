"""Overlapping blocks of a field of view, and how their components are put together.

Blocks start every half block, the last one ends at the edge; all have one size, so that thresholds simulated for that
size hold for each. Where blocks overlap they are averaged with pyramid weights (Buchanan et al. 2018,
arXiv:1807.06203). It must not know what is in a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tile:
    """Where a block lies: first row and column, height and width, in pixels."""

    row: int
    column: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing an image."""
        return slice(self.row, self.row + self.height), slice(self.column, self.column + self.width)


def tiles(rows: int, columns: int, *, height: int, width: int, overlapping: bool) -> list[Tile]:
    """Blocks that cover a field of view of rows x columns pixels; a block is never larger than the field."""
    height, width = min(height, rows), min(width, columns)
    return [
        Tile(row, column, height, width)
        for row in _starts(rows, height, overlapping=overlapping)
        for column in _starts(columns, width, overlapping=overlapping)
    ]


def _starts(size: int, length: int, *, overlapping: bool) -> list[int]:
    step = max(1, length // 2) if overlapping else length
    return [*range(0, size - length, step), size - length]


def pyramid(height: int, width: int) -> np.ndarray:
    """Weights (height, width) that fall linearly from the middle of a block to its edge, nowhere 0."""
    down = np.minimum(np.arange(1, height + 1), np.arange(height, 0, -1))
    right = np.minimum(np.arange(1, width + 1), np.arange(width, 0, -1))
    return np.minimum.outer(down / down.max(), right / right.max()).astype(np.float32)


def blending(rows: int, columns: int, placed: Sequence[Tile]) -> np.ndarray:
    """Sum of the weights of all blocks at each pixel, (rows, columns)."""
    total = np.zeros((rows, columns), np.float32)
    for tile in placed:
        total[tile.slices] += pyramid(tile.height, tile.width)
    return total
