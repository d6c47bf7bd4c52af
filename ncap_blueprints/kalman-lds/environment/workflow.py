"""Kalman filter and smoother of a multichannel recording, with the linear dynamical system fitted by EM.

    python workflow.py DATA CONFIG RESULTS

DATA is a .csv or .npy recording (time x channels), CONFIG a JSON or YAML file of parameters, RESULTS a folder that
exists. Progress goes to stdout. Exit code 2 and one sentence on stderr: the data or the config cannot be used.
"""

from __future__ import annotations

import csv
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from parameters import InputError, Parameters, load_parameters
from recording import MIN_ROWS, Recording, load_recording

if TYPE_CHECKING:
    from lds import Fit, Gaussians


def main(arguments: list[str]) -> int:
    """Run the analysis; returns the exit code."""
    if len(arguments) != 3:
        print("usage: python workflow.py DATA CONFIG RESULTS", file=sys.stderr)
        return 2
    data, config, results = (Path(a) for a in arguments)
    try:
        analyse(data, config, results)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run: read, fit, filter, smooth, score, write."""
    began = time.perf_counter()
    for path, what in ((data, "Dataset"), (config, "Config")):
        if not path.is_file():
            raise InputError(f"{what} {path} is not a file.")
    parameters = load_parameters(config)
    recording = load_recording(data, latent_dim=parameters.latent_dim)
    say_what_was_read(data, recording, parameters)
    first = len(recording.values) - round(parameters.holdout_fraction * len(recording.values))
    mean, scale = scaling(recording.values[:first], parameters)
    y = (recording.values - mean) / scale
    check_rows(data.name, y[:first], parameters)

    # The library takes a second to import; what is wrong with the input is said before.
    from lds import fit_model, modes, start_model

    try:
        fit = fit_model(y[:first], start_model(y[:first], parameters), parameters, report=say_progress(parameters))
    except (FloatingPointError, np.linalg.LinAlgError) as error:
        raise InputError(f"Dataset {data.name} could not be fitted: {error}") from error
    smoothed = fit.model.smoothed(y)
    filtered = fit.model.filtered(y)
    spectrum = modes(fit.model.A, sampling_rate_hz=parameters.sampling_rate_hz)
    scores = score(y, fit, filtered=filtered, smoothed=smoothed, first=first)

    stem = str(results / f"{data.stem}_")
    np.save(stem + "filtered.npy", filtered.means)
    np.save(stem + "smoothed.npy", smoothed.means)
    np.save(stem + "smoothed_covariance.npy", smoothed.covariances)
    write_log_likelihood(Path(stem + "loglik.csv"), fit)
    write_json(Path(stem + "params.json"), describe_model(recording, fit, mean=mean, scale=scale, spectrum=spectrum))
    print("Drawing the figure.", flush=True)
    draw(
        Path(stem + "lds.png"),
        data.name,
        y=y,
        recording=recording,
        fit=fit,
        smoothed=smoothed,
        first=first,
        parameters=parameters,
        spectrum=spectrum,
        scores=scores,
    )
    summary = {
        "dataset": data.name,
        **describe_recording(y, recording, first=first),
        "latent_dim": parameters.latent_dim,
        "em_iterations": len(fit.log_likelihood) - 1,
        "em_converged": fit.converged,
        "final_log_likelihood": fit.log_likelihood[-1],
        **scores,
        "modes": spectrum,
        "parameters": vars(parameters),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in ("pykalman", "numpy", "scipy")}},
        "seconds": round(time.perf_counter() - began, 2),
    }
    write_json(Path(stem + "summary.json"), summary)
    print(f"Done in {summary['seconds']} s.", flush=True)


def score(
    y: np.ndarray, fit: Fit, *, filtered: Gaussians, smoothed: Gaussians, first: int
) -> dict[str, float | dict[str, float | None] | None]:
    """All R2 values of the summary, printed as well."""
    from scores import forecast_r2, held_out_channels_r2, r2

    forecast = forecast_r2(y, filtered, fit.model, first=first)
    channels = held_out_channels_r2(y, filtered, fit.model, first=first)
    if forecast:
        parts = ", ".join(f"{name} {value:.3f}" for name, value in forecast.items() if value is not None)
        print(f"Held-out part, one step ahead, R2: {parts}.", flush=True)
    if channels is not None:
        print(f"Held-out part, each channel from the others, R2: {channels:.3f}.", flush=True)
    return {
        "reconstruction_r2": r2(y, smoothed.means @ fit.model.C.T),
        "forecast_r2": forecast,
        "held_out_channels_r2": channels,
    }


def say_what_was_read(data: Path, recording: Recording, parameters: Parameters) -> None:
    """One line on what the run works with, and one for each channel that was left out."""
    rows, channels = recording.values.shape
    seconds = rows / parameters.sampling_rate_hz
    print(f"Read {data.name}: {rows} time points x {channels} channels, {seconds:g} s.", flush=True)
    for channel, reason in recording.left_out.items():
        print(f"Channel '{channel}' is left out: {reason}.", flush=True)
    if rows < channels:
        print("There are more columns than rows: rows are taken as time. Transpose the file if that is wrong.")


def scaling(values: np.ndarray, parameters: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of each channel over the fitted part, so that the held-out part stays unseen."""
    mean = np.zeros(values.shape[1])
    scale = np.ones(values.shape[1])
    seen = np.isfinite(values).any(axis=0)
    if parameters.center:
        mean[seen] = np.nanmean(values[:, seen], axis=0)
    if parameters.standardize:
        spread = np.nanstd(values[:, seen], axis=0)
        scale[seen] = np.where(spread > 0, spread, 1.0)
    return mean, scale


def check_rows(name: str, y: np.ndarray, parameters: Parameters) -> None:
    """Enough complete rows to start from; a row with a gap is predicted, not observed."""
    complete = int(np.isfinite(y).all(axis=1).sum())
    needed = max(MIN_ROWS * 3 // 4, 3 * parameters.latent_dim)
    if complete < needed:
        raise InputError(
            f"Dataset {name}: only {complete} of the {len(y)} fitted time points have a value in every channel;"
            f" at least {needed} are needed. Remove the channels with most gaps."
        )


def say_progress(parameters: Parameters) -> Callable[[int, float], None]:
    """A reporter that prints one line an EM iteration."""

    def report(iteration: int, log_likelihood: float) -> None:
        print(f"EM {iteration}/{parameters.em_iters} log-likelihood {log_likelihood:.2f}", flush=True)

    return report


def draw(
    path: Path,
    title: str,
    *,
    y: np.ndarray,
    recording: Recording,
    fit: Fit,
    smoothed: Gaussians,
    first: int,
    parameters: Parameters,
    spectrum: list[dict[str, float | None]],
    scores: dict[str, Any],
) -> None:
    """Hand the figure what it shows, with scores under names for people."""
    from figure import Drawing, draw_figure

    forecast = scores["forecast_r2"] or {}
    shown = {
        "reconstruction": scores["reconstruction_r2"],
        "held-out channels": scores["held_out_channels_r2"],
        "next time point": forecast.get("model"),
        "baseline: last value": forecast.get("persistence"),
        "baseline: mean": forecast.get("mean"),
    }
    rate = parameters.sampling_rate_hz
    draw_figure(path, Drawing(title, y, recording.channels, fit, smoothed, first, rate, spectrum, shown))


def describe_recording(y: np.ndarray, recording: Recording, *, first: int) -> dict[str, object]:
    """Sizes and gaps, for the summary."""
    gaps = np.isnan(y)
    return {
        "time_points": len(y),
        "channels": len(recording.channels),
        "channels_left_out": recording.left_out,
        "missing_fraction": float(gaps.mean()),
        "time_points_with_a_gap": int(gaps.any(axis=1).sum()),
        "fitted_time_points": first,
        "held_out_time_points": len(y) - first,
    }


def describe_model(
    recording: Recording,
    fit: Fit,
    *,
    mean: np.ndarray,
    scale: np.ndarray,
    spectrum: list[dict[str, float | None]],
) -> dict[str, object]:
    """The fitted system as plain numbers. A channel in its own units is ``channel_mean + channel_scale * (C x)``."""
    model = fit.model
    return {
        "channels": list(recording.channels),
        "channel_mean": mean.tolist(),
        "channel_scale": scale.tolist(),
        "A": model.A.tolist(),
        "C": model.C.tolist(),
        "Q": model.Q.tolist(),
        "R": model.R.tolist(),
        "initial_state_mean": model.mean.tolist(),
        "initial_state_covariance": model.covariance.tolist(),
        "modes": spectrum,
    }


def write_log_likelihood(path: Path, fit: Fit) -> None:
    """One row an EM iteration; iteration 0 is the start."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["iteration", "log_likelihood"])
        writer.writerows(enumerate(fit.log_likelihood))


def write_json(path: Path, value: object) -> None:
    """Indented JSON; NaN is refused, because no other reader accepts it."""
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
