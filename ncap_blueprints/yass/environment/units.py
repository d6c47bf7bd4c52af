"""What the units look like in the recording: templates, amplitudes, where they are; and their order.

Measured in the band-passed recording, not in the whitened one the sorter works on. It must not move a spike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sorting import Sorted, lupin_parameters

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

SPIKES_A_TEMPLATE = 500


@dataclass(frozen=True)
class Units:
    """The sorting in its final order, units along the probe (y, then x).

    samples, labels, amplitudes: a spike each, in time order. templates: units x samples x channels, spike at
    `before`. noise: MAD-based standard deviation of each channel. peak_channels: place among the kept channels.
    positions_um: units x 2, centre of mass.
    """

    samples: np.ndarray
    labels: np.ndarray
    amplitudes: np.ndarray
    templates: np.ndarray
    before: int
    noise: np.ndarray
    peak_channels: np.ndarray
    positions_um: np.ndarray


def measure(found: Sorted, band: BaseRecording, places_um: np.ndarray, parameters: Mapping[str, Any]) -> Units:
    """Templates (mean of up to 500 spikes), amplitudes on each unit's channel, positions; units put in order."""
    templates, noise, before = _templates(found, band, parameters)
    channels = peak_channels(templates, before, str(parameters["peak_sign"]))
    positions = centres(templates, places_um)
    order = np.lexsort((positions[:, 0], positions[:, 1]))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    labels = rank[found.units].astype(np.int32)
    channels = channels[order]
    amplitudes = _amplitudes(found.samples, channels[labels], band)
    return Units(found.samples, labels, amplitudes, templates[order], before, noise, channels, positions[order])


def _templates(found: Sorted, band: BaseRecording, parameters: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, int]:
    from spikeinterface.core import NumpySorting, create_sorting_analyzer

    rate, seed = band.get_sampling_frequency(), int(parameters["seed"])
    sorting = NumpySorting.from_samples_and_labels(
        [found.samples], [found.units], rate, unit_ids=np.arange(found.count)
    )
    analyzer = create_sorting_analyzer(sorting, band, sparse=False, format="memory", return_in_uV=True)
    window = {name: lupin_parameters(parameters, rate)[name] for name in ("ms_before", "ms_after")}
    analyzer.compute("random_spikes", max_spikes_per_unit=SPIKES_A_TEMPLATE, seed=seed)
    analyzer.compute("templates", operators=["average"], **window, n_jobs=1)  # sums of many would be rounded by order
    analyzer.compute("noise_levels", random_slices_kwargs={"seed": seed})
    extension = analyzer.get_extension("templates")
    noise = np.asarray(analyzer.get_extension("noise_levels").get_data(), float)
    return np.asarray(extension.get_data(operator="average"), np.float32), noise, int(extension.nbefore)


def peak_channels(templates: np.ndarray, before: int, sign: str) -> np.ndarray:
    """The channel where each template is strongest around its spike (a fifth of the window to either side)."""
    reach = max(1, templates.shape[1] // 5)
    middle = templates[:, max(0, before - reach) : before + reach + 1]
    height = {"neg": -middle.min(1), "pos": middle.max(1)}.get(sign, np.abs(middle).max(1))
    return height.argmax(1)


def centres(templates: np.ndarray, places_um: np.ndarray) -> np.ndarray:
    """Units x 2: mean of the channels' places, weighted by the square of the peak-to-peak amplitude.

    Channels below half of the greatest amplitude have no weight: noise on many of them would pull to the middle.
    """
    weights = np.ptp(templates, axis=1).astype(float)
    weights[weights < 0.5 * weights.max(1, keepdims=True)] = 0
    weights **= 2
    return weights @ places_um / weights.sum(1, keepdims=True)


def _amplitudes(samples: np.ndarray, channels: np.ndarray, band: BaseRecording) -> np.ndarray:
    """The band-passed value at each spike's sample on its unit's channel, a second of the recording at a time."""
    found = np.zeros(len(samples), np.float32)
    step, end = int(band.get_sampling_frequency()), band.get_num_samples()
    gains = band.get_channel_gains()
    for first in range(0, end, step):
        low, high = np.searchsorted(samples, (first, min(first + step, end)))
        if low < high:
            values = band.get_traces(start_frame=first, end_frame=min(first + step, end))
            found[low:high] = values[samples[low:high] - first, channels[low:high]] * gains[channels[low:high]]
    return found
