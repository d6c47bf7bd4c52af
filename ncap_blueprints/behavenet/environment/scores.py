"""How good a fit is: shares of explained variance. It must not know the network."""

from __future__ import annotations

import numpy as np


def r2(truth: np.ndarray, estimate: np.ndarray, seen: np.ndarray | None = None) -> float | None:
    """1 - sum (truth - estimate)^2 / sum (truth - mean of each column)^2, all columns together; rows are frames.

    `seen` (bool, like `truth`): values that count. None for values without variance.
    """
    counts = np.ones(truth.shape, bool) if seen is None else seen
    held = np.where(counts, truth.astype(np.float64), 0)
    mean = held.sum(0) / np.maximum(counts.sum(0), 1)
    variance = float((np.where(counts, held - mean, 0) ** 2).sum())
    error = float((np.where(counts, held - estimate, 0) ** 2).sum())
    return 1 - error / variance if variance > 0 else None


def linear_r2(
    values: np.ndarray, targets: np.ndarray, *, fitted: np.ndarray, judged: np.ndarray, ridge: float = 1e-6
) -> np.ndarray:
    """R2 of each column of `targets` from a linear map of `values`, fitted on frames `fitted`, on frames `judged`."""
    design = np.concatenate([values, np.ones((len(values), 1))], 1).astype(np.float64)
    own = design[fitted]
    weights = np.linalg.solve(own.T @ own + ridge * np.eye(own.shape[1]), own.T @ targets[fitted])
    estimate = design[judged] @ weights
    found = [r2(targets[judged][:, [column]], estimate[:, [column]]) for column in range(targets.shape[1])]
    return np.array([np.nan if value is None else value for value in found])
