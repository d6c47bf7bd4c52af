"""Reading a dataset: which built-in model, which of its parameters are free and within what, and the asked property.

    {"model": "lds_2d",
     "parameters": {"a11": [-10, 10], "a22": 0},
     "emergent_property": {"frequency": {"mean": 1, "sd": 0.1}}}

A parameter with a number is fixed; one that is left out has the model's usual bounds or value. It must not fit.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from analysis_kit import InputError
from circuits import COLLICULUS, V1
from models import LINEAR, Model, Problem, Quantity

MODELS: dict[str, Model] = {"lds_2d": LINEAR, "v1_variability": V1, "sc_task_switching": COLLICULUS}
"""What `model` may be."""
MAX_BYTES = 1_000_000
LARGEST = 1e6


def load_problem(path: Path, *, trials: int) -> Problem:
    """Read and check a dataset. Raises InputError."""

    def refuse(what: str) -> InputError:
        return InputError(f"Dataset {path.name}: {what}.")

    document = _read(path)
    strange = sorted(set(document) - {"model", "parameters", "emergent_property"})
    if strange:
        raise refuse(f"unknown entry '{strange[0]}'; known are model, parameters, emergent_property")
    name = document.get("model")
    if not isinstance(name, str) or name not in MODELS:
        raise refuse(f"'model' must be one of {', '.join(MODELS)}")
    model = MODELS[name]
    try:
        bounds, fixed = _parameters(model, document.get("parameters", {}))
        asked = _property(model, document.get("emergent_property"))
    except ValueError as error:
        raise refuse(str(error)) from error
    return Problem(
        name=name,
        model=model,
        free=tuple(bounds),
        low=np.array([low for low, _ in bounds.values()]),
        high=np.array([high for _, high in bounds.values()]),
        fixed=fixed,
        statistics=tuple(asked),
        mean=np.array([mean for mean, _ in asked.values()]),
        spread=np.array([spread for _, spread in asked.values()]),
        trials=1 if model is LINEAR else trials,
    )


def _read(path: Path) -> dict[str, Any]:
    if path.suffix.lower() != ".json":
        raise InputError(f"Dataset {path.name}: a model and its emergent property come as a .json file.")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"Dataset {path.name} has {path.stat().st_size:,} bytes; a model.json has far fewer.")
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repeats)
    except (OSError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"Dataset {path.name} cannot be read as JSON: {said}.") from error
    if not isinstance(document, dict):
        raise InputError(f"Dataset {path.name} must be an object with model, parameters and emergent_property.")
    return document


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"'{repeated[0]}' is there twice")
    return dict(pairs)


def _parameters(model: Model, given: Any) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """Bounds of the free parameters and values of the others, both in the model's order."""
    _check_names("parameters", given, model.parameters)
    bounds: dict[str, tuple[float, float]] = {}
    fixed: dict[str, float] = {}
    for name, quantity in model.parameters.items():
        usual = [quantity.low, quantity.high] if quantity.value is None else quantity.value
        value = given.get(name, usual)
        if isinstance(value, list):
            if len(value) != 2:
                raise ValueError(f"parameter '{name}' must be [low, high], or a number that fixes it")
            low, high = (_number(f"a bound of '{name}'", item, quantity) for item in value)
            if not low < high:
                raise ValueError(f"the bounds of '{name}', {low:g} and {high:g}, are not in order")
            bounds[name] = low, high
        else:
            fixed[name] = _number(f"parameter '{name}'", value, quantity)
    if len(bounds) < 2:
        raise ValueError(f"{len(bounds)} parameters are free; a distribution is inferred over two or more")
    return bounds, fixed


def _property(model: Model, given: Any) -> dict[str, tuple[float, float]]:
    """Asked mean and standard deviation of each statistic, in the model's order."""
    _check_names("emergent_property", given, model.statistics)
    if not given:
        raise ValueError(f"'emergent_property' asks nothing of {', '.join(model.statistics)}")
    asked: dict[str, tuple[float, float]] = {}
    for name in (name for name in model.statistics if name in given):
        entry = given[name]
        if not isinstance(entry, dict) or set(entry) != {"mean", "sd"}:
            raise ValueError(f'statistic \'{name}\' needs "mean" and "sd" and nothing else')
        mean = _number(f"the mean of '{name}'", entry["mean"], model.statistics[name])
        spread = _number(f"the sd of '{name}'", entry["sd"], Quantity("", ""))
        if not spread > 0:
            raise ValueError(f"the sd of '{name}' is {spread:g} and must be positive")
        asked[name] = mean, spread
    return asked


def _check_names(where: str, given: Any, known: dict[str, Quantity]) -> None:
    if not isinstance(given, dict):
        raise ValueError(f"'{where}' must be an object with names out of {', '.join(known)}")
    strange = [name for name in given if name not in known]
    if strange:
        raise ValueError(f"'{where}' has '{strange[0]}', which the model has not; it has {', '.join(known)}")


def _number(what: str, value: Any, quantity: Quantity) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} is not a number")
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise ValueError(f"{what} is {value}, not a number of usual size")
    if not quantity.least <= value <= quantity.most:
        raise ValueError(f"{what} is {value:g}, which cannot be; it lies from {quantity.least:g} to {quantity.most:g}")
    return float(value)
