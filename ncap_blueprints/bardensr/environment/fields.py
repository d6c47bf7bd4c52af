"""A whole field of view: gains from its brightest tile, then every tile with them, edges overlapping.

Tiles keep the memory to (barcodes x tile) numbers whatever the size of the field. It must not read files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from model import Fit, fit_tile
from rolonies import Rolony, find_rolonies


@dataclass(frozen=True)
class Tile:
    """A part of a field. `row`, `column`: where it is fitted; `inner`: the rows and columns whose rolonies are its."""

    row: slice
    column: slice
    inner: tuple[slice, slice]


def tiles_of(rows: int, columns: int, *, size: int, margin: int) -> tuple[Tile, ...]:
    """Tiles of about `size` voxels a side that cover a field, each fitted with `margin` voxels more on every side."""

    def parts(length: int) -> list[tuple[slice, slice]]:
        count = max(1, -(-length // size))
        edges = np.linspace(0, length, count + 1).round().astype(int)
        return [
            (slice(max(0, low - margin), min(length, high + margin)), slice(low, high))
            for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        ]

    return tuple(
        Tile(row, column, (inner_row, inner_column))
        for row, inner_row in parts(rows)
        for column, inner_column in parts(columns)
    )


@dataclass(frozen=True)
class Field:
    """What was found in a field of view. `explained` is the share of the stack's variance the model gives back."""

    rolonies: list[Rolony]
    gains: np.ndarray
    frame_background: np.ndarray
    density_sum: np.ndarray
    """Density of all barcodes together, largest over slices, (rows, columns)."""
    losses: list[float]
    explained: float
    tiles: int


def fit_field(
    images: np.ndarray,
    codebook: np.ndarray,
    parameters: Mapping[str, Any],
    *,
    report: Callable[[str], None],
) -> Field:
    """Fit a normalised stack (frames, rows, columns, slices) tile by tile."""
    psf = [float(radius) for radius in parameters["psf_radius"]]
    margin = int(np.ceil(4 * max(psf[:2]))) + 2
    tiles = tiles_of(images.shape[1], images.shape[2], size=parameters["tile"], margin=margin)
    brightest = max(tiles, key=lambda tile: float(np.percentile(images[:, tile.row, tile.column], 99)))
    report(f"{len(tiles)} tile{'s' if len(tiles) > 1 else ''}; gains are fitted on the brightest.")
    options: dict[str, Any] = {
        "psf": psf,
        "l1_penalty": parameters["l1_penalty"],
        "iterations": parameters["iterations"],
    }
    first = fit_tile(
        images[:, brightest.row, brightest.column],
        codebook,
        estimate_gains=parameters["estimate_codebook_gain"],
        report=_every(report, parameters["iterations"]),
        **options,
    )
    found: list[Rolony] = []
    density_sum = np.zeros(images.shape[1:3], np.float32)
    left, total = 0.0, 0.0
    for number, (tile, fit) in enumerate(_fits(images, codebook, tiles, brightest, first, options), start=1):
        peaks = find_rolonies(
            fit.density, psf=psf, threshold=parameters["peak_threshold"], poolsize=parameters["poolsize"]
        )
        found += [moved for peak in peaks if (moved := _inside(peak, tile)) is not None]
        rows, columns = tile.inner
        own = fit.density[:, _shift(rows, tile.row), _shift(columns, tile.column)]
        density_sum[rows, columns] = own.sum(0).max(-1)
        part = images[:, tile.row, tile.column].astype(np.float64)
        left += fit.losses[-1]
        total += float(np.square(part - part.mean(axis=(1, 2, 3), keepdims=True)).sum())
        if len(tiles) > 1:
            report(f"Tile {number}/{len(tiles)}: {len(peaks)} rolonies.")
    found.sort(key=lambda it: (-it.score, it.barcode, it.row, it.column, it.slice))
    return Field(found, first.gains, first.frame_background, density_sum, first.losses, 1 - left / total, len(tiles))


def _fits(
    images: np.ndarray,
    codebook: np.ndarray,
    tiles: tuple[Tile, ...],
    brightest: Tile,
    first: Fit,
    options: Mapping[str, Any],
) -> Iterator[tuple[Tile, Fit]]:
    """Each tile with its fit; gains are a property of the microscope, so all tiles have those of the brightest."""
    for tile in tiles:
        if tile == brightest:
            yield tile, first
            continue
        part = images[:, tile.row, tile.column]
        yield tile, fit_tile(part, codebook, estimate_gains=False, gains=first.gains, **options)


def _inside(peak: Rolony, tile: Tile) -> Rolony | None:
    """A peak in the field's own coordinates; None in the margin, where a neighbour finds it."""
    row, column = peak.row + tile.row.start, peak.column + tile.column.start
    rows, columns = tile.inner
    if not (rows.start <= row < rows.stop and columns.start <= column < columns.stop):
        return None
    return replace(peak, row=row, column=column)


def _shift(inner: slice, outer: slice) -> slice:
    return slice(inner.start - outer.start, inner.stop - outer.start)


def _every(report: Callable[[str], None], iterations: int) -> Callable[[int, float], None]:
    step = max(1, iterations // 10)

    def say(iteration: int, loss: float) -> None:
        if iteration % step == 0 or iteration == iterations:
            report(f"Iteration {iteration}/{iterations}, loss {loss:.4g}")

    return say
