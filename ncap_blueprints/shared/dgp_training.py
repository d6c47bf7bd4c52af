"""Trains a network on labelled images, then on labelled and unlabelled frames together (Wu et al. 2020).

First `maxiters` steps on labels alone. Then, for each of `nepoch` epochs, variational expectation-maximisation: the
markers of the unlabelled frames are inferred under the graphical model with the network as it is (`dgp_graph`), and the
network is trained towards that posterior (the network's term of the bound) and the labels. Without graph weights
(`wt` and `ws` 0) the posterior is the network's own opinion; then the same number of steps goes to the labels alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from dgp_augment import changed
from dgp_frames import Chain, as_input
from dgp_graph import Cliques, Evidence, infer
from dgp_maps import cross_entropy, labelled_loss, moments
from torch import Tensor, nn

LABEL_SD_PX = 2.0
"""How well a certain network or a person places a marker, in the scaled frame."""
LEAST_SEEN = 1e-3
TRIAL_STEPS, TRIAL_EPOCHS = 20, 1
LARGEST_GRADIENT = 10.0
LAST_RATE_SHARE = 0.02
STEPS_A_REPORT = 100


@dataclass(frozen=True)
class Examples:
    """What is learned from. `images` and `places` (images, parts, 2) of labels; chains of frames, and for each the
    labels (frames, parts, 2) in it that may be used, NaN elsewhere. Pixels of the scaled frame."""

    images: tuple[np.ndarray, ...]
    places: np.ndarray
    chains: tuple[Chain, ...]
    observed: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Progress:
    """Where a training is: steps so far, mean losses since the last line, the bound (nats a hidden marker)."""

    stage: str
    step: int
    epoch: int
    learning_rate: float
    labelled_loss: float
    graph_loss: float
    bound: float
    moved_px: float
    """How far the graph moves the markers from where the network sees them: root mean square."""


@dataclass(frozen=True)
class Target:
    """The posterior of a chain's markers: `mean` (frames, parts, 2), `variance` (frames, parts)."""

    mean: np.ndarray
    variance: np.ndarray
    bound: float
    off: np.ndarray


def fit(
    network: nn.Module,
    examples: Examples,
    cliques: Cliques,
    parameters: Mapping[str, Any],
    *,
    random: np.random.Generator,
    after: Callable[[Progress], None],
) -> list[Progress]:
    """Train in place; `after` is called after every line of progress. Raises FloatingPointError."""
    return _Training(network, examples, cliques, parameters, random, after).run()


class _Training:
    def __init__(
        self,
        network: nn.Module,
        examples: Examples,
        cliques: Cliques,
        parameters: Mapping[str, Any],
        random: np.random.Generator,
        after: Callable[[Progress], None],
    ) -> None:
        self.network, self.examples, self.cliques, self.parameters = network, examples, cliques, parameters
        self.random, self.after = random, after
        self.device = next(network.parameters()).device
        self.batch = parameters["batch_size"]
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=parameters["lr"], weight_decay=1e-4)
        self.is_trial = parameters["testing"]
        self.first = min(parameters["maxiters"], TRIAL_STEPS) if self.is_trial else parameters["maxiters"]
        self.epochs = min(parameters["nepoch"], TRIAL_EPOCHS) if self.is_trial else parameters["nepoch"]
        self.batches_an_epoch = sum(-(-len(chain.images) // self.batch) for chain in examples.chains)
        self.steps = self.first + self.epochs * self.batches_an_epoch
        self.step = 0
        self.order: list[int] = []
        self.lines: list[Progress] = []

    def run(self) -> list[Progress]:
        losses: list[float] = []
        while self.step < self.first:
            losses.append(self._learn(None)[0])
            if self.step % STEPS_A_REPORT == 0 or self.step == self.first:
                self._report(Progress("labels", self.step, 0, self._rate(), float(np.mean(losses)), 0.0, 0.0, 0.0))
                losses = []
        for epoch in range(1, self.epochs + 1):
            self._run_epoch(epoch)
        return self.lines

    def _run_epoch(self, epoch: int) -> None:
        is_joined = bool(self.cliques.wt or (self.cliques.ws and self.cliques.edges))
        targets = self._expect() if is_joined else None
        found = np.array([self._learn(batch) for batch in self._batches(targets)])
        bound = moved = 0.0
        if targets is not None:
            bound = float(np.mean([target.bound for target in targets]))
            moved = float(np.sqrt(np.nanmean(np.concatenate([target.off for target in targets]))))
        labelled, graph = found.mean(axis=0)
        stage = "graph" if is_joined else "labels"
        self._report(Progress(stage, self.step, epoch, self._rate(), labelled, graph, bound, moved))

    def _report(self, line: Progress) -> None:
        self.lines.append(line)
        self.after(line)

    def _rate(self) -> float:
        """The learning rate falls along half a cosine in the last stage."""
        start = self.first if self.epochs else 0
        share = max(0, self.step - start) / max(1, self.steps - start)
        return self.parameters["lr"] * (LAST_RATE_SHARE + (1 - LAST_RATE_SHARE) * 0.5 * (1 + math.cos(math.pi * share)))

    def _expect(self) -> list[Target]:
        """The posterior of all chains with the network as it is."""
        self.network.eval()
        return [
            expected(self.network, chain.images, labels, self.cliques, batch=2 * self.batch)
            for chain, labels in zip(self.examples.chains, self.examples.observed, strict=True)
        ]

    def _batches(
        self, targets: Sequence[Target] | None
    ) -> Iterator[tuple[list[np.ndarray], np.ndarray, np.ndarray] | None]:
        """All frames of the chains once, in random order, a batch from one chain; without targets nothing as often."""
        if targets is None:
            yield from [None] * self.batches_an_epoch
            return
        plan = []
        for number, chain in enumerate(self.examples.chains):
            order = self.random.permutation(len(chain.images))
            plan += [(number, order[start : start + self.batch]) for start in range(0, len(order), self.batch)]
        for place in self.random.permutation(len(plan)):
            number, frames = plan[place]
            target = targets[number]
            yield (
                [self.examples.chains[number].images[it] for it in frames],
                target.mean[frames],
                target.variance[frames],
            )

    def _next_labelled(self) -> list[int]:
        """The next few labelled images: all once in random order, then again."""
        count = min(self.batch, len(self.examples.images))
        while len(self.order) < count:
            self.order += self.random.permutation(len(self.examples.images)).tolist()
        chosen, self.order = self.order[:count], self.order[count:]
        return chosen

    def _learn(self, unlabelled: tuple[list[np.ndarray], np.ndarray, np.ndarray] | None) -> tuple[float, float]:
        """One step; the losses of labels and of the graph's posterior."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        chosen = self._next_labelled()
        images, places = self._ready([self.examples.images[it] for it in chosen], self.examples.places[chosen])
        labelled = labelled_loss(self.network(images), places)
        graph = torch.zeros((), device=self.device)
        if unlabelled is not None:
            frames, mean, variance = unlabelled
            images, places = self._ready(frames, mean)
            graph = cross_entropy(self.network(images), places, torch.from_numpy(variance).to(places)).mean()
        loss = labelled + graph
        if not torch.isfinite(loss):
            raise FloatingPointError("the loss is not a finite number any more; lower lr")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        self.step += 1
        return float(labelled.detach()), float(graph.detach())

    def _ready(self, images: list[np.ndarray], places: np.ndarray) -> tuple[Tensor, Tensor]:
        batch, at = as_input(images, self.device), torch.from_numpy(places.astype(np.float32)).to(self.device)
        return changed(batch, at, self.random) if self.parameters["aug"] else (batch, at)


@torch.no_grad()
def expected(network: nn.Module, images: np.ndarray, observed: np.ndarray, cliques: Cliques, *, batch: int) -> Target:
    """The posterior of one chain's markers; the bound is a mean over hidden markers."""
    device = next(network.parameters()).device
    found = [
        moments(network(as_input(list(images[start : start + batch]), device)))
        for start in range(0, len(images), batch)
    ]
    mean, variance, seen = (
        torch.cat([getattr(part, name) for part in found]).cpu().numpy().astype(float)
        for name in ("mean", "variance", "probability")
    )
    evidence = Evidence(mean, variance + LABEL_SD_PX**2, np.maximum(seen, LEAST_SEEN), observed)
    posterior = infer(evidence, cliques)
    hidden = np.isnan(observed).any(axis=-1)
    off = np.where(hidden, ((posterior.mean - mean) ** 2).sum(-1), np.nan).ravel()
    return Target(posterior.mean, posterior.variance, posterior.bounds[-1] / max(1, int(hidden.sum())), off)
