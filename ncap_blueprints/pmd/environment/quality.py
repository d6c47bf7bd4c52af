"""How good a decomposition is, measured on the movie itself: one pass over raw, denoised and left-over traces.

Memory is bounded: bands of rows. It must not change the decomposition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from movie import Movie
from pmd_fit import Pixels, bands
from pmd_noise import decibel, neighbour_correlation, noise_variance
from scipy import sparse


@dataclass(frozen=True)
class Quality:
    """Images (rows, columns) of each pixel's correlation with its neighbours, and figures for the whole movie."""

    raw: np.ndarray
    denoised: np.ndarray
    residual: np.ndarray
    figures: dict[str, float | None]


def assess(movie: Movie, pixels: Pixels, U: sparse.csr_array, V: np.ndarray) -> Quality:
    """Compare the movie with mean + U V.

    `snr_before_db`, `snr_after_db`: variance of signal over that of noise, all pixels together, noise read from the
    upper half of frequencies of the raw and of the denoised movie. `residual_to_noise`: variance of what was taken
    away over that of the noise; 1 if noise and nothing else was taken away.
    """
    rows, columns, _ = movie.shape
    values = movie.values()
    raw, denoised, residual = (np.zeros((rows, columns)) for _ in range(3))
    variance, left, remaining = (np.zeros((rows, columns)) for _ in range(3))
    for band in bands(movie.shape):
        # One row more, for the neighbours below; below the last row of all stands the one above it.
        stop = min(band.stop + 1, rows)
        traces = values[band.start : stop].astype(np.float32)
        traces -= pixels.mean[band.start : stop, :, None].astype(np.float32)
        model = (U[band.start * columns : stop * columns] @ V).reshape(traces.shape)
        own = slice(0, band.stop - band.start)
        variance[band] = model[own].var(-1, dtype=np.float64)
        remaining[band] = noise_variance(model[own])
        left[band] = (traces[own] - model[own]).var(-1, dtype=np.float64)
        if stop == band.stop:
            traces, model = (np.concatenate([both, both[-2:-1]]) for both in (traces, model))
        raw[band] = neighbour_correlation(traces)
        denoised[band] = neighbour_correlation(model)
        residual[band] = neighbour_correlation(traces - model)
    signal = float((pixels.variance - pixels.noise).sum())
    noise = float(pixels.noise.sum())
    figures = {
        "snr_before_db": decibel(signal, noise),
        "snr_after_db": decibel(float((variance - remaining).sum()), float(remaining.sum())),
        "residual_to_noise": float(left.sum()) / noise if noise > 0 else None,
        "neighbour_correlation_raw": float(raw.mean()),
        "neighbour_correlation_denoised": float(denoised.mean()),
        "neighbour_correlation_residual": float(residual.mean()),
    }
    return Quality(raw, denoised, residual, figures)
