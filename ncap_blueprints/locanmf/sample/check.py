"""Checks the results of the sample video against the signals it was made of. Needs numpy only.

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
    "A.npy",
    "C.npy",
    "components.csv",
    "regions.csv",
    "LocaNMF_Components.mat",
    "SummaryComponents.png",
    "summary.json",
)


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    expected = json.loads((HERE / "expected.json").read_text())
    found = [stem for stem in expected if (folder / f"{stem}_summary.json").is_file()]
    if not found:
        return [f"{folder} holds no summary of {' or '.join(expected)}."]
    return [f"{stem}: {failure}" for stem in found for failure in _check_video(folder, stem, expected[stem])]


def _check_video(folder: Path, stem: str, expected: dict) -> list[str]:
    missing = [suffix for suffix in SUFFIXES if not (folder / f"{stem}_{suffix}").is_file()]
    if missing:
        return [f"{stem}_{suffix} is missing" for suffix in missing]
    summary = json.loads((folder / f"{stem}_summary.json").read_text())
    failures = []
    if summary["components_by_region"] != expected["components_by_region"]:
        failures.append(f"components by region are {summary['components_by_region']}")
    figures = score(folder, stem)
    failures += [
        f"{name} is {figures[name]:.4f}, at least {least} is expected"
        for name, least in expected["at_least"].items()
        if not figures[name] >= least
    ]
    A = np.load(folder / f"{stem}_A.npy", allow_pickle=False)
    if A.min() < 0 or abs(A.max() - 1) > 1e-5:
        failures.append("spatial components are negative somewhere, or not scaled to 1")
    return failures


def score(folder: Path, stem: str) -> dict[str, float]:
    """Figures of merit, from the components alone.

    Localisation is measured with the sample's own atlas. A region's components are known only up to a mixture, so each
    true signal is held against all components of its region together (multiple correlation), and against the best one
    (single); likewise the best map, by the cosine.
    """
    with np.load(HERE / f"{stem}_truth.npz") as truth, np.load(HERE / f"{stem}.npz") as sample:
        true_a, true_c, owners, atlas = truth["A"], truth["C"], truth["owners"], sample["atlas"]
        video = (sample["U"].reshape(-1, sample["U"].shape[2]), sample["V"])
    A, C = (np.load(folder / f"{stem}_{name}.npy", allow_pickle=False) for name in "AC")
    with (folder / f"{stem}_components.csv").open(newline="") as file:
        labels = [int(row["label"]) for row in csv.DictReader(file)]
    local = [(A[atlas == label, k] ** 2).sum() / (A[..., k] ** 2).sum() for k, label in enumerate(labels)]
    multiple, single, spatial = [], [], []
    for k, owner in enumerate(owners.tolist()):
        mine = [index for index, label in enumerate(labels) if label == owner]
        if not mine:
            return dict.fromkeys(
                ("multiple_r_min", "multiple_r_median", "single_r_median", "spatial_r_median", "region_r2_min"), 0.0
            ) | {"localised_percent_min": 0.0}
        single.append(max(float(np.corrcoef(true_c[k], C[index])[0, 1]) for index in mine))
        design = np.c_[C[mine].T, np.ones(C.shape[1])]
        left = true_c[k] - design @ np.linalg.lstsq(design, true_c[k], rcond=None)[0]
        multiple.append(float(np.sqrt(max(0.0, 1 - left.var() / true_c[k].var()))))
        spatial.append(max(_cosine(true_a[..., k], A[..., index]) for index in mine))
    flat = atlas.ravel()
    r2 = []
    for label in sorted(set(owners.tolist())):
        movie = video[0][flat == label] @ video[1]
        model = A.reshape(-1, A.shape[2])[flat == label] @ C
        spread = ((movie - movie.mean(1, keepdims=True)) ** 2).sum()
        error = movie - model
        r2.append(float(1 - ((error - error.mean(1, keepdims=True)) ** 2).sum() / spread))
    return {
        "localised_percent_min": 100 * float(min(local)),
        "multiple_r_min": min(multiple),
        "multiple_r_median": float(np.median(multiple)),
        "single_r_median": float(np.median(single)),
        "spatial_r_median": float(np.median(spatial)),
        "region_r2_min": min(r2),
    }


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


if __name__ == "__main__":
    problems = check(sys.argv[1])
    print("\n".join(problems) or "All as expected.")
    sys.exit(1 if problems else 0)
