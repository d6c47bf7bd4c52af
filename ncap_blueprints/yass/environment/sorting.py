"""The sorter: SpikeInterface's own `lupin`, with YASS's parameters put into its words.

lupin filters and whitens, detects with a matched filter, clusters SVD features by ISO-SPLIT around each channel,
merges, and then finds every spike by matching templates with superposition (`wobble`, which descends from YASS's
deconvolution). It must not read datasets or write results.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from analysis_kit import InputError
from determinism import cores, in_one_process, repeatable
from progress import quiet
from recording import Recording

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

CHUNK = "1s"
"""Read at once, by each process. Not adapted to memory or cores: the result would depend on it a little."""

LEAD = 2 / 7
"""Share of a template before the trough, as lupin's 1 ms of 3.5 ms."""

FEWEST_PEAKS = 30


@dataclass(frozen=True)
class Sorted:
    """All spikes in time order: sample (from 0) and unit (0 to units - 1); peaks found by detection."""

    samples: np.ndarray
    units: np.ndarray
    count: int
    peaks: int


def lupin_parameters(parameters: Mapping[str, Any], sampling_rate_hz: float) -> dict[str, Any]:
    """lupin's own parameters; with the defaults of the schema, lupin's defaults at 30 kHz."""
    radius, length = float(parameters["spatial_radius"]), float(parameters["spike_size_ms"])
    named = {
        "freq_min": float(parameters["low_pass_freq"]),
        "freq_max": float(parameters["high_factor"]) * sampling_rate_hz,
        "peak_sign": parameters["peak_sign"],
        "detect_threshold": float(parameters["std_factor"]),
        "whitening_radius_um": radius,
        "template_radius_um": radius,
        "features_radius_um": 1.2 * radius,
        "split_radius_um": 0.6 * radius,
        "detection_radius_um": 0.5 * radius,
        "ms_before": LEAD * length,
        "ms_after": (1 - LEAD) * length,
        "n_peaks_per_channel": int(parameters["max_n_spikes"]),
        "template_min_snr_ptp": float(parameters["min_snr"]),
        "min_firing_rate": float(parameters["min_firing_rate"]),
        "seed": int(parameters["seed"]),
        "cache_preprocessing_mode": "folder",
        "save_array": False,
    }
    return named if parameters["apply_filter"] else {**named, "preprocessing_dict": {}}


def opened(recording: Recording) -> BaseRecording:
    """The kept channels as SpikeInterface sees them, read from disk when asked for."""
    from probeinterface import Probe
    from spikeinterface.core import BinaryRecordingExtractor

    whole = BinaryRecordingExtractor(
        [recording.file],
        recording.sampling_rate_hz,
        recording.dtype,
        num_channels=recording.shape[1],
        file_offset=recording.first_byte,
    )
    kept = whole.select_channels(whole.channel_ids[recording.kept])
    probe = Probe(ndim=2, si_units="um")
    probe.set_contacts(positions=recording.positions_um, shapes="circle", shape_params={"radius": 5})
    probe.set_device_channel_indices(np.arange(len(recording.kept)))
    with_probe = kept.set_probe(probe) or kept
    with_probe.set_channel_gains(1.0 if recording.gains_uv is None else recording.gains_uv)
    with_probe.set_channel_offsets(0.0)
    return with_probe


def filtered(recording: Recording, parameters: Mapping[str, Any]) -> BaseRecording:
    """In the band the sorter uses, not whitened: what templates and amplitudes are measured in."""
    from spikeinterface.preprocessing import bandpass_filter

    raw = opened(recording)
    if not parameters["apply_filter"]:
        return raw
    named = lupin_parameters(parameters, recording.sampling_rate_hz)
    band = {name: named[name] for name in ("freq_min", "freq_max")}
    return bandpass_filter(raw, ftype="bessel", filter_order=2, dtype="float32", **band)


def jobs() -> dict[str, Any]:
    """How SpikeInterface shares out chunks: a process a core, where processes can be made; the result is the same."""
    count = cores()
    try:
        multiprocessing.get_context("fork").Lock()
    except (OSError, ValueError):
        count = 1
    return {
        "n_jobs": count,
        "pool_engine": "process",
        "mp_context": "fork" if count > 1 else None,
        "chunk_duration": CHUNK,
    }


def sort(recording: Recording, parameters: Mapping[str, Any], scratch: Path, name: str) -> Sorted:
    """Sort; takes 4 bytes of disk a value in `scratch`. Raises InputError where there is nothing to sort."""
    from spikeinterface.core import set_global_job_kwargs
    from spikeinterface.sorters.basesorter import SpikeSortingError

    folder = scratch / "lupin"
    set_global_job_kwargs(progress_bar=True, **jobs())
    with quiet() as progress, repeatable(int(parameters["seed"])):
        try:
            sorting = _run(opened(recording), folder, lupin_parameters(parameters, recording.sampling_rate_hz))
        except (SpikeSortingError, AssertionError, ValueError, IndexError) as error:
            if sentence := _nothing_to_sort(str(error), progress.counts, parameters):
                raise InputError(f"Dataset {name}: {sentence}") from error
            raise
    spikes = sorting.to_spike_vector()
    if not len(spikes):
        raise InputError(f"Dataset {name}: no unit was found; a smaller std_factor or min_snr finds smaller spikes.")
    return Sorted(
        spikes["sample_index"].astype(np.int64),
        spikes["unit_index"].astype(np.int32),
        len(sorting.unit_ids),
        progress.counts.get("detect_peaks", 0),
    )


def _run(recording: BaseRecording, folder: Path, named: Mapping[str, Any]) -> Any:
    """Run lupin by its class. `run_sorter` asks for torch, which lupin's default engines use only if it is there."""
    from spikeinterface.sorters.internal import lupin

    class Lupin(lupin.LupinSorter):
        """lupin without torch: `wobble` has an engine in numpy."""

        @classmethod
        def is_installed(cls) -> bool:
            return True

    Lupin.initialize_folder(recording, folder, False, False)
    Lupin.set_params_to_folder(recording, folder, dict(named), False)
    with in_one_process(lupin, "estimate_templates_with_accumulator"):
        lupin.LupinSorter.run_from_folder(folder, True, True)
    return Lupin.get_result_from_folder(folder, register_recording=False, sorting_info=False)


def _nothing_to_sort(error: str, counts: Mapping[str, int], parameters: Mapping[str, Any]) -> str | None:
    """A sentence for recordings without spikes; lupin itself ends in an assertion or an empty array."""
    sign = {"neg": "negative", "pos": "positive"}.get(parameters["peak_sign"], "")
    threshold = f"{parameters['std_factor']:g} times the noise"
    if "Prototype should have" in error:
        return f"no {sign} spikes stand out at {threshold}; see peak_sign and std_factor."
    found = counts.get("detect_peaks")
    if (found is None and "_peaks" in error) or (found is not None and found < FEWEST_PEAKS):
        return f"{found or 0} {sign} peaks stand out at {threshold}, too few to sort; see peak_sign and std_factor."
    if counts.get("find_clusters_from_peaks") == 0:
        return f"{found:,} peaks make no cluster above min_snr and min_firing_rate."
    return None
