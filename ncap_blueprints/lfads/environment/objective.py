"""What is minimised, a trial: reconstruction, Kullback-Leibler terms, L2; and coordinated dropout.

    loss = NLL + beta (k_ic KL(q(z|x) || p(z)) + k_co KL(q(u|x) || p(u))) + gamma L2

NLL is the negative log-likelihood of the spikes (nats). beta and gamma grow from 0 to 1 at the start of the training.
Coordinated dropout (Keshtkaran and Pandarinath 2019): a share of the values is hidden from the encoders and the NLL is
taken on the hidden ones only, so that the network cannot learn to copy its input. It must not train anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from model import GREATEST_LOG_RATE, Lfads, Posterior
from torch import Tensor

IC_PRIOR_VARIANCE = 0.1
"""Variance of p(z) = N(0, 0.1), as in the paper."""


@dataclass(frozen=True)
class Hidden:
    """A batch as the encoders see it (batch x time x seen) and the weight of each value in the NLL (… x neurons)."""

    seen: Tensor
    weight: Tensor


def hide(x: Tensor, seen: int, *, rate: float, random: torch.Generator) -> Hidden:
    """Coordinated dropout of batch x time x neurons; neurons from `seen` on are never shown and always count.

    What is shown is scaled by 1 / (1 - rate) and what is hidden weighs 1 / rate, so that expected sums stay.
    """
    weight = torch.ones_like(x)
    shown = x[..., :seen]
    if rate > 0:
        # Drawn on the CPU: the same seed gives the same masks on every device.
        kept = (torch.rand(shown.shape, generator=random) >= rate).to(x.device)
        weight[..., :seen] = ~kept / rate
        shown = shown * kept / (1 - rate)
    return Hidden(shown, weight)


def negative_log_likelihood(x: Tensor, readout: Tensor, noise_log_variance: Tensor | None) -> Tensor:
    """Of each value in nats. Poisson with log-rate `readout`, without log x!; Gaussian with mean `readout` and
    variance exp(`noise_log_variance`) if that is given."""
    if noise_log_variance is None:
        log_rate = readout.clamp(max=GREATEST_LOG_RATE)
        return log_rate.exp() - x * log_rate
    error = (x - readout).square() * torch.exp(-noise_log_variance)
    return 0.5 * (error + noise_log_variance + math.log(2 * math.pi))


def gaussian_kl(
    mean: Tensor, log_variance: Tensor, prior_mean: Tensor | float, prior_log_variance: Tensor | float
) -> Tensor:
    """KL(N(mean, variance) || N(prior mean, prior variance)) of each component, in nats."""
    prior = torch.as_tensor(prior_log_variance, dtype=mean.dtype, device=mean.device)
    shifted = (log_variance - prior).exp() + (mean - prior_mean).square() * torch.exp(-prior)
    return 0.5 * (prior - log_variance + shifted - 1)


def kl_terms(model: Lfads, posterior: Posterior) -> tuple[Tensor, Tensor]:
    """KL of the initial conditions and of the inferred inputs, means over the trials of the batch.

    By the chain rule the second is the sum over time of the KL given the input drawn before.
    """
    ic = gaussian_kl(posterior.ic_mean, posterior.ic_log_variance, 0.0, math.log(IC_PRIOR_VARIANCE))
    ic_kl = ic.sum(1).mean()
    if posterior.inputs is None or posterior.co_mean is None or posterior.co_log_variance is None:
        return ic_kl, ic_kl.new_zeros(())
    prior_mean, prior_log_variance = model.prior.before(posterior.inputs)
    co = gaussian_kl(posterior.co_mean, posterior.co_log_variance, prior_mean, prior_log_variance)
    return ic_kl, co.sum((1, 2)).mean()


def l2_term(model: Lfads, *, generator: float, controller: float) -> Tensor:
    """Mean square of the recurrent weights times their scales."""
    own, control = model.recurrent_weights()
    penalty = generator * own.square().mean()
    return penalty if control is None else penalty + controller * control.square().mean()
