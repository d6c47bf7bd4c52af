"""What is minimised, in nats a frame (Whiteway et al. 2021, equations of the PS-VAE; Chen et al. 2018 for the TC).

    loss = |x - x^|^2 / (2 sd^2) + alpha |y - y^|^2 / 2 + ramp [KL(q(z_s|x) || p) + MI + beta TC + DWKL]
           + gamma |W W' - I|^2

    MI   = E[log q(z_u|x) - log q(z_u)]                 index-code mutual information
    TC   = E[log q(z_u) - sum_j log q(z_uj)]            total correlation
    DWKL = E[sum_j (log q(z_uj) - log p(z_uj))]         dimension-wise KL
    log q(z_i) ~ log sum_j q(z_i|x_j) - log M           over a batch of M frames

The last is the minibatch-weighted estimate but for a constant, log N of N training frames, which moves the three terms
against each other and has no gradient; without it they have their own sizes. They add up to KL(q(z_u|x) || p),
sampled. p is a standard normal. It must not train anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from model import BehaveNet, Code
from torch import Tensor
from trials import Batch


@dataclass(frozen=True)
class Terms:
    """Means over the frames of a batch (nats), before weights; `frame` is divided by 2 sd^2, `label` by 2."""

    frame: Tensor
    label: Tensor
    kl_supervised: Tensor
    mutual_information: Tensor
    total_correlation: Tensor
    dimension_kl: Tensor
    orthogonality: Tensor


@dataclass(frozen=True)
class Weights:
    """Weights of the terms; `ramp` is of everything that holds the posterior to the prior."""

    alpha: float
    beta: float
    gamma: float
    ramp: float


def terms_of(model: BehaveNet, batch: Batch, noise: Tensor | None, *, pixel_sd: float) -> Terms:
    """All terms for a batch. `noise`: standard normal, frames x latents; None takes the posterior's means."""
    code = model.encode(batch.x)
    sizes = model.sizes
    z = code.mean
    if code.log_variance is not None and noise is not None:
        z = code.mean + noise * torch.exp(0.5 * code.log_variance)
    frame = (batch.x - model.decode(z)).square().sum((1, 2, 3)).mean() / (2 * pixel_sd**2)
    nought = frame.new_zeros(())
    if code.log_variance is None:
        return Terms(frame, *(nought,) * 6)
    label = (batch.seen * (batch.y - model.labels(code.mean if noise is None else z)).square()).sum(1).mean() / 2
    apart = sizes.n_labels
    kl_supervised = gaussian_kl(code.mean[:, :apart], code.log_variance[:, :apart]).sum(1).mean()
    unsupervised = Code(code.mean[:, apart:], code.log_variance[:, apart:])
    parts = decomposed_kl(z[:, apart:], unsupervised)
    return Terms(frame, label, kl_supervised, *parts, orthogonality(model.to_latents.weight))


def total(terms: Terms, weights: Weights) -> Tensor:
    """The loss."""
    prior = terms.kl_supervised + terms.mutual_information + terms.dimension_kl
    return (
        terms.frame
        + weights.alpha * terms.label
        + weights.ramp * (prior + weights.beta * terms.total_correlation)
        + weights.gamma * terms.orthogonality
    )


def weights_of(parameters: Mapping[str, Any], ramp: float) -> Weights:
    """The weights a config asks for."""
    return Weights(*(parameters[f"ps_vae.{name}"] for name in ("alpha", "beta", "gamma")), ramp)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of each latent, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def decomposed_kl(z: Tensor, code: Code) -> tuple[Tensor, Tensor, Tensor]:
    """MI, TC and DWKL of draws `z` (frames x latents) from the posteriors `code` of a batch."""
    if code.log_variance is None or not z.shape[1]:
        nought = z.new_zeros(())
        return nought, nought, nought
    own = log_normal(z, code.mean, code.log_variance).sum(1)
    prior = log_normal(z, torch.zeros_like(z), torch.zeros_like(z))
    pairs = log_normal(z[:, None], code.mean[None], code.log_variance[None])
    joint = torch.logsumexp(pairs.sum(2), 1) - math.log(len(z))
    marginals = torch.logsumexp(pairs, 1) - math.log(len(z))
    return (own - joint).mean(), (joint - marginals.sum(1)).mean(), (marginals - prior).sum(1).mean()


def log_normal(value: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log-density of a normal, elementwise."""
    return -0.5 * ((value - mean).square() * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi))


def orthogonality(weight: Tensor) -> Tensor:
    """|W W' - I|^2 over all latents: supervised and unsupervised ones look along different directions of h."""
    gram = weight @ weight.T
    return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum()
