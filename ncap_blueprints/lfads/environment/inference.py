"""What a fitted network says of trials: averages over draws from the posterior. It must not train."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from model import GREATEST_LOG_RATE, Lfads
from torch import Tensor
from trials import Trials, in_batches

VALUES_AT_ONCE = 20_000_000
"""Of the widest array while drawing; 80 MB."""


@dataclass(frozen=True)
class Inferred:
    """`rates` trials x time x neurons, expected values in units of the recording, neurons as the recording has them.

    `factors` trials x time x fac_dim, `g0_mean`, `g0_sd` trials x gen_dim, `inputs`, `inputs_sd` trials x time x co_dim
    (None without a controller). All float32.
    """

    rates: np.ndarray
    factors: np.ndarray
    g0_mean: np.ndarray
    g0_sd: np.ndarray
    inputs: np.ndarray | None
    inputs_sd: np.ndarray | None


@torch.no_grad()
def infer(model: Lfads, trials: Trials, index: np.ndarray, device: torch.device, *, draws: int, seed: int) -> Inferred:
    """Averages over `draws` from the posterior of each trial, with all spikes the encoders may read shown to them.

    One draw: the posterior's means instead. The same seed gives the same numbers.
    """
    model.eval()
    if draws > 1:
        torch.manual_seed(seed)
    time, neurons = trials.recording.values.shape[1:]
    sizes = model.sizes
    width = max(neurons, 3 * sizes.gen_dim, 4 * sizes.enc_dim)
    at_once = max(1, VALUES_AT_ONCE // (draws * time * width))
    parts = [_batch(model, trials, part, device, draws=draws) for part in in_batches(index, at_once)]
    joined = [None if column[0] is None else np.concatenate(column) for column in zip(*parts, strict=True)]
    rates, factors, g0_mean, g0_sd, inputs, inputs_sd = joined
    return Inferred(trials.to_recording(rates), factors, g0_mean, g0_sd, inputs, inputs_sd)


def _batch(
    model: Lfads, trials: Trials, index: np.ndarray, device: torch.device, *, draws: int
) -> tuple[np.ndarray | None, ...]:
    x, known = trials.batch(index, device)
    x = x[..., : trials.seen].repeat_interleave(draws, 0)
    known = None if known is None else known.repeat_interleave(draws, 0)
    posterior, output = model(x, known, sampled=draws > 1)
    g0 = model.start(posterior.ic_mean[::draws])
    # g0 is linear in z, so its variance follows from that of z.
    g0_variance = posterior.ic_log_variance[::draws].exp() @ model.start.weight.square().T
    inputs = inputs_sd = None
    if posterior.co_mean is not None and posterior.co_log_variance is not None:
        inputs = _mean(posterior.co_mean, draws)
        second = _mean(posterior.co_log_variance.exp() + posterior.co_mean.square(), draws)
        inputs_sd = (second - inputs.square()).clamp(min=0).sqrt()
    rates = _mean(expected(output.readout, trials), draws)
    found = (rates, _mean(output.factors, draws), g0, g0_variance.sqrt(), inputs, inputs_sd)
    return tuple(None if value is None else value.cpu().numpy() for value in found)


def _mean(values: Tensor, draws: int) -> Tensor:
    """Over the draws of each trial."""
    return values.reshape(-1, draws, *values.shape[1:]).mean(1)


def expected(readout: Tensor, trials: Trials) -> Tensor:
    """Expected values in units of the recording, from the readout: exp of a log-rate, or a mean that was scaled."""
    if trials.counts:
        return readout.clamp(max=GREATEST_LOG_RATE).exp()
    mean, scale = (
        torch.tensor(part, dtype=torch.float32, device=readout.device) for part in (trials.mean, trials.scale)
    )
    return readout * scale + mean


@torch.no_grad()
def predict_hidden(
    model: Lfads, trials: Trials, device: torch.device, *, folds: int, seed: int, batch: int
) -> np.ndarray:
    """Expected values of the validation trials, each predicted while it was hidden from the encoders.

    Values of neurons the encoders read are parted at random into `folds`; one is hidden at a time, as in coordinated
    dropout, and the posterior's means are used. Trials x time x neurons, as the recording has them.
    """
    model.eval()
    random = torch.Generator().manual_seed(seed)
    found = []
    for index in in_batches(trials.valid, batch):
        x, known = trials.batch(index, device)
        seen = x[..., : trials.seen]
        fold = torch.randint(folds, seen.shape, generator=random).to(device)
        rates = torch.zeros_like(x)
        for hidden in range(folds):
            shown = seen * (fold != hidden) * folds / (folds - 1)
            _, output = model(shown, known, sampled=False)
            predicted = expected(output.readout, trials)
            rates[..., : trials.seen] += predicted[..., : trials.seen] * (fold == hidden)
        _, output = model(seen, known, sampled=False)
        rates[..., trials.seen :] = expected(output.readout, trials)[..., trials.seen :]
        found.append(rates.cpu().numpy())
    return trials.to_recording(np.concatenate(found))
