"""Which components are cells: signal to noise of the trace, the footprint seen in the movie, its size; and dF/F.

After the tests of Giovannucci et al. 2019, eLife 8:e38173 (without their neural network). It must not change a
component.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from field import Tile, bands
from model import Model, Readable, Settings, centres, image_of
from scipy import ndimage, sparse, special

RADII = (0.35, 3.0)
"""Of a cell at half its height, in units of its expected size (a Gaussian's is 1.18)."""
MOST_EVENT_FRAMES = 500


@dataclass(frozen=True)
class Quality:
    """One value a cell: `snr`, `r` (correlation), `radius` at half height in pixels, and the verdict."""

    snr: np.ndarray
    r: np.ndarray
    radius: np.ndarray
    accepted: np.ndarray


def judge(
    field: Readable,
    tiles: Sequence[Tile],
    model: Model,
    settings: Settings,
    *,
    inside: np.ndarray,
    min_snr: float,
    rval_thr: float,
) -> Quality:
    """Test every cell of a fitted model; one whose centre is not `inside` (rows, columns, bool) is not accepted."""
    cells = range(model.A.shape[1])
    window = max(1, round(settings.decay_frames))
    snr = np.array([event_snr(model.raw[k], model.traces[k].noise, window=window) for k in cells])
    r = event_correlations(field, tiles, model, settings)
    radius = np.array([_radius(image_of(model.A[:, [k]], field.shape)[0]) for k in cells])
    low, high = (factor * float(np.sqrt(np.prod(settings.cell_sd))) for factor in RADII)
    accepted = (snr >= min_snr) & (r >= rval_thr) & (radius >= low) & (radius <= high)
    row, column = centres(model.A, field.shape[1]).round().astype(int).T
    accepted &= inside[row, column]
    return Quality(snr, r, radius, accepted.astype(bool))


def event_snr(raw: np.ndarray, noise: float, *, window: int) -> float:
    """The best transient in units of noise: of `window` successive frames, how unlikely they are under noise alone.

    The mean log-probability that Gaussian noise is at least as high, as the height of one frame of that probability.
    """
    if noise <= 0:
        return 0.0
    logs = special.log_ndtr(-raw / noise)
    sums = np.convolve(logs, np.ones(window) / window, mode="valid")
    return float(-special.ndtri_exp(sums.min()))


def event_correlations(field: Readable, tiles: Sequence[Tile], model: Model, settings: Settings) -> np.ndarray:
    """For each cell: its footprint against the mean image of its events, all other components subtracted.

    Events are the frames in which its calcium is highest, a tenth of the movie at most; the mean of its quiet frames is
    subtracted. A footprint fitted to noise or to the rest of a neighbour is not seen again in such an image.
    """
    contrast = _contrasts(model.C)
    # What the model says the images are, but for the cell itself.
    change_of_cells, change_of_background = model.C @ contrast.T, model.f @ contrast.T
    np.fill_diagonal(change_of_cells, 0)
    A, b = model.A.tocsr(), model.b.tocsr()
    boxes = [_box(model.A[:, [k]], field.shape, settings.cell_sd) for k in range(model.A.shape[1])]
    sums, products = np.zeros((len(boxes), 5)), np.zeros(len(boxes))
    for band in (band for tile in tiles for band in bands(tile, field.frames)):
        which = [k for k, box in enumerate(boxes) if _overlap(box, band)]
        if not which:
            continue
        pixels = band.pixels(field.shape[1])
        movie = field.read(band.rows, band.columns).reshape(-1, field.frames)
        seen = movie @ contrast[which].T.astype(np.float32)
        seen = seen - A[pixels] @ change_of_cells[:, which] - b[pixels] @ change_of_background[:, which]
        footprints = A[pixels][:, which].toarray()
        rows, columns = np.divmod(pixels, field.shape[1])
        for place, k in enumerate(which):
            (top, bottom), (left, right) = boxes[k]
            inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
            x, y = footprints[inside, place], seen[inside, place]
            sums[k] += (len(x), x.sum(), y.sum(), x @ x, y @ y)
            products[k] += x @ y
    count, x, y, xx, yy = sums.T
    sizes = (xx - x * x / count) * (yy - y * y / count)
    return np.where(sizes > 0, (products - x * y / count) / np.sqrt(np.maximum(sizes, 1e-30)), 0)


def _contrasts(C: np.ndarray) -> np.ndarray:
    """Weights of frames, (cells, frames): the mean of a cell's events less that of its quiet frames."""
    cells, frames = C.shape
    events = min(MOST_EVENT_FRAMES, max(1, frames // 10))
    quiet = max(1, frames // 4)
    weights = np.zeros((cells, frames))
    for k in range(cells):
        order = np.argsort(-C[k], kind="stable")
        weights[k, order[:events]] = 1 / events
        weights[k, order[-quiet:]] -= 1 / quiet
    return weights


def _box(
    column: sparse.csc_array, shape: tuple[int, ...], cell_sd: tuple[float, float]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The rows and columns of a footprint and one cell size round it."""
    image, *corner = image_of(column, shape)
    sides = [
        (max(0, first - int(np.ceil(sd))), min(size, first + length + int(np.ceil(sd))))
        for first, length, size, sd in zip(corner, image.shape, shape, cell_sd, strict=True)
    ]
    return sides[0], sides[1]


def _overlap(box: tuple[tuple[int, int], tuple[int, int]], band: Tile) -> bool:
    return all(
        low < own.stop and own.start < high for (low, high), own in zip(box, (band.rows, band.columns), strict=True)
    )


def _radius(image: np.ndarray) -> float:
    """Of a disc as large as the part of a footprint above half its height, in pixels."""
    smooth = ndimage.median_filter(np.pad(image, 1), size=3)
    return float(np.sqrt((smooth > 0.5 * smooth.max()).sum() / np.pi))


def dff(model: Model, *, quantile: float, window: int, raised_by: float) -> np.ndarray:
    """(F - F0) / (F0 + background) of every cell, (cells, frames); NaN where that is not positive.

    F is the trace with its residual, F0 its running percentile, background the fluorescence of b f seen through the
    footprint, a_k' b f / |a_k|^2, in the units of the trace.
    """
    squares = model.A.multiply(model.A).sum(axis=0)
    mixing = (model.A.T @ model.b).toarray() / squares[:, None]
    lift = raised_by * model.A.sum(axis=0) / squares
    result = np.full(model.C.shape, np.nan)
    for k, raw in enumerate(model.raw):
        floor = running_percentile(raw, quantile=quantile, window=window)
        below = floor + running_percentile(mixing[k] @ model.f, quantile=quantile, window=window) - lift[k]
        below += model.traces[k].baseline
        good = below > 0
        result[k, good] = (raw - floor)[good] / below[good]
    return result


def running_percentile(values: np.ndarray, *, quantile: float, window: int) -> np.ndarray:
    """A slow floor: percentiles of half-overlapping windows, linear between their middles."""
    if window >= len(values):
        return np.full(len(values), np.percentile(values, quantile))
    starts: Sequence[int] = [*range(0, len(values) - window, max(1, window // 2)), len(values) - window]
    levels = [np.percentile(values[start : start + window], quantile) for start in starts]
    return np.interp(np.arange(len(values)), [start + window / 2 for start in starts], levels)
