"""What a fitted network makes of trials: latents, labels, frames. It must not train nor write files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from model import BehaveNet
from trials import TRAIN, Trials

CHUNK = 256
"""Frames that go through the network together."""
STEPS = 7
"""Values of a latent in its traversal."""


@dataclass(frozen=True)
class Encoded:
    """For each trial: latents (frames x latents), their posterior's standard deviations (PS-VAE; else None) and labels
    in their own units (frames x labels; no columns for an autoencoder)."""

    latents: tuple[np.ndarray, ...]
    sd: tuple[np.ndarray, ...] | None
    labels: tuple[np.ndarray, ...]

    def over(self, index: Sequence[int] | np.ndarray) -> np.ndarray:
        """Latents of some trials one after the other."""
        return np.concatenate([self.latents[trial] for trial in index])


@torch.no_grad()
def encode_trials(model: BehaveNet, trials: Trials, index: Sequence[int] | np.ndarray, device: torch.device) -> Encoded:
    """The codes of trials, as means of the posterior."""
    model.eval()
    latents, spreads, labels = [], [], []
    for trial in index:
        frames = torch.from_numpy(trials.recording.frames(int(trial)))
        codes = [model.encode(part.to(device)) for part in frames.split(CHUNK)]
        mean = torch.cat([code.mean for code in codes])
        latents.append(mean.cpu().numpy())
        if model.sizes.variational:
            logs = torch.cat([code.log_variance for code in codes if code.log_variance is not None])
            spreads.append(torch.exp(0.5 * logs).cpu().numpy())
            predicted = model.labels(mean).cpu().numpy()
            labels.append((predicted * trials.label_scale + trials.label_mean).astype(np.float32))
        else:
            labels.append(np.zeros((len(mean), 0), np.float32))
    return Encoded(tuple(latents), tuple(spreads) or None, tuple(labels))


@torch.no_grad()
def decode_latents(model: BehaveNet, latents: np.ndarray, device: torch.device) -> np.ndarray:
    """Frames (frames x channels x rows x columns, 0 to 1) of latents (frames x latents)."""
    model.eval()
    parts = torch.from_numpy(np.ascontiguousarray(latents, np.float32)).split(CHUNK)
    return np.concatenate([model.decode(part.to(device)).cpu().numpy() for part in parts])


def frame_r2(
    model: BehaveNet, trials: Trials, latents: Sequence[np.ndarray], index: np.ndarray, device: torch.device
) -> float:
    """Share of the variance of pixels, about each pixel's mean over these trials, that decoded `latents` explain."""
    counted = int(trials.recording.lengths[index].sum())
    shape = trials.recording.shape
    mean = sum((trials.recording.frames(int(trial)).sum(0, dtype=np.float64) for trial in index), np.zeros(shape))
    error = variance = 0.0
    for trial in index:
        frames = trials.recording.frames(int(trial))
        error += float(np.square(frames - decode_latents(model, latents[trial], device)).sum(dtype=np.float64))
        variance += float(np.square(frames - mean / counted).sum(dtype=np.float64))
    return 1 - error / variance if variance > 0 else float("nan")


def traverse(model: BehaveNet, trials: Trials, encoded: Encoded, device: torch.device) -> np.ndarray:
    """Latents x steps x rows x columns: what each latent alone changes, from its 2nd to its 98th percentile over the
    training trials, with the others at their medians; the first channel."""
    held = encoded.over(trials.of(TRAIN)) if len(encoded.latents) == len(trials.part) else encoded.over(range(1))
    low, middle, high = np.percentile(held, (2, 50, 98), axis=0)
    frames = []
    for latent in range(held.shape[1]):
        points = np.tile(middle, (STEPS, 1))
        points[:, latent] = np.linspace(low[latent], high[latent], STEPS)
        frames.append(decode_latents(model, points, device)[:, 0])
    return np.stack(frames)
