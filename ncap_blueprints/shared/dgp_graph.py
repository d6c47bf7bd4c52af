"""The graphical model over the markers of a chain of frames, and its mean-field posterior. Arithmetic on arrays only.

After Wu et al. 2020 (Deep Graph Pose). The markers y[t, k] of unlabelled frames are hidden; their joint density is the
product of

    network    exp(-c |y[t,k] - mu[t,k]|^2 / (2 v[t,k]))      mu, v: softargmax and variance of the score map,
                                                              c: probability that the part is seen at all
    temporal   exp(-wt/2 * [ |y[t,k] - y[t-1,k]| - epsilon ]_+^2)
    spatial    exp(-ws/2 * d(|y[t,i] - y[t,j]|, [low, high])^2)      for each edge of the skeleton

with d the distance from an interval of lengths. Labelled markers are observed. q(y) is a product of round normal
distributions N(m[t,k], s[t,k] I). Each graph term is a distance from a ball or a shell, which is below that from any
point of it; with the nearest point, moved along while iterating, all terms are quadratic, every update has a closed
form and none lowers the bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

TOLERANCE_PX = 1e-3
MOST_SWEEPS = 200


@dataclass(frozen=True)
class Evidence:
    """What the network says of a chain: `mean` (frames, parts, 2) pixels, `variance` (frames, parts) pixels^2, `seen`
    (frames, parts) probabilities, `observed` (frames, parts, 2) labels, NaN where there is none."""

    mean: np.ndarray
    variance: np.ndarray
    seen: np.ndarray
    observed: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """Of the network's term, 1 / pixels^2."""
        return self.seen / self.variance


@dataclass(frozen=True)
class Edge:
    """An edge of the skeleton and the lengths (pixels) it may have."""

    one: int
    other: int
    shortest: float
    longest: float


@dataclass(frozen=True)
class Cliques:
    """The graph's terms: weights `wt`, `ws` (1 / pixels^2), `epsilon` pixels a frame, edges."""

    wt: float
    ws: float
    epsilon: float
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Posterior:
    """q: `mean` (frames, parts, 2), `variance` (frames, parts); `bounds` of each sweep, nats, up to a constant."""

    mean: np.ndarray
    variance: np.ndarray
    bounds: tuple[float, ...]


def find_edges(skeleton: Sequence[tuple[int, int]], points: np.ndarray, *, ws_max: float) -> tuple[Edge, ...]:
    """Edges with a length in some label (images, parts, 2): from the shortest / `ws_max` to the longest * `ws_max`."""
    edges = []
    for one, other in skeleton:
        lengths = np.linalg.norm(points[:, one] - points[:, other], axis=-1)
        lengths = lengths[np.isfinite(lengths)]
        if len(lengths):
            edges.append(Edge(one, other, float(lengths.min()) / ws_max, float(lengths.max()) * ws_max))
    return tuple(edges)


def infer(evidence: Evidence, cliques: Cliques) -> Posterior:
    """The mean-field posterior by coordinate ascent: parts one after another, odd frames and even ones in turn."""
    hidden = np.isnan(evidence.observed).any(axis=-1)
    mean = np.where(hidden[..., None], evidence.mean, evidence.observed)
    variance = np.where(hidden, 1 / (evidence.precision + _pull(evidence.mean.shape, cliques)), 0.0)
    bounds = [bound(mean, variance, evidence, cliques)]
    for _ in range(MOST_SWEEPS):
        before = mean.copy()
        for part in range(mean.shape[1]):
            for first in (0, 1):
                _update(mean, evidence, cliques, part=part, frames=slice(first, None, 2), hidden=hidden)
        bounds.append(bound(mean, variance, evidence, cliques))
        if np.abs(mean - before).max() < TOLERANCE_PX:
            break
    return Posterior(mean, variance, tuple(bounds))


def _pull(shape: tuple[int, ...], cliques: Cliques) -> np.ndarray:
    """The precision (frames, parts) all graph terms add to each marker."""
    pull = np.zeros(shape[:2])
    pull[1:] += cliques.wt
    pull[:-1] += cliques.wt
    for edge in cliques.edges:
        pull[:, [edge.one, edge.other]] += cliques.ws
    return pull


def _update(
    mean: np.ndarray, evidence: Evidence, cliques: Cliques, *, part: int, frames: slice, hidden: np.ndarray
) -> None:
    """The best mean of one part in every second frame, given all other markers."""
    own, precision = mean[:, part], evidence.precision[:, part]
    total, weight = precision[:, None] * evidence.mean[:, part], precision.copy()
    for near, place in _neighbours(len(own)):
        target = own[near] + within(own[place] - own[near], 0.0, cliques.epsilon)
        total[place] += cliques.wt * target
        weight[place] += cliques.wt
    for edge in cliques.edges:
        if part in (edge.one, edge.other):
            joined = mean[:, edge.other if part == edge.one else edge.one]
            total += cliques.ws * (joined + within(own - joined, edge.shortest, edge.longest))
            weight += cliques.ws
    changed = np.zeros(len(own), bool)
    changed[frames] = True
    changed &= hidden[:, part] & (weight > 0)
    own[changed] = total[changed] / weight[changed, None]


def _neighbours(frames: int) -> Iterator[tuple[slice, slice]]:
    """(frame before or after, frame)."""
    yield slice(0, frames - 1), slice(1, frames)
    yield slice(1, frames), slice(0, frames - 1)


def within(step: np.ndarray, shortest: float, longest: float) -> np.ndarray:
    """The nearest vector (..., 2) to each that is not shorter or longer than that."""
    length = np.linalg.norm(step, axis=-1, keepdims=True)
    unit = np.where(length > 0, step / np.maximum(length, 1e-12), np.array([1.0, 0.0]))
    return unit * np.clip(length, shortest, longest)


def bound(mean: np.ndarray, variance: np.ndarray, evidence: Evidence, cliques: Cliques) -> float:
    """The lower bound of the evidence at q, without constants and without the network's own normalisation."""
    hidden = np.isnan(evidence.observed).any(axis=-1)
    off = ((mean - evidence.mean) ** 2).sum(-1) + 2 * variance
    value = -0.5 * float((evidence.precision * off)[hidden].sum()) + float(np.log(variance[hidden]).sum())
    step = mean[1:] - mean[:-1]
    value -= 0.5 * cliques.wt * float(((step - within(step, 0.0, cliques.epsilon)) ** 2).sum())
    value -= cliques.wt * float((variance[1:] + variance[:-1]).sum())
    for edge in cliques.edges:
        step = mean[:, edge.one] - mean[:, edge.other]
        value -= 0.5 * cliques.ws * float(((step - within(step, edge.shortest, edge.longest)) ** 2).sum())
        value -= cliques.ws * float((variance[:, edge.one] + variance[:, edge.other]).sum())
    return value
