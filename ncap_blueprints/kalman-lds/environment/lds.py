"""The linear dynamical system: a start, expectation-maximization, one fixed form of the answer.

    x[t+1] = A x[t] + w,  w ~ N(0, Q)          latents, latent_dim of them
    y[t]   = C x[t] + v,  v ~ N(0, R)          channels, centred and scaled

Filtering, smoothing and the EM steps are pykalman's (Kalman 1960; Rauch, Tung & Striebel 1965; Shumway & Stoffer
1982). A time point with any missing channel is predicted, not observed. This module must not read or write files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from parameters import Parameters
from pykalman import KalmanFilter

EM_VARS = [
    "transition_matrices",
    "observation_matrices",
    "transition_covariance",
    "observation_covariance",
    "initial_state_mean",
    "initial_state_covariance",
]

NOISE_FLOOR = 1e-6
"""Least variance of a channel's noise and of a latent's innovation, in units of the scaled channels (stability)."""


@dataclass(frozen=True)
class Model:
    """Parameters of the system, in units of the scaled channels."""

    A: np.ndarray
    C: np.ndarray
    Q: np.ndarray
    R: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    def kalman(self) -> KalmanFilter:
        """pykalman's object with these parameters."""
        return KalmanFilter(
            transition_matrices=self.A,
            observation_matrices=self.C,
            transition_covariance=self.Q,
            observation_covariance=self.R,
            initial_state_mean=self.mean,
            initial_state_covariance=self.covariance,
            em_vars=EM_VARS,
        )

    def filtered(self, y: np.ndarray) -> Gaussians:
        """The latents given the past and present of ``y`` (NaN: missing)."""
        return Gaussians(*(np.asarray(a) for a in self.kalman().filter(np.ma.masked_invalid(y))))

    def smoothed(self, y: np.ndarray) -> Gaussians:
        """The latents given all of ``y``."""
        return Gaussians(*(np.asarray(a) for a in self.kalman().smooth(np.ma.masked_invalid(y))))


@dataclass(frozen=True)
class Gaussians:
    """Means and covariances of the latents, one for each time point."""

    means: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class Fit:
    """A fitted model, its log-likelihood after each EM iteration (first: the start), and whether ``tol`` ended it."""

    model: Model
    log_likelihood: tuple[float, ...]
    converged: bool


def start_model(y: np.ndarray, parameters: Parameters) -> Model:
    """A first guess from the rows without gaps: principal components, or random loadings from ``seed``."""
    k = parameters.latent_dim
    seen = y[np.isfinite(y).all(axis=1)]
    if parameters.init == "random":
        rng = np.random.default_rng(parameters.seed)
        loadings, _ = np.linalg.qr(rng.normal(size=(y.shape[1], k)))
    else:
        loadings = np.linalg.svd(seen, full_matrices=False)[2][:k].T
    x = seen @ loadings
    A = np.linalg.lstsq(x[:-1], x[1:], rcond=None)[0].T
    # A start outside the unit circle can blow up the first filter pass over a long recording.
    A *= min(1.0, 0.99 / max(float(np.abs(np.linalg.eigvals(A)).max()), 1e-12))
    Q = np.cov((x[1:] - x[:-1] @ A.T).T).reshape(k, k) + NOISE_FLOOR * np.eye(k)
    R = np.diag(np.maximum(np.var(seen - x @ loadings.T, axis=0), 1e-2))
    return Model(A, loadings, Q, R, x[0], np.cov(x.T).reshape(k, k) + NOISE_FLOOR * np.eye(k))


def fit_model(y: np.ndarray, start: Model, parameters: Parameters, *, report: Callable[[int, float], None]) -> Fit:
    """EM until the log-likelihood grows by less than ``tol`` of its size, at most ``em_iters`` times."""
    observed = np.ma.masked_invalid(y)
    kalman = start.kalman()
    history = [float(kalman.loglikelihood(observed))]
    report(0, history[0])
    converged = False
    for iteration in range(1, parameters.em_iters + 1):
        kalman = kalman.em(observed, n_iter=1)
        kalman.observation_covariance = _noise(kalman.observation_covariance, parameters.observation_noise)
        kalman.transition_covariance = _symmetric(kalman.transition_covariance)
        kalman.initial_state_covariance = _symmetric(kalman.initial_state_covariance)
        history.append(float(kalman.loglikelihood(observed)))
        report(iteration, history[-1])
        if not np.isfinite(history[-1]):
            raise FloatingPointError(
                f"EM left the range of numbers at iteration {iteration}; lower latent_dim or standardize the channels."
            )
        if history[-1] - history[-2] < parameters.tol * abs(history[-2]):
            converged = True
            break
    model = Model(
        kalman.transition_matrices,
        kalman.observation_matrices,
        kalman.transition_covariance,
        kalman.observation_covariance,
        kalman.initial_state_mean,
        kalman.initial_state_covariance,
    )
    return Fit(canonical(model), tuple(history), converged)


def _noise(R: np.ndarray, kind: str) -> np.ndarray:
    """The exact M-step of a diagonal R is the diagonal of the full one, because C's does not depend on R."""
    if kind == "diagonal":
        return np.diag(np.maximum(np.diag(R), NOISE_FLOOR))
    return _symmetric(R)


def _symmetric(covariance: np.ndarray) -> np.ndarray:
    covariance = np.asarray(covariance)
    return (covariance + covariance.T) / 2 + NOISE_FLOOR * np.eye(len(covariance))


def canonical(model: Model) -> Model:
    """The same system with orthonormal loadings, strongest latent first, largest loading of each positive.

    Latents are identified only up to an invertible map; fixing it makes two runs comparable.
    """
    U, singular, Vt = np.linalg.svd(model.C, full_matrices=False)
    signs = np.sign(U[np.abs(U).argmax(axis=0), np.arange(U.shape[1])])
    M = (signs * singular)[:, None] * Vt
    inverse = np.linalg.pinv(M)
    return Model(
        A=M @ model.A @ inverse,
        C=U * signs,
        Q=M @ model.Q @ M.T,
        R=model.R,
        mean=M @ model.mean,
        covariance=M @ model.covariance @ M.T,
    )


def modes(A: np.ndarray, *, sampling_rate_hz: float) -> list[dict[str, float | None]]:
    """Eigenvalues of A as oscillations: frequency = |arg| fs / 2 pi (Hz), time constant = -1 / (fs ln |lambda|) (s).

    The time constant is null for a mode that does not decay (magnitude 1 or more) and 0 for one that is gone at once.
    """
    result: list[dict[str, float | None]] = []
    for value in sorted(np.linalg.eigvals(A), key=lambda v: (-abs(v), -v.real, -v.imag)):
        size = float(abs(value))
        decay = None if size >= 1 else 0.0 if size == 0 else -1.0 / (np.log(size) * sampling_rate_hz)
        result.append(
            {
                "real": float(value.real),
                "imag": float(value.imag),
                "magnitude": size,
                "frequency_hz": float(abs(np.angle(value)) * sampling_rate_hz / (2 * np.pi)),
                "time_constant_s": None if decay is None else float(decay),
            }
        )
    return result
