"""An autoregressive hidden Markov model of latents, fitted by EM (Wiltschko et al. 2015; Batty et al. 2019).

    s_t ~ Categorical(P[s_{t-1}]),  x_t = A_s [x_{t-1}, ..., x_{t-L}] + b_s + N(0, Q_s)

Trials are sequences of their own; a trial's first L frames are given, and have the state of the frame after them.
Forward and backward passes are in logarithms (Rabiner 1989). `kappa` is a sticky prior: pseudo-counts of staying. Sums
run over all trials at once. numpy only; it must not know what the latents mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RIDGE = 1e-3
"""Prior precision of the dynamics, and prior variance added to the noise, both for latents of variance 1."""
TRANSITION_PRIOR = 1.0
WINDOW = 16
"""Frames of the windows whose own dynamics are clustered for a start."""


@dataclass(frozen=True)
class Arhmm:
    """Parameters: log-probabilities of starts (K) and transitions (K x K), `weights` (K x D x (D L + 1), constant
    last), `noise` (K x D x D)."""

    log_start: np.ndarray
    log_transition: np.ndarray
    weights: np.ndarray
    noise: np.ndarray

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.log_start)

    @property
    def n_lags(self) -> int:
        """Number of past frames the dynamics read."""
        return (self.weights.shape[2] - 1) // self.weights.shape[1]


@dataclass(frozen=True)
class Sequences:
    """Trials padded to one length: targets (trials x T x D), regressors (trials x T x (D L + 1)), lengths."""

    targets: np.ndarray
    regressors: np.ndarray
    lengths: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """Trials x T: whether there is a frame."""
        return np.arange(self.targets.shape[1]) < self.lengths[:, None]


@dataclass(frozen=True)
class Posterior:
    """Of each trial and frame: probabilities of states (trials x T x K), summed joint probabilities of a state and the
    next (K x K), and the log-likelihood of each trial."""

    states: np.ndarray
    pairs: np.ndarray
    log_likelihood: np.ndarray


def sequences_of(trials: Sequence[np.ndarray], n_lags: int) -> Sequences:
    """Targets and regressors of trials (each frames x D); a trial needs more than `n_lags` frames."""
    lengths = np.array([len(x) - n_lags for x in trials])
    width = trials[0].shape[1]
    targets = np.zeros((len(trials), max(lengths), width))
    regressors = np.zeros((len(trials), max(lengths), width * n_lags + 1))
    for place, (x, length) in enumerate(zip(trials, lengths, strict=True)):
        targets[place, :length] = x[n_lags:]
        past = [x[n_lags - lag : n_lags - lag + length] for lag in range(1, n_lags + 1)]
        regressors[place, :length] = np.concatenate([*past, np.ones((length, 1))], 1)
    return Sequences(targets, regressors, lengths)


def fit_arhmm(
    data: Sequences,
    n_states: int,
    *,
    kappa: float,
    n_iters: int,
    restarts: int,
    seed: int,
    report: Callable[[str], None],
) -> tuple[Arhmm, list[float]]:
    """The best of several starts by log-likelihood, and its log-likelihood after each iteration (nats)."""
    best: tuple[Arhmm, list[float]] | None = None
    for restart in range(restarts):
        random = np.random.default_rng((seed, restart))
        model, course = _run_em(data, _start(data, n_states, kappa, random), kappa=kappa, n_iters=n_iters)
        report(f"ARHMM, start {restart + 1}/{restarts}: log-likelihood {course[-1]:.2f} after {len(course)} iterations")
        if best is None or course[-1] > best[1][-1]:
            best = model, course
    if best is None:
        raise ValueError("an ARHMM needs at least one start")
    return best


def _run_em(data: Sequences, model: Arhmm, *, kappa: float, n_iters: int) -> tuple[Arhmm, list[float]]:
    """EM until the log-likelihood gains less than 1e-6 of itself."""
    course: list[float] = []
    for _ in range(n_iters):
        posterior = infer(model, data)
        course.append(float(posterior.log_likelihood.sum()))
        if len(course) > 1 and abs(course[-1] - course[-2]) < 1e-6 * abs(course[-1]):
            break
        model = _maximise(data, posterior.states, posterior.pairs, kappa=kappa)
    return model, course


def _start(data: Sequences, n_states: int, kappa: float, random: np.random.Generator) -> Arhmm:
    """Parameters from clusters of windows by their own dynamics: what tells states apart is how latents move."""
    shape = (*data.targets.shape[:2], n_states)
    windows = [
        (trial, slice(first, min(first + WINDOW, length)))
        for trial, length in enumerate(data.lengths.tolist())
        for first in range(0, length, WINDOW)
    ]
    x, y = data.regressors[data.valid], data.targets[data.valid]
    everything = _regress(x.T @ x, x.T @ y, np.zeros((y.shape[1], x.shape[1])))
    described = []
    for trial, frames in windows:
        past, now = data.regressors[trial, frames], data.targets[trial, frames]
        gram = past.T @ past / len(past)
        own = _regress(gram, past.T @ now / len(past), everything, ridge=0.05)
        error = np.log(((now - past @ own.T) ** 2).mean(0) + RIDGE)
        described.append(np.concatenate([own.ravel(), 0.3 * error]))
    clusters = _cluster(np.array(described), n_states, random)
    states = np.zeros(shape)
    for (trial, frames), cluster in zip(windows, clusters, strict=True):
        states[trial, frames, cluster] = 1
    states = 0.9 * states + 0.1 / n_states
    states[~data.valid] = 0
    return _maximise(data, states, np.einsum("nti,ntj->ij", states[:, :-1], states[:, 1:]), kappa=kappa)


def _cluster(points: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """k-means with k-means++ starts (Arthur and Vassilvitskii 2007); the cluster of each point."""
    centres = points[random.integers(len(points))][None]
    for _ in range(1, count):
        distance = ((points[:, None] - centres) ** 2).sum(2).min(1)
        share = distance / distance.sum() if distance.sum() > 0 else None
        centres = np.concatenate([centres, points[random.choice(len(points), p=share)][None]])
    for _ in range(30):
        nearest = ((points[:, None] - centres) ** 2).sum(2).argmin(1)
        centres = np.stack([points[nearest == k].mean(0) if (nearest == k).any() else centres[k] for k in range(count)])
    return np.asarray(nearest)


def _regress(gram: np.ndarray, cross: np.ndarray, prior: np.ndarray, ridge: float = RIDGE) -> np.ndarray:
    """Weights (D x regressors) of a ridge regression towards `prior`: gram = X'X, cross = X'Y."""
    return np.linalg.solve(gram + ridge * np.eye(len(gram)), cross + ridge * prior.T).T


def _maximise(data: Sequences, states: np.ndarray, pairs: np.ndarray, *, kappa: float) -> Arhmm:
    """The M-step: regressions weighted by the probabilities of states, counts of transitions with their priors."""
    count, width = states.shape[2], data.targets.shape[2]
    weights, noise = [], []
    x, y = data.regressors[data.valid], data.targets[data.valid]
    for held in states[data.valid].T:
        weighted = x * held[:, None]
        own = _regress(x.T @ weighted, weighted.T @ y, np.zeros((width, x.shape[1])))
        error = y - x @ own.T
        scatter = (error * held[:, None]).T @ error + RIDGE * np.eye(width)
        weights.append(own)
        noise.append(scatter / (held.sum() + RIDGE))
    counts = pairs + TRANSITION_PRIOR + kappa * np.eye(count)
    start = states[:, 0].sum(0) + TRANSITION_PRIOR
    return Arhmm(
        np.log(start / start.sum()),
        np.log(counts / counts.sum(1, keepdims=True)),
        np.stack(weights),
        np.stack(noise) + 1e-6 * np.eye(width),
    )


def log_densities(model: Arhmm, data: Sequences) -> np.ndarray:
    """log N(x_t; A_k past + b_k, Q_k): trials x T x K, nought where there is no frame."""
    found = np.zeros((*data.targets.shape[:2], model.n_states))
    for k, (weights, noise) in enumerate(zip(model.weights, model.noise, strict=True)):
        root = np.linalg.cholesky(noise)
        error = data.targets - data.regressors @ weights.T
        scaled = np.linalg.solve(root, error.reshape(-1, len(root)).T).T.reshape(error.shape)
        constant = np.log(np.diag(root)).sum() + 0.5 * len(root) * np.log(2 * np.pi)
        found[..., k] = -0.5 * (scaled**2).sum(-1) - constant
    found[~data.valid] = 0
    return found


def infer(model: Arhmm, data: Sequences) -> Posterior:
    """The E-step: forward-backward in logarithms, over all trials at once."""
    densities, valid = log_densities(model, data), data.valid
    forward, backward = np.zeros_like(densities), np.zeros_like(densities)
    forward[:, 0] = model.log_start + densities[:, 0]
    for t in range(1, densities.shape[1]):
        step = _log_sum(forward[:, t - 1, :, None] + model.log_transition, 1) + densities[:, t]
        # Past a trial's end the last message is carried on.
        forward[:, t] = np.where(valid[:, t, None], step, forward[:, t - 1])
    for t in range(densities.shape[1] - 2, -1, -1):
        step = _log_sum(model.log_transition + (densities[:, t + 1] + backward[:, t + 1])[:, None], 2)
        backward[:, t] = np.where(valid[:, t + 1, None], step, 0)
    log_likelihood = _log_sum(forward[:, -1], 1)
    states = np.exp(forward + backward - log_likelihood[:, None, None])
    states[~valid] = 0
    pairs = np.zeros((model.n_states,) * 2)
    for t in range(1, densities.shape[1]):
        ahead = (densities[:, t] + backward[:, t])[:, None]
        joint = forward[:, t - 1, :, None] + model.log_transition + ahead - log_likelihood[:, None, None]
        pairs += np.exp(joint[valid[:, t]]).sum(0)
    return Posterior(states, pairs, log_likelihood)


def most_likely_states(model: Arhmm, data: Sequences) -> list[np.ndarray]:
    """The most likely path of states of each trial (Viterbi 1967); the first frames have the state after them."""
    densities = log_densities(model, data)
    paths = []
    for held, length in zip(densities, data.lengths.tolist(), strict=True):
        score, came = model.log_start + held[0], np.zeros((length, model.n_states), np.int64)
        for t in range(1, length):
            options = score[:, None] + model.log_transition
            came[t] = options.argmax(0)
            score = options.max(0) + held[t]
        path = np.zeros(length, np.int64)
        path[-1] = score.argmax()
        for t in range(length - 1, 0, -1):
            path[t - 1] = came[t, path[t]]
        paths.append(np.concatenate([np.full(model.n_lags, path[0]), path]))
    return paths


def _log_sum(values: np.ndarray, axis: int) -> np.ndarray:
    """log sum exp."""
    most = values.max(axis, keepdims=True)
    return np.squeeze(most, axis) + np.log(np.exp(values - most).sum(axis))
