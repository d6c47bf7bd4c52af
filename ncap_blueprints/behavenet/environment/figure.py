"""The picture of a run: frames and reconstructions, what each latent changes, labels, latents, states, scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import itertools

import numpy as np
from analysis_kit import PALETTE
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from training import Epoch

BLUE, ORANGE, GREEN, RED = PALETTE[:4]
GREY, BLACK = "0.6", "#000000"
MOST_LATENTS, MOST_LABELS = 8, 3
MOST_FRAMES = 400
"""Of the trial that is shown over time."""
LEGEND = {"fontsize": 7, "frameon": False}


@dataclass(frozen=True)
class Drawing:
    """One test trial. `frames`, `decoded`: the frames `shown` of it (frames x rows x columns, 0 to 1); `traversals`:
    latents x steps x rows x columns; `latents`, `labels`, `predicted`: frames x ...; `scores`: as in the summary."""

    title: str
    trial: str
    frame_rate: float
    shown: np.ndarray
    frames: np.ndarray
    decoded: np.ndarray
    traversals: np.ndarray
    latents: np.ndarray
    n_labels: int
    labels: np.ndarray | None
    predicted: np.ndarray
    states: np.ndarray | None
    n_states: int
    epochs: tuple[Epoch, ...]
    best: int
    scores: Mapping[str, Any]

    def time_s(self) -> np.ndarray:
        """Of the frames that are shown over time."""
        return np.arange(min(len(self.latents), MOST_FRAMES)) / self.frame_rate

    def name(self, latent: int) -> str:
        """Of a latent: s for supervised, u for unsupervised ones, z in an autoencoder."""
        if not self.n_labels:
            return f"z{latent}"
        return f"s{latent}" if latent < self.n_labels else f"u{latent - self.n_labels}"


def draw_behavenet(path: Path, drawing: Drawing) -> None:
    """Write the picture; it replaces the last one at once."""
    figure = Figure(figsize=(13, 10.5), layout="constrained")
    rows = figure.subfigures(3, 1, height_ratios=(1.05, 1.25, 0.9))
    frames, traversals = rows[0].subplots(1, 2, width_ratios=(1.35, 1))
    _draw_frames(frames, drawing)
    _draw_traversals(traversals, drawing)
    latents, labels = rows[1].subplots(1, 2, width_ratios=(1.35, 1))
    _draw_latents(latents, drawing)
    _draw_labels(labels, drawing)
    course, prior, scores = rows[2].subplots(1, 3)
    _draw_course(course, drawing)
    _draw_prior(prior, drawing)
    _draw_scores(scores, drawing)
    figure.suptitle(f"BehaveNet / PS-VAE (after Batty 2019, Whiteway 2021): {drawing.title}", fontsize=13)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=100, format="png")
    part.replace(path)


def _draw_frames(axis: Axes, drawing: Drawing) -> None:
    """Measured above reconstructed above the size of the difference."""
    difference = np.abs(drawing.frames - drawing.decoded)
    rows = [_padded(values) for values in (drawing.frames, drawing.decoded, difference)]
    axis.imshow(np.concatenate([np.concatenate(list(row), 1) for row in rows]), cmap="gray", vmin=0, vmax=1)
    height, width = rows[0].shape[1:]
    axis.set_yticks([(place + 0.5) * height for place in range(3)], ["measured", "reconstructed", "|difference|"])
    axis.set_xticks(
        [(place + 0.5) * width for place in range(len(drawing.shown))],
        [f"{frame / drawing.frame_rate:.2f}" for frame in drawing.shown],
    )
    axis.set(title=f"Frames of {drawing.trial} (test)", xlabel="time (s)")
    axis.tick_params(length=0, labelsize=8)


def _draw_traversals(axis: Axes, drawing: Drawing) -> None:
    """A row for each latent."""
    shown = drawing.traversals[:MOST_LATENTS]
    rows = [np.concatenate(list(_padded(steps)), 1) for steps in shown]
    axis.imshow(np.concatenate(rows), cmap="gray", vmin=0, vmax=1)
    height, width = rows[0].shape[0], rows[0].shape[1] / shown.shape[1]
    axis.set_yticks([(place + 0.5) * height for place in range(len(rows))], [drawing.name(k) for k in range(len(rows))])
    axis.set_xticks([0.5 * width, rows[0].shape[1] - 0.5 * width], ["2nd percentile", "98th"])
    axis.set(title="What each latent alone changes")
    axis.tick_params(length=0, labelsize=8)


def _padded(frames: np.ndarray) -> np.ndarray:
    """Frames with a white line between them."""
    line = max(1, frames.shape[-1] // 32)
    return np.pad(frames, ((0, 0), (0, line), (0, line)), constant_values=1.0)


def _draw_latents(axis: Axes, drawing: Drawing) -> None:
    """Latents over time, above each other, on the colours of states."""
    time = drawing.time_s()
    count = min(drawing.latents.shape[1], MOST_LATENTS)
    values = drawing.latents[: len(time), :count]
    centred = (values - values.mean(0)) / np.maximum(values.std(0), 0.1)
    for latent in range(count):
        axis.plot(time, centred[:, latent] / 5 - latent, color=BLACK, lw=1)
    axis.set_yticks([-float(latent) for latent in range(count)], [drawing.name(k) for k in range(count)])
    title = f"Latents of {drawing.trial}"
    if drawing.states is not None and len(time):
        _shade_states(axis, drawing, time)
        title += " and its states (ARHMM)"
    axis.set(title=title, xlabel="time (s)", ylabel="latents, scaled", xlim=(0, time[-1] + 1 / drawing.frame_rate))
    axis.set_ylim(0.2 - count, 0.9)


def _shade_states(axis: Axes, drawing: Drawing, time: np.ndarray) -> None:
    """A band for each bout of a state, with its number where there is room."""
    if drawing.states is None:
        return
    states = drawing.states[: len(time)]
    edges = np.concatenate([[0], np.flatnonzero(np.diff(states)) + 1, [len(states)]])
    for first, last in itertools.pairwise(edges):
        state = int(states[first])
        start, stop = first / drawing.frame_rate, last / drawing.frame_rate
        axis.axvspan(start, stop, color=PALETTE[state % len(PALETTE)], alpha=0.3, lw=0)
        if last - first > len(time) / 40:
            axis.text((start + stop) / 2, 0.88, f"{state}", ha="center", va="top", fontsize=8)


def _draw_labels(axis: Axes, drawing: Drawing) -> None:
    if drawing.labels is None:
        axis.axis("off")
        axis.text(0.5, 0.5, "no labels in the file", ha="center", va="center")
        return
    time = drawing.time_s()
    for label in range(min(drawing.labels.shape[1], MOST_LABELS)):
        colour = PALETTE[label]
        axis.plot(time, drawing.labels[: len(time), label], color=colour, lw=3, alpha=0.4, label=f"label {label}")
        if drawing.predicted.shape[1]:
            axis.plot(time, drawing.predicted[: len(time), label], color=colour, lw=1, ls="--", label=f"from s{label}")
    axis.set(title=f"Labels of {drawing.trial}", xlabel="time (s)", ylabel="labels (units of the data)")
    axis.legend(ncols=2, **LEGEND)


def _draw_course(axis: Axes, drawing: Drawing) -> None:
    epochs = drawing.epochs
    number = [epoch.number for epoch in epochs]
    axis.plot(number, [epoch.train_frame for epoch in epochs], color=BLUE, label="frames, training")
    axis.plot(number, [epoch.validation_frame for epoch in epochs], color=BLUE, ls="--", label="frames, validation")
    if drawing.n_labels:
        axis.plot(number, [epoch.train_label for epoch in epochs], color=ORANGE, label="labels, training")
        axis.plot(
            number, [epoch.validation_label for epoch in epochs], color=ORANGE, ls="--", label="labels, validation"
        )
    if drawing.best:
        axis.axvline(drawing.best, color=GREY, lw=1, label=f"weights taken: epoch {drawing.best}")
    axis.set(title="Training", xlabel="epoch", ylabel="error (nats a frame)", yscale="log")
    axis.legend(**LEGEND)


def _draw_prior(axis: Axes, drawing: Drawing) -> None:
    """The parts of the KL of unsupervised latents over the epochs; the loss for an autoencoder."""
    epochs = drawing.epochs
    number = [epoch.number for epoch in epochs]
    if not drawing.n_labels:
        axis.axis("off")
        return
    parts = {
        "mutual information": "train_mutual_information",
        "total correlation": "train_total_correlation",
        "dimension-wise KL": "train_dimension_kl",
    }
    for colour, (what, name) in zip((BLUE, RED, GREEN), parts.items(), strict=True):
        axis.plot(number, [getattr(epoch, name) for epoch in epochs], color=colour, label=what)
    axis.axhline(0, color=GREY, lw=0.5)
    axis.set(title="KL of unsupervised latents, in parts", xlabel="epoch", ylabel="nats a frame")
    axis.legend(**LEGEND)


def _draw_scores(axis: Axes, drawing: Drawing) -> None:
    names = {
        "frame_r2": "frames",
        "label_r2": "labels",
        "labels_from_unsupervised_r2": "labels from u\n(leakage)",
        "labels_from_latents_r2": "labels from z",
        "latents_from_neural_r2": "latents from neurons",
        "frame_from_neural_r2": "frames from neurons",
    }
    bars = [(label, _mean(drawing.scores[name])) for name, label in names.items() if name in drawing.scores]
    axis.set(title="Scores of test trials", xlabel="R² (mean over columns)", xlim=(0, 1.2))
    if not bars:
        axis.text(0.6, 0.5, "at the end of the run", ha="center", va="center", color=GREY)
        axis.set(ylim=(0, 1), yticks=[])
        return
    for place, (_, value) in enumerate(bars):
        axis.barh(place, max(value, 0), color=BLUE)
        axis.text(max(value, 0) + 0.02, place, f"{value:.2f}", va="center", fontsize=8)
    axis.set_yticks(range(len(bars)), [label for label, _ in bars], fontsize=8)
    axis.invert_yaxis()


def _mean(value: Any) -> float:
    known = [float(item) for item in np.ravel(np.asarray(value, float)) if np.isfinite(item)]
    return sum(known) / len(known) if known else float("nan")
