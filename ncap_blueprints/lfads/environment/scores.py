"""How good inferred rates are: against spikes that were not shown, against the truth if the file has it, and baselines.

It must not know the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

SMOOTHING_BINS = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 14, 20)
"""Standard deviations of the Gaussians a smoothing baseline may take, in bins."""
LEAST_RATE = 1e-9


def bits_per_spike(counts: np.ndarray, rates: np.ndarray, mean_rates: np.ndarray) -> float | None:
    """Gain in Poisson log-likelihood over each neuron's mean rate, in bits a spike (Pei et al. 2021, co-smoothing).

    (sum log p(counts; rates) - sum log p(counts; mean rates)) / (spikes ln 2). None without a spike.
    """
    spikes = counts.sum(dtype=np.float64)
    if not spikes:
        return None
    gain = _log_likelihood(counts, rates) - _log_likelihood(counts, np.broadcast_to(mean_rates, counts.shape))
    return float(gain / (spikes * math.log(2)))


def _log_likelihood(counts: np.ndarray, rates: np.ndarray) -> float:
    """Poisson, without log counts!."""
    held = np.maximum(rates.astype(np.float64), LEAST_RATE)
    return float((counts * np.log(held) - held).sum())


def r2(truth: np.ndarray, estimate: np.ndarray) -> float | None:
    """1 - sum (truth - estimate)^2 / sum (truth - mean of each neuron)^2, everything together. None for a constant."""
    truth = truth.astype(np.float64)
    variance = float(((truth - truth.mean((0, 1))) ** 2).sum())
    return 1 - float(((truth - estimate) ** 2).sum()) / variance if variance > 0 else None


def smooth(values: np.ndarray, sd_bins: float) -> np.ndarray:
    """Trials x time x neurons smoothed in time by a Gaussian, cut at the ends of a trial and brought to sum 1."""
    bins = np.arange(values.shape[1])
    kernel = np.exp(-0.5 * ((bins[:, None] - bins) / sd_bins) ** 2)
    kernel /= kernel.sum(1, keepdims=True)
    return np.asarray(np.einsum("st,ktn->ksn", kernel, values.astype(np.float64), optimize=True))


def best_smoothing(values: np.ndarray, score: Callable[[np.ndarray], float | None]) -> tuple[float | None, float]:
    """The greatest score of `values` smoothed, over all widths, and its width: more than a baseline could know."""
    tried = [(score(smooth(values, sd)), sd) for sd in SMOOTHING_BINS]
    known = [(value, sd) for value, sd in tried if value is not None]
    return max(known, default=(None, SMOOTHING_BINS[0]))


def condition_means(values: np.ndarray, conditions: np.ndarray, train: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The PSTH: for each trial in `of` the mean over training trials of its condition (of all, if there is none)."""
    everything = values[train].mean(0, dtype=np.float64)
    own = {int(kind): train[conditions[train] == kind] for kind in np.unique(conditions[of])}
    means = {kind: values[rows].mean(0, dtype=np.float64) if len(rows) else everything for kind, rows in own.items()}
    return np.stack([means[int(kind)] for kind in conditions[of]])
