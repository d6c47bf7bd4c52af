"""Score maps and places: what a map says of where a part is, what it should say, and how far it is from that.

Maps are logits (..., rows, columns) over cells of `STRIDE` pixels; cell k covers pixels k * STRIDE to (k + 1) * STRIDE.
Places are (x, y) in pixels of the scaled frame. Arithmetic on tensors only.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from dgp_frames import STRIDE
from torch import Tensor
from torch.nn import functional

WIDTH_PX = 0.7 * STRIDE
"""Standard deviation of the peak a certain network makes. Narrower, its centre would depend on the cells' places."""
PEAK_LOGIT = 4.0
BCE_SHARE = 0.2


class Moments(NamedTuple):
    """What maps say: `mean` (..., 2), `variance` of a coordinate (pixels^2), `probability` of the best cell (...)."""

    mean: Tensor
    variance: Tensor
    probability: Tensor


def centres(count: int, device: torch.device) -> Tensor:
    """The cells' middles along one side, pixels."""
    return (torch.arange(count, device=device, dtype=torch.float32) + 0.5) * STRIDE


def moments(logits: Tensor) -> Moments:
    """The softargmax (the mean under the softmax of a map, Wu et al. 2020) and how sure it is.

    The variance is what a map is wider than that of a network that is certain.
    """
    rows, columns = logits.shape[-2:]
    weights = torch.softmax(logits.flatten(-2), dim=-1).unflatten(-1, (rows, columns))
    across, down = weights.sum(-2), weights.sum(-1)
    x, y = centres(columns, logits.device), centres(rows, logits.device)
    mean_x, mean_y = across @ x, down @ y
    spread_x = (across * (x - mean_x[..., None]) ** 2).sum(-1)
    spread_y = (down * (y - mean_y[..., None]) ** 2).sum(-1)
    variance = (0.5 * (spread_x + spread_y) - WIDTH_PX**2).clamp_min(0)
    return Moments(torch.stack([mean_x, mean_y], -1), variance, torch.sigmoid(logits.amax((-2, -1))))


def distance2(places: Tensor, rows: int, columns: int) -> Tensor:
    """Squared distance (pixels^2) of each cell from a place: (..., 2) -> (..., rows, columns)."""
    dx = centres(columns, places.device) - places[..., 0, None]
    dy = centres(rows, places.device) - places[..., 1, None]
    return dy[..., :, None] ** 2 + dx[..., None, :] ** 2


def cross_entropy(logits: Tensor, places: Tensor, variance: Tensor) -> Tensor:
    """-E log softmax(map) under a normal distribution around each place (NaN: no place, 0): (...).

    This is the network's term of the variational bound; for a labelled place the variance is nought.
    """
    known = torch.isfinite(places).all(-1)
    far = distance2(torch.nan_to_num(places), *logits.shape[-2:]).flatten(-2)
    target = torch.softmax(-0.5 * far / (variance[..., None] + WIDTH_PX**2), dim=-1)
    return torch.where(known, -(target * torch.log_softmax(logits.flatten(-2), -1)).sum(-1), 0.0)


def detection_loss(logits: Tensor, places: Tensor) -> Tensor:
    """Binary cross-entropy, summed over the cells of a map, against whether a part is in a cell: (...).

    A labelled part makes a peak whose odds have the form of the softmax's target, so that both losses have one optimum;
    a part without a label is nowhere to be seen, as DeepLabCut has it.
    """
    known = torch.isfinite(places).all(-1)[..., None, None]
    far = distance2(torch.nan_to_num(places), *logits.shape[-2:])
    target = torch.where(known, torch.sigmoid(PEAK_LOGIT - 0.5 * far / WIDTH_PX**2), torch.zeros_like(far))
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum((-2, -1))


def labelled_loss(logits: Tensor, places: Tensor) -> Tensor:
    """What labelled images add: maps (images, parts, rows, columns), places (images, parts, 2); a mean over parts."""
    none = torch.zeros(places.shape[:-1], device=places.device)
    return (cross_entropy(logits, places, none) + BCE_SHARE * detection_loss(logits, places)).mean()
