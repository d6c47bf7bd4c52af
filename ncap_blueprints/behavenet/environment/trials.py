"""Which trials are trained on, and batches of frames out of them. It must not know the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from analysis_kit import InputError
from recording import Recording, as_unit, observed
from torch import Tensor

POOL_BYTES = 256 * 2**20
"""Frames that are shuffled together: trials are taken at random until they have this size (or all of them)."""
TRAIN, VALIDATION, TEST, UNUSED = 0, 1, 2, -1


@dataclass(frozen=True)
class Batch:
    """Frames (frames x channels x rows x columns, 0 to 1), z-scored labels and 1 where they were observed."""

    x: Tensor
    y: Tensor
    seen: Tensor


@dataclass(frozen=True)
class Trials:
    """A recording, the part each trial belongs to, and mean and scale of labels over the training trials."""

    recording: Recording
    part: np.ndarray
    label_mean: np.ndarray
    label_scale: np.ndarray

    def of(self, part: int) -> np.ndarray:
        """Indices of the trials of a part."""
        return np.flatnonzero(self.part == part)

    def frames_in(self, part: int) -> int:
        """Number of frames of a part."""
        return int(self.recording.lengths[self.part == part].sum())

    def labels(self, trial: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames x labels of a trial: z-scored values, and whether each was observed."""
        recording = self.recording
        if recording.labels is None:
            empty = np.zeros((int(recording.lengths[trial]), 0), np.float32)
            return empty, empty.astype(bool)
        values = ((recording.labels[trial] - self.label_mean) / self.label_scale).astype(np.float32)
        seen = np.ones(values.shape, bool) if recording.masks is None else recording.masks[trial]
        return values, seen


def split(recording: Recording, rule: str, name: str) -> Trials:
    """Parts by `rule`, "train;validation;test;gap": that many trials in turn, a gap of unused ones after each part.

    Raises InputError if a part would be empty.
    """
    train, validation, test, gap = (int(word) for word in rule.split(";"))
    pattern = [TRAIN] * train + [UNUSED] * gap + [VALIDATION] * validation + [UNUSED] * gap + [TEST] * test
    pattern += [UNUSED] * gap
    count = len(recording.names)
    part = np.array([pattern[trial % len(pattern)] for trial in range(count)])
    if missing := [what for what, kind in (("validation", VALIDATION), ("test", TEST)) if kind not in part]:
        raise InputError(
            f"Dataset {name}: with {count} trials and trial_splits {rule} there is no {missing[0]} trial; give more"
            " trials (a long recording may be cut), or smaller numbers in trial_splits."
        )
    return Trials(recording, part, *_label_scaling(recording, part))


def _label_scaling(recording: Recording, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each label over observed frames of the training trials."""
    if recording.labels is None:
        return np.zeros(0), np.ones(0)
    rows = np.repeat(part == TRAIN, recording.lengths)
    values = np.concatenate(recording.labels)[rows].astype(np.float64)
    known = np.where(observed(recording)[rows], values, np.nan)
    count = np.isfinite(known).sum(0)
    mean = np.nansum(known, 0) / np.maximum(count, 1)
    spread = np.sqrt(np.nansum((known - mean) ** 2, 0) / np.maximum(count, 1))
    return mean, np.where(spread > 0, spread, 1.0)


def batches(trials: Trials, part: int, size: int, random: np.random.Generator | None) -> Iterator[Batch]:
    """Frames of a part in batches of about `size`; shuffled over trials with `random`, else in order.

    The last batch of a pool is as large as the others or joined with the one before: the minibatch-weighted estimate
    of q(z) needs many frames.
    """
    order = trials.of(part)
    if random is not None:
        order = random.permutation(order)
    for pool in _pools(trials, order):
        x = np.concatenate([trials.recording.read(trial) for trial in pool])
        held = [trials.labels(trial) for trial in pool]
        y, seen = np.concatenate([values for values, _ in held]), np.concatenate([known for _, known in held])
        frames = np.arange(len(x)) if random is None else random.permutation(len(x))
        for index in np.array_split(frames, max(1, round(len(x) / size))):
            yield Batch(
                torch.from_numpy(as_unit(x[index])),
                torch.from_numpy(y[index]),
                torch.from_numpy(seen[index].astype(np.float32)),
            )


def _pools(trials: Trials, order: np.ndarray) -> Iterator[list[int]]:
    """Trials in groups that are held in memory together."""
    pixels = int(np.prod(trials.recording.shape))
    pool: list[int] = []
    size = 0
    for trial in order.tolist():
        pool.append(trial)
        size += int(trials.recording.lengths[trial]) * pixels
        if size >= POOL_BYTES:
            yield pool
            pool, size = [], 0
    if pool:
        yield pool
