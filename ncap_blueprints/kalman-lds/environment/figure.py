"""Draws the result of one run as a PNG. It must not compute anything that is not also in the result files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from lds import Fit, Gaussians
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette: told apart with any kind of colour vision."""

MAX_IMAGE_COLUMNS = 2000
MAX_LINE_POINTS = 600
MAX_TRACES = 8
EXAMPLES = 3
STYLE = {
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Drawing:
    """What the figure shows. ``y`` and ``first`` as in ``scores``; ``modes`` and ``scores`` as in the summary."""

    title: str
    y: np.ndarray
    channels: tuple[str, ...]
    fit: Fit
    smoothed: Gaussians
    first: int
    sampling_rate_hz: float
    modes: list[dict[str, float | None]]
    scores: dict[str, float | None]


def draw_figure(path: Path, drawing: Drawing) -> None:
    """Recording and its reconstruction, example channels, latents, log-likelihood, eigenvalues and scores."""
    with matplotlib.rc_context(STYLE):
        # No pyplot: it takes a third of a second to import and only adds windows.
        figure = Figure(figsize=(10, 9.6), layout="constrained")
        FigureCanvasAgg(figure)
        # Sub-figures, not one grid: long labels in one row leave the others their width.
        images, examples, latents, bottom = figure.subfigures(4, 1, height_ratios=(1.3, 1.2, 1.5, 1.3))
        y = drawing.y
        reconstruction = drawing.smoothed.means @ drawing.fit.model.C.T
        left, right = images.subplots(1, 2, sharey=True)
        _draw_image(left, drawing, y, "Recording (standard deviations)")
        image = _draw_image(right, drawing, reconstruction, "Smoothed reconstruction")
        left.set_ylabel("channel")
        images.colorbar(image, ax=(left, right), pad=0.01, aspect=18)
        _draw_examples(examples.subplots(), drawing, reconstruction)
        _draw_latents(latents.subplots(), drawing)
        likelihood, eigenvalues, scores = bottom.subplots(1, 3, width_ratios=(1, 0.9, 1))
        _draw_log_likelihood(likelihood, drawing)
        _draw_eigenvalues(eigenvalues, drawing)
        _draw_scores(scores, drawing)
        size = f"{y.shape[1]} channels, {y.shape[0]} time points, {drawing.smoothed.means.shape[1]} latents"
        figure.suptitle(f"Linear dynamical system of {drawing.title}: {size}", x=0.01, ha="left", weight="bold")
        figure.savefig(path, dpi=110)


def _draw_image(axis: Any, drawing: Drawing, values: np.ndarray, title: str) -> Any:
    """One heat map, both on one scale."""
    step = -(-len(values) // MAX_IMAGE_COLUMNS)
    end_s = len(values) / drawing.sampling_rate_hz
    colours = matplotlib.colormaps["RdBu_r"].copy()
    colours.set_bad("0.75")
    limit = 2.5 * float(np.nanstd(drawing.y))
    image = axis.imshow(
        np.ma.masked_invalid(values[::step].T),
        aspect="auto",
        cmap=colours,
        vmin=-limit,
        vmax=limit,
        extent=(0, end_s, values.shape[1] + 0.5, 0.5),
        interpolation="nearest",
    )
    _mark_held_out(axis, drawing)
    axis.set(title=title, xlabel="time (s)")
    return image


def _draw_examples(axis: Any, drawing: Drawing, reconstruction: np.ndarray) -> None:
    """The channels at the best, upper-quartile and median share of explained variance, with 2 sd of the estimate."""
    shown, time_s = _window(drawing)
    residual = np.nansum((drawing.y - reconstruction) ** 2, axis=0) / np.nansum(drawing.y**2, axis=0)
    order = np.argsort(residual)
    picks = sorted({int(order[int(share * (len(order) - 1))]) for share in (0.0, 0.25, 0.5)}, key=list(order).index)
    C = drawing.fit.model.C
    gap = 5.0 * float(np.nanstd(drawing.y))
    for place, channel in enumerate(picks[:EXAMPLES]):
        offset = -gap * place
        sd = np.sqrt(np.einsum("i,tij,j->t", C[channel], drawing.smoothed.covariances[shown], C[channel]))
        mean = reconstruction[shown, channel] + offset
        colour = COLOURS[place]
        axis.plot(time_s, drawing.y[shown, channel] + offset, ".", ms=3, color="0.45", zorder=1)
        axis.fill_between(time_s, mean - 2 * sd, mean + 2 * sd, color=colour, alpha=0.3, lw=0, zorder=2)
        axis.plot(time_s, mean, color=colour, lw=1.4, zorder=3)
    axis.set_yticks([-gap * place for place in range(len(picks))], [drawing.channels[c] for c in picks])
    axis.set(title="Example channels: measured (dots), smoothed (line, band: 2 sd of the estimate)", xlabel="time (s)")
    axis.set_xlim(time_s[0], time_s[-1])
    _mark_held_out(axis, drawing)


def _draw_latents(axis: Any, drawing: Drawing) -> None:
    shown, time_s = _window(drawing)
    means = drawing.smoothed.means[shown]
    count = min(means.shape[1], MAX_TRACES)
    sds = np.sqrt(np.diagonal(drawing.smoothed.covariances[shown], axis1=1, axis2=2))
    # Each trace on its own scale: the latents are ordered by strength and the last would be flat lines.
    scale = np.maximum(np.std(means, axis=0), 1e-12)
    for latent in range(count):
        mean = means[:, latent] / scale[latent] - 4.5 * latent
        sd = sds[:, latent] / scale[latent]
        colour = COLOURS[latent % len(COLOURS)]
        axis.fill_between(time_s, mean - 2 * sd, mean + 2 * sd, color=colour, alpha=0.3, lw=0)
        axis.plot(time_s, mean, color=colour, lw=1.3)
    axis.set_yticks([-4.5 * latent for latent in range(count)], [f"latent {latent + 1}" for latent in range(count)])
    left = "" if count == means.shape[1] else f", first {count} of {means.shape[1]}"
    axis.set(title=f"Smoothed latents (each scaled to unit variance, band: 2 sd{left})", xlabel="time (s)")
    axis.set_xlim(time_s[0], time_s[-1])
    _mark_held_out(axis, drawing, named=True)


def _draw_log_likelihood(axis: Any, drawing: Drawing) -> None:
    history = drawing.fit.log_likelihood
    axis.plot(range(len(history)), history, "o-", ms=3, lw=1.2, color=COLOURS[0])
    axis.set(title="EM: log-likelihood of the fitted part", xlabel="iteration")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.ticklabel_format(axis="y", style="plain", useOffset=False)


def _draw_eigenvalues(axis: Any, drawing: Drawing) -> None:
    """Eigenvalues of A inside the unit circle; oscillating ones are named with their frequency."""
    angle = np.linspace(0, 2 * np.pi, 200)
    axis.plot(np.cos(angle), np.sin(angle), color="0.6", lw=0.8)
    axis.axhline(0, color="0.85", lw=0.6, zorder=0)
    axis.axvline(0, color="0.85", lw=0.6, zorder=0)
    labelled = np.inf
    for mode in sorted(drawing.modes, key=lambda mode: -float(mode["imag"] or 0)):
        real, imag = float(mode["real"] or 0), float(mode["imag"] or 0)
        axis.plot(real, imag, "o", ms=5, color=COLOURS[1], mec="white", mew=0.6)
        # A label is 0.14 high on this axis; of modes closer than that the faster is named.
        if imag > 1e-9 and labelled - imag > 0.14:
            labelled = imag
            text = f"{mode['frequency_hz']:.3g} Hz"
            axis.annotate(text, (real, imag), xytext=(-5, 2), textcoords="offset points", ha="right", fontsize=7.5)
    axis.set(title="Eigenvalues of A", xlabel="real", ylabel="imaginary", xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
    axis.set_aspect("equal")


def _draw_scores(axis: Any, drawing: Drawing) -> None:
    names = [name for name, value in drawing.scores.items() if value is not None]
    values = [float(drawing.scores[name] or 0) for name in names]
    axis.barh(
        range(len(names)), values, color=[COLOURS[0] if "baseline" not in n else "0.7" for n in names], height=0.65
    )
    for row, value in enumerate(values):
        axis.text(max(value, 0) + 0.03, row, f"{value:.2f}".replace("-0.00", "0.00"), va="center", fontsize=8)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.axvline(0, color="0.3", lw=0.8)
    axis.set(title="R² (1 is perfect)", xlim=(min(0, *values, 0) - 0.05, 1.12))


def _window(drawing: Drawing) -> tuple[slice, np.ndarray]:
    """At most MAX_LINE_POINTS time points, one fifth of them held out, so that single oscillations stay visible."""
    stop = min(len(drawing.y), max(drawing.first + MAX_LINE_POINTS // 5, MAX_LINE_POINTS))
    shown = slice(max(0, stop - MAX_LINE_POINTS), stop)
    return shown, np.arange(shown.start, shown.stop) / drawing.sampling_rate_hz


def _mark_held_out(axis: Any, drawing: Drawing, *, named: bool = False) -> None:
    if drawing.first >= len(drawing.y):
        return
    start_s = drawing.first / drawing.sampling_rate_hz
    axis.axvline(start_s, color="black", lw=1, ls="--")
    if named:
        height = axis.get_ylim()[1]
        axis.text(start_s, height, " held out from the fit", va="top", fontsize=8)
