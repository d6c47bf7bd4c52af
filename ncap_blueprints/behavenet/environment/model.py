"""The networks: a convolutional autoencoder, and the PS-VAE (Batty et al. 2019; Whiteway et al. 2021).

    h = conv(x)                         convolutions of stride 2 with leaky ReLUs
    z = W h                             autoencoder, or mean of the posterior; rows of W = [A; B]
    z_s = A h, z_u = B h                supervised and unsupervised latents
    log s^2 = V h + v                   log-variances of the posterior q(z | x) = N(z, diag(s^2)), PS-VAE only
    y^ = d z_s + c                      labels, each from its own latent
    x^ = sigmoid(deconv(U z + u))       transposed convolutions of the mirrored sizes

It must not know where frames come from, nor what is minimised.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.05
"""Of the leaky ReLUs, below nought."""
STRIDE = 2
LEAST_LOG_VARIANCE, GREATEST_LOG_VARIANCE = -12.0, 6.0


@dataclass(frozen=True)
class Sizes:
    """Sizes of a network. `channels`: of the convolutions, in order. `n_labels` is 0 for an autoencoder."""

    frame: tuple[int, int, int]
    channels: tuple[int, ...]
    kernel: int
    n_latents: int
    n_labels: int
    variational: bool


@dataclass(frozen=True)
class Code:
    """Of a batch: latents (mean of the posterior) and log-variances (None for an autoencoder), frames x latents."""

    mean: Tensor
    log_variance: Tensor | None


class BehaveNet(nn.Module):
    """Encoder, decoder and the labels' readout."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.sides = sides_of(sizes)
        widths = (sizes.frame[0], *sizes.channels)
        padding = sizes.kernel // 2
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, sizes.kernel, STRIDE, padding) for before, after in itertools.pairwise(widths)
        )
        self.deconvs = nn.ModuleList(
            nn.ConvTranspose2d(after, before, sizes.kernel, STRIDE, padding)
            for before, after in reversed(list(itertools.pairwise(widths)))
        )
        rows, columns = self.sides[-1]
        features = widths[-1] * rows * columns
        self.to_latents = nn.Linear(features, sizes.n_latents, bias=not sizes.variational)
        if sizes.variational:
            nn.init.orthogonal_(self.to_latents.weight)
            self.to_log_variance = nn.Linear(features, sizes.n_latents)
            self.label_scale = nn.Parameter(torch.ones(sizes.n_labels))
            self.label_offset = nn.Parameter(torch.zeros(sizes.n_labels))
        self.from_latents = nn.Linear(sizes.n_latents, features)

    def encode(self, x: Tensor) -> Code:
        """The code of frames x channels x rows x columns, 0 to 1."""
        for conv in self.convs:
            x = functional.leaky_relu(conv(x), SLOPE)
        h = x.flatten(1)
        if not self.sizes.variational:
            return Code(self.to_latents(h), None)
        return Code(self.to_latents(h), self.to_log_variance(h).clamp(LEAST_LOG_VARIANCE, GREATEST_LOG_VARIANCE))

    def decode(self, z: Tensor) -> Tensor:
        """Frames from latents."""
        x = functional.leaky_relu(self.from_latents(z), SLOPE)
        x = x.view(len(z), -1, *self.sides[-1])
        for place, deconv in enumerate(self.deconvs):
            x = deconv(x, output_size=list(self.sides[-2 - place]))
            x = torch.sigmoid(x) if place == len(self.deconvs) - 1 else functional.leaky_relu(x, SLOPE)
        return x

    def labels(self, z: Tensor) -> Tensor:
        """z-scored labels from the first, supervised latents."""
        return z[:, : self.sizes.n_labels] * self.label_scale + self.label_offset

    def described(self) -> dict[str, object]:
        """Sizes, as they are written with a checkpoint."""
        return asdict(self.sizes)


def sides_of(sizes: Sizes) -> tuple[tuple[int, int], ...]:
    """Rows and columns before the first convolution and after each: half of them each time, rounded up."""
    sides = [(sizes.frame[1], sizes.frame[2])]
    for _ in sizes.channels:
        rows, columns = sides[-1]
        sides.append((-(-rows // STRIDE), -(-columns // STRIDE)))
    return tuple(sides)
