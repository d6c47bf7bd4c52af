"""Preprocessing of a widefield recording: motion, denoising and compression, removal of the blood's signal.

    python workflow.py DATA CONFIG RESULTS

DATA is a recording (.dat, .bin, .tif, .npy or a .zip of one), CONFIG a JSON or YAML file of parameters, RESULTS a
folder that exists. Progress goes to stdout. Exit code 2 and one sentence on stderr: data or config cannot be used.

File names of the components are those clients of the predecessor and the analysis `locanmf` look for; the two that say
that all is done are written last.
"""

from __future__ import annotations

import csv
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis_kit import InputError, Summary, load_parameters, run, say
from cores import take_cores

if TYPE_CHECKING:
    import numpy as np
    from compression import Compressed
    from correction import Corrected
    from hemodynamics import Correction
    from recording import Recording


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run, with a scratch folder for the corrected movie."""
    cores = take_cores(os.environ)
    parameters = load_parameters(config)
    rate = parameters["frame_rate"] / parameters["num_channels"]
    if parameters["freq_highpass"] >= rate / 2:
        raise InputError(
            f"Config {config.name}: freq_highpass {parameters['freq_highpass']:g} Hz is not below half of the {rate:g}"
            " frames a second of one colour."
        )
    from recording import load_recording

    with tempfile.TemporaryDirectory(prefix="widefield-") as scratch:
        recording = load_recording(data, channels=parameters["num_channels"], scratch=Path(scratch))
        rows, columns = recording.frames.shape[1:]
        say(
            f"Read {data.name}: {recording.length} frames of {recording.channels} colour(s), {rows} x {columns} pixels."
        )
        _preprocess(data, recording, parameters, results, scratch=Path(scratch), cores=cores)


def _preprocess(
    data: Path, recording: Recording, parameters: dict[str, Any], results: Path, *, scratch: Path, cores: int
) -> None:
    import numpy as np
    from compression import compress
    from correction import correct
    from hemodynamics import correct_hemodynamics, high_pass

    summary = Summary(data, parameters, ("numpy", "scipy"))
    steps = parameters["analysis_selection"]
    movie = correct(
        recording,
        scratch,
        motion="motion" in steps,
        feature_px=parameters["motion_feature_px"],
        max_shift=parameters["max_shift"],
        report=say,
    )
    if not np.any(movie.values()[movie.seen]):
        raise InputError(f"Dataset {data.name}: no pixel ever changes.")
    found = compress(movie, parameters, cores=cores, report=say)
    if not found.temporal.size:
        raise InputError(f"Dataset {data.name}: nothing in it differs from noise.")
    found.U[~movie.seen.ravel()] = 0
    length, rate = recording.length, parameters["frame_rate"] / recording.channels
    colours = [found.temporal[:, start : start + length] for start in range(0, found.temporal.shape[1], length)]
    correction: Correction | None = None
    if recording.channels == 2 and "hemodynamics_compensation" in steps:
        say("Taking the blood's signal out.")
        correction = correct_hemodynamics(
            found.U, *colours, rate=rate, high_hz=parameters["freq_highpass"], low_hz=parameters["freq_lowpass"]
        )
    after = correction.temporal if correction else high_pass(colours[0], hertz=parameters["freq_highpass"], rate=rate)

    _write_shifts(results / "motion_shifts.csv", movie)
    np.save(results / "mean_frames.npy", movie.means.astype(np.float32))
    for name, content in recording.extras.items():
        (results / name).write_bytes(content)
    if correction:
        np.save(results / "rcoeffs.npy", correction.share.reshape(movie.shape[:2]).astype(np.float32))
    np.save(results / "SVTcorr.npy", np.asarray(after, np.float32))
    draw_result(results / f"{data.stem}_preprocessing.png", data.name, movie, found, correction, colours, after, rate)
    summary.write(results, figures(recording, movie, found, correction, colours, after))
    _write_components(results, found, colours, movie.shape)


def _write_components(results: Path, found: Compressed, colours: list[np.ndarray], shape: tuple[int, int, int]) -> None:
    """The components; these two files tell clients that the run is done. Time as recorded, colours in turn."""
    import numpy as np

    inturn = np.stack(colours, axis=2).reshape(len(found.temporal), -1)
    np.save(results / "reduced_temporal.npy", inturn)
    np.save(results / "reduced_spatial.npy", found.U.reshape(*shape[:2], -1))


def _write_shifts(path: Path, movie: Corrected) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("colour", "frame", "rows_px", "columns_px"))
        for colour, shifts in enumerate(movie.shifts, start=1):
            table.writerows(
                (colour, frame, f"{row:.3f}", f"{column:.3f}") for frame, (row, column) in enumerate(shifts)
            )


def figures(
    recording: Recording,
    movie: Corrected,
    found: Compressed,
    correction: Correction | None,
    colours: list[np.ndarray],
    after: np.ndarray,
) -> dict[str, object]:
    """What the summary says."""
    import numpy as np

    values = recording.frames.size * 4
    before = float((found.U @ (colours[0] @ colours[0].T) * found.U).sum())
    kept = float((found.U @ (after @ after.T) * found.U).sum())
    shares = correction.share[movie.seen.ravel()] if correction else None
    return {
        "rows": movie.shape[0],
        "columns": movie.shape[1],
        "frames_per_colour": recording.length,
        "colours": recording.channels,
        "largest_shift_px": float(np.abs(movie.shifts).max()),
        "pixels_seen": int(movie.seen.sum()),
        "blocks": found.blocks,
        "components": len(found.temporal),
        "compression": values / (4 * (found.U.size + found.temporal.size)),
        "noise_sd_median": float(np.median(found.noise_sd)),
        "blood_share_median": None if shares is None else float(np.median(shares)),
        "variance_left_by_correction": kept / before if before else None,
        "ready_for_locanmf": "atlas.npy" in recording.extras,
        "recommended": recommend(recording),
    }


def recommend(recording: Recording) -> dict[str, object]:
    """Instance type and disk for recordings like this one: the work is spread over cores, the movie lies on disk."""
    gib = recording.frames.size * 4 / 2**30
    types = (("m7i.xlarge", 1), ("m7i.4xlarge", 8), ("r7i.16xlarge", math.inf))
    return {
        "instance_type": next(name for name, most in types if gib <= most),
        "disk_gib": 30 + math.ceil(3 * gib),
        "movie_gib": round(gib, 2),
    }


def draw_result(
    path: Path,
    name: str,
    movie: Corrected,
    found: Compressed,
    correction: Correction | None,
    colours: list[np.ndarray],
    after: np.ndarray,
    rate: float,
) -> None:
    """Hand the picture what it shows: pixels that change most, some way apart."""
    import numpy as np
    from figure import Drawing, draw

    say("Drawing the picture.")
    rows, columns = movie.shape[:2]
    left = ((found.U @ (after @ after.T)) * found.U).sum(axis=1) / after.shape[1]
    chosen: list[int] = []
    for place in np.argsort(-left, kind="stable")[:200_000].tolist():
        row, column = divmod(place, columns)
        if all(
            max(abs(row - other // columns), abs(column - other % columns)) >= min(rows, columns) // 3
            for other in chosen
        ):
            chosen.append(place)
        if len(chosen) == 3:
            break
    examples = [
        (
            *divmod(place, columns),
            found.U[place] @ colours[0],
            found.U[place] @ colours[1] if len(colours) > 1 else None,
            found.U[place] @ after,
        )
        for place in chosen
    ]
    draw(
        path,
        Drawing(
            title=f"{name}: {rows} x {columns} pixels, {movie.shifts.shape[1]} frames a colour, rank {len(after)}",
            mean=movie.means[0],
            variance=left.reshape(rows, columns),
            share=correction.share.reshape(rows, columns) if correction else None,
            shifts=movie.shifts,
            examples=examples,
            rate=rate,
        ),
    )


if __name__ == "__main__":
    sys.exit(run(analyse))
