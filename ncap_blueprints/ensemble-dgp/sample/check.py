"""Checks what networks and their consensus make of the sample against the path the animal took. Needs numpy only.

    python check.py RESULTS_FOLDER

The folder holds one network's results, or a folder for each, and perhaps the consensus'.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TRUTH = HERE.parents[1] / "deepgraphpose" / "sample" / "crawler_truth.npz"
STEM = "crawler"


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    tables = sorted(folder.rglob(f"{STEM}_dgp.csv"))
    if not tables:
        return [f"{folder} holds no {STEM}_dgp.csv."]
    beside = ("scoremaps.h5", "heldout.csv", "summary.json")
    missing = [str(it) for table in tables for end in beside if not (it := table.with_name(f"{STEM}_{end}")).is_file()]
    if missing:
        return [f"{name} is missing" for name in missing]
    expected, found = json.loads((HERE / "expected.json").read_text())[STEM], score(folder)
    return [
        f"{STEM}: {name} is {found[name]:.3f}, {low} to {high} is expected"
        for name, (low, high) in expected.items()
        if name in found and not low <= found[name] <= high
    ]


def score(folder: Path) -> dict[str, float]:
    """RMSE (formula 2 of the NeuroCAAS paper, pixels) on frames without labels: of the networks on average, and, where
    there is a consensus, its own and its share of theirs."""
    networks = [rmse(read_track(path)) for path in sorted(folder.rglob(f"{STEM}_dgp.csv"))]
    found = {"mean_network_rmse_px": float(np.mean(networks))}
    consensus = sorted(folder.rglob(f"{STEM}_consensus.csv"))
    if consensus:
        own = rmse(read_consensus(consensus[0]))
        found |= {"consensus_rmse_px": own, "consensus_share": own / found["mean_network_rmse_px"]}
    return found


def rmse(points: np.ndarray) -> float:
    """Of points (frames, parts, 2); divided by frames only. NaN when there are not as many as in the truth."""
    with np.load(TRUTH) as truth:
        path, labelled = truth["path"].astype(float), truth["labelled"]
    if points.size != path.size:
        return float("nan")
    off = np.delete(points.reshape(path.shape) - path, labelled, axis=0)
    return float(np.sqrt((off**2).sum() / len(off)))


def read_track(path: Path) -> np.ndarray:
    """Points of a table as DeepLabCut writes it, (frames, parts, 2)."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[3:]
    return np.array([[float(cell) for cell in row[1:]] for row in rows]).reshape(len(rows), -1, 3)[..., :2]


def read_consensus(path: Path) -> np.ndarray:
    """Points of a consensus, a row for each frame and part."""
    with path.open(newline="") as file:
        return np.array([(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)])


if __name__ == "__main__":
    problems = check(sys.argv[1])
    print("\n".join(problems) or "All as expected.")
    sys.exit(1 if problems else 0)
