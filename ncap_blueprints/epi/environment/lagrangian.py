"""Emergent property inference: the flow of greatest entropy whose samples have the asked property on average.

    maximise H(q)  subject to  E_q[T(z)] = mu       (Bittner et al. 2021, eLife 10:e56265, equations 18 to 25)

by the augmented Lagrangian of Loaiza-Ganem, Gao and Cunningham 2017: minimise -H + eta.R + c/2 |R|^2, R = E_q[T] - mu,
for some iterations; then eta += c R, and c grows by beta if |R| did not fall to the share gamma. For a statistic f with
asked mean m and standard deviation s, T holds u = (f - m) / s and u^2, mu holds 0 and 1: constraints without units.
It must not know the models' equations or write files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flow import Flow, log_gaussian
from models import Problem

RESAMPLES = 200
"""Estimates of the mean in the test for convergence, as in the paper."""
MAX_GRADIENT = 20.0
"""Longest gradient of one step; rare points far off would otherwise set the optimiser's scale."""


AVERAGED_FROM = 0.75
"""Share of an epoch after which its weights are averaged: what noise of the batches is left goes with it."""


@dataclass(frozen=True)
class Epoch:
    """The state after one epoch. Arrays have one entry a constraint: u of every statistic, then u^2 of every one."""

    number: int
    entropy: float
    residual: np.ndarray
    p_values: np.ndarray
    eta: np.ndarray
    c: float
    met: bool
    weights: np.ndarray


@dataclass
class Fit:
    """All epochs, the one that is used, and the course of the optimisation."""

    flow: Flow
    epochs: list[Epoch]
    chosen: Epoch
    course: list[tuple[int, float, np.ndarray]]
    """Iteration, entropy, mean and standard deviation of each statistic; from the batches."""


class Adam:
    """Kingma and Ba 2015, on one vector."""

    def __init__(self, size: int) -> None:
        self._mean, self._square, self._step = np.zeros(size), np.zeros(size), 0

    def move(self, weights: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        """Change `weights` in place."""
        self._step += 1
        self._mean += 0.1 * (gradient - self._mean)
        self._square += 0.001 * (np.square(gradient) - self._square)
        mean, square = self._mean / (1 - 0.9**self._step), self._square / (1 - 0.999**self._step)
        weights -= rate * mean / (np.sqrt(square) + 1e-8)


def constraints(statistics: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """T(z) - mu for statistics (samples, statistics): u, then u^2 - 1."""
    u = (statistics - mean) / spread
    return np.concatenate([u, np.square(u) - 1], axis=1)


def fit(
    problem: Problem,
    parameters: Mapping[str, Any],
    *,
    report: Callable[[str], None],
    after_epoch: Callable[[Fit], None] = lambda fitted: None,
) -> Fit:
    """Run all epochs; the result is the epoch of greatest entropy among those whose constraints are met."""
    random = np.random.default_rng(parameters["seed"])
    flow = Flow(
        problem.low,
        problem.high,
        stages=parameters["stages"],
        layers=parameters["layers"],
        units=parameters["units"],
        random=random,
    )
    adam = Adam(len(flow.weights))
    eta, c = np.zeros(2 * len(problem.statistics)), float(parameters["c0"])
    before = np.inf
    fitted: Fit | None = None
    for number in range(1, parameters["epochs"] + 1):
        course = _run_epoch(flow, adam, problem, parameters, multipliers=(eta, c), random=random)
        state = _judge(flow, problem, parameters, number=number, multipliers=(eta, c), random=random)
        first = (number - 1) * parameters["iterations"]
        course = [(first + iteration, entropy, moments) for iteration, entropy, moments in course]
        if fitted is None:
            fitted = Fit(flow, [state], state, course)
        else:
            fitted.epochs.append(state)
            fitted.course += course
            fitted.chosen = choose(fitted.epochs)
        length = float(np.linalg.norm(state.residual))
        report(
            f"Epoch {number}/{parameters['epochs']}: entropy {state.entropy:.3f} nats, constraints off by {length:.4f}"
            f" (least p {state.p_values.min():.2f}{', met' if state.met else ''}), c {c:g}."
        )
        after_epoch(fitted)
        eta = eta + c * state.residual
        # Below the noise of its own estimate a residual cannot fall further, and c need not grow.
        if length > parameters["gamma"] * before and not state.met:
            c *= parameters["beta"]
        before = length
    assert fitted is not None
    flow.weights[:] = fitted.chosen.weights
    return fitted


def choose(epochs: list[Epoch]) -> Epoch:
    """The epoch of greatest entropy among those that meet the constraints; else the one nearest to them."""
    met = [epoch for epoch in epochs if epoch.met]
    if met:
        return max(met, key=lambda epoch: epoch.entropy)
    return min(epochs, key=lambda epoch: float(np.linalg.norm(epoch.residual)))


def loss_gradient(
    flow: Flow, problem: Problem, x: np.ndarray, multipliers: tuple[np.ndarray, float], random: np.random.Generator
) -> tuple[np.ndarray, float, np.ndarray]:
    """Gradient of the augmented Lagrangian in the flow's weights from Gaussian points; entropy; statistics.

    The gradient of |R|^2 / 2 is a product of two expectations; each half of the batch has its R from the other half, so
    that it is not biased.
    """
    eta, c = multipliers
    z, log_det, trace = flow.forward(x)
    statistics, pull_back = problem.simulate(z, random)
    residuals = constraints(statistics, problem.mean, problem.spread)
    half = len(x) // 2
    weights = np.empty_like(residuals)
    weights[:half] = eta + c * residuals[half:].mean(0)
    weights[half:] = eta + c * residuals[:half].mean(0)
    weights /= len(x)
    count = statistics.shape[1]
    u = (statistics - problem.mean) / problem.spread
    statistics_gradient = (weights[:, :count] + 2 * u * weights[:, count:]) / problem.spread
    gradient = flow.backward(trace, pull_back(statistics_gradient), -1 / len(x))
    return gradient, float((log_det - log_gaussian(x)).mean()), statistics


def _run_epoch(
    flow: Flow,
    adam: Adam,
    problem: Problem,
    parameters: Mapping[str, Any],
    *,
    multipliers: tuple[np.ndarray, float],
    random: np.random.Generator,
) -> list[tuple[int, float, np.ndarray]]:
    course = []
    average, averaged = np.zeros_like(flow.weights), 0
    iterations, batch = parameters["iterations"], parameters["batch"]
    for iteration in range(1, iterations + 1):
        x = random.normal(size=(batch, len(problem.low)))
        gradient, entropy, statistics = loss_gradient(flow, problem, x, multipliers, random)
        length = float(np.linalg.norm(gradient))
        if not np.isfinite(length):
            continue
        # The step shrinks over an epoch, so that the multipliers are set from a flow at rest.
        rate = parameters["learning_rate"] * (1 - 0.9 * iteration / iterations)
        adam.move(flow.weights, gradient * min(1.0, MAX_GRADIENT / max(length, 1e-12)), rate)
        if iteration > AVERAGED_FROM * iterations:
            averaged += 1
            average += (flow.weights - average) / averaged
        if iteration % max(1, iterations // 20) == 0:
            course.append((iteration, entropy, np.concatenate([statistics.mean(0), statistics.std(0)])))
    flow.weights[:] = average
    return course


def _judge(
    flow: Flow,
    problem: Problem,
    parameters: Mapping[str, Any],
    *,
    number: int,
    multipliers: tuple[np.ndarray, float],
    random: np.random.Generator,
) -> Epoch:
    """Entropy, residual and the two-tailed bootstrap test of every constraint, from fresh samples."""
    size = parameters["test_samples"]
    z, log_q = flow.sample(4 * size, random)
    statistics = problem.statistics_of(z, random)
    residuals = constraints(statistics, problem.mean, problem.spread)
    p_values = bootstrap_p(residuals, size, random)
    met = bool((p_values > parameters["alpha"]).all())
    eta, c = multipliers
    return Epoch(number, float(-log_q.mean()), residuals.mean(0), p_values, eta, c, met, flow.weights.copy())


def bootstrap_p(residuals: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Two-tailed p of each constraint's residual being 0: where 0 lies among means of `size` resampled points."""
    means = np.stack([residuals[random.integers(0, len(residuals), size)].mean(0) for _ in range(RESAMPLES)])
    share = (means > 0).mean(0)
    return 2 * np.minimum(share, 1 - share)
