"""Penalties and roughness of one spatial or one temporal component.

Spatial: the total variation of an image, TV(u) = sum |u[i+1,j] - u[i,j]| + |u[i,j+1] - u[i,j]|. Temporal: the trend
filter, |D2 v|_1 = sum |v[t-1] - 2 v[t] + v[t+1]|. Both are used in the constrained form of Buchanan et al. 2018
(arXiv:1807.06203): the smoothest component that differs from the raw one by no more than its known noise,

    min TV(u)    subject to |u - b|^2 <= r^2          min |D2 v|_1   subject to |v - b|^2 <= r^2

so no weight has to be chosen: the weight of the equivalent penalty is raised or lowered until the bound is met. It must
not know blocks or movies.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded

ROUNDS = 25
"""At most so many changes of the weight."""
NEAR = 0.02
"""The bound counts as met within this share."""
TV_STEPS = 12
TREND_STEPS = 15


def spatial_roughness(u: np.ndarray) -> float:
    """TV(u) / |u|_1 of an image (rows, columns): small for a smooth one, large for noise. Has no unit."""
    variation = np.abs(np.diff(u, axis=0)).sum() + np.abs(np.diff(u, axis=1)).sum()
    return float(variation / max(float(np.abs(u).sum()), 1e-12))


def temporal_roughness(v: np.ndarray) -> float:
    """|D2 v|_1 / |v|_1 of a trace (frames): small for a smooth one, large for noise. Has no unit."""
    return float(np.abs(np.diff(v, 2)).sum() / max(float(np.abs(v).sum()), 1e-12))


def smooth_image(b: np.ndarray, radius: float, weight: float = 1.0) -> tuple[np.ndarray, float]:
    """The image of least total variation within `radius` of `b` (rows, columns), and the weight that gave it.

    The penalised problem is solved in its dual, x = b - D'w with |w| <= weight, by accelerated projected gradient
    (Beck and Teboulle 2009); the weight is multiplied by radius / |x - b| until the bound is met (Chambolle 2004).
    """
    flat = np.full_like(b, b.mean())
    if float(np.linalg.norm(b - flat)) <= radius:
        return flat, weight
    down = np.zeros((b.shape[0] - 1, b.shape[1]), b.dtype)
    right = np.zeros((b.shape[0], b.shape[1] - 1), b.dtype)
    x = b
    for _ in range(ROUNDS):
        x, down, right = _tv_steps(b, down, right, weight)
        distance = float(np.linalg.norm(x - b))
        if abs(distance - radius) <= NEAR * radius:
            break
        change = min(max(radius / max(distance, 1e-12), 0.1), 10.0)
        weight *= change
        down, right = down * change, right * change
    return x, weight


def _tv_steps(
    b: np.ndarray, down: np.ndarray, right: np.ndarray, weight: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Some accelerated steps of the dual; 8 bounds the largest eigenvalue of D D'."""
    ahead_down, ahead_right, momentum = down, right, 1.0
    for _ in range(TV_STEPS):
        x = b - _divergence(ahead_down, ahead_right)
        next_down = np.clip(ahead_down + np.diff(x, axis=0) / 8, -weight, weight)
        next_right = np.clip(ahead_right + np.diff(x, axis=1) / 8, -weight, weight)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        share = np.float32((momentum - 1) / following)
        ahead_down = next_down + share * (next_down - down)
        ahead_right = next_right + share * (next_right - right)
        down, right, momentum = next_down, next_right, following
    return b - _divergence(down, right), down, right


def _divergence(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """D'w: the adjoint of the differences along rows and columns."""
    out = np.zeros((right.shape[0], down.shape[1]), down.dtype)
    out[1:] += down
    out[:-1] -= down
    out[:, 1:] += right
    out[:, :-1] -= right
    return out


def smooth_trace(b: np.ndarray, radius: float, weight: float = 1.0) -> tuple[np.ndarray, float]:
    """The trace of least |D2 v|_1 within `radius` of `b` (frames), and the weight that gave it.

    The penalised problem by ADMM with the step equal to the weight (Ramdas and Tibshirani 2016):
    x = (I + weight D'D)^-1 (b + weight D'(z - w)), z = soft(D x + w, 1), w = w + D x - z.
    """
    b = b.astype(np.float64)
    line = _line_through(b)
    if float(np.linalg.norm(b - line)) <= radius:
        return line, weight
    z = np.zeros(len(b) - 2)
    w = np.zeros(len(b) - 2)
    x = b
    power, last = 1.5, (0.0, 0.0)
    for _ in range(ROUNDS):
        factor = cholesky_banded(_trend_matrix(len(b), weight), lower=True, check_finite=False)
        for _ in range(TREND_STEPS):
            x = cho_solve_banded((factor, True), b + weight * _second_adjoint(z - w), check_finite=False)
            bend = np.diff(x, 2) + w
            z = np.sign(bend) * np.maximum(np.abs(bend) - 1, 0)
            w = bend - z
        distance = float(np.linalg.norm(x - b))
        if abs(distance - radius) <= NEAR * radius:
            break
        # The distance answers to the weight with an unknown power, which the last two rounds tell.
        here = (float(np.log(weight)), float(np.log(max(distance, 1e-12))))
        if here[1] != last[1] and (here[0] - last[0]) / (here[1] - last[1]) > 0:
            power = min(max((here[0] - last[0]) / (here[1] - last[1]), 1.0), 6.0)
        last = here
        weight *= min(max((radius / max(distance, 1e-12)) ** power, 0.1), 10.0)
    return x, weight


def _line_through(b: np.ndarray) -> np.ndarray:
    """The straight line nearest to a trace: what an infinite weight gives."""
    t = np.arange(len(b)) - (len(b) - 1) / 2
    return b.mean() + t * (t @ b) / (t @ t)


def _trend_matrix(size: int, weight: float) -> np.ndarray:
    """I + weight D2'D2 in the lower banded form of LAPACK, (3, size)."""
    bands = np.zeros((3, size))
    bands[0] = 6.0
    bands[0, [0, -1]] = 1.0
    bands[0, [1, -2]] = 5.0
    bands[1, :-1] = -4.0
    bands[1, [0, -2]] = -2.0
    bands[2, :-2] = 1.0
    bands *= weight
    bands[0] += 1.0
    return bands


def _second_adjoint(z: np.ndarray) -> np.ndarray:
    """D2'z."""
    out = np.zeros(len(z) + 2)
    out[:-2] += z
    out[1:-1] -= 2 * z
    out[2:] += z
    return out
