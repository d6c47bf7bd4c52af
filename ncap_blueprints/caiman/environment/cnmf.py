"""From a corrected movie to cells: search every tile, then fit the whole field, then search what is left.

It must not read the dataset, nor judge the cells it found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from field import ArrayField, Field, Tile
from model import Model, Readable, Settings, centres, fit_footprints, fit_traces, merge, residual, start_background
from scipy import sparse
from seeds import Seed, find_seeds

SEARCHES = 3
"""Searches of a tile: of the movie, then of what the cells found so far leave over."""


def search_tile(
    movie: np.ndarray, settings: Settings, *, most: int, min_corr: float, background: int
) -> tuple[Model, int]:
    """Cells of one tile (rows, columns, frames) with their footprints in it, and how many seeds were refused."""
    field = ArrayField(movie)
    rows, columns = (slice(0, size) for size in movie.shape[:2])
    tiles = (Tile(rows, columns, (rows, columns)),)
    wide = (3 * settings.cell_sd[0], 3 * settings.cell_sd[1])
    b, f = start_background(field, tiles, background, wide)
    model = _empty(field, b, f)
    refused = 0
    for _ in range(SEARCHES):
        room = most - model.A.shape[1]
        left = residual(field, tiles[0], model)
        known = centres(model.A, movie.shape[1])
        seeds, turned_away = find_seeds(left, known, cell_sd=settings.cell_sd, most=room, min_corr=min_corr)
        refused += turned_away
        if not seeds:
            break
        _add(model, seeds)
        fit_traces(field, tiles, model, settings)
        fit_footprints(field, tiles, model, settings)
        merge(model, settings)
        fit_traces(field, tiles, model, settings)
    return model, refused


def _empty(field: Readable, b: sparse.csc_array, f: np.ndarray) -> Model:
    nothing = np.zeros((0, field.frames))
    return Model(sparse.csc_array((b.shape[0], 0)), nothing, b, f, nothing.copy(), [])


def _add(model: Model, seeds: Sequence[Seed]) -> None:
    A = np.stack([seed.footprint.ravel() for seed in seeds], axis=1).astype(float)
    C = np.stack([np.maximum(seed.trace, 0) for seed in seeds])
    model.A = sparse.hstack([model.A, sparse.csc_array(A)]).tocsc()
    model.C = np.concatenate([model.C, C])
    model.raw = np.concatenate([model.raw, C])
    model.traces = []


def fit_field(
    field: Field,
    tiles: Sequence[Tile],
    settings: Settings,
    *,
    most: int | None,
    min_corr: float,
    background: int,
    rounds: int,
    every: int,
    report: Callable[[str], None],
) -> tuple[Model, int]:
    """Cells of a whole field, and how many seeds were refused. `most`: cells a tile at most; None: no such limit.

    `every`: tiles are searched in means of so many frames; the fit is over all frames.
    """
    width = field.shape[1]
    pixels = field.shape[0] * width
    footprints, courses, b_columns, f_rows = [], [], [], []
    refused = 0
    coarse = replace(settings, decay_frames=max(settings.decay_frames / every, 0.5))
    for number, tile in enumerate(tiles, start=1):
        movie = field.read(*tile.outer, every=every)
        limit = most or 4 + int(movie.shape[0] * movie.shape[1] / (4 * settings.cell_sd[0] * settings.cell_sd[1]))
        found, turned_away = search_tile(movie, coarse, most=limit, min_corr=min_corr, background=background)
        refused += turned_away
        outer = Tile(*tile.outer, tile.outer)
        places = outer.pixels(width)
        own = _inside(found.A, tile, outer)
        footprints.append(_moved(found.A[:, own], places, pixels))
        courses.append(_stretched(found.C[own], every, field.frames))
        keep = np.isin(places, tile.pixels(width))
        b_columns.append(_moved(sparse.csc_array(found.b.toarray() * keep[:, None]), places, pixels))
        f_rows.append(_stretched(found.f, every, field.frames))
        report(f"Tile {number}/{len(tiles)}: {len(own)} cells, {turned_away} seeds refused.")
    A, C = sparse.hstack(footprints).tocsc(), np.concatenate(courses)
    model = Model(A, C, sparse.hstack(b_columns).tocsc(), np.concatenate(f_rows), C.copy(), [])
    for number in range(1, rounds + 1):
        merged = merge(model, settings)
        fit_traces(field, tiles, model, settings)
        fit_footprints(field, tiles, model, settings)
        report(f"Fit of the whole field {number}/{rounds}: {model.A.shape[1]} cells, {merged} merged.")
    merge(model, settings)
    fit_traces(field, tiles, model, settings)
    return model, refused


def _inside(A: sparse.csc_array, tile: Tile, outer: Tile) -> list[int]:
    """Cells whose centre is among a tile's own pixels; a neighbour finds those in the margin."""
    corner = np.array([outer.rows.start, outer.columns.start])
    middle = centres(A, outer.columns.stop - outer.columns.start) + corner
    low = np.array([tile.rows.start, tile.columns.start]) - 0.5
    high = np.array([tile.rows.stop, tile.columns.stop]) - 0.5
    return np.flatnonzero(((middle >= low) & (middle < high)).all(axis=1)).tolist()


def _stretched(courses: np.ndarray, every: int, frames: int) -> np.ndarray:
    """Courses over means of frames as courses over frames."""
    return np.pad(np.repeat(courses, every, axis=1), ((0, 0), (0, frames - every * courses.shape[1])), mode="edge")


def _moved(local: sparse.csc_array, places: np.ndarray, pixels: int) -> sparse.csc_array:
    """Columns over a tile's pixels as columns over those of the field."""
    entries = local.tocoo()
    return sparse.csc_array((entries.data, (places[entries.row], entries.col)), shape=(pixels, local.shape[1]))
