"""Checks the results of the sample movie against the cells it was made of. Needs numpy only.

    python check.py RESULTS_FOLDER
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
STEM = "twophoton"
SUFFIXES = (
    "estimates.h5",
    "footprints.npz",
    "calcium.npy",
    "cells.csv",
    "shifts.csv",
    "summary.json",
    "preview.png",
    "cells.png",
)
SAME_CELL = 0.6
"""Correlation of a found footprint with a true one, over the whole field, that counts as finding it."""


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    missing = [suffix for suffix in SUFFIXES if not (folder / f"{STEM}_{suffix}").is_file()]
    if missing:
        return [f"{STEM}_{suffix} is missing" for suffix in missing]
    if (folder / f"{STEM}_estimates.h5").read_bytes()[:8] != b"\x89HDF\r\n\x1a\n":
        return [f"{STEM}_estimates.h5 is not an HDF5 file"]
    figures = score(folder)
    return [
        f"{name} is {figures[name]:.3f}, at least {least} is expected"
        for name, least in json.loads((HERE / "expected.json").read_text()).items()
        if not figures[name] >= least
    ]


def score(folder: Path) -> dict[str, float]:
    """Of the accepted cells: how many true ones are among them, how many are true, and how well they look."""
    with np.load(HERE / f"{STEM}_truth.npz") as truth:
        footprints = truth["footprints"].astype(float).reshape(len(truth["footprints"]), -1)
        calcium, spikes, shifts = truth["calcium"], truth["spikes"].astype(float), truth["shifts"]
    with (folder / f"{STEM}_cells.csv").open(newline="") as file:
        kept = [number for number, row in enumerate(csv.DictReader(file)) if row["accepted"] == "1"]
    found = _dense(folder / f"{STEM}_footprints.npz")[kept]
    traces = np.load(folder / f"{STEM}_calcium.npy", allow_pickle=False)[kept]
    alike = _correlations(footprints, found)
    pairs = _matched(alike)
    moved = np.loadtxt(folder / f"{STEM}_shifts.csv", delimiter=",", skiprows=1)[:, 1:]
    return {
        "found": len(pairs),
        "precision": len(pairs) / max(1, len(kept)),
        "footprint_r": float(np.median([alike[i, j] for i, j in pairs])) if pairs else 0.0,
        "trace_r": float(np.median([_r(calcium[i], traces[j]) for i, j in pairs])) if pairs else 0.0,
        "spike_r": float(np.median([_spike_r(spikes[i], traces[j]) for i, j in pairs])) if pairs else 0.0,
        "shift_r": min(_r(moved[:, side], shifts[:, side]) for side in (0, 1)),
    }


def _dense(path: Path) -> np.ndarray:
    """A sparse matrix by column as an array, (cells, pixels)."""
    with np.load(path, allow_pickle=False) as stored:
        dense = np.zeros(stored["shape"][::-1])
        for cell, (low, high) in enumerate(zip(stored["indptr"][:-1], stored["indptr"][1:], strict=True)):
            dense[cell, stored["indices"][low:high]] = stored["data"][low:high]
    return dense


def _correlations(true: np.ndarray, found: np.ndarray) -> np.ndarray:
    def scaled(rows: np.ndarray) -> np.ndarray:
        return (rows - rows.mean(1, keepdims=True)) / (rows.std(1, keepdims=True) + 1e-12)

    return scaled(true) @ scaled(found).T / true.shape[1]


def _matched(alike: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of a true and a found cell, the most alike first, each cell once."""
    left, pairs = alike.copy(), []
    while left.size and left.max() > SAME_CELL:
        i, j = (int(index) for index in np.unravel_index(int(left.argmax()), left.shape))
        pairs.append((i, j))
        left[i], left[:, j] = -1, -1
    return pairs


def _spike_r(spikes: np.ndarray, trace: np.ndarray) -> float:
    """Correlation of spikes with the rises of a trace, both in bins of three frames (0.1 s)."""
    rises = np.maximum(np.diff(trace, prepend=trace[:1]), 0)
    size = len(spikes) // 3 * 3
    binned = [values[:size].reshape(-1, 3).sum(1) for values in (spikes, rises)]
    return _r(*binned)


def _r(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation; 0 where there is none."""
    return float(np.corrcoef(one, other)[0, 1]) if np.ptp(one) > 0 and np.ptp(other) > 0 else 0.0


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[2] == "--figures":
        print(json.dumps(score(Path(sys.argv[1])), indent=2))
    failures = check(sys.argv[1])
    for failure in failures:
        print(failure)
    sys.exit(1 if failures else 0)
