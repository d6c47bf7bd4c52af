"""Denoising and compression of the corrected movie by penalised matrix decomposition (the modules of `pmd`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from correction import Corrected
from pmd_blocks import tiles
from pmd_decomposition import Options, Thresholds
from pmd_fit import decompose, measure, put_together, reduce, simulate_thresholds

MAX_ITERATIONS, TOLERANCE = 10, 5e-3
FEW_BLOCKS = 8
"""Starting processes for fewer takes longer than the work."""


@dataclass(frozen=True)
class Compressed:
    """The movie as U (rows * columns, k) times `temporal` (k, frames), strongest component first."""

    U: np.ndarray
    temporal: np.ndarray
    blocks: int
    noise_sd: np.ndarray
    """(rows, columns)"""
    variance: np.ndarray


def compress(
    movie: Corrected, parameters: Mapping[str, Any], *, cores: int, report: Callable[[str], None]
) -> Compressed:
    """Decompose block by block. `temporal` has orthogonal rows over all frames, U the movie's units."""
    rows, columns, frames = movie.shape
    pixels = measure(movie)
    placed = tiles(
        rows,
        columns,
        height=parameters["block_height"],
        width=parameters["block_width"],
        overlapping=parameters["overlapping"],
    )
    options = Options(
        max_components=parameters["max_components"],
        consec_failures=3,
        max_iters_main=MAX_ITERATIONS,
        tol=TOLERANCE,
        spatial_penalty=True,
        temporal_penalty=True,
    )
    processes = min(cores, len(placed)) if len(placed) >= FEW_BLOCKS else 1
    # Roughness is a mean over frames: a shorter piece of noise has the same, and scatters more, which is stricter.
    simulated = min(frames, parameters["window_length"])
    seed = parameters["seed"]
    report(f"Simulating {parameters['num_sims']} blocks of noise for the thresholds.")
    thresholds: Thresholds = simulate_thresholds(
        (placed[0].height, placed[0].width),
        simulated,
        options,
        seeds=range(seed * 1_000_003 + 500_000, seed * 1_000_003 + 500_000 + parameters["num_sims"]),
        processes=processes,
    )
    found = []
    for block in decompose(
        movie, pixels, placed, thresholds=thresholds, options=options, seed=seed, processes=processes
    ):
        found.append(block)
        report(f"Block {len(found)} of {len(placed)}: {sum(it.U.shape[1] for it in found)} components.")
    U, V = put_together(found, placed, pixels, frames)
    mixing, _, right = reduce(U, V, most=parameters["max_reduced"])
    return Compressed(np.asarray(U @ mixing, np.float32), right, len(placed), np.sqrt(pixels.noise), pixels.variance)
