"""BehaveNet / PS-VAE (after Batty 2019, Whiteway 2021): behavioural video as latents, behavioural states, decoding.

    python workflow.py DATA CONFIG RESULTS

DATA is an HDF5 file with frames, labels and neural activity of trials (see recording.py), CONFIG a JSON or YAML file of
parameters, RESULTS a folder that exists. Progress goes to stdout. Exit code 2 and one sentence on stderr: data or
config cannot be used.
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
from recording import Recording, open_recording

if TYPE_CHECKING:
    import torch
    from decoding import Decoder
    from inference import Encoded
    from segmentation import Segmented
    from training import Fit
    from trials import Trials

PREVIEW_EVERY_S = 30.0
GIB = 2**30


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run: read, train, encode, segment, decode, score, write, draw."""
    parameters = load_parameters(config)
    with open_recording(data, needs_labels=parameters["model_class"] == "ps-vae") as recording:
        check_sizes(data.name, recording, parameters)
        device = _device()
        from trials import split

        trials = split(recording, parameters["trial_splits"], data.name)
        say(_read_line(data, trials))
        say(f"Training on {device.type}.")
        summary = Summary(data, parameters, ("torch", "numpy", "h5py", "opencv-python-headless"))
        try:
            found = _analyse_trials(trials, parameters, device, data, results)
        except FloatingPointError as error:
            raise InputError(f"Dataset {data.name} could not be fitted: {error}.") from error
        summary.write(results, found)


def check_sizes(name: str, recording: Recording, parameters: Mapping[str, Any]) -> None:
    """That the config's sizes fit the recording's. Raises InputError."""
    latents, labels = parameters["n_ae_latents"], recording.n_labels
    if parameters["model_class"] == "ps-vae" and latents <= labels:
        raise InputError(
            f"Dataset {name} has {labels} labels, each of which takes a latent; n_ae_latents is {latents}, at least"
            f" {labels + 1} are needed."
        )
    channels = parameters["ae_encoding_n_channels"]
    features = channels[-1] * int(np.prod([-(-side // 2 ** len(channels)) for side in recording.shape[1:]]))
    if features < latents:
        raise InputError(
            f"Dataset {name}: the last convolution gives {features} numbers for {latents} latents; use fewer"
            " convolutions, or more channels in the last (ae_encoding_n_channels)."
        )
    shortest = int(recording.lengths.min())
    if parameters["n_arhmm_states"] and shortest <= parameters["n_arhmm_lags"]:
        raise InputError(
            f"Dataset {name}: the shortest trial has {shortest} frames; more than n_arhmm_lags"
            f" ({parameters['n_arhmm_lags']}) are needed."
        )


def _device() -> torch.device:
    """The GPU if there is one; the same numbers at every run on the same kind of machine."""
    # Read when CUDA starts: makes a GPU's linear algebra repeatable (torch documentation, "Reproducibility").
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # torch takes a second or two to import; what is wrong with the input is said before.
    import torch

    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    # Sums over several threads round by their number: with one, a result does not depend on the cores of a machine.
    torch.set_num_threads(1)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _analyse_trials(
    trials: Trials, parameters: Mapping[str, Any], device: torch.device, data: Path, results: Path
) -> dict[str, object]:
    """Everything between reading and the summary; returns what the summary tells."""
    from inference import encode_trials
    from results import write_checkpoint, write_latents, write_metrics
    from segmentation import decode_neural, segment

    base = f"{results / data.stem}_"
    picture = Path(base + "behavenet.png")
    fitted = _train(trials, parameters, device, f"{data.name}, running", picture)
    write_checkpoint(Path(base + "model.pt"), fitted, trials, parameters)
    write_metrics(Path(base + "metrics.csv"), fitted)
    say(f"Training ended ({fitted.ended}); the weights of epoch {fitted.best} are taken. Encoding all trials.")
    encoded = encode_trials(fitted.model, trials, range(len(trials.part)), device)
    write_latents(Path(base + "latents.npz"), encoded, trials)
    segmented = segment(trials, encoded, parameters, report=say)
    decoded = decode_neural(trials, encoded, parameters)
    scores = _score(trials, fitted, encoded, decoded, device)
    if segmented is not None:
        scores |= segmented.scores
    for name, value in scores.items():
        say(f"Test trials, {name}: {np.array2string(np.asarray(value, float), precision=3)}")
    _write(base, trials, encoded, segmented, decoded)
    _write_reconstructions(base, trials, fitted, encoded, parameters, device)
    say("Drawing the picture.")
    states = None if segmented is None else segmented.states
    _draw(picture, data.name, trials, fitted, encoded, parameters, device, states=states, scores=scores)
    return _describe(trials, parameters, fitted, segmented, scores, device)


def _train(trials: Trials, parameters: Mapping[str, Any], device: torch.device, title: str, picture: Path) -> Fit:
    from inference import encode_trials
    from training import fit
    from trials import TEST

    shown = time.monotonic()
    first = trials.of(TEST)[:1]

    def preview(fitted: Fit) -> None:
        """The picture of the state after an epoch, twice a minute at most."""
        nonlocal shown
        if time.monotonic() - shown < PREVIEW_EVERY_S:
            return
        encoded = encode_trials(fitted.model, trials, first, device)
        _draw(picture, title, trials, fitted, encoded, parameters, device, states=None, scores={})
        shown = time.monotonic()

    return fit(trials, parameters, device, report=say, after_epoch=preview)


def _score(
    trials: Trials,
    fitted: Fit,
    encoded: Encoded,
    decoded: tuple[Decoder, list[np.ndarray]] | None,
    device: torch.device,
) -> dict[str, Any]:
    """Figures of the test trials; what is not known is left out."""
    from inference import frame_r2
    from scores import linear_r2, r2
    from trials import TEST, TRAIN

    test, lengths, recording = trials.of(TEST), trials.recording.lengths, trials.recording
    found: dict[str, Any] = {"frame_r2": frame_r2(fitted.model, trials, encoded.latents, test, device)}
    parts = np.repeat(trials.part, lengths)
    latents = np.concatenate(encoded.latents)
    apart = fitted.model.sizes.n_labels
    if recording.labels is not None:
        labels = np.concatenate(recording.labels)
        seen = None if recording.masks is None else np.concatenate(recording.masks)[parts == TEST]
        ways = {"fitted": parts == TRAIN, "judged": parts == TEST}
        if apart:
            predicted = np.concatenate(encoded.labels)
            held = labels[parts == TEST], predicted[parts == TEST]
            found["label_r2"] = [
                r2(held[0][:, [at]], held[1][:, [at]], None if seen is None else seen[:, [at]]) for at in range(apart)
            ]
        if seen is None:
            found["labels_from_unsupervised_r2" if apart else "labels_from_latents_r2"] = linear_r2(
                latents[:, apart:], labels, **ways
            )
    if decoded is not None:
        predicted = decoded[1]
        held = encoded.over(test), np.concatenate([predicted[trial] for trial in test])
        found["latents_from_neural_r2"] = [r2(held[0][:, [at]], held[1][:, [at]]) for at in range(latents.shape[1])]
        found["frame_from_neural_r2"] = frame_r2(fitted.model, trials, predicted, test, device)
    return found


def _write(
    base: str,
    trials: Trials,
    encoded: Encoded,
    segmented: Segmented | None,
    decoded: tuple[Decoder, list[np.ndarray]] | None,
) -> None:
    from results import write_decoding, write_states

    if segmented is not None:
        path = Path(base + "arhmm_states.npz")
        write_states(path, segmented.states, segmented.model, segmented.mean, segmented.scale)
    if decoded is not None:
        write_decoding(Path(base + "decoding.npz"), *decoded)


def _write_reconstructions(
    base: str, trials: Trials, fitted: Fit, encoded: Encoded, parameters: Mapping[str, Any], device: torch.device
) -> None:
    """The first test frames, as many as are asked for."""
    from inference import decode_latents
    from results import write_reconstructions
    from trials import TEST

    most = parameters["n_recon_frames"]
    frames, latents = [], []
    for trial in trials.of(TEST):
        frames.append(trials.recording.frames(int(trial))[:most])
        latents.append(encoded.latents[trial][:most])
        most -= len(frames[-1])
        if most <= 0:
            break
    decoded = decode_latents(fitted.model, np.concatenate(latents), device)
    write_reconstructions(base, np.concatenate(frames), decoded, parameters["frame_rate"])


def _draw(
    picture: Path,
    title: str,
    trials: Trials,
    fitted: Fit,
    encoded: Encoded,
    parameters: Mapping[str, Any],
    device: torch.device,
    *,
    states: list[np.ndarray] | None,
    scores: Mapping[str, Any],
) -> None:
    """The picture of the first test trial. `encoded`: of all trials, or of that one alone."""
    from figure import Drawing, draw_behavenet
    from inference import decode_latents, traverse
    from trials import TEST

    trial = int(trials.of(TEST)[0])
    place = trial if len(encoded.latents) == len(trials.part) else 0
    frames = trials.recording.frames(trial)
    shown = np.linspace(0, len(frames) - 1, 8).astype(int)
    drawing = Drawing(
        title,
        trial=trials.recording.names[trial],
        frame_rate=parameters["frame_rate"],
        shown=shown,
        frames=frames[shown, 0],
        decoded=decode_latents(fitted.model, encoded.latents[place][shown], device)[:, 0],
        traversals=traverse(fitted.model, trials, encoded, device),
        latents=encoded.latents[place],
        n_labels=fitted.model.sizes.n_labels,
        labels=None if trials.recording.labels is None else trials.recording.labels[trial],
        predicted=encoded.labels[place],
        states=None if states is None else states[trial],
        n_states=parameters["n_arhmm_states"],
        epochs=fitted.epochs,
        best=fitted.best,
        scores=scores,
    )
    draw_behavenet(picture, drawing)


def _read_line(data: Path, trials: Trials) -> str:
    from trials import TEST, TRAIN, VALIDATION

    recording = trials.recording
    size = " x ".join(map(str, recording.shape))
    parts = ", ".join(
        f"{len(trials.of(part))} {what}"
        for what, part in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST))
    )
    neurons = 0 if recording.neural is None else recording.neural[0].shape[1]
    return (
        f"Read {data.name}: {len(recording.names)} trials ({parts}), {recording.lengths.sum():,} frames of {size}"
        f" (channels x rows x columns), {recording.n_labels} labels, {neurons} neurons."
    )


def _describe(
    trials: Trials,
    parameters: Mapping[str, Any],
    fitted: Fit,
    segmented: Segmented | None,
    scores: Mapping[str, Any],
    device: torch.device,
) -> dict[str, object]:
    import torch
    from trials import TEST, TRAIN, UNUSED, VALIDATION

    recording = trials.recording
    best = fitted.epochs[fitted.best - 1]
    return {
        "trials": len(recording.names),
        "frames": int(recording.lengths.sum()),
        "channels_rows_columns": recording.shape,
        "labels": recording.n_labels,
        "neurons": 0 if recording.neural is None else recording.neural[0].shape[1],
        "trials_of": {
            what: len(trials.of(part))
            for what, part in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST), ("unused", UNUSED))
        },
        "epochs": len(fitted.epochs),
        "best_epoch": fitted.best,
        "ended": fitted.ended,
        "mutual_information_nats": best.train_mutual_information,
        "total_correlation_nats": best.train_total_correlation,
        "arhmm_states_used": None if segmented is None else len(np.unique(np.concatenate(segmented.states))),
        "scores": dict(scores),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "recommended": recommend(recording, parameters),
    }


def recommend(recording: Recording, parameters: Mapping[str, Any]) -> dict[str, object]:
    """Instance type and disk for a recording of this size.

    A frame takes about 12 operations for each weight of each place a convolution is applied to (encoder and decoder,
    forward and backward); one core manages about 10^10 of these a second. More than an hour on the CPU goes to a GPU.
    """
    channels, rows, columns = recording.shape
    operations, before, places = 0.0, channels, rows * columns / 4
    for after in parameters["ae_encoding_n_channels"]:
        operations += 12.0 * before * after * parameters["ae_encoding_kernel_size"] ** 2 * max(places, 1)
        before, places = after, places / 4
    frames = int(recording.lengths.sum())
    hours = operations * frames * parameters["max_n_epochs"] / 1e10 / 3600
    gib = frames * channels * rows * columns / GIB
    memory = 1.5 + min(gib, 2.0) + 1.0
    return {
        "instance_type": "g5.xlarge" if hours > 1 else "m7i.large",
        "cpu_hours_at_most": round(hours, 2),
        "memory_gib": round(memory, 1),
        "disk_gib": 20 + int(2 * gib),
    }


if __name__ == "__main__":
    sys.exit(run(analyse))
