"""How well a fitted system predicts what it has not seen: the next time point, and a channel from the others.

All scores are R2 over all channels together, in units of the scaled channels. It must not fit anything.
"""

from __future__ import annotations

import numpy as np
from lds import Gaussians, Model


def held_out_channels_r2(y: np.ndarray, filtered: Gaussians, model: Model, *, first: int) -> float | None:
    """R2 of channels the smoother did not see, from row ``first`` on: each quarter of the channels from the others.

    Chance level is about 0 (the mean of the fitted part). None without held-out rows, or with fewer channels left
    than latents.
    """
    channels = np.arange(y.shape[1])
    rows = y[first:]
    if not 0 < first < len(y) or len(channels) * 3 // 4 <= model.C.shape[1]:
        return None
    before = filtered.means[first - 1], filtered.covariances[first - 1]
    start = model.A @ before[0], model.A @ before[1] @ model.A.T + model.Q
    predicted = np.zeros_like(rows)
    for quarter in range(4):
        hidden = channels % 4 == quarter
        seen = Model(model.A, model.C[~hidden], model.Q, model.R[np.ix_(~hidden, ~hidden)], *start)
        latents = seen.smoothed(rows[:, ~hidden])
        predicted[:, hidden] = latents.means @ model.C[hidden].T
    return r2(rows, predicted)


def r2(y: np.ndarray, predicted: np.ndarray) -> float | None:
    """1 - sum (y - predicted)^2 / sum (y - mean of y)^2 over what is not missing, all channels together."""
    seen = np.isfinite(y)
    count = np.maximum(seen.sum(axis=0), 1)
    filled = np.where(seen, y, 0.0)
    variance = float((np.where(seen, filled - filled.sum(axis=0) / count, 0.0) ** 2).sum())
    if not variance > 0:
        return None
    return 1 - float((np.where(seen, filled - predicted, 0.0) ** 2).sum()) / variance


def forecast_r2(y: np.ndarray, filtered: Gaussians, model: Model, *, first: int) -> dict[str, float | None] | None:
    """R2 of one-step-ahead forecasts from row ``first`` on, of the model and of two baselines.

    Baselines: the last observed value of each channel (persistence), and the mean of the fitted part. None without
    held-out rows.
    """
    if not 0 < first < len(y):
        return None
    rows = y[first:]
    last_seen = np.maximum.accumulate(np.where(np.isfinite(y), np.arange(len(y))[:, None], 0), axis=0)
    carried = np.nan_to_num(np.take_along_axis(y, last_seen, axis=0))
    return {
        "model": r2(rows, filtered.means[first - 1 : -1] @ (model.C @ model.A).T),
        "persistence": r2(rows, carried[first - 1 : -1]),
        "mean": r2(rows, np.broadcast_to(np.nan_to_num(column_means(y[:first])), rows.shape)),
    }


def column_means(y: np.ndarray) -> np.ndarray:
    """Mean of each channel over what is not missing; NaN where nothing is."""
    seen = np.isfinite(y)
    with np.errstate(invalid="ignore"):
        return np.where(seen, y, 0.0).sum(axis=0) / np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
