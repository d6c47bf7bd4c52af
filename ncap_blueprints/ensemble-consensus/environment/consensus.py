"""The consensus of an ensemble's score maps, and points from maps. Arithmetic on arrays only.

Source: Abe et al. 2022 (NeuroCAAS), formula (1): the mean over members of the sigmoid of their score maps, back
through the logit, then a softargmax. Everything is done in log-odds: the sigmoid of a logit above 37 is exactly 1 in
double precision, whose logit is infinite, and exp overflows at 710.
"""

from __future__ import annotations

import numpy as np


def mean_log_odds(logits: np.ndarray) -> np.ndarray:
    """logit(mean_i sigmoid(logits[i])) for logits (members, ...); finite wherever the logits are."""
    log_true = np.logaddexp.reduce(-np.logaddexp(0.0, -logits), axis=0)
    log_false = np.logaddexp.reduce(-np.logaddexp(0.0, logits), axis=0)
    return log_true - log_false


def softargmax(maps: np.ndarray, *, beta: float, stride: float) -> np.ndarray:
    """The expected place under softmax(beta * map) in video pixels: maps (..., rows, columns) -> (..., 2) as x, y.

    A map's cell k covers pixels k * stride to (k + 1) * stride; its place is its middle.
    """
    rows, columns = maps.shape[-2:]
    weights = np.exp(beta * (maps - maps.max(axis=(-2, -1), keepdims=True)))
    weights /= weights.sum(axis=(-2, -1), keepdims=True)
    x = weights.sum(axis=-2) @ np.arange(columns, dtype=float)
    y = weights.sum(axis=-1) @ np.arange(rows, dtype=float)
    return np.stack([x, y], axis=-1) * stride + stride / 2


def peak_probability(log_odds: np.ndarray) -> np.ndarray:
    """The largest probability in each map of log-odds (..., rows, columns)."""
    return 1 / (1 + np.exp(-np.clip(log_odds.max(axis=(-2, -1)), -700, 700)))


def rmse(points: np.ndarray, truth: np.ndarray) -> float:
    """Formula (2): the root of the summed squared error (frames, parts, 2) over the number of frames.

    It grows with the number of parts, for the sum is divided by frames only. Points without a label (NaN) add nothing.
    """
    return float(np.sqrt(np.nansum((points - truth) ** 2) / len(truth)))


def spread(members: np.ndarray, consensus: np.ndarray) -> np.ndarray:
    """How far members (members, frames, parts, 2) lie from the consensus: root mean square, pixels, (frames, parts)."""
    return np.sqrt(((members - consensus) ** 2).sum(axis=-1).mean(axis=0))


def frames_to_label(difficulty: np.ndarray, *, count: int, apart: int) -> list[int]:
    """The hardest frames, hardest first, no two nearer than `apart`: neighbours would teach the model the same."""
    chosen: list[int] = []
    for frame in np.argsort(-difficulty, kind="stable"):
        if len(chosen) == count:
            break
        if all(abs(int(frame) - other) >= apart for other in chosen):
            chosen.append(int(frame))
    return chosen
