"""Which way the emergent property breaks soonest: curvature of log q at its mode (Bittner et al. 2021, section 4.2.4).

It must not fit or draw.
"""

from __future__ import annotations

import numpy as np
from flow import Flow

STEP = 2e-3
"""Of the finite differences, as a share of the bounds' width."""


def curvature(flow: Flow, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors (columns) of the Hessian of log q at one point, most negative first.

    Units: parameters as shares of the width of their bounds. The first eigenvector is the direction of sensitivity,
    the last the one of robustness.
    """
    width = flow.high - flow.low
    size = len(z)
    # The four corners of a difference must all lie inside the box.
    inner = np.clip(z, flow.low + 3 * STEP * width, flow.high - 3 * STEP * width)
    steps = np.eye(size) * STEP * width
    signs = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])
    rows, columns = np.triu_indices(size)
    corners = inner + signs[:, 0, None, None] * steps[rows] + signs[:, 1, None, None] * steps[columns]
    values = flow.log_prob(corners.reshape(-1, size)).reshape(4, -1)
    second = (values[0] - values[1] - values[2] + values[3]) / (4 * STEP**2)
    hessian = np.zeros((size, size))
    hessian[rows, columns] = hessian[columns, rows] = second
    eigenvalues, vectors = np.linalg.eigh(hessian)
    return eigenvalues, vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(size)])
