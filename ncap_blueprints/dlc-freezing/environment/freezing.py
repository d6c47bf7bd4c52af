"""Freezing: when an animal does not move, from the positions of its body parts. Our own definition.

1. Points the network is not sure of are masked and interpolated in time; hidden for too long, a part does not count.
2. Positions are median filtered over time.
3. Speed: the mean over the parts of |dx/dt|, by central differences.
4. Freezing is speed below a threshold: given, or the valley between the two modes of the logarithm of speed.
5. Bouts with short gaps between them are one; bouts that are too short do not count.

Numpy alone. It must not read files or know networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SLOWEST = 1e-3
"""Speeds are not told apart below this share of the median one: the logarithm of 0 is none."""
BINS = 200
KERNEL_DECADES = 0.08
"""Width (sd) of the kernel by which the histogram of log10 speed is smoothed."""
DEPTH = 0.8
"""A valley counts if it is lower than this share of the lower of the two modes beside it."""
SMALLEST_MODE = 0.05
"""Share of the largest mode's height that another must have."""
FEWEST_SPEEDS = 50


@dataclass(frozen=True)
class Bout:
    """Frames `start` to `stop`, the latter not included."""

    start: int
    stop: int


@dataclass(frozen=True)
class Rules:
    """How freezing is told from poses; times in seconds, `pcutoff` between 0 and 1."""

    pcutoff: float
    smooth_s: float
    min_duration_s: float
    merge_gap_s: float
    max_hidden_s: float


def fill_gaps(values: np.ndarray, is_seen: np.ndarray, longest: int) -> np.ndarray:
    """Positions (frames, 2) where a part was not seen, interpolated linearly.

    Gaps of more than `longest` frames are NaN. Before the first and after the last frame that was seen the nearest
    position holds, within the same length.
    """
    known = np.flatnonzero(is_seen)
    if not len(known):
        return np.full_like(values, np.nan)
    frames = np.arange(len(values))
    filled = np.stack([np.interp(frames, known, values[known, axis]) for axis in range(values.shape[1])], axis=1)
    for gap in runs(~is_seen):
        if gap.stop - gap.start > longest:
            filled[gap.start : gap.stop] = np.nan
    return filled


def median_filter(values: np.ndarray, width: int) -> np.ndarray:
    """Running median over `width` frames (odd) along the first axis; at the ends the first and last value repeat.

    NaN in a window is left out; where there was NaN it stays.
    """
    if width < 3:
        return values.copy()
    half = width // 2
    padded = np.concatenate([np.repeat(values[:1], half, 0), values, np.repeat(values[-1:], half, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    is_known = np.isfinite(values)
    smooth = np.full_like(values, np.nan)
    smooth[is_known] = np.nanmedian(windows[is_known], axis=-1)
    return smooth


def speed_of(points: np.ndarray, likelihood: np.ndarray, fps: float, rules: Rules) -> np.ndarray:
    """Mean speed of the parts, (frames), in units of `points` a second; NaN where no part can be judged.

    `points` (frames, parts, 2), `likelihood` (frames, parts).
    """
    is_seen = (likelihood >= rules.pcutoff) & np.isfinite(points).all(axis=2)
    longest = round(rules.max_hidden_s * fps)
    width = 2 * (round(rules.smooth_s * fps) // 2) + 1
    speeds = []
    for part in range(points.shape[1]):
        filled = fill_gaps(points[:, part], is_seen[:, part], longest)
        speeds.append(np.hypot(*(central_difference(median_filter(filled, width)) * fps).T))
    stacked = np.array(speeds)
    count = np.isfinite(stacked).sum(0)
    mean: np.ndarray = np.where(count > 0, np.nansum(stacked, axis=0) / np.maximum(count, 1), np.nan)
    return mean


def central_difference(values: np.ndarray) -> np.ndarray:
    """Change a frame along the first axis, (x[t+1] - x[t-1]) / 2; one-sided at the ends."""
    if len(values) < 2:
        return np.zeros_like(values)
    change = np.empty_like(values)
    change[1:-1] = (values[2:] - values[:-2]) / 2
    change[0], change[-1] = values[1] - values[0], values[-1] - values[-2]
    return change


def log_speed_density(speeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres (log10 speed) and heights of a smooth histogram of the logarithm of speed."""
    known = speeds[np.isfinite(speeds)]
    moving = known[known > 0]
    floor = SLOWEST * float(np.median(moving)) if len(moving) else SLOWEST
    logs = np.log10(np.maximum(known, floor))
    margin = 4 * KERNEL_DECADES
    counts, edges = np.histogram(logs, bins=BINS, range=(logs.min() - margin, logs.max() + margin))
    step = edges[1] - edges[0]
    reach = np.arange(-BINS, BINS + 1) * step
    kernel = np.exp(-0.5 * (reach / KERNEL_DECADES) ** 2)
    heights = np.convolve(counts, kernel / kernel.sum(), mode="full")[BINS : 2 * BINS]
    return (edges[:-1] + edges[1:]) / 2, heights


def valley_threshold(speeds: np.ndarray) -> float | None:
    """The speed at the deepest valley between two modes of log speed; None if there are no two modes.

    Of all pairs of modes that are large enough, the one with the lowest valley in relation to the lower of them.
    """
    if np.isfinite(speeds).sum() < FEWEST_SPEEDS:
        return None
    centres, heights = log_speed_density(speeds)
    inner = heights[1:-1]
    modes = np.flatnonzero((inner > heights[:-2]) & (inner >= heights[2:])) + 1
    modes = modes[heights[modes] >= SMALLEST_MODE * heights.max()]
    best: tuple[float, int] | None = None
    for place, left in enumerate(modes):
        for right in modes[place + 1 :]:
            low = heights[left : right + 1].min()
            # A valley may be flat, and empty: its middle is taken.
            bottom = int(np.median(left + np.flatnonzero(heights[left : right + 1] <= low)))
            depth = float(low / min(heights[left], heights[right]))
            if depth < DEPTH and (best is None or depth < best[0]):
                best = depth, bottom
    return None if best is None else float(10 ** centres[best[1]])


def runs(mask: np.ndarray) -> list[Bout]:
    """Where a mask (frames) is true without a break."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [Bout(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def find_bouts(speed: np.ndarray, threshold: float, fps: float, rules: Rules) -> list[Bout]:
    """Bouts of freezing. Frames that cannot be judged (NaN) end a bout and are never bridged."""
    merged: list[Bout] = []
    # Counts of frames: a gap as long as the rule says is not bridged, a bout as long as the rule says counts.
    for bout in runs(np.nan_to_num(speed, nan=np.inf) < threshold):
        gap = speed[merged[-1].stop : bout.start] if merged else np.empty(0)
        if merged and len(gap) < round(rules.merge_gap_s * fps, 6) and np.isfinite(gap).all():
            merged[-1] = Bout(merged[-1].start, bout.stop)
        else:
            merged.append(bout)
    return [bout for bout in merged if bout.stop - bout.start >= round(rules.min_duration_s * fps, 6)]


def mask_of(bouts: Sequence[Bout], frames: int) -> np.ndarray:
    """Which frames (frames) lie in a bout."""
    mask = np.zeros(frames, bool)
    for bout in bouts:
        mask[bout.start : bout.stop] = True
    return mask
