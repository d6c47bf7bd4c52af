"""Checks the results of the sample against what its frames were made of. Needs numpy only.

python check.py RESULTS_FOLDER
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

HERE = Path(__file__).parent
SUFFIXES = (
    "latents.npz",
    "recon.npz",
    "recon.avi",
    "arhmm_states.npz",
    "decoding.npz",
    "metrics.csv",
    "model.pt",
    "behavenet.png",
    "summary.json",
)
TRAIN, TEST = 0, 2


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
    factors = truth_of(stem)["factors"]
    latents = _arrays(folder / f"{stem}_latents.npz")["latents"]
    if len(latents) != factors[..., 0].size or not np.isfinite(latents).all():
        return [f"the latents have shape {latents.shape} (expected {factors[..., 0].size} frames), or gaps"]
    figures = score(folder, stem)
    failures = [
        f"{name} is {figures[name]:.4f}, at least {least} is expected"
        for name, least in expected["at_least"].items()
        if not figures[name] >= least
    ]
    return failures + [
        f"{name} is {figures[name]:.4f}, {low} to {high} is expected"
        for name, (low, high) in expected["within"].items()
        if not low <= figures[name] <= high
    ]


def score(folder: Path, stem: str) -> dict[str, float]:
    """Figures of merit of the test trials; of several columns the worst, but the mean of factors from neurons.

    Latents that are a linear mixture of the hidden factors count as found; `hidden_by_one_latent_r2` wants them apart.
    """
    truth, held = truth_of(stem), _arrays(folder / f"{stem}_latents.npz")
    train, test = held["part"] == TRAIN, held["part"] == TEST
    labels, hidden = (values.reshape(len(train), -1) for values in (truth["labels"], truth["factors"][..., 2:]))
    apart = held["labels_predicted"].shape[1]
    free = held["latents"][:, apart:]
    alone = np.array([linear_r2(free[:, [latent]], hidden, train, test) for latent in range(free.shape[1])])
    pairs = itertools.permutations(range(len(alone)), 2)
    own = max((min(alone[order[at], at] for at in range(2)) for order in pairs), default=float("-inf"))
    frames = _maker().render(truth["factors"].reshape(len(train), -1)[test]) / 255
    decoded = _arrays(folder / f"{stem}_recon.npz")["reconstructions"][:, 0] / 255
    states = _arrays(folder / f"{stem}_arhmm_states.npz")["states"]
    neural = _arrays(folder / f"{stem}_decoding.npz")["latents_predicted"]
    decoded_factors = linear_r2(neural, truth["factors"].reshape(len(train), -1), train, test)
    predicted = held["labels_predicted"]
    return {
        "label_r2": min(r2(labels[test, at], predicted[test, at]) for at in range(apart)) if apart else float("-inf"),
        "frame_r2": r2(frames, decoded),
        "hidden_r2": float(linear_r2(free, hidden, train, test).min()),
        "hidden_by_one_latent_r2": float(own),
        "leakage_r2": float(linear_r2(free, labels, train, test).max()),
        "state_accuracy": accuracy(truth["states"].ravel()[test], states[test]),
        "factors_from_neural_r2": float(decoded_factors.mean()),
        "test_frames": int(test.sum()),
    }


def truth_of(stem: str) -> dict[str, np.ndarray]:
    """Labels, factors and states, trials x frames (x columns)."""
    return _arrays(HERE / f"{stem}_truth.npz")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as held:
        return dict(held)


def _maker() -> ModuleType:
    """The generator of the sample, which also renders frames without noise."""
    spec = importlib.util.spec_from_file_location("make_discs", HERE / "make_discs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def r2(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Share of the variance about each column's (pixel's) mean that is explained, everything together."""
    return float(1 - ((truth - estimate) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum())


def linear_r2(values: np.ndarray, targets: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """R2 of each target on test frames, from a linear map of `values` fitted on training frames."""
    design = np.concatenate([values, np.ones((len(values), 1))], 1).astype(float)
    weights = np.linalg.lstsq(design[train], targets[train], rcond=None)[0]
    estimate = design[test] @ weights
    return np.array([r2(targets[test, at], estimate[:, at]) for at in range(targets.shape[1])])


def accuracy(truth: np.ndarray, states: np.ndarray) -> float:
    """Share of frames whose state is right, under the best naming of states."""
    count = max(int(truth.max()), int(states.max())) + 1
    table = np.zeros((count, count))
    np.add.at(table, (states, truth), 1)
    best = max(sum(table[at, name] for at, name in enumerate(order)) for order in itertools.permutations(range(count)))
    return float(best / len(truth))


if __name__ == "__main__":
    problems = check(sys.argv[1])
    print("\n".join(problems) or "All as expected.")
    sys.exit(1 if problems else 0)
