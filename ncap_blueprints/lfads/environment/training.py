"""Fitting: Adam with clipped gradients, ramps, a falling learning rate, an early stop; the best weights are kept.

How good the network is, is measured after every epoch on the trials kept for validation, on values hidden from the
encoders (or, without coordinated dropout, on neurons they never see, or else on everything). It must not write files.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from model import Lfads, Sizes
from objective import hide, kl_terms, l2_term, negative_log_likelihood
from torch import Tensor
from trials import Trials, in_batches

LEAST_GAIN = 1e-4
"""An epoch is better if it lowers the validation's NLL by this share of it."""


@dataclass(frozen=True)
class Epoch:
    """Means over the trials of an epoch, in nats a trial; `valid_nll` on what the encoders did not see."""

    number: int
    learning_rate: float
    ramp: float
    train_nll: float
    ic_kl: float
    co_kl: float
    l2: float
    valid_nll: float


@dataclass(frozen=True)
class Fit:
    """The network with its best weights, every epoch, the best one's number, and why the training ended."""

    model: Lfads
    epochs: tuple[Epoch, ...]
    best: int
    ended: str


def fit(
    trials: Trials,
    parameters: Mapping[str, Any],
    device: torch.device,
    *,
    report: Callable[[str], None],
    after_epoch: Callable[[Fit], None],
) -> Fit:
    """Train until nothing is gained any more or `max_epochs`; the same seed gives the same weights.

    Raises FloatingPointError when the loss leaves the range of numbers.
    """
    torch.manual_seed(parameters["seed"])
    model = build_model(trials, parameters).to(device)
    course = _Course(trials, parameters, device, model)
    for number in range(1, parameters["max_epochs"] + 1):
        epoch = course.run_epoch(number)
        report(_line(epoch, parameters["max_epochs"]))
        after_epoch(course.so_far("running"))
        if ended := course.judge(epoch):
            break
    else:
        ended = "max_epochs"
    fitted = course.so_far(ended)
    fitted.model.load_state_dict(course.best_weights)
    return fitted


def build_model(trials: Trials, parameters: Mapping[str, Any]) -> Lfads:
    """A network of the asked size, with weights from torch's random state."""
    known = trials.recording.known
    units = {name: parameters[name] for name in ("enc_dim", "ic_dim", "gen_dim", "fac_dim", "con_dim", "co_dim")}
    sizes = Sizes(len(trials.order), trials.seen, **units, ext_dim=0 if known is None else known.shape[2])
    return Lfads(sizes, offset=trials.offset, dropout=parameters["dropout_rate"])


def ramp_at(number: int, epochs: int) -> float:
    """How much of the penalties counts in epoch `number` (from 1): grows evenly from 0, all of it from then on."""
    return min(1.0, (number - 1) / epochs) if epochs else 1.0


class _Course:
    """The state of a training."""

    def __init__(self, trials: Trials, parameters: Mapping[str, Any], device: torch.device, model: Lfads) -> None:
        self.trials, self.parameters, self.device, self.model = trials, parameters, device, model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=parameters["learning_rate"])
        self.random = torch.Generator().manual_seed(parameters["seed"])
        self.epochs: list[Epoch] = []
        self.best_weights: dict[str, Tensor] = copy.deepcopy(model.state_dict())
        self.best, self.least, self.since_decay = 0, float("inf"), 0

    def so_far(self, ended: str) -> Fit:
        return Fit(self.model, tuple(self.epochs), self.best, ended)

    def run_epoch(self, number: int) -> Epoch:
        parameters, trials = self.parameters, self.trials
        ramp = ramp_at(number, parameters["ramp_epochs"])
        order = trials.train[torch.randperm(len(trials.train), generator=self.random).numpy()]
        sums = np.zeros(4)
        self.model.train()
        for index in in_batches(order, parameters["batch_size"]):
            sums += len(index) * np.array(self._step(index, ramp))
        nll, ic_kl, co_kl, l2 = (float(value) for value in sums / len(order))
        rate = self.optimizer.param_groups[0]["lr"]
        epoch = Epoch(number, rate, ramp, nll, ic_kl, co_kl, l2, self._validate())
        self.epochs.append(epoch)
        return epoch

    def _step(self, index: np.ndarray, ramp: float) -> list[float]:
        """One step of Adam; returns NLL, KL of initial conditions, of inputs, and L2."""
        parameters, model = self.parameters, self.model
        x, known = self.trials.batch(index, self.device)
        hidden = hide(x, self.trials.seen, rate=parameters["cd_rate"], random=self.random)
        posterior, output = model(hidden.seen, known, sampled=True)
        nll = (hidden.weight * self._nll(x, output.readout)).sum((1, 2)).mean()
        ic_kl, co_kl = kl_terms(model, posterior)
        l2 = l2_term(model, generator=parameters["l2_gen"], controller=parameters["l2_con"])
        loss = nll + ramp * (parameters["kl_ic"] * ic_kl + parameters["kl_co"] * co_kl + l2)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), parameters["max_grad_norm"])
        self.optimizer.step()
        terms = torch.stack([nll, ic_kl, co_kl, l2]).tolist()
        if not np.isfinite(terms).all():
            raise FloatingPointError("the loss is not a finite number any more; lower learning_rate")
        return terms

    @torch.no_grad()
    def _validate(self) -> float:
        """NLL a trial on what the encoders did not see, with the posterior's means, always the same values hidden."""
        self.model.eval()
        parameters, seen = self.parameters, self.trials.seen
        random = torch.Generator().manual_seed(parameters["seed"])
        total = 0.0
        for index in in_batches(self.trials.valid, parameters["batch_size"]):
            x, known = self.trials.batch(index, self.device)
            hidden = hide(x, seen, rate=parameters["cd_rate"], random=random)
            _, output = self.model(hidden.seen, known, sampled=False)
            nll = hidden.weight * self._nll(x, output.readout)
            # Neurons the encoders never see are kept for the scores, unless nothing else is hidden.
            apart = parameters["cd_rate"] == 0 and seen < x.shape[2]
            total += float((nll[..., seen:] if apart else nll[..., :seen]).sum())
        return total / len(self.trials.valid)

    def _nll(self, x: Tensor, readout: Tensor) -> Tensor:
        return negative_log_likelihood(x, readout, None if self.trials.counts else self.model.noise_log_variance)

    def judge(self, epoch: Epoch) -> str:
        """Keep the best weights, lower the learning rate on a plateau; why to stop, or nothing."""
        parameters = self.parameters
        gain = self.least - epoch.valid_nll
        if gain > LEAST_GAIN * abs(epoch.valid_nll):
            self.best, self.least, self.since_decay = epoch.number, epoch.valid_nll, 0
            self.best_weights = copy.deepcopy(self.model.state_dict())
            return ""
        self.since_decay += 1
        if self.since_decay >= parameters["lr_patience"]:
            self.since_decay = 0
            self.optimizer.param_groups[0]["lr"] *= parameters["lr_decay"]
        if self.optimizer.param_groups[0]["lr"] < parameters["lr_stop"]:
            return "learning rate"
        after_ramp = epoch.number - max(self.best, parameters["ramp_epochs"])
        return "no gain" if after_ramp >= parameters["patience"] else ""


def _line(epoch: Epoch, most: int) -> str:
    inputs = f", inputs {epoch.co_kl:.2f}" if epoch.co_kl else ""
    return (
        f"Epoch {epoch.number}/{most}: NLL {epoch.train_nll:.2f} nats a trial, of validation {epoch.valid_nll:.2f}, "
        f"KL start {epoch.ic_kl:.2f}{inputs}, learning rate {epoch.learning_rate:.3g}"
    )
