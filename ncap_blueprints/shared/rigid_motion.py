"""Rigid motion correction with sub-pixel shifts by phase correlation.

The cross-power spectrum of a frame and a template is whitened, weighted towards the sizes of cells, and its peak is
found first on whole pixels, then by evaluating the Fourier series on a fine grid round it (Guizar-Sicairos et al. 2008,
Optics Letters 33:156). Frames are moved back by a phase ramp. A shift is where a frame lies relative to the template:
rows, columns, in pixels. It must not read files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from scipy import fft

STEPS_PER_PIXEL = 20
"""Resolution of a shift: 1/20 pixel."""
WHITENING = 0.75
"""Power of the spectrum's size that is divided out: 0 is cross-correlation, 1 is pure phase correlation, which trusts
frequencies that hold only noise."""

EDGE_SHARE = 0.1
BATCH_PIXELS = 8_000_000


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Template:
    """What frames are compared with. `spectrum`: conjugate spectrum of the mean frame; `weight`: of each frequency."""

    spectrum: np.ndarray
    weight: np.ndarray
    taper: np.ndarray
    max_shifts: tuple[int, int]


def make_template(mean_frame: np.ndarray, *, cell_sd: tuple[float, float], max_shifts: tuple[int, int]) -> Template:
    """A template from a mean frame (rows, columns); `cell_sd` in pixels sets the band of frequencies that counts."""
    rows, columns = mean_frame.shape
    taper = np.outer(_taper(rows, max_shifts[0]), _taper(columns, max_shifts[1])).astype(np.float32)
    u, v = np.meshgrid(2 * np.pi * fft.fftfreq(rows), 2 * np.pi * fft.rfftfreq(columns), indexing="ij")
    radius = (u * cell_sd[0]) ** 2 + (v * cell_sd[1]) ** 2
    # A band: cells pass, noise between pixels (right factor) and the glow of the field (left factor) do not.
    weight = (1 - np.exp(-radius * 8)) * np.exp(-radius / 4)
    spectrum = np.conj(_spectra(mean_frame[None], taper)[0])
    return Template(spectrum, weight.astype(np.float32), taper, max_shifts)


def _taper(length: int, margin: int) -> np.ndarray:
    """1 inside, a cosine slope at the edges, which come and go as the field moves."""
    width = min(max(2 * margin, 4), length // 4)
    slope = 0.5 - 0.5 * np.cos(np.pi * (np.arange(width) + 0.5) / width)
    return np.concatenate([slope, np.ones(length - 2 * width), slope[::-1]])


def _spectra(frames: np.ndarray, taper: np.ndarray) -> np.ndarray:
    centred = frames - frames.mean(axis=(1, 2), keepdims=True)
    return np.asarray(fft.rfft2((centred * taper).astype(np.float32), workers=cores()))


def estimate_shifts(frames: np.ndarray, template: Template) -> np.ndarray:
    """Where each of `frames` (n, rows, columns) lies relative to the template: (n, 2), pixels."""
    rows, columns = frames.shape[1:]
    cross = _spectra(frames, template.taper) * template.spectrum
    size = np.abs(cross)
    cross *= template.weight / np.maximum(size, 1e-6 * size.max(axis=(1, 2), keepdims=True)) ** WHITENING
    surface = fft.irfft2(cross, s=(rows, columns), workers=cores())
    reach = [min(most, (length - 1) // 2) for most, length in zip(template.max_shifts, (rows, columns), strict=True)]
    near = [np.arange(-most, most + 1) for most in reach]
    window = surface[:, near[0][:, None] % rows, near[1][None, :] % columns]
    best = window.reshape(len(frames), -1).argmax(1)
    whole = np.stack([near[0][best // len(near[1])], near[1][best % len(near[1])]], axis=1)
    return np.array([_refined(part, start, (rows, columns), reach) for part, start in zip(cross, whole, strict=True)])


def _refined(cross: np.ndarray, start: np.ndarray, shape: tuple[int, int], reach: list[int]) -> np.ndarray:
    """The peak of one correlation surface on a grid of 1/STEPS_PER_PIXEL within a pixel of `start`."""
    fine = np.arange(-STEPS_PER_PIXEL, STEPS_PER_PIXEL + 1) / STEPS_PER_PIXEL
    rows, columns = (np.clip(fine + middle, -most, most) for middle, most in zip(start, reach, strict=True))
    double = np.full(cross.shape[1], 2.0)
    double[0] = 1.0
    if shape[1] % 2 == 0:
        double[-1] = 1.0
    left = np.exp(2j * np.pi * np.outer(rows, fft.fftfreq(shape[0])))
    right = np.exp(2j * np.pi * np.outer(fft.rfftfreq(shape[1]), columns)) * double[:, None]
    surface = (left @ cross @ right).real
    row, column = np.unravel_index(int(surface.argmax()), surface.shape)
    return np.array([rows[row], columns[column]])


def move_back(frames: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Frames (n, rows, columns) with their shifts undone; what comes in over an edge repeats the edge."""
    rows, columns = frames.shape[1:]
    margin = int(np.ceil(np.abs(shifts).max(initial=0))) + 2
    size = [fft.next_fast_len(length + 2 * margin, real=True) for length in (rows, columns)]
    after = [whole - length - margin for whole, length in zip(size, (rows, columns), strict=True)]
    padded = np.pad(frames, ((0, 0), (margin, after[0]), (margin, after[1])), mode="edge").astype(np.float32)
    ramp = (
        2
        * np.pi
        * (
            fft.fftfreq(size[0])[None, :, None] * shifts[:, 0, None, None]
            + fft.rfftfreq(size[1])[None, None, :] * shifts[:, 1, None, None]
        )
    )
    moved = fft.irfft2(
        fft.rfft2(padded, workers=cores()) * np.exp(1j * ramp).astype(np.complex64), s=size, workers=cores()
    )
    return np.asarray(moved[:, margin : margin + rows, margin : margin + columns], np.float32)


def always_seen(shifts: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels (rows, columns) that nearly every frame shows: in at most EDGE_SHARE of them they lay outside the field.

    What a frame does not show there repeats its edge, and comes and goes as the field moves, like a cell.
    """
    inside = np.ones(shape, bool)
    for axis, length in enumerate(shape):
        before, after = (
            int(np.ceil(np.quantile(np.maximum(sign * shifts[:, axis], 0), 1 - EDGE_SHARE))) for sign in (-1, 1)
        )
        seen = (np.arange(length) >= before) & (np.arange(length) < length - after)
        inside &= seen[:, None] if axis == 0 else seen[None, :]
    return inside


def batches_of(frames: int, shape: tuple[int, ...]) -> list[slice]:
    """So many frames at a time that their spectra fit into a few hundred MB."""
    step = max(1, BATCH_PIXELS // (shape[0] * shape[1]))
    return [slice(start, min(start + step, frames)) for start in range(0, frames, step)]


def refine_template(
    frames: np.ndarray, *, cell_sd: tuple[float, float], max_shifts: tuple[int, int], rounds: int = 4
) -> Template:
    """A sharp template from sample frames: their mean, their shifts to it, the mean of the frames moved back, again."""
    mean = frames.mean(0)
    batches = batches_of(len(frames), frames.shape[1:])
    for _ in range(rounds):
        template = make_template(mean, cell_sd=cell_sd, max_shifts=max_shifts)
        shifts = np.concatenate([estimate_shifts(frames[batch], template) for batch in batches])
        # The field as a whole stays where it was: the mean shift of the sample is none of a frame's own.
        shifts -= shifts.mean(0)
        mean = np.sum([move_back(frames[batch], shifts[batch]).sum(0) for batch in batches], axis=0) / len(frames)
    return make_template(mean, cell_sd=cell_sd, max_shifts=max_shifts)
