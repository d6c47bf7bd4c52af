"""Motion correction and relative fluorescence of every colour, written to scratch as one movie.

Colours share the camera but not the picture, so each has a template of its own. The movie is (rows, columns, frames)
with the colours one after the other, not in turn: a pixel's trace is then smooth but for one place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from recording import Recording
from rigid_motion import always_seen, batches_of, estimate_shifts, move_back, refine_template

TEMPLATE_FRAMES = 60
DARK = 1e-3
"""Share of the brightest pixel's mean below which relative fluorescence means nothing."""


@dataclass(frozen=True)
class Corrected:
    """Relative fluorescence (F - mean) / mean of all colours, on disk; `seen`: pixels nearly every frame shows."""

    path: Path
    shape: tuple[int, int, int]
    means: np.ndarray
    """(channels, rows, columns)"""
    shifts: np.ndarray
    """(channels, frames, 2): rows and columns, pixels."""
    seen: np.ndarray
    """(rows, columns), bool"""

    def values(self) -> np.ndarray:
        """(rows, columns, channels * frames), float32, read only."""
        return np.memmap(self.path, np.float32, "r", 0, self.shape)


def correct(
    recording: Recording,
    scratch: Path,
    *,
    motion: bool,
    feature_px: float,
    max_shift: int,
    report: Callable[[str], None],
) -> Corrected:
    """The corrected movie. `feature_px`: size of what moves, such as vessels; it sets the band that is compared."""
    rows, columns = recording.frames.shape[1:]
    length, channels = recording.length, recording.channels
    path = scratch / "corrected.raw"
    movie = np.memmap(path, np.float32, "w+", 0, (rows, columns, channels * length))
    means, shifts = np.zeros((channels, rows, columns)), np.zeros((channels, length, 2))
    for channel in range(channels):
        template = None
        if motion:
            sample = np.concatenate(list(recording.batches(channel, most=TEMPLATE_FRAMES)))
            template = refine_template(
                sample,
                cell_sd=(feature_px, feature_px),
                max_shifts=(min(max_shift, rows // 4), min(max_shift, columns // 4)),
            )
        done = 0
        for batch in recording.batches(channel):
            for part in batches_of(len(batch), batch.shape[1:]):
                frames = batch[part]
                if template is not None:
                    found = estimate_shifts(frames, template)
                    shifts[channel, done : done + len(frames)] = found
                    frames = move_back(frames, found)
                start = channel * length + done
                movie[:, :, start : start + len(frames)] = np.moveaxis(frames, 0, -1)
                done += len(frames)
            report(f"Colour {channel + 1}: {done} of {length} frames {'moved back' if motion else 'read'}.")
        means[channel] = _relative(movie[:, :, channel * length : (channel + 1) * length])
    movie.flush()
    seen = np.logical_and.reduce([always_seen(shifts[channel], (rows, columns)) for channel in range(channels)])
    return Corrected(path, (rows, columns, channels * length), means, shifts, seen)


def _relative(movie: np.ndarray) -> np.ndarray:
    """Replace a movie by (F - mean) / mean, row by row; returns the means. Dark pixels become 0."""
    means = np.stack([row.mean(axis=-1, dtype=np.float64) for row in movie])
    least = DARK * max(float(means.max()), 1e-30)
    for row, mean in zip(movie, means, strict=True):
        bright = mean > least
        row[bright] = (row[bright] - mean[bright, None]) / mean[bright, None]
        row[~bright] = 0
    return means
