"""Checks the results of the samples against the true distributions in ``truth.json``. Needs numpy only.

    python check.py RESULTS_FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SUFFIXES = ("samples.npz", "opt_data.csv", "flow.npz", "summary.json", "epi.png")


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    expected = json.loads((HERE / "expected.json").read_text())
    found = [stem for stem in expected if (folder / f"{stem}_summary.json").is_file()]
    if not found:
        return [f"{folder} holds no summary of {' or '.join(expected)}."]
    return [f"{stem}: {failure}" for stem in found for failure in _check_inference(folder, stem, expected[stem])]


def _check_inference(folder: Path, stem: str, expected: dict[str, list[float]]) -> list[str]:
    missing = [suffix for suffix in SUFFIXES if not (folder / f"{stem}_{suffix}").is_file()]
    if missing:
        return [f"{stem}_{suffix} is missing" for suffix in missing]
    figures = score(folder, stem)
    failures = [
        f"{name} is {figures[name]:.3f}, expected {low} to {high}"
        for name, (low, high) in expected.items()
        if not low <= figures[name] <= high
    ]
    if not json.loads((folder / f"{stem}_summary.json").read_text())["constraints_met"]:
        failures.append("the run itself says that its constraints are not met")
    return failures


def score(folder: Path, stem: str) -> dict[str, float]:
    """Figures of merit of one inference q, of the true distribution p* of greatest entropy.

    `divergence`: KL(q || p*) in nats, 0 if q is p*. `mean_error`: worst error of a mean, in asked standard deviations;
    `sd_ratio`: worst ratio of a standard deviation to the asked one. `weight`: the mean of p*/q over the samples, 1 if
    the reported log-probabilities are those of the samples and q is nowhere zero. `entropy_gap`: that of p* less that
    of q. `positive_share`: samples whose second parameter is above 0 (either sign of a rotation is as good).
    """
    truth: dict[str, Any] = json.loads((HERE / "truth.json").read_text())[stem]
    with np.load(folder / f"{stem}_samples.npz") as samples:
        theta, log_q, statistics = samples["theta"], samples["log_prob"], samples["statistics"]
    mean, spread = np.array(truth["mean"]), np.array(truth["sd"])
    u = (statistics - mean) / spread
    log_p = np.concatenate([u, u**2 - 1], 1) @ np.array(truth["eta"]) - truth["log_z"]
    ratios = statistics.std(0) / spread
    return {
        "divergence": float((log_q - log_p).mean()),
        "mean_error": float(np.abs(u.mean(0)).max()),
        "sd_ratio": float(ratios[np.abs(np.log(ratios)).argmax()]),
        "weight": float(np.exp(log_p - log_q).mean()),
        "entropy_gap": float(truth["log_z"] + log_q.mean()),
        "positive_share": float((theta[:, 1] > 0).mean()),
    }


if __name__ == "__main__":
    failures = check(sys.argv[1])
    for failure in failures:
        print(failure)
    sys.exit(1 if failures else 0)
