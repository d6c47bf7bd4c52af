"""Checks the results of the sample recording against the rates it was made of. Needs numpy only.

python check.py RESULTS_FOLDER
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SUFFIXES = (
    "rates.npy",
    "factors.npy",
    "starts.npz",
    "losses.csv",
    "model.pt",
    "lfads.png",
    "summary.json",
)
WIDTHS_BINS = (1, 2, 3, 4, 5, 6, 8, 10)


def check(results_dir: str | Path) -> list[str]:
    """One sentence for each expectation that the results do not meet; empty when all is well."""
    folder = Path(results_dir)
    expected = json.loads((HERE / "expected.json").read_text())
    found = [stem for stem in expected if (folder / f"{stem}_summary.json").is_file()]
    if not found:
        return [f"{folder} holds no summary of {' or '.join(expected)}."]
    return [f"{stem}: {failure}" for stem in found for failure in _check_recording(folder, stem, expected[stem])]


def _check_recording(folder: Path, stem: str, expected: dict) -> list[str]:
    missing = [suffix for suffix in SUFFIXES if not (folder / f"{stem}_{suffix}").is_file()]
    if missing:
        return [f"{stem}_{suffix} is missing" for suffix in missing]
    rates = np.load(folder / f"{stem}_rates.npy", allow_pickle=False)
    truth = made_of(stem)[1]
    if rates.shape != truth.shape or not np.isfinite(rates).all() or rates.min() < 0:
        return [f"the rates have shape {rates.shape} (expected {truth.shape}), or values that cannot be"]
    figures = score(folder, stem)
    return [
        f"{name} is {figures[name]:.4f}, at least {least} is expected"
        for name, least in expected["at_least"].items()
        if not figures[name] >= least
    ]


def score(folder: Path, stem: str) -> dict[str, float]:
    """Figures of merit of the trials that were not trained on."""
    spikes, truth = made_of(stem)
    rates = np.load(folder / f"{stem}_rates.npy", allow_pickle=False)
    factors = np.load(folder / f"{stem}_factors.npy", allow_pickle=False)
    with np.load(folder / f"{stem}_starts.npz", allow_pickle=False) as starts:
        valid, apart = starts["valid"], starts["held_out_neurons"]
    summary = json.loads((folder / f"{stem}_summary.json").read_text())
    return figures_of(rates, spikes, truth, valid=valid, apart=apart) | {
        "latents_r2": mapped_r2(factors, latents_of(stem), valid),
        "hidden_bits_per_spike": summary["scores"]["hidden_bits_per_spike"],
        "held_out_trials": int(valid.sum()),
        "held_out_neurons": len(apart),
    }


def made_of(stem: str) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and their true rates (counts a bin), trials x bins x neurons."""
    with np.load(HERE / f"{stem}_truth.npz", allow_pickle=False) as truth:
        return truth["spikes"], truth["base"] * np.exp(truth["latents"] @ truth["weights"])


def latents_of(stem: str) -> np.ndarray:
    """The true latents, trials x bins x 3."""
    with np.load(HERE / f"{stem}_truth.npz", allow_pickle=False) as truth:
        return truth["latents"]


def figures_of(
    rates: np.ndarray, spikes: np.ndarray, truth: np.ndarray, *, valid: np.ndarray, apart: np.ndarray
) -> dict[str, float]:
    """Those of the rates, on trials `valid`; co-smoothing on neurons `apart`, which the encoders never read.

    The share is of the bits that the true rates have.
    """
    mean = spikes[~valid].mean((0, 1))
    bits, most = (
        bits_per_spike(spikes[valid][..., apart], held[valid][..., apart], mean[apart]) for held in (rates, truth)
    )
    return {
        "rates_r2": r2(truth[valid], rates[valid]),
        "co_smoothing_bits_per_spike": bits,
        "co_smoothing_share": bits / most,
    }


def baselines(stem: str, valid: np.ndarray, apart: np.ndarray) -> dict[str, dict[str, float]]:
    """The same figures of what needs no model: smoothed spikes, and the smoothed mean of each condition (PSTH).

    Each with the width that is best for that figure, which could not be known. Smoothing knows nothing of neurons it
    does not see; there, a linear map from the smoothed spikes of the others is fitted on the other trials.
    """
    spikes, truth = made_of(stem)
    with np.load(HERE / f"{stem}_truth.npz", allow_pickle=False) as held:
        conditions = held["conditions"]
    mean = np.stack([spikes[~valid & (conditions == kind)].mean(0) for kind in conditions])
    others = np.setdiff1d(np.arange(spikes.shape[2]), apart)
    smoothed, psth = [], []
    for width in WIDTHS_BINS:
        rates = smooth(spikes, width)
        design = np.concatenate([rates[..., others], np.ones((*rates.shape[:2], 1))], 2)
        flat, wanted = design[~valid].reshape(-1, len(others) + 1), spikes[~valid][..., apart].reshape(-1, len(apart))
        filled = rates.copy()
        filled[..., apart] = np.maximum(design @ np.linalg.lstsq(flat, wanted, rcond=None)[0], 0.01)
        smoothed.append(figures_of(filled, spikes, truth, valid=valid, apart=apart))
        smoothed[-1]["rates_r2"] = r2(truth[valid], rates[valid])
        psth.append(figures_of(smooth(mean, width), spikes, truth, valid=valid, apart=apart))
    return {
        name: {figure: max(tried[figure] for tried in all_tried) for figure in all_tried[0]}
        for name, all_tried in (("smoothing", smoothed), ("psth", psth))
    }


def smooth(values: np.ndarray, sd_bins: float) -> np.ndarray:
    """Gaussian smoothing in time, cut at the ends of a trial and brought to sum 1."""
    bins = np.arange(values.shape[1])
    kernel = np.exp(-0.5 * ((bins[:, None] - bins) / sd_bins) ** 2)
    return np.einsum("st,ktn->ksn", kernel / kernel.sum(1, keepdims=True), values.astype(float), optimize=True)


def r2(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Share of the variance about each column's mean that is explained, everything together."""
    return float(1 - ((truth - estimate) ** 2).sum() / ((truth - truth.mean((0, 1))) ** 2).sum())


def mapped_r2(factors: np.ndarray, latents: np.ndarray, valid: np.ndarray) -> float:
    """R2 of the latents of held-out trials. There are more factors than latents: a linear map from one to the other,
    fitted on the other trials."""
    design = np.concatenate([factors, np.ones((*factors.shape[:2], 1))], 2).astype(float)
    width = design.shape[2]
    to_latents = np.linalg.lstsq(design[~valid].reshape(-1, width), latents[~valid].reshape(-1, 3), rcond=None)[0]
    return r2(latents[valid], design[valid] @ to_latents)


def bits_per_spike(counts: np.ndarray, rates: np.ndarray, mean_rates: np.ndarray) -> float:
    """Gain in Poisson log-likelihood over mean rates, in bits a spike (Pei et al. 2021)."""

    def log_likelihood(held: np.ndarray) -> float:
        floored = np.maximum(held.astype(float), 1e-9)
        return float((counts * np.log(floored) - floored).sum())

    gain = log_likelihood(rates) - log_likelihood(np.broadcast_to(mean_rates, counts.shape))
    return gain / (float(counts.sum()) * math.log(2))


if __name__ == "__main__":
    problems = check(sys.argv[1])
    print("\n".join(problems) or "All as expected.")
    sys.exit(1 if problems else 0)
