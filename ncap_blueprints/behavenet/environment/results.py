"""The files of a run: arrays, tables, checkpoint, video. It must not compute scores nor draw."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from arhmm import Arhmm
from decoding import Decoder
from inference import Encoded
from training import Epoch, Fit
from trials import Trials

LEAST_SIDE = 160
"""Rows a frame has in the video, at least."""


def write_latents(path: Path, encoded: Encoded, trials: Trials) -> None:
    """All frames of all trials one after the other; `trial` and `part` say where each comes from."""
    recording = trials.recording
    held: dict[str, Any] = {
        "latents": np.concatenate(encoded.latents),
        "labels_predicted": np.concatenate(encoded.labels),
        "trial": np.repeat(np.arange(len(recording.names)), recording.lengths),
        "part": np.repeat(trials.part, recording.lengths),
        "trial_names": np.array(recording.names),
    }
    if encoded.sd is not None:
        held["latents_sd"] = np.concatenate(encoded.sd)
    np.savez_compressed(path, **held)


def write_states(path: Path, states: list[np.ndarray], model: Arhmm, mean: np.ndarray, scale: np.ndarray) -> None:
    """States of all frames, and the model; its latents are z-scored with `latent_mean` and `latent_scale`."""
    width = model.noise.shape[1]
    np.savez_compressed(
        path,
        states=np.concatenate(states).astype(np.int16),
        transition_matrix=np.exp(model.log_transition),
        start=np.exp(model.log_start),
        dynamics=model.weights[..., :-1].reshape(model.n_states, width, model.n_lags, width),
        offset=model.weights[..., -1],
        noise=model.noise,
        latent_mean=mean,
        latent_scale=scale,
    )


def write_decoding(path: Path, decoder: Decoder, predicted: list[np.ndarray]) -> None:
    """The decoder, and latents of all frames as it predicts them from neural activity."""
    np.savez_compressed(
        path,
        latents_predicted=np.concatenate(predicted).astype(np.float32),
        weights=decoder.weights,
        neural_mean=decoder.mean,
        neural_scale=decoder.scale,
        n_lags=decoder.n_lags,
        ridge=decoder.ridge,
    )


def write_metrics(path: Path, fitted: Fit) -> None:
    """One row an epoch: `training.Epoch`'s fields."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        names = [field.name for field in fields(Epoch)]
        table.writerow(["epoch", *names[1:]])
        for epoch in fitted.epochs:
            table.writerow([epoch.number, *(f"{getattr(epoch, name):.6g}" for name in names[1:])])


def write_checkpoint(path: Path, fitted: Fit, trials: Trials, parameters: Mapping[str, Any]) -> None:
    """Weights and what is needed to use them again; `torch.load(path, weights_only=True)` reads it."""
    torch.save(
        {
            "weights": {name: values.detach().cpu() for name, values in fitted.model.state_dict().items()},
            "sizes": fitted.model.described(),
            "parameters": dict(parameters),
            "label_mean": torch.from_numpy(trials.label_mean),
            "label_scale": torch.from_numpy(trials.label_scale),
        },
        path,
    )


def write_reconstructions(base: str, frames: np.ndarray, decoded: np.ndarray, frame_rate: float) -> None:
    """Frames and reconstructions (frames x channels x rows x columns, 0 to 1): `_recon.npz` as uint8, and `_recon.avi`
    (Motion JPEG), measured, reconstructed and their difference (grey where there is none) side by side, the first
    channel."""
    both = [np.round(np.clip(values, 0, 1) * 255).astype(np.uint8) for values in (frames, decoded)]
    np.savez_compressed(base + "recon.npz", frames=both[0], reconstructions=both[1])
    difference = np.clip(127.5 + 127.5 * (frames - decoded)[:, 0], 0, 255).astype(np.uint8)
    panels = np.concatenate([both[0][:, 0], both[1][:, 0], difference], 2)
    scale = -(-LEAST_SIDE // panels.shape[1]) if panels.shape[1] < LEAST_SIDE else 1
    rows, columns = panels.shape[1] * scale, panels.shape[2] * scale
    video = cv2.VideoWriter(base + "recon.avi", cv2.VideoWriter.fourcc(*"MJPG"), frame_rate, (columns, rows))
    if not video.isOpened():
        raise OSError("the video of reconstructions cannot be written")
    try:
        for panel in panels:
            large = cv2.resize(panel, (columns, rows), interpolation=cv2.INTER_NEAREST)
            video.write(cv2.cvtColor(large, cv2.COLOR_GRAY2BGR))
    finally:
        video.release()
