"""The picture of a run: single trials that were not trained on, factors, the course of the training, scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from analysis_kit import PALETTE
from inference import Inferred
from matplotlib.figure import Figure, SubFigure
from scores import condition_means, smooth
from training import Epoch
from trials import Trials

BLUE, ORANGE, GREEN = PALETTE[:3]
GREY, BLACK = "0.6", "#000000"
SMOOTHING_MS = 50.0
"""Standard deviation of the Gaussian that spikes are smoothed with for the eye."""
MAX_TRAJECTORIES = 80
EXAMPLES = 3


@dataclass(frozen=True)
class Drawing:
    """`inferred` is of the trials `index`, all of them kept for validation. `scores`: names and values."""

    title: str
    trials: Trials
    index: np.ndarray
    inferred: Inferred
    epochs: tuple[Epoch, ...]
    best: int
    scores: tuple[tuple[str, float | None], ...]
    bin_ms: float

    @property
    def time_ms(self) -> np.ndarray:
        """Middle of each bin."""
        return (np.arange(self.inferred.rates.shape[1]) + 0.5) * self.bin_ms

    @property
    def per_bin(self) -> float:
        """Factor from a bin's units to those drawn: Hz for counts."""
        return 1000 / self.bin_ms if self.trials.counts else 1.0

    @property
    def unit(self) -> str:
        """Of what is drawn."""
        return "Hz" if self.trials.counts else "units of the data"


def draw_lfads(path: Path, drawing: Drawing) -> None:
    """Write the picture; it replaces the last one at once."""
    figure = Figure(figsize=(13, 10.5), layout="constrained")
    # Rows are laid out apart: their columns have nothing to do with each other.
    rows = figure.subfigures(3, 1, height_ratios=(1.0, 1.0, 0.95))
    _draw_trial(rows[0], rows[0].subplots(1, 3, sharey=True), drawing)
    grid = rows[1].add_gridspec(1, EXAMPLES + 1, width_ratios=(1,) * EXAMPLES + (1.15,))
    _draw_examples([rows[1].add_subplot(grid[place]) for place in range(EXAMPLES)], drawing)
    _draw_factors(rows[1].add_subplot(grid[EXAMPLES], projection="3d"), drawing)
    course, middle, scores = rows[2].subplots(1, 3)
    _draw_course(course, drawing)
    (_draw_starts if drawing.inferred.inputs is None else _draw_inputs)(middle, drawing)
    _draw_scores(scores, drawing)
    figure.suptitle(f"LFADS (after Pandarinath 2018): {drawing.title}", fontsize=13)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=100, format="png")
    part.replace(path)


def _draw_trial(figure: SubFigure, axes: Sequence[Any], drawing: Drawing) -> None:
    """One trial, all neurons: what was measured, what was inferred, what is true (or the PSTH, or the raw values)."""
    trial = int(drawing.index[0])
    measured = drawing.trials.recording.values[[trial]]
    smoothed = smooth(measured, SMOOTHING_MS / drawing.bin_ms)[0]
    name, reference = _reference(drawing, trial)
    shown = {
        f"smoothed, {SMOOTHING_MS:g} ms": smoothed,
        "inferred": drawing.inferred.rates[0],
        name: measured[0] if reference is None else reference,
    }
    order = np.argsort(np.argmax(drawing.inferred.rates[0], 0), kind="stable")
    scaled = {what: (values * drawing.per_bin).T[order] for what, values in shown.items()}
    low, high = np.percentile(np.concatenate([smoothed, drawing.inferred.rates[0]]) * drawing.per_bin, (0.5, 99.5))
    extent = (0, len(smoothed) * drawing.bin_ms, len(order), 0)
    for axis, (what, values) in zip(axes, scaled.items(), strict=True):
        image = axis.imshow(values, aspect="auto", cmap="cividis", vmin=low, vmax=high, extent=extent)
        axis.set(title=f"Trial {trial} (not trained on): {what}", xlabel="time (ms)", yticks=[])
    axes[0].set_ylabel("neurons, by time of peak")
    figure.colorbar(image, ax=axes, pad=0.01, label=f"rate ({drawing.unit})" if drawing.trials.counts else drawing.unit)


def _reference(drawing: Drawing, trial: int) -> tuple[str, np.ndarray | None]:
    """What a trial is held against: truth, else the mean of its condition."""
    recording = drawing.trials.recording
    if recording.truth is not None:
        return "true", recording.truth[trial]
    if recording.conditions is not None:
        own = condition_means(recording.values, recording.conditions, drawing.trials.train, np.array([trial]))
        return "mean of its condition", own[0]
    return "as measured", None


def _draw_examples(axes: list[Any], drawing: Drawing) -> None:
    """Single neurons in single trials: the neuron whose inferred rate varies most in each of the first trials."""
    rates = drawing.inferred.rates
    taken: list[int] = []
    for place, axis in enumerate(axes):
        row = min(place, len(rates) - 1)
        spread = rates[row].std(0)
        spread[taken] = -1
        neuron = int(spread.argmax())
        taken.append(neuron)
        trial = int(drawing.index[row])
        measured = drawing.trials.recording.values[trial, :, neuron]
        name, reference = _reference(drawing, trial)
        smoothed = smooth(measured[None, :, None], SMOOTHING_MS / drawing.bin_ms)[0, :, 0]
        axis.plot(drawing.time_ms, smoothed * drawing.per_bin, color=ORANGE, lw=1.2, label="smoothed")
        if reference is not None:
            axis.plot(drawing.time_ms, reference[:, neuron] * drawing.per_bin, color=BLACK, lw=1.5, label=name)
        axis.plot(drawing.time_ms, rates[row, :, neuron] * drawing.per_bin, color=BLUE, lw=2, label="inferred")
        hidden = ", held out" if neuron in drawing.trials.unseen_neurons() else ""
        axis.set(title=f"Trial {trial}, neuron {neuron}{hidden}", xlabel="time (ms)")
        axis.margins(x=0)
        if drawing.trials.counts:
            _draw_spikes(axis, drawing.time_ms, measured)
        if place == 0:
            axis.set_ylabel(f"rate ({drawing.unit})" if drawing.trials.counts else drawing.unit)
            axis.legend(fontsize=8, frameon=False)


def _draw_spikes(axis: Any, time_ms: np.ndarray, counts: np.ndarray) -> None:
    """Ticks below the curves, in bins with a spike."""
    low, high = axis.get_ylim()
    axis.set_ylim(min(0, low) - 0.1 * high, high * 1.15)
    axis.plot(time_ms[counts > 0], np.full((counts > 0).sum(), -0.05 * high), "|", color="0.35", ms=7)


def _draw_factors(axis: Any, drawing: Drawing) -> None:
    """Factors in their first three principal components, a line a trial, coloured by condition."""
    factors = drawing.inferred.factors[:MAX_TRAJECTORIES].astype(np.float64)
    flat = factors.reshape(-1, factors.shape[2])
    _, _, axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    scores = np.zeros((*factors.shape[:2], 3))
    kept = axes[:3]
    scores[..., : len(kept)] = (factors - flat.mean(0)) @ kept.T
    conditions = drawing.trials.recording.conditions
    kinds = [0] * len(scores) if conditions is None else conditions[drawing.index[: len(scores)]].tolist()
    known = sorted(set(kinds))
    colours = PALETTE[:6]
    for path, kind in zip(scores, kinds, strict=True):
        colour = colours[known.index(kind)] if known.index(kind) < len(colours) else "0.85"
        width, order = (1.0, 2) if colour != "0.85" else (0.5, 1)
        axis.plot(*path.T, color=colour, lw=width, zorder=order)
        axis.plot(*path[:1].T, "o", color=colour, ms=2.5, zorder=order)
    coloured = f", {min(len(known), len(colours))} conditions in colour" if len(known) > 1 else ""
    axis.set_title(f"Factors of {len(scores)} trials{coloured}", fontsize=10)
    axis.view_init(25, -60)
    axis.set(xlabel="PC 1", ylabel="PC 2", xticklabels=[], yticklabels=[], zticklabels=[])


def _draw_course(axis: Any, drawing: Drawing) -> None:
    """NLL of training and validation, each minus its least, so that both fit one axis."""
    number = [epoch.number for epoch in drawing.epochs]
    top = 1.0
    for name, colour, label in (("train_nll", GREY, "training"), ("valid_nll", BLUE, "validation, hidden values")):
        values = np.array([getattr(epoch, name) for epoch in drawing.epochs])
        axis.plot(number, values - values.min(), color=colour, lw=1.3, label=f"{label} ({values.min():.0f} at best)")
        top = max(top, 1.1 * float(values.max() - values.min()))
    penalty = [epoch.ic_kl + epoch.co_kl for epoch in drawing.epochs]
    axis.plot(number, penalty, color=ORANGE, lw=1.3, label="KL")
    if drawing.best:
        axis.axvline(drawing.best, color=BLACK, lw=0.8, ls="--", label=f"best epoch, {drawing.best}")
    axis.set(title="Training", xlabel="epoch", ylabel="nats a trial, above the best", ylim=(0, top))
    axis.margins(x=0)
    axis.legend(fontsize=8, loc="upper right")


def _draw_inputs(axis: Any, drawing: Drawing) -> None:
    """Inferred inputs in single trials and their mean."""
    inputs = drawing.inferred.inputs
    count = min(inputs.shape[2], 4)
    gap = 2.5 * max(float(np.abs(inputs).max()), 1e-6)
    for place in range(count):
        colour = PALETTE[place]
        offset = -gap * place
        axis.plot(drawing.time_ms, inputs[:30, :, place].T + offset, color=colour, lw=0.5, alpha=0.5)
        axis.plot(drawing.time_ms, inputs[..., place].mean(0) + offset, color=BLACK, lw=1.5)
    axis.set_yticks([-gap * place for place in range(count)], [f"input {place + 1}" for place in range(count)])
    more = "" if count == inputs.shape[2] else f", first {count} of {inputs.shape[2]}"
    axis.set(title=f"Inferred inputs (thin: trials, black: mean{more})", xlabel="time (ms)")
    axis.margins(x=0)


def _draw_starts(axis: Any, drawing: Drawing) -> None:
    """Initial states of the generator in two principal components."""
    starts = drawing.inferred.g0_mean.astype(np.float64)
    centred = starts - starts.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    scores = np.zeros((len(starts), 2))
    scores[:, : len(axes[:2])] = centred @ axes[:2].T
    conditions = drawing.trials.recording.conditions
    if conditions is None:
        axis.plot(*scores.T, "o", ms=4, color=BLUE)
    else:
        kinds = conditions[drawing.index]
        known = np.unique(kinds)
        for place, kind in enumerate(known):
            colour = PALETTE[place] if place < 6 else "0.8"
            axis.plot(*scores[kinds == kind].T, "o", ms=4, color=colour, zorder=2 if place < 6 else 1)
    axis.set(title="Where trials start: g₀ of each", xlabel="PC 1", ylabel="PC 2")


def _draw_scores(axis: Any, drawing: Drawing) -> None:
    known = [(name, value) for name, value in drawing.scores if value is not None]
    if not known:
        axis.set_axis_off()
        axis.text(0.5, 0.5, "Scores come at the end of the run.", ha="center", va="center", fontsize=9)
        return
    for row, (name, value) in enumerate(known):
        axis.barh(row, max(value, 0), color=GREY if "baseline" in name else BLUE, height=0.65)
        axis.text(max(value, 0) + 0.02, row, f"{value:.2f}", va="center", fontsize=8)
    axis.set_yticks(range(len(known)), [name for name, _ in known], fontsize=8)
    axis.invert_yaxis()
    axis.set(title="Scores of the validation trials", xlim=(0, 1.12 * max(1.0, *(value for _, value in known))))
