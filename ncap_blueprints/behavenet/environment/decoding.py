"""Latents from neural activity: ridge regression on the activity of the frames around (Batty et al. 2019, linear
decoder). It must not know where the latents come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RIDGES = tuple(float(10.0**power) for power in range(-1, 7))
"""Strengths that are tried, for z-scored neurons; validation trials choose."""


@dataclass(frozen=True)
class Decoder:
    """`weights`: ((2 n_lags + 1) neurons + 1) x latents; lags go from -n_lags to n_lags, constant last.

    Activity is z-scored with `mean` and `scale` before. `ridge` is the strength that was chosen.
    """

    weights: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    n_lags: int
    ridge: float

    def predict(self, neural: np.ndarray) -> np.ndarray:
        """Latents of a trial's frames (frames x latents) from its activity (frames x neurons)."""
        design = lagged((neural - self.mean) / self.scale, self.n_lags)
        return np.asarray(design @ self.weights)


def lagged(activity: np.ndarray, n_lags: int) -> np.ndarray:
    """Frames x (windows of 2 n_lags + 1 frames, nought beyond a trial's ends, and a constant)."""
    count = len(activity)
    padded = np.pad(activity, ((n_lags, n_lags), (0, 0)))
    shifted = [padded[lag : lag + count] for lag in range(2 * n_lags + 1)]
    return np.concatenate([*shifted, np.ones((count, 1))], 1)


def fit_decoder(
    neural: Sequence[np.ndarray],
    latents: Sequence[np.ndarray],
    *,
    train: Sequence[int],
    validation: Sequence[int],
    n_lags: int,
) -> Decoder:
    """The decoder fitted on the training trials; among `RIDGES` the one with the least error in validation trials."""
    seen = np.concatenate([neural[trial] for trial in train]).astype(np.float64)
    mean, spread = seen.mean(0), seen.std(0)
    scale = np.where(spread > 0, spread, 1.0)
    width = (2 * n_lags + 1) * seen.shape[1] + 1
    gram, cross = np.zeros((width, width)), np.zeros((width, latents[0].shape[1]))
    for trial in train:
        design = lagged((neural[trial] - mean) / scale, n_lags)
        gram += design.T @ design
        cross += design.T @ latents[trial]
    penalty = np.ones(width)
    penalty[-1] = 0
    tried = [
        Decoder(np.linalg.solve(gram + np.diag(ridge * penalty), cross), mean, scale, n_lags, ridge) for ridge in RIDGES
    ]

    def error(decoder: Decoder) -> float:
        return sum(float(((decoder.predict(neural[trial]) - latents[trial]) ** 2).sum()) for trial in validation)

    return min(tried, key=error)
