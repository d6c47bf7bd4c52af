"""The parameters of one run: read from the user's JSON or YAML config, each checked for its type.

Ranges and help texts for people are in ``parameters.schema.json``, which the job manager applies before anything is
paid for; this module repeats only what a run by hand needs. It must not look at the recording.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path


class InputError(Exception):
    """The dataset or the config cannot be used; the message is one sentence for the person who sent it."""


@dataclass(frozen=True)
class Parameters:
    """What a user may set. Units and ranges: ``parameters.schema.json``."""

    latent_dim: int = 2
    em_iters: int = 20
    tol: float = 1e-4
    center: bool = True
    standardize: bool = True
    sampling_rate_hz: float = 1.0
    init: str = "pca"
    observation_noise: str = "diagonal"
    seed: int = 0
    holdout_fraction: float = 0.2


RANGES = {
    "latent_dim": (1, 100),
    "em_iters": (0, 1000),
    "tol": (0, 1),
    "sampling_rate_hz": (1e-9, 1e9),
    "seed": (0, 2**32 - 1),
    "holdout_fraction": (0, 0.5),
}
CHOICES = {"init": ("pca", "random"), "observation_noise": ("diagonal", "full")}


def load_parameters(path: Path) -> Parameters:
    """Read a config file. Keys in double underscores are the platform's (``__duration__``) and are passed over."""
    document = _parse_document(path)
    known = {field.name: type(field.default) for field in fields(Parameters)}
    given: dict[str, object] = {}
    for name, value in document.items():
        if str(name).startswith("__") and str(name).endswith("__"):
            continue
        if name not in known:
            raise InputError(f"Config {path.name}: unknown parameter '{name}'. Known: {', '.join(known)}.")
        given[str(name)] = _checked(path.name, str(name), value, known[name])
    return Parameters(**given)  # type: ignore[arg-type]


def _parse_document(path: Path) -> dict[str, object]:
    """The config as a mapping. JSON is tried first: YAML 1.1 reads 1e-4 as text, JSON as a number."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Config {path.name} cannot be read as text: {error}.") from error
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        import yaml

        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            first_line = " ".join(str(error).split())
            raise InputError(f"Config {path.name} is neither JSON nor YAML: {first_line}.") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InputError(f"Config {path.name} must be a set of 'name: value' pairs, found a {type(document).__name__}.")
    return document


def _checked(file: str, name: str, value: object, kind: type) -> object:
    """The value as ``kind``; a wrong type or a value out of range is the user's to fix."""
    wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]
    if kind is float and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise InputError(f"Config {file}: '{name}' must be {wanted}, found {value!r}.") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not kind:
        raise InputError(f"Config {file}: '{name}' must be {wanted}, found {value!r}.")
    if name in RANGES and not RANGES[name][0] <= value <= RANGES[name][1]:  # type: ignore[operator]
        low, high = RANGES[name]
        raise InputError(f"Config {file}: '{name}' must lie between {low} and {high}, found {value!r}.")
    if name in CHOICES and value not in CHOICES[name]:
        raise InputError(f"Config {file}: '{name}' must be one of {', '.join(CHOICES[name])}, found {value!r}.")
    return value
