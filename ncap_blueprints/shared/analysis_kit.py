"""What workflows of several analyses have in common: parameters, plain errors, progress, results.

A workflow is called with three paths: dataset, config, folder for results. Exit code 2 and one sentence on stderr mean
that dataset or config cannot be used. A recipe puts this file beside the workflow (`"shared": ["analysis_kit.py"]`)
and the parameter schema too (`"parameters": true`). It must not know any analysis.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).with_name("parameters.schema.json")
MAX_CONFIG_BYTES = 1_000_000

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#000000")
"""Colours everybody can tell apart (Okabe and Ito 2008)."""


class InputError(Exception):
    """The dataset or the config cannot be used; the message is one sentence for the person who sent it."""


def run(
    analyse: Callable[[Path, Path, Path], None], arguments: Sequence[str] | None = None, *, folders: bool = False
) -> int:
    """Call `analyse` with dataset, config and results folder from the command line; returns the exit code.

    `folders`: a dataset may also be a folder of files.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) != 3:
        print("usage: python workflow.py DATA CONFIG RESULTS", file=sys.stderr)
        return 2
    data, config, results = (Path(word) for word in words)
    try:
        for path, what in ((data, "Dataset"), (config, "Config")):
            if not (path.is_file() or (folders and path == data and path.is_dir())):
                raise InputError(f"{what} {path.name} is not a file.")
        analyse(data, config, results)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def say(text: str) -> None:
    """One line of progress, at once."""
    print(text, flush=True)


def load_parameters(config: Path, schema: Path = SCHEMA) -> dict[str, Any]:
    """The parameters of a run: what the config says, checked, and the schema's default for the rest.

    The same schema was applied by the job manager before anything was paid for; a run by hand has it only here. Names
    in double underscores are the platform's and are passed over. Raises InputError with every problem.
    """
    from jsonschema import Draft202012Validator

    document: dict[str, Any] = json.loads(schema.read_text(encoding="utf-8"))
    known: dict[str, Any] = {name: entry for name, entry in document["properties"].items() if not _is_platforms(name)}
    given = {name: value for name, value in _read_config(config).items() if not _is_platforms(name)}
    problems = [f"unknown parameter '{name}'" for name in given if name not in known]
    own = {**document, "properties": known, "additionalProperties": True}
    for error in sorted(Draft202012Validator(own).iter_errors(given), key=lambda error: list(map(str, error.path))):
        place = "/".join(map(str, error.path))
        problems.append(f"'{place}': {error.message}" if place else error.message)
    if problems:
        raise InputError(f"Config {config.name}: {'; '.join(problems)}. Known: {', '.join(known)}.")
    defaults = {name: entry["default"] for name, entry in known.items() if "default" in entry}
    return {**defaults, **given}


def _is_platforms(name: object) -> bool:
    return str(name).startswith("__") and str(name).endswith("__")


def _read_config(path: Path) -> dict[str, Any]:
    """The config as a mapping. JSON is tried first: YAML 1.1 reads 1e-4 as text, JSON as a number."""
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise InputError(f"Config {path.name} has {path.stat().st_size:,} bytes; parameters fit into far less.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Config {path.name} cannot be read as text: {error}.") from error
    try:
        document = json.loads(text)
    except ValueError:
        import yaml

        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            said = " ".join(str(error).split())
            raise InputError(f"Config {path.name} is neither JSON nor YAML: {said}.") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InputError(f"Config {path.name} must be a set of 'name: value' pairs, found a {type(document).__name__}.")
    return document


def write_json(path: Path, value: object) -> None:
    """A JSON document; numpy's numbers and arrays as plain ones, what is not finite as null."""
    path.write_text(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


class Summary:
    """`<stem>_summary.json`: what a run found, with what, and how long it took."""

    def __init__(self, data: Path, parameters: Mapping[str, Any], packages: Sequence[str]) -> None:
        self._began = time.perf_counter()
        self._data = data
        self._about = {
            "dataset": data.name,
            "parameters": dict(parameters),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        }

    def write(self, results: Path, found: Mapping[str, Any]) -> None:
        """Write what was found and say that the run is done; called last."""
        seconds = round(time.perf_counter() - self._began, 2)
        write_json(results / f"{self._data.stem}_summary.json", {**self._about, **found, "seconds": seconds})
        say(f"Done in {seconds:g} s.")
