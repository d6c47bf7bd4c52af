"""The deep probability distribution q(z): a normalizing flow from a Gaussian onto a box, with hand-written gradients.

Affine couplings (Dinh, Sohl-Dickstein and Bengio 2017, real NVP), then a scale and shift per dimension, then a sigmoid
onto the bounds. Each coupling keeps one part a of its input and changes the other part b,

    y_b = x_b exp(s(x_a)) + t(x_a),    s bounded to +-LIMIT,    log |det| = sum s

with s and t the outputs of one network of tanh layers. All weights lie in one vector, so that an optimiser needs one
update. Shapes: points (samples, dimensions), log-determinants (samples,). It must not know models or constraints.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

LIMIT = 2.0
"""Largest log-scale of one coupling; keeps a step of the optimiser from blowing a coupling up."""

START_SCALE = 0.8
"""Standard deviation before the sigmoid at the start: a bump over the middle of the bounds."""


@dataclass(frozen=True)
class Coupling:
    """One affine coupling: which dimensions are kept and changed, and where its weights lie in the vector."""

    kept: np.ndarray
    changed: np.ndarray
    layers: tuple[tuple[slice, slice, tuple[int, int]], ...]
    """Of each layer: weights, biases, (inputs, outputs)."""


@dataclass
class Trace:
    """What a forward pass remembers for the backward pass."""

    couplings: list[tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    """Of each coupling: the network's activations, the changed part before, the log-scale s, exp(s)."""
    before_scale: np.ndarray = field(default_factory=lambda: np.empty(0))
    squashed: np.ndarray = field(default_factory=lambda: np.empty(0))


class Flow:
    """q(z) over the box from `low` to `high` (dimensions,); `weights` is its one parameter vector."""

    def __init__(
        self, low: np.ndarray, high: np.ndarray, *, stages: int, layers: int, units: int, random: np.random.Generator
    ) -> None:
        self.low, self.high = np.asarray(low, float), np.asarray(high, float)
        size = len(self.low)
        self.couplings: list[Coupling] = []
        starts: list[np.ndarray] = []
        used = 0
        for _ in range(stages):
            order = random.permutation(size)
            for kept, changed in ((order[: size // 2], order[size // 2 :]), (order[size // 2 :], order[: size // 2])):
                widths = [len(kept), *[units] * layers, 2 * len(changed)]
                places = []
                for inputs, outputs in pairwise(widths):
                    # The last layer starts almost at zero: the flow starts as the identity.
                    spread = 0.01 if outputs == widths[-1] and len(places) == layers else 1.0
                    starts += [random.normal(size=inputs * outputs) * spread / np.sqrt(inputs), np.zeros(outputs)]
                    end = used + inputs * outputs
                    places.append((slice(used, end), slice(end, end + outputs), (inputs, outputs)))
                    used = end + outputs
                self.couplings.append(Coupling(kept, changed, tuple(places)))
        self.scale_at, self.shift_at = slice(used, used + size), slice(used + size, used + 2 * size)
        self.weights = np.concatenate([*starts, np.full(size, np.log(START_SCALE)), np.zeros(size)])

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, Trace]:
        """Points z in the box and log |dz/dx| for Gaussian points x, and what `backward` needs."""
        trace = Trace()
        log_det = np.zeros(len(x))
        for coupling in self.couplings:
            activations, s, t = self._network(coupling, x[:, coupling.kept])
            factor = np.exp(s)
            part = x[:, coupling.changed]
            x = x.copy()
            x[:, coupling.changed] = part * factor + t
            log_det += s.sum(1)
            trace.couplings.append((activations, part, s, factor))
        trace.before_scale = x
        y = x * np.exp(self.weights[self.scale_at]) + self.weights[self.shift_at]
        trace.squashed = 1 / (1 + np.exp(-y))
        log_det += self.weights[self.scale_at].sum() + self._log_slope(y)
        return self.low + (self.high - self.low) * trace.squashed, log_det, trace

    def backward(self, trace: Trace, z_gradient: np.ndarray, log_det_gradient: float) -> np.ndarray:
        """Gradient of a loss in the weights, given its gradients in z (samples, dimensions) and in each log_det."""
        gradient = np.zeros_like(self.weights)
        p = trace.squashed
        # d log(p (1 - p)) / dy = 1 - 2 p
        y_gradient = z_gradient * (self.high - self.low) * p * (1 - p) + log_det_gradient * (1 - 2 * p)
        scale = np.exp(self.weights[self.scale_at])
        gradient[self.shift_at] = y_gradient.sum(0)
        gradient[self.scale_at] = (y_gradient * trace.before_scale * scale).sum(0) + log_det_gradient * len(p)
        x_gradient = y_gradient * scale
        for coupling, (activations, part, s, factor) in zip(
            reversed(self.couplings), reversed(trace.couplings), strict=True
        ):
            changed_gradient = x_gradient[:, coupling.changed]
            s_gradient = changed_gradient * part * factor + log_det_gradient
            outputs = np.concatenate([s_gradient * (1 - np.square(s / LIMIT)), changed_gradient], axis=1)
            kept_gradient = self._network_backward(coupling, activations, outputs, gradient)
            x_gradient[:, coupling.changed] = changed_gradient * factor
            x_gradient[:, coupling.kept] += kept_gradient
        return gradient

    def sample(self, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points z and their log q(z) (nats, in the parameters' own units)."""
        x = random.normal(size=(count, len(self.low)))
        z, log_det, _ = self.forward(x)
        return z, log_gaussian(x) - log_det

    def log_prob(self, z: np.ndarray) -> np.ndarray:
        """log q of any points strictly inside the box: the flow is run backwards."""
        p = (z - self.low) / (self.high - self.low)
        y = np.log(p) - np.log1p(-p)
        x = (y - self.weights[self.shift_at]) * np.exp(-self.weights[self.scale_at])
        log_det = self.weights[self.scale_at].sum() + self._log_slope(y)
        for coupling in reversed(self.couplings):
            _, s, t = self._network(coupling, x[:, coupling.kept])
            x = x.copy()
            x[:, coupling.changed] = (x[:, coupling.changed] - t) * np.exp(-s)
            log_det += s.sum(1)
        return log_gaussian(x) - log_det

    def _log_slope(self, y: np.ndarray) -> np.ndarray:
        """log of the sigmoid's slope, (high - low) p (1 - p), summed over dimensions."""
        return float(np.log(self.high - self.low).sum()) - (np.abs(y) + 2 * np.log1p(np.exp(-np.abs(y)))).sum(1)

    def _network(self, coupling: Coupling, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Activations of each layer (the input first), log-scales s and shifts t."""
        activations = [x]
        for index, (weights, biases, shape) in enumerate(coupling.layers):
            x = activations[-1] @ self.weights[weights].reshape(shape) + self.weights[biases]
            if index < len(coupling.layers) - 1:
                activations.append(np.tanh(x))
        half = len(coupling.changed)
        return activations, LIMIT * np.tanh(x[:, :half] / LIMIT), x[:, half:]

    def _network_backward(
        self, coupling: Coupling, activations: list[np.ndarray], outputs: np.ndarray, gradient: np.ndarray
    ) -> np.ndarray:
        """Write the network's part of `gradient`; returns the gradient in its input."""
        for index in reversed(range(len(coupling.layers))):
            weights, biases, shape = coupling.layers[index]
            gradient[weights] = (activations[index].T @ outputs).ravel()
            gradient[biases] = outputs.sum(0)
            outputs = outputs @ self.weights[weights].reshape(shape).T
            if index:
                outputs *= 1 - np.square(activations[index])
        return outputs


def log_gaussian(x: np.ndarray) -> np.ndarray:
    """Log density of standard Gaussian points (samples, dimensions)."""
    return -0.5 * np.square(x).sum(1) - 0.5 * x.shape[1] * np.log(2 * np.pi)
