"""From a recording to batches: which trials validate, which neurons are read, values as the network takes them.

It must not read files, nor know the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from analysis_kit import InputError
from recording import Recording

LEAST_RATE = 1e-4
"""Floor of a neuron's mean count a bin, for the logarithm of a silent one."""


@dataclass(frozen=True)
class Trials:
    """`order`: neurons as the network has them, those the encoders read first; `seen` of them.

    `train`, `valid`: indices of trials. `mean`, `scale` (neurons, in the network's order): of the training trials.
    `counts`: values are numbers of spikes and go in as they are; others are brought to mean 0, variance 1.
    """

    recording: Recording
    order: np.ndarray
    seen: int
    train: np.ndarray
    valid: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    counts: bool

    @property
    def offset(self) -> torch.Tensor:
        """Where the readout starts: the log of each neuron's mean count, or 0."""
        values = np.log(np.maximum(self.mean, LEAST_RATE)) if self.counts else np.zeros(len(self.mean))
        return torch.tensor(values, dtype=torch.float32)

    def batch(self, index: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Values (trials x time x neurons, in the network's order) and known inputs of some trials, as float32."""
        values = self.recording.values[index][:, :, self.order].astype(np.float32)
        if not self.counts:
            values = ((values - self.mean) / self.scale).astype(np.float32)
        known = self.recording.known
        given = None if known is None else torch.from_numpy(known[index].astype(np.float32)).to(device)
        return torch.from_numpy(values).to(device), given

    def to_recording(self, values: np.ndarray) -> np.ndarray:
        """Columns of the network's order as the recording has them."""
        restored = np.empty_like(values)
        restored[..., self.order] = values
        return restored

    def unseen_neurons(self) -> np.ndarray:
        """Neurons the encoders do not read, as the recording counts them."""
        return np.sort(self.order[self.seen :])


def arrange(recording: Recording, *, counts: bool, valid_fraction: float, held_out_neurons: float, name: str) -> Trials:
    """Part trials and neurons evenly, unless the file says how. Raises InputError if nothing is left to learn from."""
    trials, _, neurons = recording.values.shape
    chosen = recording.valid if recording.valid is not None else spread(trials, valid_fraction)
    if recording.seen is not None:
        hidden = np.arange(neurons) >= recording.seen
    else:
        hidden = spread(neurons, held_out_neurons) if held_out_neurons else np.zeros(neurons, bool)
    order = np.r_[np.flatnonzero(~hidden), np.flatnonzero(hidden)]
    train, valid = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    mean, scale = _moments(recording.values, train)
    if counts and not mean[~hidden].any():
        raise InputError(f"Dataset {name}: no neuron the encoders read has a spike in the training trials.")
    if (~hidden).sum() < 2:
        raise InputError(
            f"Dataset {name}: {(~hidden).sum()} of {neurons} neurons would be read; lower held_out_neurons."
        )
    return Trials(recording, order, int((~hidden).sum()), train, valid, mean[order], scale[order], counts)


def spread(size: int, fraction: float) -> np.ndarray:
    """A share of `size`, at least one, evenly spaced: a mask."""
    number = min(size, max(1, round(size * fraction)))
    mask = np.zeros(size, bool)
    mask[((np.arange(number) + 0.5) * size / number).astype(int)] = True
    return mask


def _moments(values: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (1 for a constant) of each neuron over the training trials, trial by trial."""
    count = len(train) * values.shape[1]
    mean = sum(values[trial].sum(0, dtype=np.float64) for trial in train) / count
    square = sum(((values[trial] - mean) ** 2).sum(0) for trial in train) / count
    return mean, np.where(square > 0, np.sqrt(square), 1.0)


def in_batches(index: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Parts of an index, each of at most `size`."""
    for first in range(0, len(index), size):
        yield index[first : first + size]
