"""Removal of the blood's signal by the second colour, on components and not on pixels. It must not read files.

Source: Couto et al. 2021, Nature Protocols 16:3241. Light at 405 nm excites the indicator whether or not calcium is
bound, so what changes there is blood. Per pixel, r = <a, b> / <b, b> says how much of it is in the first colour, with
a and b the pixel's traces, high-passed, b also low-passed; the corrected trace is a - r b. With U (pixels x k) common
to both, that is SVT_a - T SVT_b, T = U^+ diag(r) U, and no pixel's trace is ever made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, filtfilt


@dataclass(frozen=True)
class Correction:
    """`temporal` (k, frames): corrected components. `share` (pixels,): r of each pixel."""

    temporal: np.ndarray
    share: np.ndarray


def high_pass(traces: np.ndarray, *, hertz: float, rate: float) -> np.ndarray:
    """Second-order Butterworth, forth and back, (k, frames)."""
    return _filtered(traces, hertz, rate, "highpass")


def low_pass(traces: np.ndarray, *, hertz: float, rate: float) -> np.ndarray:
    """As `high_pass`; nothing is done where the limit is beyond the recording's own."""
    return traces if hertz >= rate / 2 else _filtered(traces, hertz, rate, "lowpass")


def _filtered(traces: np.ndarray, hertz: float, rate: float, kind: str) -> np.ndarray:
    b, a = butter(2, hertz / (rate / 2), btype=kind)
    padding = min(traces.shape[1] - 1, int(3 * rate / hertz) if kind == "highpass" else 50)
    return np.asarray(filtfilt(b, a, traces, axis=1, padlen=padding))


def correct_hemodynamics(
    U: np.ndarray, calcium: np.ndarray, blood: np.ndarray, *, rate: float, high_hz: float, low_hz: float
) -> Correction:
    """U (pixels, k), the components' traces at both colours (k, frames), frames a second of one colour."""
    a = high_pass(calcium.astype(np.float64), hertz=high_hz, rate=rate)
    b = low_pass(high_pass(blood.astype(np.float64), hertz=high_hz, rate=rate), hertz=low_hz, rate=rate)
    spatial = U.astype(np.float64)
    across = ((spatial @ (a @ b.T)) * spatial).sum(axis=1)
    own = ((spatial @ (b @ b.T)) * spatial).sum(axis=1)
    share = np.where(own > 1e-12 * max(float(own.max()), 1e-300), across / np.maximum(own, 1e-300), 0.0)
    mixing = np.linalg.lstsq(spatial, spatial * share[:, None], rcond=None)[0]
    corrected = a - mixing @ b
    corrected -= np.median(corrected, axis=1, keepdims=True)
    return Correction(corrected.astype(np.float32), share)
