"""The model of a field, Y = A C + b f, and its updates over tiles: footprints, traces, background, merging.

Constrained non-negative matrix factorisation after Pnevmatikakis et al. 2016, Neuron 89:285, and Giovannucci et al.
2019, eLife 8:e38173. Every tile has its own background components, so that neuropil may differ over a field.
It must not search for cells, nor judge them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from deconvolution import Trace, deconvolve
from field import Tile, bands
from hals import update_footprints, update_traces
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

SWEEPS = 3
SAME_PLACE = 0.75
"""Cosine of two footprints above which they are one cell's, whatever their traces."""
CUT = 0.08
"""Of its height; where a footprint is lower it is not distinguished from noise and set to zero."""


class Readable(Protocol):
    """A movie that is read by parts of its field."""

    frames: int
    shape: tuple[int, ...]

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """(rows, columns, frames)."""
        ...


@dataclass(frozen=True)
class Settings:
    """What the updates need to know. `cell_sd` in pixels, `decay_frames` in frames."""

    cell_sd: tuple[float, float]
    p: int
    decay_frames: float
    merge_thr: float
    s_min: float


@dataclass
class Model:
    """A (pixels, cells) and b (pixels, background) sparse; C, S, raw (cells, frames); f (background, frames).

    `raw` is what the movie says of a cell once all others are subtracted: C plus the residual. `traces` hold baseline,
    decay and noise of each.
    """

    A: sparse.csc_array
    C: np.ndarray
    b: sparse.csc_array
    f: np.ndarray
    raw: np.ndarray
    traces: list[Trace]


def start_background(
    field: Readable, tiles: Sequence[Tile], count: int, wide: tuple[float, float]
) -> tuple[sparse.csc_array, np.ndarray]:
    """b and f of every tile: the course most pixels follow, and `count` - 1 further ones of its blurred residual."""
    width = field.shape[1]
    columns, courses = [], []
    for tile in tiles:
        movie = field.read(tile.rows, tile.columns)
        level = np.maximum(np.median(movie, axis=-1, keepdims=True), 1e-6)
        # Of the darker half of the pixels the course is mostly noise.
        bright = level[..., 0] >= np.median(level)
        course = np.median(movie[bright] / level[bright], axis=0)
        own = [course]
        if count > 1:
            step = max(1, int(min(wide)))
            coarse = ndimage.uniform_filter(movie - level * course, (step, step, 0))[::step, ::step]
            further = np.linalg.svd(coarse.reshape(-1, field.frames), full_matrices=False)[2][: count - 1]
            own += [row - row.min() for row in further]
        f = np.maximum(np.stack(own), 0)
        b = np.maximum(np.linalg.lstsq(f.T, movie.reshape(-1, field.frames).T, rcond=None)[0], 0)
        for image, row in zip(b, f, strict=True):
            columns.append((tile.pixels(width), image))
            courses.append(row)
    return _sparse(columns, field.shape[0] * width), np.stack(courses)


def _sparse(columns: list[tuple[np.ndarray, np.ndarray]], pixels: int) -> sparse.csc_array:
    """A sparse matrix from (pixel numbers, values) of each column."""
    rows = np.concatenate([places for places, _ in columns]) if columns else np.zeros(0, int)
    values = np.concatenate([values for _, values in columns]) if columns else np.zeros(0)
    which = np.repeat(np.arange(len(columns)), [len(places) for places, _ in columns])
    return sparse.csc_array((values, (rows, which)), shape=(pixels, len(columns)))


def residual(field: Readable, tile: Tile, model: Model) -> np.ndarray:
    """Y - A C - b f in a tile, (rows, columns, frames)."""
    movie = field.read(tile.rows, tile.columns)
    pixels = tile.pixels(field.shape[1])
    fitted = model.A.tocsr()[pixels] @ model.C + model.b.tocsr()[pixels] @ model.f
    return movie - fitted.reshape(movie.shape).astype(np.float32)


def fit_traces(field: Readable, tiles: Sequence[Tile], model: Model, settings: Settings) -> None:
    """Update C, f, raw and traces in place."""
    both = sparse.hstack([model.A, model.b]).tocsr()
    cells = model.A.shape[1]
    AY = np.zeros((both.shape[1], field.frames))
    for band in (band for tile in tiles for band in bands(tile, field.frames)):
        part = both[band.pixels(field.shape[1])]
        touched = np.unique(part.indices)
        movie = field.read(band.rows, band.columns).reshape(-1, field.frames)
        AY[touched] += part[:, touched].astype(np.float32).T @ movie
    everything = np.concatenate([model.C, model.f])
    traces: list[Trace] = list(model.traces) or [Trace(row, row, 0.0, (), 0.0) for row in model.C]

    def denoise(k: int, y: np.ndarray) -> np.ndarray:
        if k >= cells:
            return np.maximum(y, 0)
        traces[k] = deconvolve(y, p=settings.p, decay_frames=settings.decay_frames, s_min=settings.s_min)
        model.raw[k] = y - traces[k].baseline
        return traces[k].calcium

    update_traces(everything, AY, (both.T @ both).toarray(), denoise=denoise, sweeps=2)
    model.C, model.f, model.traces = everything[:cells], everything[cells:], traces


def fit_footprints(field: Readable, tiles: Sequence[Tile], model: Model, settings: Settings) -> None:
    """Update A and b in place; cells that come out empty are dropped."""
    cells, pixels = model.A.shape[1], model.A.shape[0]
    support = _supports(model.A, field.shape, settings.cell_sd)
    allowed = sparse.hstack([support, model.b != 0]).tocsr()
    both = sparse.hstack([model.A, model.b]).tocsr()
    everything = np.concatenate([model.C, model.f])
    parts, places = [], []
    for band in (band for tile in tiles for band in bands(tile, field.frames)):
        own = band.pixels(field.shape[1])
        which = np.unique(allowed[own].indices)
        values = both[own][:, which].toarray()
        courses = everything[which]
        movie = field.read(band.rows, band.columns).reshape(-1, field.frames)
        # A background pixel may leave zero again, so the whole tile is its support.
        mask = allowed[own][:, which].toarray() | (which >= cells)[None, :]
        update_footprints(values, movie @ courses.T.astype(np.float32), courses @ courses.T, mask, sweeps=SWEEPS)
        row, column = np.nonzero(values)
        parts.append(values[row, column])
        places.append((own[row], which[column]))
    found = sparse.csc_array(
        (np.concatenate(parts), tuple(np.concatenate(side) for side in zip(*places, strict=True))),
        shape=(pixels, both.shape[1]),
    )
    model.b = found[:, cells:]
    columns = [_cleaned(found[:, [k]], field.shape) for k in range(cells)]
    kept = [k for k, (_, values) in enumerate(columns) if len(values)]
    model.A = _sparse([columns[k] for k in kept], pixels)
    _keep(model, kept)


def _keep(model: Model, kept: Sequence[int]) -> None:
    model.C, model.raw = model.C[list(kept)], model.raw[list(kept)]
    model.traces = [model.traces[k] for k in kept] if model.traces else []


def centres(A: sparse.csc_array, width: int) -> np.ndarray:
    """Centre of mass of each footprint in a field `width` columns wide: (cells, 2), row and column."""
    total = np.maximum(A.sum(axis=0), 1e-12)
    rows, columns = np.divmod(np.arange(A.shape[0]), width)
    return np.stack([A.T @ rows / total, A.T @ columns / total], axis=1)


def image_of(column: sparse.csc_array, shape: tuple[int, ...]) -> tuple[np.ndarray, int, int]:
    """A footprint as a small image that just holds it, with the row and column of its corner."""
    rows, columns = np.divmod(column.indices, shape[1])
    top, left = int(rows.min()), int(columns.min())
    image = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1))
    image[rows - top, columns - left] = column.data
    return image, top, left


def _supports(A: sparse.csc_array, shape: tuple[int, ...], cell_sd: tuple[float, float]) -> sparse.csc_array:
    """Where each footprint may lie next: where it lies and one pixel round it, at most three cell sizes off."""
    columns = []
    for k in range(A.shape[1]):
        column = A[:, [k]]
        if not len(column.indices):
            columns.append((np.zeros(0, int), np.zeros(0, bool)))
            continue
        image, top, left = image_of(column, shape)
        wide = ndimage.binary_dilation(np.pad(image > 0, 2), iterations=2)
        row, column_ = np.nonzero(wide)
        row, column_ = row + top - 2, column_ + left - 2
        weight = column.data / column.data.sum()
        middle = [float(side @ weight) for side in np.divmod(column.indices, shape[1])]
        near = np.hypot((row - middle[0]) / cell_sd[0], (column_ - middle[1]) / cell_sd[1]) <= 3
        inside = near & (row >= 0) & (row < shape[0]) & (column_ >= 0) & (column_ < shape[1])
        columns.append((row[inside] * shape[1] + column_[inside], np.ones(int(inside.sum()), bool)))
    return _sparse(columns, A.shape[0]).astype(bool)


def _cleaned(column: sparse.csc_array, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The largest piece of a footprint above its cut; nothing if there is none of four pixels."""
    if not len(column.indices) or column.data.max() <= 0:
        return np.zeros(0, int), np.zeros(0)
    image, top, left = image_of(column, shape)
    smooth = ndimage.median_filter(image, size=3)
    labels, count = ndimage.label(smooth > CUT * smooth.max())
    if not count:
        return np.zeros(0, int), np.zeros(0)
    sums = ndimage.sum(image, labels, np.arange(1, count + 1))
    row, column_ = np.nonzero((labels == 1 + int(np.argmax(sums))) & (image > 0))
    if len(row) < 4:
        return np.zeros(0, int), np.zeros(0)
    return (row + top) * shape[1] + column_ + left, image[row, column_]


def merge(model: Model, settings: Settings) -> int:
    """Make one of cells that overlap and whose traces correlate, or that lie in one place; returns how many fewer."""
    cells = model.A.shape[1]
    if cells < 2:
        return 0
    norms = np.maximum(np.sqrt(model.A.multiply(model.A).sum(axis=0)), 1e-12)
    overlap = (model.A.T @ model.A).toarray() / np.outer(norms, norms)
    centred = model.C - model.C.mean(1, keepdims=True)
    size = np.maximum(np.linalg.norm(centred, axis=1), 1e-12)
    alike = (overlap > 0.02) & (centred @ centred.T / np.outer(size, size) > settings.merge_thr)
    alike |= overlap > SAME_PLACE
    count, group = connected_components(sparse.csr_array(alike), directed=False)
    if count == cells:
        return 0
    kept, columns = [], []
    for number in range(count):
        members = np.flatnonzero(group == number)
        strength = norms[members] * size[members]
        first = int(members[int(strength.argmax())])
        column = model.A[:, [first]]
        if len(members) > 1 and model.C[first].any():
            # The sum of their parts, as one: rank-1 fit with the strongest one's trace as the start.
            c = model.C[first]
            for _ in range(5):
                a = model.A[:, members] @ (model.C[members] @ c) / (c @ c)
                c = (model.A[:, members].T @ a) @ model.C[members] / (a @ a)
            model.C[first] = c
            model.raw[first] = (model.A[:, members].T @ a) @ model.raw[members] / (a @ a)
            column = sparse.csc_array(a[:, None])
        kept.append(first)
        columns.append(column)
    model.A = sparse.hstack(columns).tocsc()
    _keep(model, kept)
    return cells - count
