"""Checks the results of the sample against the true points and `expected.json`. Needs numpy only.

    python check.py RESULTS_FOLDER

Errors are of frames that were not labelled.
"""

from __future__ import annotations

import csv
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
STEM = "walk"
FILES = ("snapshot.pt", "losses.csv", "evaluation.csv", "summary.json", "training.png", "walk_tracks.png")


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results in the folder do not meet; empty when all is well."""
    folder = Path(results_dir)
    missing = [f"{STEM}_{name}" for name in FILES if not (folder / f"{STEM}_{name}").is_file()]
    if missing:
        return [f"{name} is missing" for name in missing]
    scores = score(folder, STEM)
    failures = [
        f"{name} is {scores[name]:.3f}, expected {low} to {high}"
        for name, (low, high) in json.loads((HERE / "expected.json").read_text())[STEM].items()
        if not low <= scores[name] <= high
    ]
    with zipfile.ZipFile(folder / f"{STEM}_trained.zip") as archive:
        names = archive.namelist()
        if archive.testzip() or not any(".pt" in name for name in names) or "walk/config.yaml" not in names:
            failures.append("the trained project lacks its config or snapshot")
    if not (folder / f"{STEM}_walk_labeled.avi").read_bytes().startswith(b"RIFF"):
        failures.append("the labelled video is not an .avi")
    return failures


def score(results_dir: str | Path, stem: str) -> dict[str, float]:
    """Errors in pixels of unlabelled frames, correlation with the true tracks, and the network's likelihood."""
    with np.load(HERE / f"{stem}_truth.npz") as document:
        truth, labelled, parts = document["points"], document["labelled"], list(document["parts"])
    points, likelihood = read_poses(next((Path(results_dir) / f"{stem}_poses").glob("*.csv")), parts)
    if points.shape != truth.shape:
        return {"median_error_px": float("inf"), "p95_error_px": float("inf"), "correlation": 0.0, "likelihood": 0.0}
    unseen = np.setdiff1d(np.arange(len(truth)), labelled)
    errors = np.linalg.norm(points - truth, axis=2)[unseen].ravel()
    tracks = [np.corrcoef(points[unseen, p, a], truth[unseen, p, a])[0, 1] for p in range(len(parts)) for a in (0, 1)]
    return {
        "median_error_px": float(np.median(errors)),
        "p95_error_px": float(np.percentile(errors, 95)),
        "correlation": float(min(tracks)),
        "likelihood": float(np.median(likelihood)),
    }


def read_poses(path: Path, parts: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """A table of DeepLabCut as points (frames, parts, 2) and likelihood (frames, parts)."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    columns = list(zip(rows[1], rows[2], strict=True))
    values = np.array(rows[3:], float)
    found = np.stack([values[:, [columns.index((part, axis)) for part in parts]] for axis in ("x", "y", "likelihood")])
    return np.moveaxis(found[:2], 0, 2), found[2]


if __name__ == "__main__":
    problems = check(sys.argv[1])
    print("\n".join(problems) or "All as expected.")
    sys.exit(1 if problems else 0)
