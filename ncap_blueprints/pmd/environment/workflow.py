"""Penalised matrix decomposition of an imaging movie, after Buchanan et al. 2018: denoising and compression.

    python workflow.py DATA CONFIG RESULTS

DATA is a movie (.npy, .tif, .npz or .zip), CONFIG a JSON or YAML file of parameters, RESULTS a folder that exists.
Progress goes to stdout. Exit code 2 and one sentence on stderr: the data or the config cannot be used.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis_kit import InputError, Summary, load_parameters, run, say
from cores import take_cores

if TYPE_CHECKING:
    import numpy as np
    from movie import Movie
    from pmd_blocks import Tile
    from pmd_decomposition import Block, Thresholds
    from pmd_fit import Pixels
    from scipy import sparse

PREVIEW_EVERY_S = 60.0
FEW_BLOCKS = 8
"""Starting processes for fewer takes longer than the work."""


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run, with a scratch folder for a movie that has to be rewritten first."""
    cores = take_cores(os.environ)
    parameters = load_parameters(config)
    from movie import load_movie

    with tempfile.TemporaryDirectory(prefix="pmd-") as scratch:
        movie = load_movie(data, time_axis=parameters["time_axis"], scratch=Path(scratch))
        rows, columns, frames = movie.shape
        say(f"Read {data.name}: {rows} x {columns} pixels, {frames} frames of {movie.dtype[1:]}.")
        _analyse_movie(data, movie, parameters, results, cores=cores)


def _analyse_movie(data: Path, movie: Movie, parameters: dict[str, Any], results: Path, *, cores: int) -> None:
    import numpy as np
    from pmd_blocks import tiles
    from pmd_fit import NotFiniteError, measure, put_together, reduce
    from quality import assess
    from results import write_blocks, write_components, write_denoised, write_reduction

    summary = Summary(data, parameters, ("numpy", "scipy"))
    try:
        pixels = measure(movie)
    except NotFiniteError as error:
        place = "row {}, column {}".format(*error.args)
        raise InputError(
            f"Dataset {data.name}: the pixel at {place} has values that are not finite numbers or beyond 1e15."
        ) from None
    if not float(pixels.variance.max()) > 0:
        raise InputError(f"Dataset {data.name}: no pixel ever changes.")
    say(f"Noise of a pixel: median standard deviation {np.median(np.sqrt(pixels.noise)):.4g}.")
    rows, columns, frames = movie.shape
    placed = tiles(
        rows,
        columns,
        height=parameters["block_height"],
        width=parameters["block_width"],
        overlapping=parameters["overlapping"],
    )
    thresholds, found = decompose_movie(data, movie, pixels, placed, parameters, results=results, cores=cores)
    U, V = put_together(found, placed, pixels, frames)
    mixing, singular_values, Vt = reduce(U, V, most=parameters["max_reduced"])
    say(f"{len(V)} components in {len(placed)} blocks, {len(singular_values)} for the whole field of view.")
    say("Comparing the denoised movie with the movie.")
    quality = assess(movie, pixels, U, V)

    stem = str(results / f"{data.stem}_")
    write_components(stem, pixels, U=U, V=V)
    write_reduction(stem, movie, (U, mixing), singular_values, Vt)
    write_blocks(Path(stem + "blocks.csv"), placed, found)
    if parameters["denoised_movie"]:
        say("Writing the denoised movie.")
        write_denoised(Path(stem + "denoised.npy"), movie, pixels, U=U, V=V)
    draw_result(
        Path(stem + "pmd.png"),
        data.name,
        movie,
        pixels,
        parts=(U, V),
        placed=placed,
        found=found,
        thresholds=thresholds,
        quality=quality,
        singular_values=singular_values,
        frame_rate=parameters["frame_rate"],
    )
    before, after = quality.figures["snr_before_db"], quality.figures["snr_after_db"]
    if before is not None and after is not None:
        say(f"SNR {before:.1f} dB in the movie, {after:.1f} dB after.")
    stored = U.nnz + V.size
    summary.write(
        results,
        {
            "rows": rows,
            "columns": columns,
            "frames": frames,
            "blocks": len(placed),
            "components": len(V),
            "components_by_block": [block.U.shape[1] for block in found],
            "rank": len(singular_values),
            "compression": rows * columns * frames / stored if stored else None,
            "spatial_threshold": thresholds.spatial,
            "temporal_threshold": thresholds.temporal,
            **quality.figures,
            "ready_for_locanmf": "atlas.npy" in movie.extras and len(singular_values) > 0,
            "recommended": recommend(movie, parameters),
        },
    )


def decompose_movie(
    data: Path,
    movie: Movie,
    pixels: Pixels,
    placed: list[Tile],
    parameters: dict[str, Any],
    *,
    results: Path,
    cores: int,
) -> tuple[Thresholds, list[Block]]:
    """Thresholds from noise, then every block, with progress and a preview now and then."""
    from figure import draw_preview
    from pmd_decomposition import Options, Thresholds
    from pmd_fit import decompose, simulate_thresholds

    names = ("max_components", "consec_failures", "max_iters_main", "tol", "spatial_penalty", "temporal_penalty")
    options = Options(**{name: parameters[name] for name in names})
    shape, frames = (placed[0].height, placed[0].width), movie.shape[2]
    processes = min(cores, len(placed)) if len(placed) >= FEW_BLOCKS else 1
    seed = parameters["seed"]
    spatial, temporal = parameters["spatial_thresh"], parameters["temporal_thresh"]
    if spatial is None or temporal is None:
        say(f"Simulating {parameters['num_sims']} blocks of noise for the thresholds, {processes} at a time.")
        seeds = range(seed * 1_000_003 + 500_000, seed * 1_000_003 + 500_000 + parameters["num_sims"])
        simulated = simulate_thresholds(shape, frames, options, seeds=seeds, processes=processes)
        spatial = simulated.spatial if spatial is None else spatial
        temporal = simulated.temporal if temporal is None else temporal
    thresholds = Thresholds(spatial, temporal)
    say(f"Thresholds: spatial {spatial:.4g}, temporal {temporal:.4g}. {len(placed)} blocks of {shape[0]} x {shape[1]}.")
    found: list[Block] = []
    said = shown = time.monotonic()
    every = max(1, len(placed) // 20)
    blocks = decompose(movie, pixels, placed, thresholds=thresholds, options=options, seed=seed, processes=processes)
    for block in blocks:
        found.append(block)
        now = time.monotonic()
        if len(found) % every == 0 or now - said > 10:
            said = now
            say(f"Block {len(found)}/{len(placed)}: {sum(it.U.shape[1] for it in found)} components.")
        if now - shown > PREVIEW_EVERY_S:
            shown = now
            draw_preview(results / f"{data.stem}_pmd.png", movie.shape[:2], placed, found)
    return thresholds, found


def draw_result(
    path: Path, name: str, movie: Movie, pixels: Pixels, *, parts: tuple[sparse.csr_array, np.ndarray], **shown: Any
) -> None:
    """Hand the picture what it shows: traces of the pixels with most signal, some way apart."""
    import numpy as np
    from figure import Drawing, draw

    say("Drawing the picture.")
    U, V = parts
    rows, columns, frames = movie.shape
    order = np.argsort(-(pixels.variance - pixels.noise), axis=None, kind="stable")
    apart = max(2, min(rows, columns) // 6)
    chosen: list[tuple[int, int]] = []
    for place in order[:200_000].tolist():
        row, column = divmod(place, columns)
        if all(max(abs(row - other[0]), abs(column - other[1])) >= apart for other in chosen):
            chosen.append((row, column))
        if len(chosen) == 3:
            break
    values = movie.values()
    examples = [
        (row, column, values[row, column] - pixels.mean[row, column], (U[[row * columns + column]] @ V)[0])
        for row, column in chosen
    ]
    rank = len(shown["singular_values"])
    title = f"Penalised matrix decomposition of {name}: {rows} x {columns} pixels, {frames} frames, rank {rank}"
    draw(path, Drawing(title=title, examples=examples, **shown))


def recommend(movie: Movie, parameters: dict[str, Any]) -> dict[str, object]:
    """Instance type and disk for movies like this one: a block and its copies in each process, and the components."""
    rows, columns, frames = movie.shape
    gib = rows * columns * frames * 4 / 2**30
    block = min(rows, parameters["block_height"]) * min(columns, parameters["block_width"]) * frames * 4 / 2**30
    types = (("m7i.xlarge", 4, 16), ("m7i.4xlarge", 16, 64), ("m7i.16xlarge", 64, 256), ("r7i.16xlarge", 64, 512))
    wanted = 4 if gib < 2 else 16 if gib < 8 else 64
    fitting = [
        name for name, cores, memory in types if cores >= wanted and memory * 0.8 > cores * (4 * block + 0.2) + gib / 4
    ]
    return {
        "instance_type": fitting[0] if fitting else "smaller blocks",
        "disk_gib": 20 + math.ceil(3 * gib),
        "movie_gib": round(gib, 2),
    }


if __name__ == "__main__":
    sys.exit(run(analyse))
