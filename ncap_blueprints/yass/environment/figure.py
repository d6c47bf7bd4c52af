"""The pictures: where and what the units are, when they fire, how they stand out of the noise.

`draw_preview` is of the recording alone, before it is sorted. It must not measure anything new.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from analysis_kit import PALETTE
from matplotlib.axes import Axes
from quality import Quality
from recording import Recording
from units import Units

MOST_UNITS_NAMED = 24
MOST_SPIKES = 100_000
RASTER_S = 10.0
SHOWN_MS = (0.8, 1.6)
MOST_CHANNELS = 16
DPI = 110


def _colour(unit: int) -> str:
    return PALETTE[unit % len(PALETTE)]


def draw_preview(path: Path, title: str, traces: np.ndarray, recording: Recording) -> None:
    """A tenth of a second of band-passed traces (samples x channels) from the middle; drawn before the sorting."""
    axes = plt.figure(figsize=(11, 6), layout="constrained").add_subplot()
    shown = np.unique(np.linspace(0, traces.shape[1] - 1, min(MOST_CHANNELS, traces.shape[1])).astype(int))
    shown = shown[np.argsort(recording.positions_um[shown, 1], kind="stable")]
    step = 12 * float(np.median(np.abs(traces))) / 0.6745 or 1.0
    times = np.arange(len(traces)) / recording.sampling_rate_hz * 1000
    for row, channel in enumerate(shown):
        axes.plot(times, traces[:, channel] + row * step, color=PALETTE[0], lw=0.6)
    axes.set(xlabel="time (ms)", xlim=(0, times[-1]), title=f"{title}: band-passed, from the middle; sorting goes on")
    axes.set_yticks(np.arange(len(shown)) * step, [str(recording.kept[channel] + 1) for channel in shown])
    axes.set_ylabel(f"channel ({step:.3g} {recording.unit} apart)")
    _save(path)


def draw_sorting(path: Path, title: str, units: Units, table: list[Quality], recording: Recording) -> None:
    """Templates on the probe, raster, amplitudes, and each unit's SNR against its refractory violations."""
    figure = plt.figure(figsize=(13.5, 9), layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=(1, 1.25))
    figure.suptitle(
        f"{title}: {len(table)} units, {len(units.samples):,} spikes, {recording.seconds:,.1f} s,"
        f" {len(recording.kept)} channels"
    )
    _draw_probe(figure.add_subplot(grid[:, 0]), units, table, recording)
    _draw_raster(figure.add_subplot(grid[0, 1]), units, recording)
    _draw_amplitudes(figure.add_subplot(grid[1, 1]), units, recording)
    _draw_quality(figure.add_subplot(grid[2, 1]), table)
    _save(path)


def _save(path: Path) -> None:
    plt.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close("all")


def _draw_probe(axes: Axes, units: Units, table: list[Quality], recording: Recording) -> None:
    """Each unit's template at the channels where it is seen, in um; side by side where units share channels."""
    rate, places = recording.sampling_rate_hz, recording.positions_um
    first, last = (max(0, units.before - int(SHOWN_MS[0] * rate / 1000)), units.before + int(SHOWN_MS[1] * rate / 1000))
    templates = units.templates[:, first:last]
    across, along = _pitch(places)
    height = 0.9 * along / float(np.ptp(templates, axis=1).max() or 1)
    width = 0.8 * across / templates.shape[1]
    axes.plot(*places.T, "s", color="0.8", ms=4, zorder=0)
    for unit, template in enumerate(templates):
        seen = np.flatnonzero(np.ptp(template, axis=0) >= 0.4 * np.ptp(template, axis=0).max())
        for channel in seen:
            x = places[channel, 0] + (np.arange(len(template)) - (units.before - first)) * width
            axes.plot(x, places[channel, 1] + template[:, channel] * height, color=_colour(unit), lw=1.3, alpha=0.85)
    if len(table) <= MOST_UNITS_NAMED:
        for row in table:
            place = (places[:, 0].max() + 0.9 * across, row.y_um)
            axes.annotate(str(row.unit), place, color=_colour(row.unit), weight="bold", va="center")
    bar = _round(0.6 * along / height)
    axes.plot(
        [places[:, 0].min() - 0.6 * across] * 2, places[:, 1].min() - 0.5 * along + np.array([0, bar * height]), "k"
    )
    axes.annotate(
        f" {bar:g} {recording.unit}", (places[:, 0].min() - 0.6 * across, places[:, 1].min() - 0.5 * along), va="bottom"
    )
    axes.set(xlabel="x (µm)", ylabel="y (µm)", title="Templates on the probe (numbers: units, at their y)")
    axes.set_xlim(places[:, 0].min() - 0.8 * across, places[:, 0].max() + 1.1 * across)


def _pitch(places: np.ndarray) -> tuple[float, float]:
    """Typical distance of columns and of rows, in um."""
    found = []
    for axis in (0, 1):
        steps = np.diff(np.unique(np.round(places[:, axis], 1)))
        found.append(float(np.median(steps)) if len(steps) else 0.0)
    either = max(found) or 20.0
    return found[0] or either, found[1] or either


def _round(value: float) -> float:
    """The greatest of 1, 2, 5 times a power of ten below a value."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-12)))
    return float(power * max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-9)))


def _draw_raster(axes: Axes, units: Units, recording: Recording) -> None:
    start = max(0.0, (recording.seconds - RASTER_S) / 2)
    times = units.samples / recording.sampling_rate_hz
    inside = (times >= start) & (times < start + RASTER_S)
    colours = np.array([mpl.colors.to_rgba(_colour(unit)) for unit in range(len(units.templates))])
    axes.scatter(times[inside], units.labels[inside], marker="|", s=30, linewidths=0.9, c=colours[units.labels[inside]])
    axes.set(
        xlabel="time (s)",
        ylabel="unit",
        title=f"Spikes, {min(RASTER_S, recording.seconds):.3g} s from the middle",
        ylim=(-0.7, len(units.templates) - 0.3),
    )
    axes.yaxis.get_major_locator().set_params(integer=True)


def _draw_amplitudes(axes: Axes, units: Units, recording: Recording) -> None:
    """Every spike's amplitude over the whole recording: drift and lost spikes show here."""
    shown = slice(None, None, max(1, len(units.samples) // MOST_SPIKES))
    colours = np.array([mpl.colors.to_rgba(_colour(unit)) for unit in range(len(units.templates))])
    axes.scatter(
        units.samples[shown] / recording.sampling_rate_hz,
        units.amplitudes[shown],
        s=3,
        c=colours[units.labels[shown]],
        linewidths=0,
        rasterized=True,
    )
    axes.set(xlabel="time (s)", ylabel=f"amplitude ({recording.unit})", title="Amplitude of each spike, band-passed")
    axes.set_xlim(0, recording.seconds)


def _draw_quality(axes: Axes, table: list[Quality]) -> None:
    for row in table:
        axes.plot(row.snr, row.isi_violations_ratio, "o" if row.is_isolated else "x", color=_colour(row.unit), ms=7)
        if len(table) <= MOST_UNITS_NAMED:
            axes.annotate(
                str(row.unit), (row.snr, row.isi_violations_ratio), xytext=(5, 4), textcoords="offset points", size=9
            )
    axes.axhline(0.1, color="0.5", lw=0.8, ls="--")
    axes.axvline(5, color="0.5", lw=0.8, ls="--")
    axes.set(
        xlabel="SNR (peak / noise)",
        ylabel="refractory violations\n(1: as two units in one)",
        title="Quality (o: SNR ≥ 5, violations < 0.1, present throughout)",
        xlim=(0, None),
    )
    axes.set_ylim(-0.02, max(0.25, 1.1 * max(row.isi_violations_ratio for row in table)))
