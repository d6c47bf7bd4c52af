"""Makes the sample recordings: spikes of a population whose rates are known.

    python make_lorenz.py

Follows the synthetic examples of Sussillo et al. 2016, section 4, and Pandarinath et al. 2018. Trials of a condition
start near one point on the Lorenz attractor, each a little off, so that chaos drives them apart and their mean says
little about one of them:

    dx/dt = 10 (y - x),  dy/dt = x (28 - z) - y,  dz/dt = x y - 8/3 z        (fourth-order Runge-Kutta)
    rate of neuron i in a bin = b_i exp(w_i . (x, y, z) / sd);  spikes ~ Poisson(rate)

Needs numpy, and h5py for the file; the same seed gives the same numbers.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

SEED = 3
CONDITIONS, REPEATS = 20, 20
BINS, NEURONS = 60, 30
STEP = 0.02
"""Time of the attractor in a bin; it is integrated in a tenth of that."""
SPREAD = 1.5
"""Standard deviation of the starts of a condition; the attractor is about 8 wide."""


def flow(state: np.ndarray) -> np.ndarray:
    """The Lorenz system's derivative; `state` (..., 3)."""
    x, y, z = np.moveaxis(state, -1, 0)
    return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], -1)


def advance(state: np.ndarray, time: float, steps: int = 10) -> np.ndarray:
    """Runge-Kutta of fourth order."""
    h = time / steps
    for _ in range(steps):
        a = flow(state)
        b = flow(state + h / 2 * a)
        c = flow(state + h / 2 * b)
        state = state + h / 6 * (a + 2 * b + 2 * c + flow(state + h * c))
    return state


def trajectories(random: np.random.Generator) -> np.ndarray:
    """Trials x bins x 3, mean 0 and variance 1 over all."""
    starts = advance(random.normal(size=(CONDITIONS, 3)) * 8 + (0, 0, 25), 20.0, 4000)
    state = np.repeat(starts, REPEATS, 0) + SPREAD * random.normal(size=(CONDITIONS * REPEATS, 3))
    path = []
    for _ in range(BINS):
        path.append(state)
        state = advance(state, STEP)
    latents = np.stack(path, 1)
    return (latents - latents.mean((0, 1))) / latents.std((0, 1))


def main() -> None:
    random = np.random.default_rng(SEED)
    latents = trajectories(random).astype(np.float32)
    weights = random.normal(size=(3, NEURONS)) * 0.45
    base = random.uniform(0.08, 0.2, NEURONS)
    rates = (base * np.exp(latents @ weights)).astype(np.float32)
    spikes = random.poisson(rates).astype(np.uint8)
    conditions = np.repeat(np.arange(CONDITIONS), REPEATS)
    here = Path(__file__).parent
    with h5py.File(here / "lorenz.h5", "w") as file:
        packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
        file.create_dataset("spikes", data=spikes, **packed)
        file.create_dataset("conditions", data=conditions.astype(np.uint8))
        file.create_dataset("truth", data=rates.astype(np.float16), **packed)
    np.savez_compressed(
        here / "lorenz_truth.npz",
        latents=latents,
        weights=weights.astype(np.float32),
        base=base.astype(np.float32),
        spikes=spikes,
        conditions=conditions,
    )


if __name__ == "__main__":
    main()
