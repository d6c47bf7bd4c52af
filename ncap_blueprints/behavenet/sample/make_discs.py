"""Makes the sample: frames of a disc, a bar and a slider whose positions, sizes and dynamics are known.

    python make_discs.py

Four factors x = (disc's column, disc's row, bar's height, slider's length) follow one of three linear dynamics at a
time, x_t = A_k x_{t-1} + noise, and the state k follows a Markov chain. The disc's centre is the label. The height and
the length are in no label: they are what unsupervised latents have to find. Neurons fire with rates that depend on the
factors:

    counts ~ Poisson(exp(w . x / sd + b))

Needs numpy, and h5py to write the file; the same seed gives the same numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SEED = 8
TRIALS, FRAMES, SIDE = 30, 80, 32
NEURONS = 40
STAY = 0.97
"""Probability that a state lasts another frame: about 33 frames in a row."""
NOISE_SD = 2.0
"""Of a pixel, in its 256 steps."""


def rotation(period: float, keep: float) -> np.ndarray:
    """A plane's turn by a full circle in `period` frames, shrinking by `keep` a frame."""
    angle = 2 * np.pi / period
    return keep * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def dynamics() -> tuple[np.ndarray, np.ndarray]:
    """For each state the matrix (4 x 4) and the standard deviation of the noise of each factor.

    0: the disc circles; 1: bar and slider swing; 2: everything is nearly still and returns to its middle.
    """
    matrices = np.zeros((3, 4, 4))
    matrices[0, :2, :2], matrices[0, 2:, 2:] = rotation(12, 0.99), 0.9 * np.eye(2)
    matrices[1, :2, :2], matrices[1, 2:, 2:] = 0.9 * np.eye(2), rotation(-9, 0.99)
    matrices[2] = 0.97 * np.eye(4)
    noise = np.array([[0.12, 0.12, 0.2, 0.2], [0.12, 0.12, 0.2, 0.2], [0.05, 0.05, 0.05, 0.05]])
    return matrices, noise


def trajectories(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Factors (trials x frames x 4, within -1.6 to 1.6) and states (trials x frames)."""
    matrices, noise = dynamics()
    x = random.normal(size=(TRIALS, 4)) * 0.5
    state = random.integers(0, 3, TRIALS)
    factors, states = [], []
    for _ in range(FRAMES):
        leaves = random.random(TRIALS) > STAY
        state = np.where(leaves, (state + random.integers(1, 3, TRIALS)) % 3, state)
        x = np.einsum("kij,kj->ki", matrices[state], x) + random.normal(size=x.shape) * noise[state]
        factors.append(x)
        states.append(state)
    return np.clip(np.stack(factors, 1), -1.6, 1.6), np.stack(states, 1)


def render(factors: np.ndarray) -> np.ndarray:
    """Frames without noise (frames x rows x columns, 0 to 255) for frames x 4 factors."""
    column, row, height, length = (values[:, None, None] for values in np.clip(factors, -1.6, 1.6).T / 1.6)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(columns - (11 + 6 * column), rows - (12 + 6 * row))
    disc = np.clip((5.5 - distance) / 2, 0, 1)
    bar = np.clip(rows - (14 - 10 * height), 0, 1) * ((columns >= 24) & (columns < 28))
    slider = np.clip(11 + 9 * length - columns, 0, 1) * ((rows >= 26) & (rows < 30))
    return 20 + 205 * np.maximum(disc, 0.8 * np.maximum(bar, slider))


def main() -> None:
    import h5py

    random = np.random.default_rng(SEED)
    factors, states = trajectories(random)
    frames = np.stack([render(trial) for trial in factors])
    noisy = np.clip(np.round(frames + NOISE_SD * random.normal(size=frames.shape)), 0, 255).astype(np.uint8)
    labels = np.stack([11 + 6 / 1.6 * factors[..., 0], 12 + 6 / 1.6 * factors[..., 1]], -1)
    weights = random.normal(size=(4, NEURONS)) * 0.6
    counts = random.poisson(np.exp(factors / factors.std((0, 1)) @ weights + 0.3)).clip(0, 255).astype(np.uint8)
    here = Path(__file__).parent
    packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    with h5py.File(here / "discs.h5", "w") as file:
        for trial in range(TRIALS):
            name = f"trial_{trial:04d}"
            file.create_dataset(f"images/{name}", data=noisy[trial][:, None], **packed)
            file.create_dataset(f"labels/{name}", data=labels[trial].astype(np.float32))
            file.create_dataset(f"neural/{name}", data=counts[trial], **packed)
    np.savez_compressed(
        here / "discs_truth.npz",
        labels=labels.astype(np.float32),
        factors=factors.astype(np.float32),
        states=states.astype(np.uint8),
    )


if __name__ == "__main__":
    main()
