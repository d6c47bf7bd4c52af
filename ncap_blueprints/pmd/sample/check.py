"""Checks the results of the two sample movies against the signals they were made of. Needs numpy only.

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
    "U.npz",
    "V.npy",
    "s.npy",
    "mean.npy",
    "noise_sd.npy",
    "blocks.csv",
    "reduced.npz",
    "pmd.png",
    "summary.json",
)


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    expected = json.loads((HERE / "expected.json").read_text())
    found = [stem for stem in expected if (folder / f"{stem}_summary.json").is_file()]
    if not found:
        return [f"{folder} holds no summary of {' or '.join(expected)}."]
    return [f"{stem}: {failure}" for stem in found for failure in _check_movie(folder, stem, expected[stem])]


def _check_movie(folder: Path, stem: str, expected: dict[str, Any]) -> list[str]:
    missing = [suffix for suffix in SUFFIXES if not (folder / f"{stem}_{suffix}").is_file()]
    if missing:
        return [f"{stem}_{suffix} is missing" for suffix in missing]
    summary = json.loads((folder / f"{stem}_summary.json").read_text())
    failures = [
        f"{name} is {summary[name]}, expected {value}"
        for name, value in expected["equal"].items()
        if summary[name] != value
    ]
    figures = {**summary, **score(folder, stem)}
    for name, (low, high) in expected["between"].items():
        if not low <= figures[name] <= high:
            failures.append(f"{name} is {figures[name]:.4f}, expected {low} to {high}")
    with np.load(folder / f"{stem}_reduced.npz", allow_pickle=False) as reduced:
        U, V = reduced["U"], reduced["V"]
        if summary["ready_for_locanmf"] and not {"atlas", "brainmask", "labels"} <= set(reduced):
            failures.append("the atlas is not handed on")
    rows, columns, frames = summary["rows"], summary["columns"], summary["frames"]
    if U.shape != (rows, columns, summary["rank"]) or V.shape != (summary["rank"], frames):
        failures.append(f"the reduced movie has shapes {U.shape} and {V.shape}")
    else:
        apart = np.abs(U.reshape(-1, U.shape[2]) @ V - denoised(folder, stem)).max()
        if apart > 1e-3 * np.abs(U).max():
            failures.append(f"the reduced movie differs from U V by up to {apart:.2g}")
        if np.abs(V @ V.T - np.eye(len(V))).max() > 1e-3:
            failures.append("the rows of the reduced V are not orthonormal")
    return failures


def score(folder: Path, stem: str) -> dict[str, float]:
    """SNR against the true signal, 10 log10(variance of signal / mean squared error), means over time taken off."""
    with np.load(HERE / f"{stem}_truth.npz") as truth:
        signal = (truth["A"].reshape(-1, truth["A"].shape[2]) @ truth["C"]).astype(np.float64)
        noise = float(truth["noise"])
    signal = noise * (signal - signal.mean(1, keepdims=True))
    found = denoised(folder, stem)
    power = float((signal**2).mean())
    return {
        # Known without the movie: white noise of `noise`, and rounding to whole grey values.
        "true_snr_before_db": float(10 * np.log10(power / (noise**2 + 1 / 12))),
        "true_snr_after_db": float(10 * np.log10(power / float(((found - signal) ** 2).mean()))),
        "true_correlation": float(np.corrcoef(found.ravel(), signal.ravel())[0, 1]),
    }


def denoised(folder: Path, stem: str) -> np.ndarray:
    """U V, (pixels, frames), without the mean. U is stored by rows: values, columns, where each row starts."""
    with np.load(folder / f"{stem}_U.npz", allow_pickle=False) as file:
        data, columns, starts, shape = (file[name] for name in ("data", "indices", "indptr", "shape"))
    U = np.zeros(tuple(shape.tolist()), np.float32)
    U[np.repeat(np.arange(len(U)), np.diff(starts)), columns] = data
    return U @ np.load(folder / f"{stem}_V.npy", allow_pickle=False)


if __name__ == "__main__":
    problems = check(sys.argv[1])
    print("\n".join(problems) or "All as expected.")
    sys.exit(1 if problems else 0)
