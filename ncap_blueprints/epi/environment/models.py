"""The registry of built-in models, and what a run asks of one: free parameters with bounds, statistics with moments.

A model maps parameters (samples, parameters) to statistics (samples, statistics), and gives the gradient of a loss in
its parameters from that in its statistics. No code of a user's is run: a dataset chooses from what is here. It must not
know flows or files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

PullBack = Callable[[np.ndarray], np.ndarray]
"""From the gradient of a loss in statistics (samples, statistics) to that in parameters (samples, parameters)."""

PART = 20_000
"""Trials that are simulated at once when no gradient is needed."""

SMALLEST_ROOT = 1e-3
"""Of an eigenvalue's discriminant's square root (1/s): at 0 its slope has no bound."""


class Simulate(Protocol):
    """Statistics (samples, statistics) of parameters (samples, parameters), and the way back for gradients."""

    def __call__(self, z: np.ndarray, random: np.random.Generator, trials: int) -> tuple[np.ndarray, PullBack]: ...


@dataclass(frozen=True)
class Quantity:
    """A parameter or statistic: its unit, what it is; of a parameter the usual bounds, or the value if not inferred."""

    unit: str
    meaning: str
    low: float = 0.0
    high: float = 1.0
    value: float | None = None
    least: float = -np.inf
    most: float = np.inf
    """Between which it makes sense at all."""


@dataclass(frozen=True)
class Model:
    """A model of the registry."""

    title: str
    parameters: dict[str, Quantity]
    statistics: dict[str, Quantity]
    simulate: Simulate


@dataclass(frozen=True)
class Problem:
    """What is asked: `free` names with bounds, values of the others, statistics with asked means and spreads."""

    name: str
    model: Model
    free: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    fixed: dict[str, float]
    statistics: tuple[str, ...]
    mean: np.ndarray
    spread: np.ndarray
    trials: int

    def statistics_of(self, z: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The asked statistics of free parameters, in parts, so that memory does not grow with their number."""
        part = max(1, PART // self.trials)
        return np.concatenate([self.simulate(z[at : at + part], random)[0] for at in range(0, len(z), part)])

    def simulate(self, z: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, PullBack]:
        """The asked statistics of free parameters, and the way back."""
        names = list(self.model.parameters)
        full = np.empty((len(z), len(names)))
        columns = [names.index(name) for name in self.free]
        for name, value in self.fixed.items():
            full[:, names.index(name)] = value
        full[:, columns] = z
        found, pull_back = self.model.simulate(full, random, self.trials)
        asked = [list(self.model.statistics).index(name) for name in self.statistics]

        def back(gradient: np.ndarray) -> np.ndarray:
            every = np.zeros_like(found)
            every[:, asked] = gradient
            return pull_back(every)[:, columns]

        return found[:, asked], back


def simulate_linear(z: np.ndarray, random: np.random.Generator, trials: int) -> tuple[np.ndarray, PullBack]:
    """Real part (1/s) and frequency (Hz) of the leading eigenvalue of A = [[a11, a12], [a21, a22]], dx/dt = A x.

    Equation 31 of the paper. The leading one has the greater real part or, of a conjugate pair, the positive imaginary
    part. Nothing is random in it.
    """
    a11, a12, a21, a22 = z.T
    discriminant = np.square(a11 - a22) / 4 + a12 * a21
    root = np.sqrt(np.abs(discriminant))
    turning = discriminant < 0
    statistics = np.stack([(a11 + a22) / 2 + np.where(turning, 0, root), np.where(turning, root, 0) / (2 * np.pi)], 1)

    def pull_back(gradient: np.ndarray) -> np.ndarray:
        # d root / d discriminant = +-1 / (2 root)
        slope = np.where(turning, -gradient[:, 1] / (2 * np.pi), gradient[:, 0]) / (2 * np.maximum(root, SMALLEST_ROOT))
        apart = slope * (a11 - a22) / 2
        return np.stack([gradient[:, 0] / 2 + apart, slope * a21, slope * a12, gradient[:, 0] / 2 - apart], 1)

    return statistics, pull_back


LINEAR = Model(
    "Two-dimensional linear system",
    {
        name: Quantity("1/s", f"entry {name[1]}, {name[2]} of the dynamics matrix", -10, 10)
        for name in ("a11", "a12", "a21", "a22")
    },
    {
        "real_part": Quantity("1/s", "growth rate: real part of the leading eigenvalue"),
        "frequency": Quantity("Hz", "frequency: imaginary part of the leading eigenvalue over 2 pi", least=0),
    },
    simulate_linear,
)
