"""Makes ``probe.zip`` and ``probe_truth.npz``: a recording of which every spike is known.

    python make_recording.py

Eight units near a probe of eight channels, 20 kHz, 30 s, as int16 with 4 uV a step:

    x[t, c] = sum over spikes (s, u) of a_s w_u(t - s, c) + noise
    w_u(t, c) = A_u f(r) (-exp(-(t - d r)^2 / 2 b^2) + h exp(-(t - d r - p)^2 / 2 (2.5 b)^2))

r is the distance from unit to channel (three dimensions), f(r) = 1 / (1 + (r / 25 um)^2) the fall of the amplitude, d
the delay a um, b a width of the unit's own, h and p size and delay of the after-wave. Spikes come at random with a
refractory period, at any fraction of a sample, and differ in size by 5 %. Some spikes of two units near each other
come together on purpose. The noise is that of many far cells: neighbouring channels and samples share a part of it.

The file is what a user would send: the raw binary and ``geom.txt`` in a .zip. Needs numpy only; the same seed gives the
same files.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

SEED = 5
SAMPLING_RATE_HZ = 20_000
SECONDS = 30
UNITS = 8
NOISE_SD_UV = 10.0
STEP_UV = 4.0
REFRACTORY_S = 0.003
SHARED_LENGTH_UM = 30.0
TOGETHER = ((0, 1), (2, 3), (4, 5))
"""Pairs of units of which a tenth of the first one's spikes falls within 0.5 ms of one of the second."""


def channels() -> np.ndarray:
    """Positions in um: two columns, staggered."""
    rows = np.arange(8)
    return np.c_[np.where(rows % 2, 18.0, 0.0), 20.0 * rows]


def units(rng: np.random.Generator) -> np.ndarray:
    """Positions in um, spread along the probe: x, y, and the distance from the probe's plane."""
    y = np.linspace(0.0, 140.0, UNITS) + rng.uniform(-4, 4, UNITS)
    return np.c_[rng.uniform(-8, 26, UNITS), y, rng.uniform(8, 16, UNITS)]


def trains(rng: np.random.Generator) -> list[np.ndarray]:
    """Spike times in samples, with fractions."""
    found = []
    for rate in rng.uniform(5, 14, UNITS):
        gaps = REFRACTORY_S + rng.exponential(1 / rate - REFRACTORY_S, int(3 * rate * SECONDS))
        times = np.cumsum(gaps)
        found.append(times[(times > 0.01) & (times < SECONDS - 0.01)])
    for one, other in TOGETHER:
        moved = rng.choice(len(found[one]), len(found[one]) // 10, replace=False)
        partners = rng.choice(found[other], len(moved), replace=False)
        found[one][moved] = partners + rng.uniform(-0.0005, 0.0005, len(moved))
        found[one] = np.sort(found[one])
        found[one] = found[one][np.r_[True, np.diff(found[one]) > REFRACTORY_S]]
    return [times * SAMPLING_RATE_HZ for times in found]


def add_spikes(traces: np.ndarray, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Add every unit's spikes (uV) to samples x channels; returns the trains (samples) and the units' positions."""
    where, at = channels(), units(rng)
    reach = int(0.003 * SAMPLING_RATE_HZ)
    spikes = trains(rng)
    for position, times in zip(at, spikes, strict=True):
        distance = np.sqrt(((where - position[:2]) ** 2).sum(1) + position[2] ** 2)
        size = rng.uniform(120, 230) / (1 + (distance / 25.0) ** 2)
        width, hump, later = rng.uniform(0.07, 0.18), rng.uniform(0.15, 0.5), rng.uniform(0.35, 0.6)
        for time, scale in zip(times, rng.normal(1, 0.05, len(times)), strict=True):
            first = int(time) - reach
            ms = (np.arange(first, first + 2 * reach) - time)[:, None] / SAMPLING_RATE_HZ * 1000 - 0.001 * distance
            wave = -np.exp(-0.5 * (ms / width) ** 2) + hump * np.exp(-0.5 * ((ms - later) / (2.5 * width)) ** 2)
            inside = slice(max(first, 0), min(first + 2 * reach, len(traces)))
            traces[inside] += (scale * size * wave)[inside.start - first : inside.stop - first]
    return spikes, at


def noise(rng: np.random.Generator) -> np.ndarray:
    """Samples x channels, uV: neighbours in space share a part, neighbours in time as well."""
    where = channels()
    apart = np.linalg.norm(where[:, None] - where[None], axis=2)
    shared = np.linalg.cholesky(0.5 * np.exp(-apart / SHARED_LENGTH_UM) + 0.5 * np.eye(len(where)))
    white = rng.normal(size=(SECONDS * SAMPLING_RATE_HZ + 1, len(where))) @ shared.T
    smooth = white[1:] + 0.4 * white[:-1]
    return NOISE_SD_UV * smooth / np.sqrt(1 + 0.4**2)


def main() -> None:
    rng = np.random.default_rng(SEED)
    traces = noise(rng)
    spikes, at = add_spikes(traces, rng)
    here = Path(__file__).parent
    raw = np.clip(np.round(traces / STEP_UV), -32768, 32767).astype("<i2")
    geometry = "".join(f"{x:g} {y:g}\n" for x, y in channels())
    with zipfile.ZipFile(here / "probe.zip", "w", zipfile.ZIP_BZIP2, compresslevel=9) as archive:
        for name, content in (("recording.bin", raw.tobytes()), ("geom.txt", geometry.encode())):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_BZIP2)
    np.savez_compressed(
        here / "probe_truth.npz",
        times=np.concatenate([np.round(times).astype(np.int32) for times in spikes]),
        units=np.repeat(np.arange(UNITS, dtype=np.uint8), [len(times) for times in spikes]),
        positions=at,
    )


if __name__ == "__main__":
    main()
