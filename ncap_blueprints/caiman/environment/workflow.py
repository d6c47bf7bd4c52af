"""Two-photon source extraction by constrained non-negative matrix factorisation, after CaImAn.

    python workflow.py DATA CONFIG RESULTS

DATA is a movie (.tif, .zip of it, .npy, .h5), CONFIG a JSON or YAML file of parameters, RESULTS a folder that exists.
Progress goes to stdout. Exit code 2 and one sentence on stderr: data or config cannot be used.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from analysis_kit import InputError, Summary, load_parameters, run, say
from movie import Movie, open_movie

if TYPE_CHECKING:
    from estimates import Estimates
    from field import Field

SAMPLE_BYTES = 500_000_000
"""Frames the template is made from, as float32, at most."""
BLOCK_BYTES = 256_000_000
SEARCH_BYTES = 400_000_000
"""A tile that is searched, at most; the search keeps a few copies of it."""
WHOLE_SIDE = 128
"""A field no longer on a side than this is one tile unless patches are asked for."""


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run: read, stand still, find, fit, judge, write."""
    parameters = load_parameters(config)
    summary = Summary(data, parameters, ("numpy", "scipy", "h5py", "tifffile"))
    with tempfile.TemporaryDirectory(prefix="caiman-") as scratch:
        movie = open_movie(data, hdf5_name=parameters["var_name_hdf5"], scratch=Path(scratch))
        frames, rows, columns = movie.shape
        say(f"Read {data.name}: {frames} frames of {rows} x {columns} pixels.")
        _check_room(movie, Path(scratch))

        # The libraries take a second to import; what is wrong with the form of the input is said before.
        from field import Field

        field = Field(Path(scratch) / "corrected.h5", movie.shape)
        try:
            found, counts = _find(movie, field, parameters, results / f"{data.stem}_preview.png")
        finally:
            field.close()
    _write(data, results, found, parameters)
    quality = found.quality
    summary.write(
        results,
        {
            "frames": frames,
            "pixels": [rows, columns],
            "components": len(quality.snr),
            "accepted": int(quality.accepted.sum()),
            **counts,
            "median_snr": np.median(quality.snr[quality.accepted]) if quality.accepted.any() else None,
            "median_r": np.median(quality.r[quality.accepted]) if quality.accepted.any() else None,
            "shift_sd_px": found.shifts.std(0),
            "largest_shift_px": np.abs(found.shifts).max(),
            "cells_without_dff": int((~np.isfinite(found.dff).all(axis=1)).sum()),
            "recommended": recommend(movie),
        },
    )


def _check_room(movie: Movie, scratch: Path) -> None:
    need, free = 4 * int(np.prod(movie.shape, dtype=np.int64)), shutil.disk_usage(scratch).free
    if need > free:
        raise InputError(
            f"Dataset {movie.name}: its corrected copy takes {need / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; set"
            " __dataset_size__."
        )


def _find(movie: Movie, field: Field, parameters: Mapping[str, Any], preview: Path) -> tuple[Estimates, dict[str, Any]]:
    from cnmf import fit_field
    from estimates import Estimates
    from field import tiles_of
    from figure import draw_preview
    from images import correlation_image
    from model import Settings
    from quality import dff, judge
    from rigid_motion import always_seen

    shifts, mean = stand_still(movie, field, parameters)
    cell_sd = (float(parameters["gSig"][0]), float(parameters["gSig"][1]))
    rf = parameters["rf"] or (WHOLE_SIDE if max(field.shape) <= WHOLE_SIDE else int(np.ceil(11 * max(cell_sd))))
    tiles = tiles_of(field.shape, side=2 * rf, margin=parameters["stride"])
    settings = Settings(
        cell_sd,
        parameters["p"],
        parameters["decay_time"] * parameters["fr"],
        parameters["merge_thr"],
        parameters["s_min"],
    )
    correlation = correlation_image(field, tiles, slow_frames=max(10, round(10 * settings.decay_frames)))
    draw_preview(preview, movie.name, mean=mean, correlation=correlation)
    largest = max((t.outer[0].stop - t.outer[0].start) * (t.outer[1].stop - t.outer[1].start) for t in tiles)
    every = parameters["tsub"] or max(1, -(-4 * largest * field.frames // SEARCH_BYTES))
    say(
        f"Searching {len(tiles)} tile{'s' if len(tiles) > 1 else ''}"
        + (f", means of {every} frames" if every > 1 else "")
    )
    model, refused = fit_field(
        field,
        tiles,
        settings,
        most=parameters["K"],
        min_corr=parameters["min_corr"],
        background=parameters["nb"],
        rounds=parameters["refine_rounds"],
        every=min(every, max(1, field.frames // 50)),
        report=say,
    )
    quality = judge(
        field,
        tiles,
        model,
        settings,
        inside=always_seen(shifts, field.shape),
        min_snr=parameters["min_SNR"],
        rval_thr=parameters["rval_thr"],
    )
    say(f"{int(quality.accepted.sum())} of {len(quality.snr)} components are accepted as cells.")
    courses = dff(
        model,
        quantile=parameters["quantile_min"],
        window=parameters["frames_window"],
        raised_by=field.raised_by,
    )
    counts = {"tiles": len(tiles), "search_every": every, "seeds_refused": refused, "raised_by": field.raised_by}
    return Estimates(model, quality, courses, shifts, correlation, mean, field.shape), counts


def stand_still(movie: Movie, field: Field, parameters: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Move every frame to the template and write it to the field; shifts (frames, 2) and the mean (rows, columns)."""
    from rigid_motion import batches_of, estimate_shifts, move_back, refine_template

    frames, rows, columns = movie.shape
    dark = np.float32(parameters["dark_level"])
    correct = parameters["motion_correct"]
    if correct:
        count = int(np.clip(SAMPLE_BYTES // (4 * rows * columns), 20, 1000))
        sample = np.concatenate(
            [movie.read(t, t + 1) for t in np.unique(np.linspace(0, frames - 1, count).astype(int))]
        )
        cell_sd, reach = tuple(parameters["gSig"]), tuple(parameters["max_shifts"])
        template = refine_template(sample, cell_sd=cell_sd, max_shifts=reach)
        say(f"Template from {len(sample)} frames.")
    shifts, total, flat = np.zeros((frames, 2)), np.zeros((rows, columns)), True
    told = 0
    for start, block in movie.blocks(int(np.clip(BLOCK_BYTES // (4 * rows * columns), 8, 256))):
        flat = flat and float(block.max()) == float(block.min())
        for batch in batches_of(len(block), (rows, columns)):
            if correct:
                own = slice(start + batch.start, start + batch.stop)
                shifts[own] = estimate_shifts(block[batch], template)
                block[batch] = move_back(block[batch], shifts[own])
        block = block - dark
        total += block.sum(0, dtype=float)
        field.write(start, block)
        done = (start + len(block)) / frames
        if done >= told / 10:
            say(f"Motion: {done:.0%} of the frames.")
            told = int(done * 10) + 1
    if flat:
        raise InputError(f"Dataset {movie.name}: every frame has one value everywhere.")
    mean = total / frames
    if mean.min() <= 0:
        # Non-negative parts cannot add up to less than nothing.
        field.raised_by = float(mean.std() - mean.min()) or 1.0
        say(f"The movie's mean is not positive everywhere; it is raised by {field.raised_by:.4g} for the fit.")
    return shifts, mean


def _write(data: Path, results: Path, found: Estimates, parameters: Mapping[str, Any]) -> None:
    from estimates import write_arrays, write_estimates, write_tables
    from figure import draw_cells

    stem = str(results / f"{data.stem}_")
    write_estimates(Path(stem + "estimates.h5"), found, frame_rate_hz=parameters["fr"])
    write_arrays(stem, found)
    write_tables(stem, found)
    say("Drawing the picture.")
    limits = (parameters["min_SNR"], parameters["rval_thr"])
    draw_cells(Path(stem + "cells.png"), data.name, found, frame_rate_hz=parameters["fr"], limits=limits)


def recommend(movie: Movie) -> dict[str, object]:
    """Instance type and disk for movies like this one, with a cell in 250 pixels."""
    frames, rows, columns = movie.shape
    courses = 8 * 6 * frames * (rows * columns / 250) / 2**30
    memory = 1 + 8 * SEARCH_BYTES / 2**30 + courses
    types = (("m7i.large", 8), ("m7i.xlarge", 16), ("m7i.2xlarge", 32), ("m7i.4xlarge", 64), ("r7i.4xlarge", 128))
    fitting = [name for name, gib in types if 0.8 * gib > memory]
    values = frames * rows * columns
    disk = 20 + int(np.ceil(values * (4 + 2 * movie.bytes_per_value) / 1e9))
    return {
        "memory_gib": round(memory, 1),
        "instance_type": fitting[0] if fitting else "m7i.16xlarge",
        "disk_gb": disk,
    }


if __name__ == "__main__":
    sys.exit(run(analyse))
