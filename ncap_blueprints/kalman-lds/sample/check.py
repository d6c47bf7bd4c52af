"""Checks the results of the two sample recordings against ``expected.json``. Needs numpy only.

    python check.py RESULTS_FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SUFFIXES = (
    "filtered.npy",
    "smoothed.npy",
    "smoothed_covariance.npy",
    "params.json",
    "loglik.csv",
    "summary.json",
    "lds.png",
)


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results in the folder do not meet; empty when all is well.

    Only the recordings whose summary is there are checked; none at all is a failure.
    """
    folder = Path(results_dir)
    expected = json.loads((HERE / "expected.json").read_text())
    failures: list[str] = []
    found = [stem for stem in expected if (folder / f"{stem}_summary.json").is_file()]
    if not found:
        failures.append(f"{folder} holds no summary of {' or '.join(expected)}.")
    for stem in found:
        failures += [f"{stem}: {failure}" for failure in _check_recording(folder, stem, expected[stem])]
    return failures


def _check_recording(folder: Path, stem: str, expected: dict[str, Any]) -> list[str]:
    missing = [suffix for suffix in SUFFIXES if not (folder / f"{stem}_{suffix}").is_file()]
    if missing:
        return [f"{stem}_{suffix} is missing" for suffix in missing]
    summary = json.loads((folder / f"{stem}_summary.json").read_text())
    failures = [
        f"{name} is {summary[name]}, expected {value}"
        for name, value in expected["equal"].items()
        if summary[name] != value
    ]
    for name, (low, high) in expected["between"].items():
        value: Any = summary
        for step in name.split("."):
            value = value[step]
        if not low <= value <= high:
            failures.append(f"{name} is {value:.4f}, expected {low} to {high}")
    failures += _check_numbers(folder, stem, summary)
    if "truth" in expected:
        failures += _check_truth(folder, stem, summary, expected["truth"])
    return failures


def _check_numbers(folder: Path, stem: str, summary: dict[str, Any]) -> list[str]:
    """Shapes, finite values, a log-likelihood that never falls, a picture that is one."""
    failures = []
    size, latents = summary["time_points"], summary["latent_dim"]
    for suffix, shape in (
        ("filtered", (size, latents)),
        ("smoothed", (size, latents)),
        ("smoothed_covariance", (size, latents, latents)),
    ):
        array = np.load(folder / f"{stem}_{suffix}.npy", allow_pickle=False)
        if array.shape != shape or not np.isfinite(array).all():
            failures.append(f"{suffix} has shape {array.shape} (expected {shape}) or values that are not finite")
    history = np.loadtxt(folder / f"{stem}_loglik.csv", delimiter=",", skiprows=1, ndmin=2)[:, 1]
    if (np.diff(history) < -1e-3 * np.abs(history[:-1])).any():
        failures.append("the log-likelihood falls during EM")
    if not (folder / f"{stem}_lds.png").read_bytes().startswith(b"\x89PNG"):
        failures.append("the figure is not a PNG")
    return failures


def _check_truth(folder: Path, stem: str, summary: dict[str, Any], expected: dict[str, float]) -> list[str]:
    """Latents up to the best affine map (more is not identifiable), and the eigenvalues, which are identifiable."""
    failures = []
    with np.load(HERE / "synthetic_truth.npz") as truth:
        latents, eigenvalues = truth["latents"], truth["eigenvalues"]
    for suffix, key in (("smoothed", "smoothed_r2_at_least"), ("filtered", "filtered_r2_at_least")):
        estimate = np.load(folder / f"{stem}_{suffix}.npy", allow_pickle=False)
        r2 = aligned_r2(latents, estimate)
        if not r2 >= expected[key]:
            failures.append(f"{suffix} latents explain {r2:.4f} of the true ones, expected at least {expected[key]}")
    fitted = np.array([mode["real"] + 1j * mode["imag"] for mode in summary["modes"]])
    worst = max(float(np.abs(fitted - value).min()) for value in eigenvalues)
    if not worst <= expected["eigenvalue_error_at_most"]:
        failures.append(f"a true eigenvalue is missed by {worst:.4f}, expected {expected['eigenvalue_error_at_most']}")
    return failures


def aligned_r2(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Share of the true latents' variance explained by the best affine map of the estimate."""
    design = np.c_[estimate, np.ones(len(estimate))]
    residual = truth - design @ np.linalg.lstsq(design, truth, rcond=None)[0]
    return float(1 - (residual**2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum())


if __name__ == "__main__":
    problems = check(sys.argv[1])
    print("\n".join(problems) or "All as expected.")
    sys.exit(1 if problems else 0)
