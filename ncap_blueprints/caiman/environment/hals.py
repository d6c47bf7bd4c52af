"""Hierarchical alternating least squares: one sweep of footprints, one of traces, from sufficient statistics.

Y (pixels x frames) = A C with A, C >= 0; background components are columns of A and rows of C like all others.
Pnevmatikakis et al. 2016, Neuron 89:285; Friedrich et al. 2017. Neither needs Y itself, so a field of any size is
updated from blocks of pixels. It must not read a movie.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def update_footprints(A: np.ndarray, YC: np.ndarray, CC: np.ndarray, support: np.ndarray, *, sweeps: int) -> None:
    """a_k <- [a_k + (Y c_k' - A C c_k') / |c_k|^2]_+ in its support, in place.

    A, YC (pixels, components), CC (components, components), support (pixels, components) bool. Pixels are independent
    of one another, so A may be any part of a field.
    """
    for _ in range(sweeps):
        for k in range(A.shape[1]):
            if CC[k, k] <= 0:
                continue
            pixels = np.flatnonzero(support[:, k])
            step = (YC[pixels, k] - A[pixels] @ CC[:, k]) / CC[k, k]
            A[pixels, k] = np.maximum(A[pixels, k] + step, 0)


def update_traces(
    C: np.ndarray, AY: np.ndarray, AA: np.ndarray, *, denoise: Callable[[int, np.ndarray], np.ndarray], sweeps: int
) -> None:
    """c_k <- denoise(c_k + (a_k' Y - a_k' A C) / |a_k|^2), in place.

    C, AY (components, frames), AA (components, components). `denoise` gets the number of a component and its trace.
    """
    for _ in range(sweeps):
        for k in range(len(C)):
            if AA[k, k] <= 0:
                continue
            touching = np.flatnonzero(AA[k])
            C[k] = denoise(k, C[k] + (AY[k] - AA[k, touching] @ C[touching]) / AA[k, k])
