"""Checks the results of the sample recording against the signals that were put into it. Needs numpy only.

python check.py RESULTS_FOLDER
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
FILES = (
    "reduced_spatial.npy",
    "reduced_temporal.npy",
    "SVTcorr.npy",
    "rcoeffs.npy",
    "motion_shifts.csv",
    "atlas.npy",
    "labels.json",
    "cortex_preprocessing.png",
    "cortex_summary.json",
)
HIGH_PASS_SHARE = 0.1 / 10.0
"""The run's high-pass, 0.1 Hz, as a share of half of a colour's 20 frames a second."""


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        return [f"{name} is missing" for name in missing]
    expected, found = json.loads((HERE / "expected.json").read_text())["cortex"], score(folder)
    return [
        f"cortex: {name} is {found[name]:.3f}, at least {least} is expected"
        for name, least in expected.items()
        if not found[name] >= least
    ]


def score(folder: Path) -> dict[str, float]:
    """Correlations with the truth: of areas' corrected signals (median, worst) and of motion (worst)."""
    truth = {name: values.astype(float) for name, values in np.load(HERE / "cortex_truth.npz").items()}
    U, V = np.load(folder / "reduced_spatial.npy").astype(float), np.load(folder / "SVTcorr.npy").astype(float)
    inner = _inner(truth["atlas"])
    found = [U[inner & (truth["atlas"] == label)].mean(axis=0) @ V for label in (1, 2, -1, -2)]
    signals = [_correlation(one, _slow_out(other)) for one, other in zip(found, truth["signals"], strict=True)]
    with (folder / "motion_shifts.csv").open(newline="") as file:
        rows = [(float(it["rows_px"]), float(it["columns_px"])) for it in csv.DictReader(file) if it["colour"] == "1"]
    motion = [_correlation(one, other) for one, other in zip(np.array(rows).T, truth["motion"].T, strict=True)]
    return {
        "signal_correlation": float(np.median(signals)),
        "worst_signal_correlation": min(signals),
        "motion_correlation": min(motion),
    }


def _inner(atlas: np.ndarray) -> np.ndarray:
    """Pixels whose neighbours two away all belong to the same area."""
    inner = atlas != 0
    for axis in (0, 1):
        for step in (-2, 2):
            inner &= np.roll(atlas, step, axis) == atlas
    return inner


def _slow_out(signal: np.ndarray) -> np.ndarray:
    """Without changes slower than the run's high-pass, by leaving out the lowest frequencies."""
    spectrum = np.fft.rfft(signal)
    spectrum[: int(np.ceil(HIGH_PASS_SHARE * len(spectrum)))] = 0
    return np.asarray(np.fft.irfft(spectrum, len(signal)))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if np.std(one) and np.std(other) else 0.0


if __name__ == "__main__":
    failures = check(sys.argv[1])
    for failure in failures:
        print(failure)
    sys.exit(1 if failures else 0)
