"""Penalised decomposition of one block of a movie into spatial and temporal components.

The block is a matrix Y (pixels, frames), each pixel centred and divided by its noise, so that noise has variance 1.
Components are taken one by one (Buchanan et al. 2018, arXiv:1807.06203, rank-one deflation): from a singular vector of
the block, alternate

    u = smooth_image(R v),  u = u / |u|         v = smooth_trace(R'u),  v = v / |v|

until u rests, where R is what earlier components left over. A component is kept if both its roughness statistics lie
below thresholds that noise alone gives; the block ends after some rejections in a row. It must not read files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pmd_penalties import smooth_image, smooth_trace, spatial_roughness, temporal_roughness


@dataclass(frozen=True)
class Options:
    """How a block is decomposed; the names are the parameters'."""

    max_components: int
    consec_failures: int
    max_iters_main: int
    tol: float
    spatial_penalty: bool
    temporal_penalty: bool


@dataclass(frozen=True)
class Thresholds:
    """Largest roughness of a component that is kept."""

    spatial: float
    temporal: float


@dataclass(frozen=True)
class Block:
    """Components of one block: `U` (pixels, k), `V` (k, frames), in units of the noise.

    `roughness` (tried, 2): spatial and temporal statistics of every component that was tried; `kept` (tried) which.
    """

    U: np.ndarray
    V: np.ndarray
    roughness: np.ndarray
    kept: np.ndarray


def decompose_block(
    Y: np.ndarray, shape: tuple[int, int], thresholds: Thresholds, options: Options, *, seed: int
) -> Block:
    """The components of one block, Y (rows * columns, frames) float32."""
    starts = leading_vectors(Y, options.max_components, seed=seed)
    R = Y.copy()
    found: list[np.ndarray] = []
    tried: list[tuple[float, float]] = []
    kept: list[bool] = []
    failures = 0
    for start in starts.T:
        component = one_component(R, start, shape, options)
        if component is None:
            break
        u, v = component
        tried.append(roughness(R, u, v, shape))
        kept.append(tried[-1][0] < thresholds.spatial and tried[-1][1] < thresholds.temporal)
        if kept[-1]:
            found.append(u)
        failures = 0 if kept[-1] else failures + 1
        if failures >= options.consec_failures:
            break
        # Along u nothing is left, whatever the penalty took from v: the rest is refitted at the end.
        R -= np.outer(u, u @ R)
    U = np.array(found, np.float32).reshape(-1, len(Y)).T
    V = refit(Y, U, temporal_penalty=options.temporal_penalty)
    return Block(U, V, np.array(tried, float).reshape(-1, 2), np.array(kept, bool))


def leading_vectors(Y: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """Leading left singular vectors (pixels, count), by a randomised range finder (Halko et al. 2011)."""
    count = min(count, *Y.shape)
    width = min(count + 8, *Y.shape)
    draw = np.random.default_rng(seed).standard_normal((Y.shape[1], width), dtype=np.float32)
    basis = np.linalg.qr(Y @ draw)[0]
    for _ in range(3):
        basis = np.linalg.qr(Y @ (Y.T @ basis))[0]
    left = np.linalg.svd(basis.T @ Y, full_matrices=False)[0]
    return basis @ left[:, :count]


def one_component(
    R: np.ndarray, start: np.ndarray, shape: tuple[int, int], options: Options
) -> tuple[np.ndarray, np.ndarray] | None:
    """One penalised component of R (pixels, frames): u (pixels) of norm 1, v (frames). None if nothing is left."""
    pixels, frames = R.shape
    norm = float(np.linalg.norm(start))
    if norm < 1e-6 or not np.any(R):
        return None
    u = start / norm
    spatial_weight = temporal_weight = 1.0
    for _ in range(options.max_iters_main):
        v = u @ R
        if options.temporal_penalty:
            # With |u| = 1 the noise of each frame has variance 1, and likewise below for each pixel.
            v, temporal_weight = smooth_trace(v, np.sqrt(frames), temporal_weight)
        size = float(np.linalg.norm(v))
        if size < 1e-6:
            return None
        raw = R @ (v / size).astype(np.float32)
        if options.spatial_penalty:
            image, spatial_weight = smooth_image(raw.reshape(shape), np.sqrt(pixels), spatial_weight)
            raw = image.ravel()
        size = float(np.linalg.norm(raw))
        if size < 1e-6:
            return None
        before, u = u, raw / size
        if float(np.linalg.norm(u - before)) < options.tol:
            break
    # The sign is free; bright things are bright.
    u = (u if float(u.sum()) >= 0 else -u).astype(np.float32)
    return u, u @ R


def refit(Y: np.ndarray, U: np.ndarray, *, temporal_penalty: bool) -> np.ndarray:
    """V (k, frames): least squares of the block on its spatial components, then the temporal penalty once more.

    The noise of row k of the least-squares V has variance [(U'U)^-1]_kk.
    """
    if U.shape[1] == 0:
        return np.zeros((0, Y.shape[1]), np.float32)
    inverse = np.linalg.pinv((U.T @ U).astype(np.float64))
    V = inverse @ (U.T @ Y)
    if temporal_penalty:
        radii = np.sqrt(np.diag(inverse) * Y.shape[1])
        V = np.array([smooth_trace(v, radius)[0] for v, radius in zip(V, radii, strict=True)])
    return V.astype(np.float32)


def noise_roughness(shape: tuple[int, int], frames: int, options: Options, *, seed: int) -> tuple[float, float]:
    """Both statistics of the first component of a block of white noise."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((shape[0] * shape[1], frames), dtype=np.float32)
    component = one_component(noise, leading_vectors(noise, 1, seed=seed)[:, 0], shape, options)
    if component is None:
        return np.inf, np.inf
    return roughness(noise, *component, shape)


def roughness(R: np.ndarray, u: np.ndarray, v: np.ndarray, shape: tuple[int, int]) -> tuple[float, float]:
    """Both statistics of a component as the block shows it, before it is smoothed.

    Smoothed within the noise, a component of pure noise is as smooth as any: its statistics would tell nothing.
    """
    image = (R @ (v / max(float(np.linalg.norm(v)), 1e-12)).astype(np.float32)).reshape(shape)
    return spatial_roughness(image), temporal_roughness(v)
