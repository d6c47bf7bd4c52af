"""Small random changes of images and of the places in them, so that few labels go further. Seeded by its caller.

Turns, sizes, shifts, brightness and noise. Images are never mirrored: left parts would become right ones.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

TURN_DEGREES = 15.0
SIZE_SHARE = 0.1
SHIFT_SHARE = 0.06
CONTRAST_SHARE = 0.15
BRIGHTNESS_SD = 0.1
NOISE_SD = 0.05


def changed(images: Tensor, places: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Images (images, 3, rows, columns) and places (images, parts, 2), each image changed in its own way.

    Places that leave the image become NaN.
    """
    count, _, rows, columns = images.shape
    angle = np.deg2rad(random.uniform(-TURN_DEGREES, TURN_DEGREES, count))
    size = random.uniform(1 - SIZE_SHARE, 1 + SIZE_SHARE, count)
    shift = random.uniform(-SHIFT_SHARE, SHIFT_SHARE, (count, 2)) * (columns, rows)
    back = _rotation(-angle) / size[:, None, None]
    grid = functional.affine_grid(
        _theta(back, shift, rows, columns).to(images), list(images.shape), align_corners=False
    )
    turned = functional.grid_sample(images, grid, align_corners=False)
    middle = torch.tensor((columns / 2 - 0.5, rows / 2 - 0.5), device=places.device, dtype=places.dtype)
    forth = torch.from_numpy(_rotation(angle) * size[:, None, None]).to(places)
    moved = (places - middle) @ forth.transpose(1, 2) + torch.from_numpy(shift).to(places)[:, None] + middle
    limits = torch.tensor((columns, rows), device=places.device, dtype=places.dtype)
    inside = ((moved >= 0) & (moved <= limits - 1)).all(-1, keepdim=True)
    return _recoloured(turned, random), torch.where(inside, moved, torch.nan)


def _rotation(angle: np.ndarray) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _theta(back: np.ndarray, shift: np.ndarray, rows: int, columns: int) -> Tensor:
    """The map from changed to given images, u -> back (u - shift) about the middle, in torch's units of half a side."""
    half = np.array([columns / 2, rows / 2])
    matrix = back * half[None, None, :] / half[None, :, None]
    offset = -np.einsum("nij,nj->ni", back, shift) / half
    return torch.from_numpy(np.concatenate([matrix, offset[..., None]], axis=-1))


def _recoloured(images: Tensor, random: np.random.Generator) -> Tensor:
    count = len(images)
    contrast = torch.from_numpy(random.uniform(1 - CONTRAST_SHARE, 1 + CONTRAST_SHARE, (count, 1, 1, 1))).to(images)
    brightness = torch.from_numpy(random.normal(0, BRIGHTNESS_SD, (count, 1, 1, 1))).to(images)
    noise = torch.from_numpy(random.standard_normal(tuple(images.shape), dtype=np.float32)).to(images)
    return images * contrast + brightness + NOISE_SD * noise
