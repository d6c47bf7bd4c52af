"""Fitting: Adam, penalties that grow over the first epochs, an early stop; the best weights are kept.

How good the network is, is measured after every epoch on the validation trials, with the posterior's means: frames,
labels, and the KL to the prior. It must not write files.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from model import BehaveNet, Sizes
from objective import Terms, gaussian_kl, terms_of, total, weights_of
from torch import Tensor
from trials import TRAIN, VALIDATION, Batch, Trials, batches


@dataclass(frozen=True)
class Epoch:
    """Means over the frames of an epoch, in nats a frame (see `objective.Terms`); `validation` is what is judged."""

    number: int
    ramp: float
    train_loss: float
    train_frame: float
    train_label: float
    train_kl_supervised: float
    train_mutual_information: float
    train_total_correlation: float
    train_dimension_kl: float
    train_orthogonality: float
    validation_frame: float
    validation_label: float
    validation: float


@dataclass(frozen=True)
class Fit:
    """The network, every epoch, the number of the best one, and why the training ended."""

    model: BehaveNet
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
    """Train for `max_n_epochs`, or until the validation gains nothing any more; the same seed gives the same weights.

    Raises FloatingPointError when the loss leaves the range of numbers.
    """
    torch.manual_seed(parameters["rng_seed_model"])
    course = _Course(trials, parameters, device)
    for number in range(1, parameters["max_n_epochs"] + 1):
        epoch = course.run_epoch(number)
        report(_line(epoch, parameters))
        if ended := course.judge(epoch):
            break
        after_epoch(course.so_far("running"))
    else:
        ended = "max_n_epochs"
    fitted = course.so_far(ended)
    fitted.model.load_state_dict(course.best_weights)
    return fitted


def sizes_of(trials: Trials, parameters: Mapping[str, Any]) -> Sizes:
    """Sizes of the network a config asks for."""
    variational = parameters["model_class"] == "ps-vae"
    return Sizes(
        trials.recording.shape,
        tuple(parameters["ae_encoding_n_channels"]),
        parameters["ae_encoding_kernel_size"],
        parameters["n_ae_latents"],
        trials.recording.n_labels if variational else 0,
        variational,
    )


def ramp_at(number: int, epochs: int) -> float:
    """How much of the KL terms counts in epoch `number` (from 1): grows evenly from 0, all of it from then on."""
    return min(1.0, (number - 1) / epochs) if epochs else 1.0


class _Course:
    """The state of a training."""

    def __init__(self, trials: Trials, parameters: Mapping[str, Any], device: torch.device) -> None:
        self.trials, self.parameters, self.device = trials, parameters, device
        self.model = BehaveNet(sizes_of(trials, parameters)).to(device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=parameters["learning_rate"], weight_decay=parameters["l2_reg"]
        )
        seed = parameters["rng_seed_model"]
        self.order, self.noise = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.epochs: list[Epoch] = []
        self.best_weights: dict[str, Tensor] = {}
        self.best, self.least = 0, float("inf")

    def so_far(self, ended: str) -> Fit:
        return Fit(self.model, tuple(self.epochs), self.best, ended)

    def run_epoch(self, number: int) -> Epoch:
        parameters = self.parameters
        anneals = parameters["ps_vae.anneal_epochs"] if self.model.sizes.variational else 0
        ramp = ramp_at(number, anneals)
        sums, frames = np.zeros(8), 0
        self.model.train()
        for batch in batches(self.trials, TRAIN, parameters["approx_batch_size"], self.order):
            sums += len(batch.x) * np.array(self._step(batch, ramp))
            frames += len(batch.x)
        trained = tuple(float(value) for value in sums / frames)
        epoch = Epoch(number, ramp, *trained, *self._validate())
        self.epochs.append(epoch)
        return epoch

    def _step(self, batch: Batch, ramp: float) -> list[float]:
        """One step of Adam; returns the loss and its terms."""
        terms = self._terms(batch, sampled=True)
        loss = total(terms, weights_of(self.parameters, ramp))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        values: list[float] = torch.stack([loss, *astuple_of(terms)]).tolist()
        if not np.isfinite(values).all():
            raise FloatingPointError("the loss is not a finite number any more; lower learning_rate")
        return values

    def _terms(self, batch: Batch, *, sampled: bool) -> Terms:
        # Drawn on the CPU: the same seed gives the same draws on every device.
        noise = torch.randn(len(batch.x), self.model.sizes.n_latents, generator=self.noise) if sampled else None
        moved = Batch(*(values.to(self.device) for values in (batch.x, batch.y, batch.seen)))
        held = None if noise is None else noise.to(self.device)
        return terms_of(self.model, moved, held, pixel_sd=self.parameters["pixel_sd"])

    @torch.no_grad()
    def _validate(self) -> tuple[float, float, float]:
        """Frames, labels, and what is judged: both with their weights and the whole KL."""
        self.model.eval()
        sums, frames = np.zeros(3), 0
        for batch in batches(self.trials, VALIDATION, self.parameters["approx_batch_size"], None):
            terms = self._terms(batch, sampled=False)
            code = self.model.encode(batch.x.to(self.device))
            kl = 0.0 if code.log_variance is None else float(gaussian_kl(code.mean, code.log_variance).sum(1).mean())
            sums += len(batch.x) * np.array([float(terms.frame), float(terms.label), kl])
            frames += len(batch.x)
        frame, label, kl = (float(value) for value in sums / frames)
        return frame, label, frame + self.parameters["ps_vae.alpha"] * label + kl

    def judge(self, epoch: Epoch) -> str:
        """Keep the best weights of the epochs in which all penalties count; why to stop, or nothing."""
        parameters = self.parameters
        if epoch.ramp < 1 and epoch.number < parameters["max_n_epochs"]:
            return ""
        if epoch.validation < self.least:
            self.best, self.least = epoch.number, epoch.validation
            self.best_weights = copy.deepcopy(self.model.state_dict())
            return ""
        patience = parameters["early_stop_history"]
        return "no gain" if patience and epoch.number - self.best >= patience else ""


def astuple_of(terms: Terms) -> tuple[Tensor, ...]:
    """The terms in the order of their fields, without copies."""
    return tuple(getattr(terms, name) for name in terms.__dataclass_fields__)


def _line(epoch: Epoch, parameters: Mapping[str, Any]) -> str:
    said = f"Epoch {epoch.number}/{parameters['max_n_epochs']}: frames {epoch.train_frame:.2f} nats"
    said += f" (validation {epoch.validation_frame:.2f})"
    if parameters["model_class"] == "ae":
        return said
    return (
        f"{said}, labels {epoch.train_label:.4f} (validation {epoch.validation_label:.4f}),"
        f" MI {epoch.train_mutual_information:.2f}, TC {epoch.train_total_correlation:.2f},"
        f" dimension-wise KL {epoch.train_dimension_kl:.2f}"
    )
