"""The corrected movie on scratch, read by parts of the field, and the tiles a large field is worked on in.

Pixels are numbered row by row. A movie of any length or size passes through memory one block at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np

CHUNK_SIDE = 32
FRAMES_AT_ONCE = 256
BAND_BYTES = 256_000_000
"""Of a movie, read at once by an update."""


class Field:
    """A movie (frames, rows, columns), float32, in an HDF5 file whose chunks are compact in space and in time."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self._file = h5py.File(path, "w")
        chunk = (min(shape[0], FRAMES_AT_ONCE), min(shape[1], CHUNK_SIDE), min(shape[2], CHUNK_SIDE))
        self._data = self._file.create_dataset("movie", shape, np.float32, chunks=chunk)
        self.frames = shape[0]
        self.shape = shape[1:]
        self.raised_by = 0.0
        """Added to every value that is read, so that a movie around zero can be a sum of non-negative parts."""

    def write(self, start: int, frames: np.ndarray) -> None:
        """Put frames (n, rows, columns) at `start`."""
        self._data[start : start + len(frames)] = frames

    def read(self, rows: slice, columns: slice, *, every: int = 1) -> np.ndarray:
        """A part of the field, (rows, columns, frames); `every` > 1: the means of so many frames each."""
        count = self.frames // every
        part = np.empty((rows.stop - rows.start, columns.stop - columns.start, count), np.float32)
        step = max(1, FRAMES_AT_ONCE // every)
        for start in range(0, count, step):
            stop = min(start + step, count)
            block = self._data[start * every : stop * every, rows, columns]
            if every > 1:
                block = block.reshape(stop - start, every, *block.shape[1:]).mean(1)
            part[..., start:stop] = np.moveaxis(block, 0, -1)
        if self.raised_by:
            part += np.float32(self.raised_by)
        return part

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class ArrayField:
    """The same for a part of a field that is in memory, (rows, columns, frames)."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self.frames = values.shape[2]
        self.shape = values.shape[:2]

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """All frames of a part of the field: (rows, columns, frames)."""
        return self._values[rows, columns]


@dataclass(frozen=True)
class Tile:
    """A part of a field. `rows`, `columns`: its own pixels, in no other tile; `outer`: with a margin, to find cells."""

    rows: slice
    columns: slice
    outer: tuple[slice, slice]

    def pixels(self, width: int) -> np.ndarray:
        """Numbers of its own pixels in a field `width` columns wide."""
        return np.add.outer(
            np.arange(self.rows.start, self.rows.stop) * width, np.arange(self.columns.start, self.columns.stop)
        ).ravel()


def bands(tile: Tile, frames: int) -> Iterator[Tile]:
    """A tile's own pixels, so many rows at a time that a movie of so many frames passes through memory."""
    step = max(1, BAND_BYTES // (4 * frames * (tile.columns.stop - tile.columns.start)))
    for top in range(tile.rows.start, tile.rows.stop, step):
        rows = slice(top, min(top + step, tile.rows.stop))
        yield Tile(rows, tile.columns, (rows, tile.columns))


def tiles_of(shape: tuple[int, ...], *, side: int, margin: int) -> tuple[Tile, ...]:
    """Tiles of about `side` pixels that cover a field."""

    def parts(length: int) -> list[tuple[slice, slice]]:
        edges = np.linspace(0, length, max(1, round(length / side)) + 1).round().astype(int).tolist()
        return [
            (slice(low, high), slice(max(0, low - margin), min(length, high + margin))) for low, high in pairwise(edges)
        ]

    return tuple(
        Tile(rows, columns, (outer_rows, outer_columns))
        for rows, outer_rows in parts(shape[0])
        for columns, outer_columns in parts(shape[1])
    )
