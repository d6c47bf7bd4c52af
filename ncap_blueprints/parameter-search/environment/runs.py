"""Reads the runs of a scattered job: what each varied, and the figures its summary tells.

The dataset is a folder, or a `.zip` of one, as a job leaves its results: below it every run has a `*_summary.json`, and
beside that perhaps its config, whose `__scatter__` says what was varied. Without such a config the parameters in the
summaries that differ are what was varied. Nothing is unpacked, and nothing here ranks or draws.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from analysis_kit import InputError

SUMMARY = "_summary.json"
CONFIG_SUFFIXES = (".json", ".yaml", ".yml")
MAX_FILE_BYTES = 20_000_000
"""A summary or config larger than this is none."""
NOT_FIGURES = frozenset({"parameters", "versions", "seconds", "recommended"})
"""Parts of a summary that say how it was made, not what came out."""
FIGURES_OF_MERIT = ("figure_of_merit", "figures_of_merit")

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Run:
    """One run: `dataset` without what was varied, `values` of what was varied, and its figures by dotted name."""

    name: str
    dataset: str
    values: tuple[tuple[str, Value], ...]
    figures: Mapping[str, float | None]


@dataclass(frozen=True)
class _Found:
    """A summary as it was read, and what its config says was varied."""

    name: str
    summary: Mapping[str, Any]
    varied: Mapping[str, Value] | None


def read_runs(data: Path) -> tuple[Run, ...]:
    """The runs of a folder or zip, by name. Raises InputError if it holds none that can be used."""
    files = dict(_files(data))
    names = sorted(name for name in files if name.endswith(SUMMARY))
    if not names:
        raise InputError(
            f"Dataset {data.name} holds no run: no file in it ends in {SUMMARY}; give the results of a scattered job."
        )
    configs: dict[str, list[str]] = {}
    for name in sorted(set(files) - set(names)):
        configs.setdefault(_folder(name), []).append(name)
    found = [_read(data.name, name, files, beside=configs.get(_folder(name), ())) for name in names]
    varied = _varied(found)
    return tuple(
        Run(it.name, _dataset_of(it.name), tuple(values.items()), figures_of(it.summary))
        for it, values in zip(found, varied, strict=True)
    )


def _files(data: Path) -> Iterator[tuple[str, bytes]]:
    """Summaries and configs, by path below the dataset. Raises InputError."""
    try:
        if data.is_dir():
            for path in sorted(data.rglob("*")):
                name = path.relative_to(data).as_posix()
                if path.is_file() and _is_wanted(name, path.stat().st_size):
                    yield name, path.read_bytes()
        elif data.suffix.lower() == ".zip":
            with zipfile.ZipFile(data) as archive:
                for entry in archive.infolist():
                    if not entry.is_dir() and _is_wanted(entry.filename, entry.file_size):
                        with archive.open(entry) as file:
                            yield entry.filename, file.read(MAX_FILE_BYTES)
        else:
            raise InputError(f"Dataset {data.name} is neither a folder of runs nor a .zip of one.")
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"Dataset {data.name} cannot be read: {said}.") from error


def _is_wanted(name: str, size: int) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not hidden and path.suffix.lower() in CONFIG_SUFFIXES and size <= MAX_FILE_BYTES


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _read(dataset: str, name: str, files: Mapping[str, bytes], *, beside: Sequence[str]) -> _Found:
    summary = _mapping(name, files[name])
    if summary is None:
        raise InputError(f"Dataset {dataset}: {name} is not a summary: it holds no JSON object.")
    stem = name.rpartition("/")[2].removesuffix(SUMMARY)
    # A config beside several runs says of none of them what it varied.
    scattered = (_mapping(it, files[it]) for it in beside) if _folder(name) else iter(())
    varied = next((it["__scatter__"] for it in scattered if it and isinstance(it.get("__scatter__"), Mapping)), None)
    values = varied.get("values") if varied else None
    return _Found(stem, summary, _scalars(values) if isinstance(values, Mapping) and values else None)


def _mapping(name: str, body: bytes) -> Mapping[str, Any] | None:
    """The JSON or YAML object in a file, None if there is none."""
    import yaml

    try:
        text = body.decode("utf-8-sig")
        found = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError):
        return None
    return found if isinstance(found, Mapping) else None


def _scalars(values: Mapping[str, Any]) -> dict[str, Value]:
    """Values as they can be compared and shown: lists and objects as their JSON."""
    return {
        str(name): it if it is None or isinstance(it, str | int | float) else json.dumps(it, sort_keys=True)
        for name, it in values.items()
    }


def _varied(found: Sequence[_Found]) -> list[dict[str, Value]]:
    """What each run varied: as all their configs say, else the parameters in their summaries that differ."""
    said = [dict(it.varied) for it in found if it.varied is not None]
    if len(said) == len(found):
        return said
    given = [_scalars(it.summary["parameters"]) for it in found if isinstance(it.summary.get("parameters"), Mapping)]
    if len(given) < len(found):
        return [{} for _ in found]
    names = list(dict.fromkeys(name for one in given for name in one))
    own = [name for name in names if not (name.startswith("__") and name.endswith("__"))]
    differing = [name for name in own if len({json.dumps(one.get(name)) for one in given}) > 1]
    return [{name: one.get(name) for name in differing} for one in given]


def _dataset_of(name: str) -> str:
    """The dataset of a run called `<dataset>__<name>-<value>_…` (how variants are named)."""
    before, mark, _ = name.rpartition("__")
    return before if mark and before else name


def figures_of(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """Every number a summary tells, by its dotted name and in its order; those it calls figures of merit first."""
    named: dict[str, float | None] = {}
    for name in FIGURES_OF_MERIT:
        told = summary.get(name)
        if isinstance(told, Mapping):
            named |= dict(_numbers(told, ""))
        elif isinstance(told, str):
            named[told] = None
    rest = {name: it for name, it in summary.items() if name not in NOT_FIGURES and name not in FIGURES_OF_MERIT}
    every = dict(_numbers(rest, ""))
    return {**{name: every.get(name, it) for name, it in named.items()}, **every}


def _numbers(found: Mapping[str, Any], before: str) -> Iterator[tuple[str, float | None]]:
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{before}{name}.")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield f"{before}{name}", value
