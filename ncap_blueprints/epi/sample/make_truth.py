"""Finds the true distributions of greatest entropy for the two samples. `python make_truth.py`; numpy.

Of all distributions with E[T(z)] = mu the one of greatest entropy is p*(z) = exp(eta.T(z)) / Z over the bounds (an
exponential family; Bittner et al. 2021, section 4.1.3). For few parameters eta can be found without a flow: by Newton's
method on log Z(eta) - eta.mu, every expectation a sum over uniform points. The simulations here are written apart from
the analysis's own. T holds u = (f - mean) / sd and u^2 - 1, so mu is 0. Writes truth.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SEED = 5


def oscillator(points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Real part (1/s) and frequency (Hz) of the leading eigenvalue, by numpy's general solver."""
    values = np.linalg.eigvals(points.reshape(-1, 2, 2))
    leading = np.where(values.imag.any(1), values[:, 0].real, values.real.max(1))
    return np.stack([leading, np.abs(values.imag).max(1) / (2 * np.pi)], 1)


def v1_variability(points: np.ndarray, random: np.random.Generator, trials: int = 40) -> np.ndarray:
    """Standard deviation of the excitatory rate from 75 to 100 ms at half contrast, mean of the trials (Hz)."""
    connections = 0.1 * np.array(
        [
            [2.18, -1.19, -0.594, -0.229],
            [1.66, -0.651, -0.680, -0.242],
            [0.895, -5.22e-3, -1.51e-4, -0.761],
            [3.34, -2.31, -0.254, -2.52e-4],
        ]
    )
    drive = 10 * (np.array([0.416, 0.429, 0.491, 0.486]) + 0.5 * np.array([0.359, 0.403, 0, 0]))
    deviation = np.sqrt(1 + 1 / 5) * np.repeat(points, trials, axis=0)
    kept = np.exp(-0.5 / 5)
    noise = deviation * random.normal(size=deviation.shape)
    rates = random.uniform(10, 25, deviation.shape)
    total, squares = np.zeros(len(rates)), np.zeros(len(rates))
    for step in range(200):
        rates = 0.5 * rates + 0.5 * np.maximum(rates @ connections.T + drive + noise, 0) ** 2
        noise = kept * noise + np.sqrt(1 - kept**2) * deviation * random.normal(size=deviation.shape)
        if step >= 150:
            total += rates[:, 0]
            squares += rates[:, 0] ** 2
    spread = np.sqrt(np.maximum(squares / 50 - (total / 50) ** 2, 0))
    return spread.reshape(-1, trials).mean(1)[:, None]


SAMPLES: dict[str, tuple[Callable[..., np.ndarray], int, list[float]]] = {
    "oscillator": (oscillator, 6_000_000, [10, 10, 10, 10]),
    # Where the noise into E or P cells is above 0.1, the excitatory rate varies by far more than is asked.
    "v1_variability": (v1_variability, 60_000, [0.1, 0.1, 0.5, 0.5]),
}
"""Of each sample: the statistics, uniform points, and the largest parameters that have to be looked at."""


def natural_parameters(constraints: np.ndarray, log_volume: float) -> tuple[np.ndarray, float, float]:
    """eta, log Z and the effective number of points, for T - mu (points, constraints)."""
    eta = np.zeros(constraints.shape[1])
    for _ in range(100):
        exponent = constraints @ eta
        weights = np.exp(exponent - exponent.max())
        log_z = float(np.log(weights.mean()) + exponent.max())
        weights /= weights.sum()
        gradient = weights @ constraints
        if np.abs(gradient).max() < 1e-9:
            break
        hessian = (constraints * weights[:, None]).T @ constraints - np.outer(gradient, gradient)
        step = -np.linalg.solve(hessian, gradient)
        length = 1.0
        while _log_mean_exp(constraints @ (eta + length * step)) > log_z + 1e-4 * length * (gradient @ step):
            length /= 2
        eta = eta + length * step
    return eta, log_z + log_volume, float(1 / np.square(weights).sum())


def _log_mean_exp(exponent: np.ndarray) -> float:
    top = exponent.max()
    return float(np.log(np.exp(exponent - top).mean()) + top)


def main() -> None:
    truth = {}
    for name, (statistics, count, largest) in SAMPLES.items():
        asked = json.loads((HERE / f"{name}.json").read_text())
        bounds = np.array([value for value in asked["parameters"].values() if isinstance(value, list)], float)
        bounds[:, 1] = largest
        random = np.random.default_rng(SEED)
        points = random.uniform(bounds[:, 0], bounds[:, 1], (count, len(bounds)))
        found = np.concatenate([statistics(part, random) for part in np.array_split(points, max(1, count // 10_000))])
        wanted = asked["emergent_property"].values()
        mean, spread = np.array([it["mean"] for it in wanted]), np.array([it["sd"] for it in wanted])
        u = (found - mean) / spread
        constraints = np.concatenate([u, u**2 - 1], 1)
        eta, log_z, effective = natural_parameters(constraints, float(np.log(np.ptp(bounds, axis=1)).sum()))
        truth[name] = {"mean": mean.tolist(), "sd": spread.tolist(), "eta": eta.tolist(), "log_z": log_z}
        weights = np.exp(constraints @ eta)
        averages = (weights @ points / weights.sum()).round(4)
        print(f"{name}: eta {eta}, entropy {log_z:.4f} nats from {effective:.0f} effective points; means {averages}")
        edge = [weights[points[:, j] > 0.95 * largest[j]].sum() / weights.sum() for j in range(len(bounds))]
        print("  share of the distribution in the last 2.5 to 5 % of each parameter:", np.round(edge, 4))
    (HERE / "truth.json").write_text(json.dumps(truth, indent=2) + "\n")


if __name__ == "__main__":
    main()
