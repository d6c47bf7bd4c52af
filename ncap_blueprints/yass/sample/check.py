"""Checks the sorting of the sample recording against the spikes it was made of. Needs numpy only.

    python check.py RESULTS_FOLDER
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SUFFIXES = (
    "spike_times.npy",
    "spike_clusters.npy",
    "spike_amplitudes.npy",
    "templates.npy",
    "channels.npy",
    "quality_metrics.csv",
    "sorting.png",
    "summary.json",
)
NEAR_SAMPLES = 8
"""A found spike is a true one if it is within 0.4 ms of it: at 20 kHz, 8 samples."""

WELL = 0.8


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    expected = json.loads((HERE / "expected.json").read_text())
    found = [stem for stem in expected if (folder / f"{stem}_summary.json").is_file()]
    if not found:
        return [f"{folder} holds no summary of {' or '.join(expected)}."]
    return [f"{stem}: {failure}" for stem in found for failure in _check_recording(folder, stem, expected[stem])]


def _check_recording(folder: Path, stem: str, expected: dict) -> list[str]:
    missing = [suffix for suffix in SUFFIXES if not (folder / f"{stem}_{suffix}").is_file()]
    if missing:
        return [f"{stem}_{suffix} is missing" for suffix in missing]
    failures = _check_forms(folder, stem)
    figures = score(folder, stem)
    failures += [
        f"{name} is {figures[name]:.4f}, at least {least} is expected"
        for name, least in expected["at_least"].items()
        if not figures[name] >= least
    ]
    failures += [
        f"{name} is {figures[name]:.4f}, {low} to {high} is expected"
        for name, (low, high) in expected["between"].items()
        if not low <= figures[name] <= high
    ]
    return failures


def _check_forms(folder: Path, stem: str) -> list[str]:
    """Arrays that fit together, a row of the table a unit, a picture that is one."""
    times, labels, amplitudes, templates = (
        np.load(folder / f"{stem}_{name}.npy", allow_pickle=False)
        for name in ("spike_times", "spike_clusters", "spike_amplitudes", "templates")
    )
    failures = []
    if not len(times) == len(labels) == len(amplitudes) or (np.diff(times) < 0).any():
        failures.append("spike times, units and amplitudes do not fit together, or are not in time order")
    if not np.isfinite(templates).all() or not np.isfinite(amplitudes).all():
        failures.append("templates or amplitudes have values that are not finite")
    with (folder / f"{stem}_quality_metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    if [int(row["spikes"]) for row in rows] != np.bincount(labels, minlength=len(templates)).tolist():
        failures.append("the table of quality does not count the spikes there are")
    if not (folder / f"{stem}_sorting.png").read_bytes().startswith(b"\x89PNG"):
        failures.append("the figure is not a PNG")
    return failures


def score(folder: Path, stem: str) -> dict[str, float]:
    """Accuracy of each true unit by the found unit that is most like it: mean, lowest, how many above 0.8.

    Accuracy: spikes in both / (spikes in both + missed + wrong), as SpikeForest and SpikeInterface count.
    """
    times = np.load(folder / f"{stem}_spike_times.npy", allow_pickle=False)
    labels = np.load(folder / f"{stem}_spike_clusters.npy", allow_pickle=False)
    found = [times[labels == unit] for unit in np.unique(labels)]
    best = best_accuracies(true_trains(stem), found)
    return {
        "accuracy_mean": float(best.mean()),
        "accuracy_lowest": float(best.min()),
        "units_above_0.8": int((best > WELL).sum()),
        "units_found": len(found),
    }


def true_trains(stem: str) -> list[np.ndarray]:
    """Spike times of the true units, samples."""
    with np.load(HERE / f"{stem}_truth.npz", allow_pickle=False) as truth:
        return [np.sort(truth["times"][truth["units"] == unit]) for unit in np.unique(truth["units"])]


def best_accuracies(true: list[np.ndarray], found: list[np.ndarray]) -> np.ndarray:
    """For each true train the accuracy of the best found one; a found one serves one true one at most (best first)."""
    table = np.array([[accuracy(one, other) for other in found] for one in true]).reshape(len(true), len(found))
    best = np.zeros(len(true))
    for _ in range(min(table.shape)):
        row, column = np.unravel_index(table.argmax(), table.shape)
        if table[row, column] <= 0:
            break
        best[row] = table[row, column]
        table[row], table[:, column] = -1, -1
    return best


def accuracy(true: np.ndarray, found: np.ndarray) -> float:
    """Each spike is matched once, in time order."""
    matched, place = 0, 0
    for time in true:
        while place < len(found) and found[place] < time - NEAR_SAMPLES:
            place += 1
        if place < len(found) and found[place] <= time + NEAR_SAMPLES:
            matched, place = matched + 1, place + 1
    either = len(true) + len(found) - matched
    return matched / either if either else 0.0


if __name__ == "__main__":
    problems = check(sys.argv[1])
    print("\n".join(problems) or "All as expected.")
    sys.exit(1 if problems else 0)
