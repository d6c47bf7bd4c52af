"""How far each unit can be trusted, from its spike times, template and amplitudes alone. No truth is needed.

Formulae: D. N. Hill, S. B. Mehta and D. Kleinfeld, J. Neurosci. 31:8699 (2011) for refractory violations. It must not
drop units: that is for the reader of the table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PRESENCE_BIN_S = 60.0
FEWEST_PRESENCE_BINS = 10


@dataclass(frozen=True)
class Quality:
    """A row of the table. Amplitudes and noise in the recording's unit."""

    unit: int
    spikes: int
    firing_rate_hz: float
    snr: float
    isi_violations: int
    isi_violations_ratio: float
    presence_ratio: float
    amplitude_median: float
    amplitude_cv: float
    peak_to_peak: float
    channel: int
    x_um: float
    y_um: float
    similar_unit: int
    similarity: float

    @property
    def is_isolated(self) -> bool:
        """What is often asked of a single unit: SNR of 5, violations ratio under 0.1, present throughout."""
        return self.snr >= 5 and self.isi_violations_ratio < 0.1 and self.presence_ratio >= 0.9


def isi_violations(times_s: np.ndarray, refractory_s: float, duration_s: float) -> tuple[int, float]:
    """Intervals shorter than the refractory period, and their rate in units of what a foreign train would cause.

    A foreign train of the unit's own rate r fires within t of a spike 2 r t times; so of n spikes in T seconds
    2 n^2 t / T intervals would be too short, and that many is a ratio of 1.
    """
    count = int((np.diff(times_s) < refractory_s).sum())
    expected = 2 * len(times_s) ** 2 * refractory_s / duration_s
    return count, count / expected if expected else 0.0


def presence_ratio(times_s: np.ndarray, duration_s: float) -> float:
    """Share of the recording's parts (60 s, or a tenth of it if it is short) in which the unit fires."""
    bins = max(FEWEST_PRESENCE_BINS, int(duration_s // PRESENCE_BIN_S))
    return float((np.histogram(times_s, bins, (0, duration_s))[0] > 0).mean())


def similarities(templates: np.ndarray) -> np.ndarray:
    """Cosine between all templates (units x units), as they are aligned."""
    flat = templates.reshape(len(templates), -1).astype(float)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    return (flat @ flat.T) / np.maximum(norms * norms.T, np.finfo(float).tiny)


def snr(template: np.ndarray, before: int, channel: int, noise: np.ndarray) -> float:
    """Height of the template at the spike, on its channel, over that channel's noise."""
    return float(np.abs(template[before, channel]) / noise[channel]) if noise[channel] > 0 else 0.0
