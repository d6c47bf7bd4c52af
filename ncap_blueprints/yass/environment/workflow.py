"""Spike sorting of a multichannel extracellular recording: detection, clustering, template matching, quality.

    python workflow.py DATA CONFIG RESULTS

DATA is a .zip or folder with a raw binary and geom.txt, a .npz, or a folder saved by SpikeInterface; CONFIG a JSON or
YAML file of parameters, RESULTS a folder that exists. Progress goes to stdout. Exit code 2 and one sentence on stderr:
data or config cannot be used.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from analysis_kit import InputError, Summary, load_parameters, run, say
from recording import Recording, load_recording

if TYPE_CHECKING:
    from quality import Quality
    from sorting import Sorted
    from units import Units

PREVIEW_S = 0.1
PACKAGES = ("spikeinterface", "numpy", "scipy", "scikit-learn", "numba")
SORTED_VALUES_A_CORE_HOUR = 4e9
"""Samples x channels that one core sorts in an hour: a minute of 16 channels at 30 kHz in some 25 s (README)."""


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run: read, sort, measure, judge, write, draw."""
    parameters = load_parameters(config)
    summary = Summary(data, parameters, PACKAGES)
    with tempfile.TemporaryDirectory(prefix="sorting-") as temporary:
        scratch = Path(temporary)
        recording = load_recording(data, parameters, scratch)
        check_band(parameters, recording, config.name)
        say_what_was_read(data, recording)
        picture = results / f"{data.stem}_sorting.png"

        # Libraries take seconds to import; what is wrong with the input is said before.
        from sorting import lupin_parameters, sort

        draw_first(picture, data.name, recording, parameters)
        try:
            found = sort(recording, parameters, scratch, data.name)
        except InputError:
            picture.unlink(missing_ok=True)
            raise
        units, table = judge(found, recording, parameters)
        isolated = sum(row.is_isolated for row in table)
        say(f"{len(table)} units, {len(units.samples):,} spikes; {isolated} units look like single cells.")

        from figure import draw_sorting
        from results import write_arrays, write_phy, write_quality

        stem = str(results / f"{data.stem}_")
        write_arrays(stem, units, recording)
        write_quality(Path(stem + "quality_metrics.csv"), table)
        if parameters["write_phy"]:
            write_phy(Path(stem + "phy"), units, recording, data.name)
        draw_sorting(picture, data.name, units, table, recording)
        summary.write(
            results,
            describe(recording, found, table)
            | {"lupin": lupin_parameters(parameters, recording.sampling_rate_hz), "recommended": recommend(recording)},
        )


def check_band(parameters: Mapping[str, Any], recording: Recording, name: str) -> None:
    """The filter's band must not be empty, nor reach half the sampling rate."""
    low, high = float(parameters["low_pass_freq"]), float(parameters["high_factor"]) * recording.sampling_rate_hz
    if parameters["apply_filter"] and not low < high:
        raise InputError(
            f"Config {name}: low_pass_freq ({low:g} Hz) must be below high_factor x the sampling rate ({high:g} Hz)."
        )


def say_what_was_read(data: Path, recording: Recording) -> None:
    """One line on what the run works with, and one for each channel that was left out."""
    samples, channels = recording.shape
    say(
        f"Read {data.name}: {samples:,} samples x {channels} channels of {recording.dtype.name},"
        f" {recording.seconds:,.1f} s at {recording.sampling_rate_hz:g} Hz."
    )
    for channel, reason in recording.left_out.items():
        say(f"Channel {channel + 1} is left out: {reason}.")


def draw_first(picture: Path, title: str, recording: Recording, parameters: Mapping[str, Any]) -> None:
    """The preview: a tenth of a second of traces, to see at once whether shape, type and channels are right."""
    from figure import draw_preview
    from progress import quiet
    from sorting import filtered

    with quiet():
        band = filtered(recording, parameters)
        count = int(PREVIEW_S * recording.sampling_rate_hz)
        first = max(0, (recording.shape[0] - count) // 2)
        traces = band.get_traces(start_frame=first, end_frame=first + count) * band.get_channel_gains()
        draw_preview(picture, title, traces, recording)


def judge(found: Sorted, recording: Recording, parameters: Mapping[str, Any]) -> tuple[Units, list[Quality]]:
    """Templates, amplitudes and the table of quality of what was found."""
    from determinism import repeatable
    from progress import quiet
    from sorting import filtered
    from units import measure

    with quiet(), repeatable(int(parameters["seed"])):
        units = measure(found, filtered(recording, parameters), recording.positions_um, parameters)
    return units, table_of(units, recording, refractory_s=float(parameters["refractory_ms"]) / 1000)


def table_of(units: Units, recording: Recording, *, refractory_s: float) -> list[Quality]:
    """A row of figures a unit."""
    from quality import Quality, isi_violations, presence_ratio, similarities, snr

    alike = similarities(units.templates) - 2 * np.eye(len(units.templates))
    table = []
    for unit, template in enumerate(units.templates):
        mine = units.labels == unit
        times, amplitudes = units.samples[mine] / recording.sampling_rate_hz, units.amplitudes[mine].astype(float)
        channel, other = int(units.peak_channels[unit]), int(alike[unit].argmax())
        violations, ratio = isi_violations(times, refractory_s, recording.seconds)
        middle = float(np.median(amplitudes))
        table.append(
            Quality(
                unit=unit,
                spikes=len(times),
                firing_rate_hz=len(times) / recording.seconds,
                snr=snr(template, units.before, channel, units.noise),
                isi_violations=violations,
                isi_violations_ratio=ratio,
                presence_ratio=presence_ratio(times, recording.seconds),
                amplitude_median=middle,
                amplitude_cv=float(amplitudes.std() / abs(middle)) if middle else 0.0,
                peak_to_peak=float(np.ptp(template[:, channel])),
                channel=int(recording.kept[channel]),
                x_um=float(units.positions_um[unit, 0]),
                y_um=float(units.positions_um[unit, 1]),
                similar_unit=other if len(alike) > 1 else -1,
                similarity=float(alike[unit, other]) if len(alike) > 1 else 0.0,
            )
        )
    return table


def describe(recording: Recording, found: Sorted, table: list[Quality]) -> dict[str, object]:
    """What was read and found, for the summary."""
    from determinism import cores

    return {
        "samples": recording.shape[0],
        "channels": recording.shape[1],
        "channels_left_out": {str(channel + 1): reason for channel, reason in recording.left_out.items()},
        "sampling_rate_hz": recording.sampling_rate_hz,
        "duration_s": recording.seconds,
        "amplitudes_in": recording.unit,
        "peaks_detected": found.peaks,
        "units": len(table),
        "spikes": len(found.samples),
        "isolated_units": sum(row.is_isolated for row in table),
        "median_snr": float(np.median([row.snr for row in table])),
        "median_isi_violations_ratio": float(np.median([row.isi_violations_ratio for row in table])),
        "mean_presence_ratio": float(np.mean([row.presence_ratio for row in table])),
        "processes": cores(),
    }


def recommend(recording: Recording) -> dict[str, object]:
    """Instance type and disk for a recording of this size.

    The disk holds the recording, packed and unpacked, and once more as 4-byte floats; a process holds some ten
    seconds of it.
    """
    values = recording.shape[0] * recording.shape[1]
    memory = 1.0 + 10 * 4 * recording.sampling_rate_hz * recording.shape[1] / 2**30
    hours = values / SORTED_VALUES_A_CORE_HOUR
    types = (("m7i.large", 2, 8), ("m7i.xlarge", 4, 16), ("m7i.2xlarge", 8, 32), ("m7i.4xlarge", 16, 64))
    fitting = [name for name, cores, gib in types if hours / cores < 1 and memory * cores < gib]
    return {
        "instance_type": fitting[0] if fitting else types[-1][0],
        "core_hours": round(hours, 2),
        "memory_gib_a_core": round(memory, 1),
        "disk_gib": 20 + int(values * (2 * recording.dtype.itemsize + 4) / 2**30),
    }


if __name__ == "__main__":
    sys.exit(run(analyse, folders=True))
