"""The model of BarDensr and its fit: non-negative densities of barcodes behind a blurred, coloured image stack.

Chen et al. 2021, PLoS Computational Biology 17:e1008256, equation 1: for frame n and voxel m

    X[n, m] = alpha[n] * sum_j B[n, j] (K * F_j)[m] + a[m] + b[n] + noise

with K a Gaussian point-spread function, F >= 0 the densities, alpha >= 0 gains, a >= 0 and b >= 0 backgrounds of
voxels and frames. Minimised: the squared residual plus `l1_penalty` times the sum of F. It must not read or draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

REFIT_EVERY = 10
"""Iterations on the densities between two closed-form updates of gains and backgrounds."""


@dataclass
class Fit:
    """A fitted tile. Shapes: `density` (barcodes, rows, columns, slices), `gains` and `frame_background` (frames,)."""

    density: np.ndarray
    gains: np.ndarray
    voxel_background: np.ndarray
    frame_background: np.ndarray
    losses: list[float]


def normalised(images: np.ndarray) -> tuple[np.ndarray, float]:
    """The stack from 0 to about 1, and the scale: each frame less its first percentile, all by the 99.9th."""
    floor = np.percentile(images, 1, axis=(1, 2, 3), keepdims=True)
    shifted = np.maximum(images - floor, 0)
    scale = float(np.percentile(shifted, 99.9)) or float(shifted.max()) or 1.0
    return (shifted / scale).astype(np.float32), scale


def blur(density: np.ndarray, psf: Sequence[float]) -> np.ndarray:
    """K * F: a Gaussian of these radii (voxels) over the last three axes; edges by reflection, so its own adjoint."""
    if not any(psf):
        return density
    return ndimage.gaussian_filter(density, (0, *psf), mode="reflect", truncate=3.0)


def fit_tile(
    images: np.ndarray,
    codebook: np.ndarray,
    *,
    psf: Sequence[float],
    l1_penalty: float,
    iterations: int,
    estimate_gains: bool,
    gains: np.ndarray | None = None,
    report: Callable[[int, float], None] = lambda iteration, loss: None,
) -> Fit:
    """Fit one tile by accelerated projected gradient (Beck and Teboulle 2009, FISTA with restart on rise).

    `images` (frames, rows, columns, slices), normalised; `codebook` (frames, barcodes). With `gains` given they stay.
    """
    frames, barcodes = codebook.shape
    fit = Fit(
        density=np.zeros((barcodes, *images.shape[1:]), np.float32),
        gains=np.ones(frames, np.float32) if gains is None else gains.astype(np.float32),
        voxel_background=np.zeros(images.shape[1:], np.float32),
        frame_background=np.zeros(frames, np.float32),
        losses=[],
    )
    # Backgrounds before densities, or the densities would explain them: the darkest a voxel gets over the frames.
    fit.voxel_background[...] = np.quantile(images, 0.1, axis=0)
    ahead, momentum = fit.density, 1.0
    for iteration in range(1, iterations + 1):
        mixing = codebook * fit.gains[:, None]
        step = 1.0 / max(float(np.linalg.norm(mixing, 2)) ** 2, 1e-12)
        residual = _predict(ahead, mixing, fit, psf) - images
        gradient = blur(np.tensordot(mixing.T, residual, 1), psf)
        density = np.maximum(ahead - step * (gradient + l1_penalty / 2), 0).astype(np.float32)
        loss = float(np.square(residual, dtype=np.float64).sum() + l1_penalty * ahead.sum(dtype=np.float64))
        if fit.losses and loss > fit.losses[-1]:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = density + np.float32((momentum - 1) / following) * (density - fit.density)
        fit.density, momentum = density, following
        fit.losses.append(loss)
        if iteration % REFIT_EVERY == 0:
            _refit(images, codebook, fit, psf, estimate_gains=estimate_gains and gains is None)
        report(iteration, loss)
    return fit


def _predict(density: np.ndarray, mixing: np.ndarray, fit: Fit, psf: Sequence[float]) -> np.ndarray:
    signal = np.tensordot(mixing, blur(density, psf), 1)
    return signal + fit.voxel_background + fit.frame_background[:, None, None, None]


def _refit(images: np.ndarray, codebook: np.ndarray, fit: Fit, psf: Sequence[float], *, estimate_gains: bool) -> None:
    """Closed forms of the least-squares problem for gains, then backgrounds, clipped at 0 (equations 2 to 4)."""
    signal = np.tensordot(codebook, blur(fit.density, psf), 1)
    backgrounds = fit.voxel_background + fit.frame_background[:, None, None, None]
    if estimate_gains:
        power = np.einsum("nijk,nijk->n", signal, signal, dtype=np.float64)
        match = np.einsum("nijk,nijk->n", signal, images - backgrounds, dtype=np.float64)
        gains = np.where(power > 0, np.maximum(match, 0) / np.maximum(power, 1e-12), fit.gains)
        # Gains and densities share a factor; the mean gain is 1.
        mean = float(gains.mean()) or 1.0
        fit.gains = (gains / mean).astype(np.float32)
        fit.density *= np.float32(mean)
        signal = signal * np.float32(mean)
    rest = images - signal * fit.gains[:, None, None, None]
    fit.frame_background = np.maximum((rest - fit.voxel_background).mean(axis=(1, 2, 3)), 0).astype(np.float32)
    fit.voxel_background = np.maximum((rest - fit.frame_background[:, None, None, None]).mean(axis=0), 0)
