"""Checks the results of the two sample fields against what was put into them. Needs numpy only.

    python check.py RESULTS_FOLDER
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SUFFIXES = ("rolonies.csv", "gains.csv", "density.npy", "summary.json", "rolonies.png")
NEAR = 2.0
"""Voxels a rolony may lie from where it was put."""


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    expected = json.loads((HERE / "expected.json").read_text())
    found = [stem for stem in expected if (folder / f"{stem}_summary.json").is_file()]
    if not found:
        return [f"{folder} holds no summary of {' or '.join(expected)}."]
    return [f"{stem}: {failure}" for stem in found for failure in _check_field(folder, stem, expected[stem])]


def _check_field(folder: Path, stem: str, expected: dict[str, float]) -> list[str]:
    missing = [suffix for suffix in SUFFIXES if not (folder / f"{stem}_{suffix}").is_file()]
    if missing:
        return [f"{stem}_{suffix} is missing" for suffix in missing]
    figures = score(folder, stem)
    return [
        f"{name} is {figures[name]:.3f}, at least {least} is expected"
        for name, least in expected.items()
        if not figures[name] >= least
    ]


def score(folder: Path, stem: str) -> dict[str, float]:
    """Precision, recall and F1 of the rolonies (right barcode, within two voxels), and the gains' correlation."""
    truth = np.load(HERE / f"{stem}_truth.npz")
    with (folder / f"{stem}_rolonies.csv").open(newline="") as file:
        rows = [
            (int(row["barcode"].rpartition("-")[2]), int(row["row"]), int(row["column"])) for row in csv.DictReader(file)
        ]
    hits = _matched(np.array(rows).reshape(-1, 3), truth["truth"])
    precision, recall = hits / max(1, len(rows)), hits / len(truth["truth"])
    with (folder / f"{stem}_gains.csv").open(newline="") as file:
        gains = [float(row["gain"]) for row in csv.DictReader(file)]
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(1e-9, precision + recall),
        "gain_correlation": float(np.corrcoef(gains, truth["gains"])[0, 1]) if np.std(gains) else 0.0,
    }


def _matched(found: np.ndarray, truth: np.ndarray) -> int:
    """Found rolonies that are true ones, each true one counted once, nearest first."""
    pairs = sorted(
        (float(np.hypot(*(found[i, 1:] - truth[j, 1:]))), i, j)
        for i in range(len(found))
        for j in range(len(truth))
        if found[i, 0] == truth[j, 0] and np.abs(found[i, 1:] - truth[j, 1:]).max() <= NEAR
    )
    used_found: set[int] = set()
    used_truth: set[int] = set()
    for _, i, j in pairs:
        if i not in used_found and j not in used_truth:
            used_found.add(i)
            used_truth.add(j)
    return len(used_truth)


if __name__ == "__main__":
    failures = check(sys.argv[1])
    for failure in failures:
        print(failure)
    sys.exit(1 if failures else 0)
