"""Emergent property inference (after EPI): the distribution of a circuit model's parameters that gives a property.

    python workflow.py DATA CONFIG RESULTS

DATA is a .json file that names a built-in model, its free parameters and the asked property, CONFIG a JSON or YAML file
of parameters, RESULTS a folder that exists. Progress goes to stdout. Exit code 2 and one sentence on stderr: data or
config cannot be used.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from analysis_kit import InputError, Summary, load_parameters, run, say
from emergent import load_problem

if TYPE_CHECKING:
    from lagrangian import Fit
    from models import Problem

PREVIEW_EVERY_S = 60.0
PREVIEW_SAMPLES = 500
MAX_TRIALS_AT_ONCE = 200_000
"""Simulated trials of one iteration; their steps are kept for the gradient, up to 20 kB each."""


def analyse(data: Path, config: Path, results: Path) -> None:
    """The whole run: read, fit, sample, write, draw."""
    parameters = load_parameters(config)
    problem = load_problem(data, trials=parameters["trials"])
    if parameters["batch"] * problem.trials > MAX_TRIALS_AT_ONCE:
        raise InputError(
            f"Config {config.name}: batch x trials is {parameters['batch'] * problem.trials:,} simulations at once for"
            f" dataset {data.name}; at most {MAX_TRIALS_AT_ONCE:,} are possible."
        )
    say(f"Read {data.name}: {problem.model.title}; free are {', '.join(problem.free)}.")
    for name, mean, spread in zip(problem.statistics, problem.mean, problem.spread, strict=True):
        say(f"Asked: {name} {mean:g} +- {spread:g} {problem.model.statistics[name].unit}.")

    from figure import draw_inference
    from lagrangian import fit

    picture = Path(f"{results / data.stem}_epi.png")
    draw = _drawer(picture, data.name, problem)
    summary = Summary(data, parameters, ("numpy",))
    fitted = fit(problem, parameters, report=say, after_epoch=_previewer(draw, parameters["seed"], problem))
    random = np.random.default_rng([parameters["seed"], 1])
    z, log_q = fitted.flow.sample(parameters["samples"], random)
    statistics = problem.statistics_of(z, random)
    if not fitted.chosen.met:
        say("The constraints were not met in any epoch: raise epochs or iterations, or ask for what the model can do.")

    stem = str(results / f"{data.stem}_")
    names = {"parameters": np.array(problem.free), "statistics_names": np.array(problem.statistics)}
    np.savez_compressed(stem + "samples.npz", theta=z, log_prob=log_q, statistics=statistics, **names)
    _write_course(Path(stem + "opt_data.csv"), fitted, problem)
    _write_flow(Path(stem + "flow.npz"), fitted, problem)
    say("Drawing the picture.")
    draw_inference(picture, data.name, problem=problem, fitted=fitted, z=z, log_q=log_q, statistics=statistics)
    summary.write(results, _describe(problem, parameters, fitted, z=z, log_q=log_q, statistics=statistics))


def _drawer(picture: Path, title: str, problem: Problem) -> Callable[..., None]:
    def draw(fitted: Fit, z: np.ndarray, log_q: np.ndarray, statistics: np.ndarray) -> None:
        from figure import draw_inference

        draw_inference(picture, title, problem=problem, fitted=fitted, z=z, log_q=log_q, statistics=statistics)

    return draw


def _previewer(draw: Callable[..., None], seed: int, problem: Problem) -> Callable[[Fit], None]:
    """Draws the picture of the state after an epoch, once a minute at most."""
    shown = time.monotonic()

    def preview(fitted: Fit) -> None:
        nonlocal shown
        if time.monotonic() - shown < PREVIEW_EVERY_S:
            return
        random = np.random.default_rng([seed, 2])
        z, log_q = fitted.flow.sample(PREVIEW_SAMPLES, random)
        draw(fitted, z, log_q, problem.statistics_of(z, random))
        shown = time.monotonic()

    return preview


def _describe(
    problem: Problem,
    parameters: Mapping[str, Any],
    fitted: Fit,
    *,
    z: np.ndarray,
    log_q: np.ndarray,
    statistics: np.ndarray,
) -> dict[str, object]:
    from sensitivity import curvature

    mode = z[log_q.argmax()]
    eigenvalues, vectors = curvature(fitted.flow, mode)
    chosen = fitted.chosen
    count = len(problem.statistics)
    return {
        "model": problem.name,
        "parameters_inferred": {
            name: {"bounds": [low, high], "mean": column.mean(), "sd": column.std()}
            for name, low, high, column in zip(problem.free, problem.low, problem.high, z.T, strict=True)
        },
        "parameters_fixed": problem.fixed,
        "emergent_property": {
            name: {
                "asked_mean": problem.mean[index],
                "asked_sd": problem.spread[index],
                "mean": statistics[:, index].mean(),
                "sd": statistics[:, index].std(),
                "p_mean": chosen.p_values[index],
                "p_sd": chosen.p_values[count + index],
            }
            for index, name in enumerate(problem.statistics)
        },
        "constraints_met": chosen.met,
        "entropy_nats": -log_q.mean(),
        "epoch_chosen": chosen.number,
        "epochs_that_met": [epoch.number for epoch in fitted.epochs if epoch.met],
        "natural_parameters": -chosen.eta,
        "mode": dict(zip(problem.free, mode, strict=True)),
        "curvature_at_mode": [
            {"eigenvalue": value, "direction": dict(zip(problem.free, vector, strict=True))}
            for value, vector in zip(eigenvalues, vectors.T, strict=True)
        ],
        "recommended": recommend(parameters["batch"] * problem.trials),
    }


def recommend(trials_at_once: int) -> dict[str, object]:
    """Instance type and disk: the simulations of one iteration are in memory; the rest is small."""
    from models import PART

    gib = 0.3 + 20e3 * max(trials_at_once, PART) / 2**30
    fitting = [name for name, memory in (("m7i.large", 8), ("m7i.xlarge", 16)) if memory * 0.8 > gib]
    return {"memory_gib": round(gib, 2), "instance_type": fitting[0] if fitting else "smaller batches", "disk_gib": 20}


def _write_course(path: Path, fitted: Fit, problem: Problem) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        moments = [f"{moment}_{name}" for moment in ("mean", "sd") for name in problem.statistics]
        table.writerow(("iteration", "entropy_nats", *moments))
        for iteration, entropy, values in fitted.course:
            table.writerow((iteration, f"{entropy:.6g}", *(f"{value:.6g}" for value in values)))


def _write_flow(path: Path, fitted: Fit, problem: Problem) -> None:
    """Everything that is needed to draw from q again: bounds, weights, and where in them each coupling's layers lie."""
    flow = fitted.flow
    arrays = {"low": flow.low, "high": flow.high, "weights": flow.weights, "parameters": np.array(problem.free)}
    for index, coupling in enumerate(flow.couplings):
        arrays[f"kept_{index}"], arrays[f"changed_{index}"] = coupling.kept, coupling.changed
        arrays[f"layers_{index}"] = np.array([(weights.start, *shape) for weights, _, shape in coupling.layers])
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    sys.exit(run(analyse))
