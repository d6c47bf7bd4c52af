"""Checks the results of the sample against its nine bouts and `expected.json`. Needs numpy only.

    python check.py RESULTS_FOLDER
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
STEM = "rest"
FILES = ("bouts.csv", "freezing.json", "summary.json", "snapshot.pt", "training.png", "rest_tracks.png", "rest_freezing.png")


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
    if not (folder / f"{STEM}_rest_freezing.avi").read_bytes().startswith(b"RIFF"):
        failures.append("the annotated video is not an .avi")
    return failures


def score(results_dir: str | Path, stem: str) -> dict[str, float]:
    """Bouts that were found and that are none, F1 of frames, share of the time, and the error of the poses in pixels."""
    folder = Path(results_dir)
    with np.load(HERE / f"{stem}_truth.npz") as document:
        truth, starts, length = document["is_freezing"], document["starts"], int(document["bout_frames"])
        points, labelled, parts = document["points"], document["labelled"], list(document["parts"])
    with (folder / f"{stem}_bouts.csv").open(newline="") as file:
        bouts = [(int(row["start_frame"]), int(row["stop_frame"])) for row in csv.DictReader(file)]
    found = np.zeros(len(truth), bool)
    for first, stop in bouts:
        found[first:stop] = True
    # A true bout is found by one that overlaps at least half of both.
    hits = [
        sum(2 * (min(stop, start + length) - max(first, start)) > max(length, stop - first) for first, stop in bouts)
        for start in starts
    ]
    both = int((found & truth).sum())
    video = json.loads((folder / f"{stem}_freezing.json").read_text())["videos"][0]
    with next((folder / f"{stem}_poses").glob("*.csv")).open(newline="") as file:
        rows = list(csv.reader(file))
    columns = list(zip(rows[1], rows[2], strict=True))
    values = np.array(rows[3:], float)
    poses = np.stack([values[:, [columns.index((part, axis)) for part in parts]] for axis in "xy"], axis=2)
    unseen = np.setdiff1d(np.arange(len(truth)), labelled)
    return {
        "bouts_found": float(sum(hit == 1 for hit in hits)),
        "bouts_too_many": float(len(bouts) - sum(hits)),
        "frame_f1": 2 * both / max(1, int(found.sum() + truth.sum())),
        "percent_freezing": float(video["percent_freezing"]),
        "median_error_px": float(np.median(np.linalg.norm(poses - points, axis=2)[unseen])),
    }


if __name__ == "__main__":
    problems = check(sys.argv[1])
    print("\n".join(problems) or "All as expected.")
    sys.exit(1 if problems else 0)
