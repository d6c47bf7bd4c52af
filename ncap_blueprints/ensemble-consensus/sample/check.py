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
SUFFIXES = ("consensus.csv", "members.csv", "label_next.csv", "rmse.csv", "ensemble.png")
GLITCH_PX = 15.0
"""A network so far from the truth has jumped to another place."""


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    missing = [name for suffix in SUFFIXES if not (folder / (name := f"arena_{suffix}")).is_file()]
    if missing or not (folder / "arena_summary.json").is_file():
        return [f"{name} is missing" for name in (*missing, "arena_summary.json")]
    expected, found = json.loads((HERE / "expected.json").read_text())["arena"], score(folder)
    failures = [
        f"arena: {name} is {found[name]:.3f}, at most {expected[name]} is expected"
        for name in ("consensus_rmse_px", "share_of_the_mean_network")
        if not found[name] <= expected[name]
    ]
    name = "hard_frames_that_are_glitches"
    if not found[name] >= expected[name]:
        failures.append(f"arena: {name} is {found[name]:.2f}, at least {expected[name]} is expected")
    return failures


def score(folder: Path) -> dict[str, float]:
    """Formula 2 over all frames for the consensus, its share of the networks' mean, and what the hard frames are."""
    truth = np.load(HERE / "arena_truth.npz")["truth"].astype(float)
    frames, parts = truth.shape[:2]
    consensus = _points(folder / "arena_consensus.csv").reshape(frames, parts, 2)
    members = _points(folder / "arena_members.csv").reshape(-1, frames, parts, 2)
    own = [_rmse(points, truth) for points in members]
    with (folder / "arena_label_next.csv").open(newline="") as file:
        hard = [int(row["frame"]) for row in csv.DictReader(file)]
    worst = np.hypot(*np.moveaxis(members - truth, -1, 0)).max(axis=(0, 2))
    return {
        "consensus_rmse_px": _rmse(consensus, truth),
        "share_of_the_mean_network": _rmse(consensus, truth) / float(np.mean(own)),
        "hard_frames_that_are_glitches": float((worst[hard] > GLITCH_PX).mean()) if hard else 0.0,
    }


def _points(path: Path) -> np.ndarray:
    with path.open(newline="") as file:
        return np.array([(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)])


def _rmse(points: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(((points - truth) ** 2).sum() / len(truth)))


if __name__ == "__main__":
    failures = check(sys.argv[1])
    for failure in failures:
        print(failure)
    sys.exit(1 if failures else 0)
