"""Makes ``synthetic_lds.csv`` and ``synthetic_truth.npz``: a recording whose latents are known.

    python make_synthetic.py

Six latents, in three independent planes, each turning at its own frequency and driven by noise, seen through random
loadings on twenty channels with independent noise:

    x[t+1] = A x[t] + w,  w ~ N(0, q I)       A: rotations by 2 pi f / fs, shrunk by exp(-1 / (fs tau))
    y[t]   = C x[t] + v,  v ~ N(0, r I)       q chosen so that each latent has variance 1

Needs numpy only; the same seed gives the same files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SEED = 7
SAMPLING_RATE_HZ = 1 / 1.89
"""That of the real recording beside it, so that one config serves both."""

FREQUENCIES_HZ = (0.01, 0.03, 0.08)
TIME_CONSTANT_S = 90.0
TIME_POINTS = 400
CHANNELS = 20
NOISE_SD = 1.0


def dynamics() -> np.ndarray:
    """A: one shrinking rotation for each frequency."""
    radius = np.exp(-1 / (SAMPLING_RATE_HZ * TIME_CONSTANT_S))
    A = np.zeros((2 * len(FREQUENCIES_HZ), 2 * len(FREQUENCIES_HZ)))
    for plane, frequency in enumerate(FREQUENCIES_HZ):
        angle = 2 * np.pi * frequency / SAMPLING_RATE_HZ
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        A[2 * plane : 2 * plane + 2, 2 * plane : 2 * plane + 2] = radius * turn
    return A


def main() -> None:
    rng = np.random.default_rng(SEED)
    A = dynamics()
    size = len(A)
    # A stationary variance of 1 under a rotation of radius rho: 1 = rho^2 + q.
    q = 1 - np.abs(np.linalg.eigvals(A)[0]) ** 2
    x = np.zeros((TIME_POINTS, size))
    x[0] = rng.normal(size=size)
    for t in range(1, TIME_POINTS):
        x[t] = A @ x[t - 1] + np.sqrt(q) * rng.normal(size=size)
    C = rng.normal(size=(CHANNELS, size))
    y = x @ C.T + NOISE_SD * rng.normal(size=(TIME_POINTS, CHANNELS))
    here = Path(__file__).parent
    header = ",".join(f"ch{i + 1:02d}" for i in range(CHANNELS))
    np.savetxt(here / "synthetic_lds.csv", y, fmt="%.4f", delimiter=",", header=header, comments="")
    np.savez_compressed(
        here / "synthetic_truth.npz",
        latents=x.astype(np.float32),
        eigenvalues=np.linalg.eigvals(A),
        frequencies_hz=np.array(FREQUENCIES_HZ),
        sampling_rate_hz=SAMPLING_RATE_HZ,
    )


if __name__ == "__main__":
    main()
