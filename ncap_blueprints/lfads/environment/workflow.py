"""LFADS (after Pandarinath 2018): rates, low-dimensional factors and dynamics of single trials, from binned spikes.

    python workflow.py DATA CONFIG RESULTS

DATA is a .h5 or .npz file with spikes (trials x time x neurons), CONFIG a JSON or YAML file of parameters, RESULTS a
folder that exists. Progress goes to stdout. Exit code 2 and one sentence on stderr: data or config cannot be used.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from analysis_kit import InputError, Summary, load_parameters, run, say
from recording import Recording, load_recording

if TYPE_CHECKING:
    import torch
    from inference import Inferred
    from training import Fit
    from trials import Trials

PREVIEW_EVERY_S = 60.0
TRIALS_SHOWN = 200
FEWEST_FOLDS = 2
GIB = 2**30


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run: read, train, infer, score, write, draw."""
    parameters = load_parameters(config)
    counts = parameters["readout"] == "poisson"
    recording = load_recording(data, counts=counts)

    # torch takes a second or two to import; what is wrong with the input is said before.
    device = _device()
    from trials import arrange

    split = {name: parameters[name] for name in ("valid_fraction", "held_out_neurons")}
    trials = arrange(recording, counts=counts, name=data.name, **split)
    say(_read_line(data, trials))
    say(f"Training on {device.type}.")
    summary = Summary(data, parameters, ("torch", "numpy", "h5py"))
    picture = Path(f"{results / data.stem}_lfads.png")
    fitted = _train(trials, parameters, device, data, picture)

    from inference import infer, predict_hidden

    say(f"Training ended ({fitted.ended}); the weights of epoch {fitted.best} are taken. Drawing from the posterior.")
    draws, seed = parameters["posterior_draws"], parameters["seed"]
    inferred = infer(fitted.model, trials, np.arange(len(recording.values)), device, draws=draws, seed=seed)
    folds = max(FEWEST_FOLDS, round(1 / max(parameters["cd_rate"], 0.1)))
    hidden = predict_hidden(fitted.model, trials, device, folds=folds, seed=seed, batch=parameters["batch_size"])
    scores = _score(trials, inferred, hidden)
    _write(results / data.stem, inferred, fitted, trials, parameters)
    say("Drawing the picture.")
    _draw(picture, data.name, trials, fitted, _only(inferred, _shown(trials)), parameters["bin_ms"], scores)
    summary.write(results, _describe(trials, parameters, fitted, scores, device))


def _device() -> torch.device:
    """The GPU if there is one; the same numbers at every run on the same kind of machine."""
    # Read when CUDA starts: makes a GPU's linear algebra repeatable (torch documentation, "Reproducibility").
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.use_deterministic_algorithms(True, warn_only=True)
    # Sums over several threads round by their number. One is as fast at these sizes, and 30 times faster where others
    # compete for the cores: threads that wait for one another spin.
    torch.set_num_threads(1)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _train(trials: Trials, parameters: Mapping[str, Any], device: torch.device, data: Path, picture: Path) -> Fit:
    from inference import infer
    from training import fit

    shown = time.monotonic()

    def preview(fitted: Fit) -> None:
        """The picture of the state after an epoch, once a minute at most."""
        nonlocal shown
        if time.monotonic() - shown < PREVIEW_EVERY_S:
            return
        inferred = infer(fitted.model, trials, _shown(trials), device, draws=1, seed=0)
        _draw(picture, f"{data.name}, running", trials, fitted, inferred, parameters["bin_ms"], {})
        shown = time.monotonic()

    try:
        return fit(trials, parameters, device, report=say, after_epoch=preview)
    except FloatingPointError as error:
        raise InputError(f"Dataset {data.name} could not be fitted: {error}.") from error


def _shown(trials: Trials) -> np.ndarray:
    """Trials the picture is about: of validation, evenly spaced."""
    places = np.linspace(0, len(trials.valid) - 1, min(TRIALS_SHOWN, len(trials.valid))).astype(int)
    return trials.valid[places]


def _only(inferred: Inferred, index: np.ndarray) -> Inferred:
    from inference import Inferred

    return Inferred(*(None if values is None else values[index] for values in vars(inferred).values()))


def _draw(
    picture: Path,
    title: str,
    trials: Trials,
    fitted: Fit,
    inferred: Inferred,
    bin_ms: float,
    scores: Mapping[str, float | None],
) -> None:
    from figure import Drawing, draw_lfads

    names = {
        "truth_r2": "R², truth",
        "truth_r2_smoothing": "baseline: smoothing,\nbest width",
        "truth_r2_condition_means": "baseline: PSTH",
        "hidden_bits_per_spike": "bits a spike,\nhidden values",
        "co_smoothing_bits_per_spike": "bits a spike,\nheld-out neurons",
        "condition_means_bits_per_spike": "baseline: PSTH",
        "hidden_r2": "R², hidden values",
        "co_smoothing_r2": "R², held-out neurons",
        "condition_means_r2": "baseline: PSTH",
    }
    named = [(label, scores[name]) for name, label in names.items() if name in scores]
    draw_lfads(
        picture, Drawing(title, trials, _shown(trials), inferred, fitted.epochs, fitted.best, tuple(named), bin_ms)
    )


def _score(trials: Trials, inferred: Inferred, hidden: np.ndarray) -> dict[str, float | None]:
    """Scores of the validation trials; what is not known is left out."""
    from scores import best_smoothing, bits_per_spike, condition_means, r2

    recording = trials.recording
    train, valid, apart = trials.train, trials.valid, trials.unseen_neurons()
    read = np.sort(trials.order[: trials.seen])
    measured = recording.values[valid]
    mean = trials.to_recording(trials.mean)

    def held(estimate: np.ndarray, neurons: np.ndarray) -> float | None:
        if not trials.counts:
            return r2(measured[..., neurons], estimate[..., neurons])
        return bits_per_spike(measured[..., neurons], estimate[..., neurons], mean[neurons])

    kind = "bits_per_spike" if trials.counts else "r2"
    found = {f"hidden_{kind}": held(hidden, read)}
    if len(apart):
        found[f"co_smoothing_{kind}"] = held(hidden, apart)
    psth = None
    if recording.conditions is not None:
        psth = condition_means(recording.values, recording.conditions, train, valid)
        found[f"condition_means_{kind}"] = best_smoothing(psth, lambda rates: held(rates, np.arange(len(mean))))[0]
    if recording.truth is not None:
        truth = recording.truth[valid]
        found["truth_r2"] = r2(truth, inferred.rates[valid])
        found["truth_r2_smoothing"] = best_smoothing(measured, lambda rates: r2(truth, rates))[0]
        if psth is not None:
            found["truth_r2_condition_means"] = best_smoothing(psth, lambda rates: r2(truth, rates))[0]
    for name, value in found.items():
        if value is not None:
            say(f"Validation trials, {name}: {value:.3f}")
    return found


def _write(base: Path, inferred: Inferred, fitted: Fit, trials: Trials, parameters: Mapping[str, Any]) -> None:
    from results import write_arrays, write_checkpoint, write_losses

    stem = f"{base}_"
    write_arrays(stem, inferred, trials)
    write_losses(Path(stem + "losses.csv"), fitted)
    write_checkpoint(Path(stem + "model.pt"), fitted, trials, parameters)


def _read_line(data: Path, trials: Trials) -> str:
    shape = " x ".join(
        f"{size:,} {what}"
        for size, what in zip(trials.recording.values.shape, ("trials", "time bins", "neurons"), strict=True)
    )
    apart = len(trials.order) - trials.seen
    held = f", {apart} neurons are not shown to the encoders" if apart else ""
    return f"Read {data.name}: {shape}; {len(trials.valid)} trials are kept for validation{held}."


def _describe(
    trials: Trials,
    parameters: Mapping[str, Any],
    fitted: Fit,
    scores: Mapping[str, float | None],
    device: torch.device,
) -> dict[str, object]:
    import torch

    recording = trials.recording
    count, bins, neurons = recording.values.shape
    mean = trials.to_recording(trials.mean)
    best = fitted.epochs[fitted.best - 1]
    return {
        "trials": count,
        "time_bins": bins,
        "neurons": neurons,
        "validation_trials": len(trials.valid),
        "held_out_neurons": trials.unseen_neurons(),
        "silent_neurons": np.flatnonzero(mean == 0) if trials.counts else [],
        "mean_rate_hz": mean.mean() * 1000 / parameters["bin_ms"] if trials.counts else None,
        "known_inputs": 0 if recording.known is None else recording.known.shape[2],
        "epochs": len(fitted.epochs),
        "best_epoch": fitted.best,
        "ended": fitted.ended,
        "kl_start_nats": best.ic_kl,
        "kl_inputs_nats": best.co_kl if parameters["co_dim"] else None,
        "scores": dict(scores),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "recommended": recommend(recording, parameters),
    }


def recommend(recording: Recording, parameters: Mapping[str, Any]) -> dict[str, object]:
    """Instance type and disk for a recording of this size.

    A step multiplies about 3 gen_dim^2 + 6 enc_dim (neurons + enc_dim) weights a bin, six times with the gradient; one
    core manages about 10^10 of these a second. A training of more than an hour on the CPU goes to a GPU.
    """
    count, bins, neurons = recording.values.shape
    gen, enc, con = (parameters[name] for name in ("gen_dim", "enc_dim", "con_dim"))
    weights = 3 * gen**2 + 6 * enc * (neurons + enc)
    if parameters["co_dim"]:
        weights += 6 * enc * (neurons + enc) + 3 * con * (con + 2 * enc)
    hours = 6.0 * weights * count * bins * parameters["max_epochs"] / 1e10 / 3600
    units = 8 * (gen + 4 * enc + con) + 8 * neurons
    memory = 1.0 + (4.0 * units * bins * parameters["batch_size"] + 12.0 * recording.values.size) / GIB
    small = "m7i.large" if memory < 6 else "m7i.2xlarge"
    return {
        "instance_type": "g5.xlarge" if hours > 1 else small,
        "cpu_hours_at_most": round(hours, 2),
        "memory_gib": round(memory, 1),
        "disk_gib": 20 + int(30.0 * recording.values.size / GIB),
    }


if __name__ == "__main__":
    sys.exit(run(analyse))
