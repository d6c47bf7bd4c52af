"""The fit of a whole movie: statistics of its pixels, thresholds from simulated noise, blocks, all put together.

Memory is bounded: bands of rows and single blocks are read; only components are kept. Work is shared by processes,
each with one thread, and the result does not depend on how many there are. It must not write results.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from pmd_blocks import Tile, blending, pyramid
from pmd_decomposition import Block, Options, Thresholds, decompose_block, noise_roughness
from pmd_noise import noise_variance
from scipy import sparse


class Movie(Protocol):
    """A movie (rows, columns, frames) that is mapped into memory, and can be sent to another process."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, frames."""

    def values(self) -> np.ndarray:
        """All of it, read only."""


LARGEST = 1e15
"""Squares of larger values leave the range of single precision."""
BAND_BYTES = 48_000_000
CONFIDENCE = 5
"""Percentile of noise's statistics that a component must stay below."""


@dataclass(frozen=True)
class Pixels:
    """Of each pixel (rows, columns): mean, variance, and variance of its noise."""

    mean: np.ndarray
    variance: np.ndarray
    noise: np.ndarray

    @property
    def scale(self) -> np.ndarray:
        """What a pixel is divided by: its noise's standard deviation; 1 where a pixel never changes."""
        sd = np.sqrt(self.noise)
        return np.where(sd > 1e-6 * max(float(sd.max()), 1e-30), sd, 1.0).astype(np.float32)


class NotFiniteError(Exception):
    """A pixel (row, column) has a value that is not a finite number, or too large."""


def bands(shape: tuple[int, int, int]) -> Iterator[slice]:
    """Bands of at least two rows that fit into memory."""
    step = max(2, BAND_BYTES // (4 * shape[1] * shape[2]))
    edges = [*range(0, shape[0] - 1, step), shape[0]]
    for start, stop in pairwise(edges):
        yield slice(start, stop)


def measure(movie: Movie) -> Pixels:
    """One pass over the movie. Raises NotFiniteError with the place of the first value that is no number."""
    values = movie.values()
    mean, variance, noise = (np.zeros(movie.shape[:2]) for _ in range(3))
    for band in bands(movie.shape):
        traces = values[band].astype(np.float32)
        wrong = ~(np.abs(traces).max(-1) < LARGEST)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise NotFiniteError(int(row) + band.start, int(column))
        mean[band] = traces.mean(-1, dtype=np.float64)
        traces -= mean[band][..., None].astype(np.float32)
        variance[band] = (traces**2).mean(-1, dtype=np.float64)
        noise[band] = noise_variance(traces)
    return Pixels(mean, variance, noise)


def share_out(work: Callable[[Any], Any], tasks: Iterable[Any], *, processes: int) -> Iterator[Any]:
    """Results in the order of the tasks."""
    if processes <= 1:
        yield from map(work, tasks)
        return
    # A fresh interpreter each: a copy of one with threads in it may hang.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, tasks)


def _simulate(seed: int, *, shape: tuple[int, int], frames: int, options: Options) -> tuple[float, float]:
    return noise_roughness(shape, frames, options, seed=seed)


def simulate_thresholds(
    shape: tuple[int, int], frames: int, options: Options, *, seeds: Iterable[int], processes: int
) -> Thresholds:
    """The 5th percentile of both statistics over blocks of white noise as large as the movie's."""
    work = partial(_simulate, shape=shape, frames=frames, options=options)
    found = np.array(list(share_out(work, seeds, processes=processes)))
    spatial, temporal = np.percentile(found, CONFIDENCE, axis=0)
    return Thresholds(float(spatial), float(temporal))


Task = tuple[int, Tile, np.ndarray, np.ndarray]


def _decompose(task: Task, *, movie: Movie, thresholds: Thresholds, options: Options) -> Block:
    seed, tile, mean, scale = task
    traces = (movie.values()[tile.slices].astype(np.float32) - mean[..., None]) / scale[..., None]
    Y = np.ascontiguousarray(traces.reshape(-1, movie.shape[2]))
    return decompose_block(Y, (tile.height, tile.width), thresholds, options, seed=seed)


def decompose(
    movie: Movie,
    pixels: Pixels,
    placed: list[Tile],
    *,
    thresholds: Thresholds,
    options: Options,
    seed: int,
    processes: int,
) -> Iterator[Block]:
    """Every block's components, in the order of the blocks."""
    mean, scale = pixels.mean.astype(np.float32), pixels.scale
    tasks = (
        (seed * 1_000_003 + number, tile, mean[tile.slices], scale[tile.slices]) for number, tile in enumerate(placed)
    )
    work = partial(_decompose, movie=movie, thresholds=thresholds, options=options)
    yield from share_out(work, tasks, processes=processes)


def put_together(
    found: list[Block], placed: list[Tile], pixels: Pixels, frames: int
) -> tuple[sparse.csr_array, np.ndarray]:
    """U (rows * columns, K) sparse, in the movie's units, and V (K, frames): movie = mean + U V.

    A block's components are weighted with its pyramid over the sum of all pyramids.
    """
    rows, columns = pixels.mean.shape
    total = blending(rows, columns, placed)
    number = np.arange(rows * columns, dtype=np.int64).reshape(rows, columns)
    values, at, component = [np.zeros(0, np.float32)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    count = 0
    for tile, block in zip(placed, found, strict=True):
        weight = pyramid(tile.height, tile.width) / total[tile.slices] * pixels.scale[tile.slices]
        for u in block.U.T:
            values.append(weight.ravel() * u)
            at.append(number[tile.slices].ravel())
            component.append(np.full(u.size, count))
            count += 1
    places = (np.concatenate(at), np.concatenate(component))
    U = sparse.csr_array((np.concatenate(values), places), shape=(rows * columns, count), dtype=np.float32)
    U.eliminate_zeros()
    V = np.concatenate([np.zeros((0, frames), np.float32), *(block.V for block in found)])
    return U, V


def reduce(U: sparse.csr_array, V: np.ndarray, *, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The singular value decomposition of U V without making it: (M, s, Vt) with U M the left part times s.

    Vt (k, frames) has orthonormal rows, U M has columns of norm s: U V = (U M) Vt. From the eigenvectors of
    R (U'U) R' with V' = Q R', or of V'(U'U)V if there are fewer frames than components. `most` 0: all.
    """
    if U.shape[1] == 0:
        return np.zeros((0, 0), np.float32), np.zeros(0), np.zeros((0, V.shape[1]), np.float32)
    inner = (U.T @ U).toarray().astype(np.float64)
    wide = V.astype(np.float64)
    if len(V) <= V.shape[1]:
        Q, R = np.linalg.qr(wide.T)
        power, rotation = np.linalg.eigh(R @ inner @ R.T)
        right = (Q @ rotation).T
    else:
        power, rotation = np.linalg.eigh(wide.T @ inner @ wide)
        right = rotation.T
    order = np.argsort(power)[::-1]
    s = np.sqrt(np.maximum(power[order], 0))
    count = int((s > 1e-5 * s[0]).sum())
    count = min(count, most) if most else count
    right = right[order[:count]]
    right *= np.sign(right[np.arange(count), np.abs(right).argmax(1)])[:, None]
    return (wide @ right.T).astype(np.float32), s[:count], right.astype(np.float32)
