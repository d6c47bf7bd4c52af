"""Checks the results of the sample against the path the animal took. Needs numpy only.

    python check.py RESULTS_FOLDER
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
STEM = "crawler"
SUFFIXES = (
    "dgp.csv",
    "scoremaps.h5",
    "heldout.csv",
    "metrics.csv",
    "losses.csv",
    "model.pt",
    "labelled.png",
    "training.png",
    "summary.json",
)


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    missing = [name for suffix in SUFFIXES if not (folder / (name := f"{STEM}_{suffix}")).is_file()]
    if missing:
        return [f"{name} is missing" for name in missing]
    expected, found = json.loads((HERE / "expected.json").read_text())[STEM], score(folder)
    return [
        f"{STEM}: {name} is {found[name]:.3f}, {low} to {high} is expected"
        for name, (low, high) in expected.items()
        if not low <= found[name] <= high
    ]


def score(folder: Path) -> dict[str, float]:
    """Errors (pixels) on the frames that have no label: RMSE divided by frames, of all parts; the mean distance of
    covered parts; the median distance of those in view. And how much less likely covered parts are said to be seen."""
    with np.load(HERE / f"{STEM}_truth.npz") as truth:
        path, covered, labelled = truth["path"].astype(float), truth["covered"], truth["labelled"]
    points, likelihood = read_track(folder / f"{STEM}_dgp.csv")
    if points.shape != path.shape or not np.isfinite(points).all():
        return dict.fromkeys(("rmse_px", "covered_px", "in_view_px", "likelihood_gap"), float("nan"))
    apart = np.ones(len(path), bool)
    apart[labelled] = False
    off, covered = np.linalg.norm(points - path, axis=-1)[apart], covered[apart]
    return {
        "rmse_px": float(np.sqrt((off**2).sum() / len(off))),
        "covered_px": float(off[covered].mean()),
        "in_view_px": float(np.median(off[~covered])),
        "likelihood_gap": float(likelihood[apart][~covered].mean() - likelihood[apart][covered].mean()),
    }


def read_track(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points (frames, parts, 2) and likelihoods (frames, parts) of a table as DeepLabCut writes it."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[3:]
    values = np.array([[float(cell) for cell in row[1:]] for row in rows]).reshape(len(rows), -1, 3)
    return values[..., :2], values[..., 2]


if __name__ == "__main__":
    problems = check(sys.argv[1])
    print("\n".join(problems) or "All as expected.")
    sys.exit(1 if problems else 0)
