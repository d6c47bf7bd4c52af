"""Noise of each pixel, and how much of a movie is signal. Traces are (…, frames). It must not read files."""

from __future__ import annotations

import numpy as np
from scipy.fft import rfft, rfftfreq

TOP_HALF = 0.25
"""In cycles a frame: noise is read from frequencies above, where signals of indicators have little power."""


def noise_variance(traces: np.ndarray) -> np.ndarray:
    """Variance of white noise: the mean power density of the upper half of frequencies, |F|^2 / frames.

    A property of the movie, not of the model: Buchanan et al. 2018 and Pnevmatikakis et al. 2016 estimate it so.
    """
    frames = traces.shape[-1]
    spectrum = rfft(traces - traces.mean(-1, keepdims=True), axis=-1)
    high = rfftfreq(frames) > TOP_HALF
    return np.mean(np.abs(spectrum[..., high]) ** 2, axis=-1) / frames


def decibel(signal: float, noise: float) -> float | None:
    """10 log10 of two variances' ratio; None where one of them is not positive."""
    return float(10 * np.log10(signal / noise)) if signal > 0 and noise > 0 else None


def neighbour_correlation(traces: np.ndarray) -> np.ndarray:
    """Mean correlation of each pixel's trace with that of the pixel right of it and of the one below it.

    Traces (rows + 1, columns, frames) -> (rows, columns): the last row is only looked at. At the last column the pixel
    below counts alone. A picture of signal: noise of neighbours is independent.
    """
    centred = traces - traces.mean(-1, keepdims=True)
    norm = np.sqrt((centred**2).sum(-1))
    unit = centred / np.where(norm > 0, norm, np.inf)[..., None]
    below = (unit[:-1] * unit[1:]).sum(-1)
    right = below.copy()
    right[:, :-1] = (unit[:-1, :-1] * unit[:-1, 1:]).sum(-1)
    return (below + right) / 2
