"""One dataset, many attempts: the points of copies and grids, the variants' labels and folders. Pure; reads nothing.

`docs/contracts.md`, section 9. A point is what one variant changes in the submitted config. The config itself is merged
on the instance, so a scatter of any size costs no object of its own.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from jobmanager.nearest import did_you_mean
from jobmanager.parameters import Schema, check_parameters

MAX_POINTS = 10_000
MAX_LABEL = 120
"""Characters of a variant's label: it is part of keys and of file names."""
_LONGEST_POINT = 1000
_LONGEST_NAME = 100
_LONGEST_SUFFIX = 20
_FORMS = ("copies", "grid", "points")
_FIELDS = (*_FORMS, "parameter")
_ODD = re.compile(r"[^A-Za-z0-9.+-]+")
_SHOWN = 10


class ScatterError(ValueError):
    """A scatter that cannot be carried out; the message is for the user."""


@dataclass(frozen=True)
class Point:
    """What one variant changes: `number` counts from 1, `values` are parameters in the order they were written."""

    number: int
    values: tuple[tuple[str, Any], ...]

    @property
    def text(self) -> str:
        """The point as it is kept in the ledger and shown to the workflow as `__scatter__`."""
        return json.dumps({"k": self.number, "values": dict(self.values)}, ensure_ascii=False)


@dataclass(frozen=True)
class Scatter:
    """What is asked for. `copies`: a number, or the name of the config field that holds it."""

    copies: int | str | None = None
    parameter: str = ""
    grid: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    points: tuple[Point, ...] = ()


def parse_scatter(found: object) -> Scatter:
    """A scatter as a submission or a version document writes it. Raises ScatterError."""
    if not isinstance(found, dict):
        raise ScatterError("'scatter' must be an object with 'copies' and 'parameter', or with 'grid'")
    unknown = [name for name in found if name not in _FIELDS]
    if unknown:
        raise ScatterError(f"'scatter' has an unknown field '{unknown[0]:.80}'{did_you_mean(unknown[0], _FIELDS)}")
    forms = [name for name in _FORMS if name in found]
    if len(forms) != 1 or ("parameter" in found and forms != ["copies"]):
        raise ScatterError("'scatter' must have either 'copies' and 'parameter', or 'grid'")
    if forms == ["copies"]:
        return Scatter(copies=_copies(found["copies"]), parameter=_name(found.get("parameter"), "'parameter'"))
    if forms == ["grid"]:
        return Scatter(grid=_grid(found["grid"]))
    return Scatter(points=_points(found["points"]))


def _copies(found: object) -> int | str:
    if isinstance(found, str) and found:
        return found
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= MAX_POINTS:
        raise ScatterError(f"'copies' is {_shown(found)}; accepted is a whole number from 1 to {MAX_POINTS}")
    return found


def _name(found: object, where: str) -> str:
    if not isinstance(found, str) or not 0 < len(found) <= _LONGEST_NAME:
        raise ScatterError(f'{where} must be the name of the parameter that differs, such as "seed"')
    if found.startswith("__"):
        raise ScatterError(f"'{found}' is the platform's own parameter and is the same for all of a job")
    return found


def _grid(found: object) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    if not isinstance(found, dict) or not found:
        raise ScatterError("'grid' must be an object of parameter names, each with a list of values")
    for name, values in found.items():
        _name(name, "a name in 'grid'")
        if not isinstance(values, list) or not values:
            raise ScatterError(f"'grid' must give parameter '{name}' a list of at least one value")
        if len({_shown(value, 10**6) for value in values}) < len(values):
            raise ScatterError(f"'grid' gives parameter '{name}' the same value twice")
    count = math.prod(len(values) for values in found.values())
    if count > MAX_POINTS:
        raise ScatterError(f"'grid' has {count} combinations; at most {MAX_POINTS} make one job")
    return tuple((name, tuple(values)) for name, values in found.items())


def _points(found: object) -> tuple[Point, ...]:
    """Points written out, as `__scatter__` shows them: how some variants of a job are run again."""
    if not isinstance(found, list) or not found or len(found) > MAX_POINTS:
        raise ScatterError(f"'points' must be a list of 1 to {MAX_POINTS} points")
    points = []
    for item in found:
        number, values = (item.get("k"), item.get("values")) if isinstance(item, dict) else (None, None)
        if isinstance(number, bool) or not isinstance(number, int) or not isinstance(values, dict) or not values:
            raise ScatterError('each of \'points\' must be as {"k": 3, "values": {"seed": 3}}')
        points.append(Point(number, tuple((_name(name, "a name in 'points'"), it) for name, it in values.items())))
    if len({point.number for point in points}) < len(points):
        raise ScatterError("'points' has the same 'k' twice")
    return tuple(points)


def points_of(scatter: Scatter, config: Mapping[str, Any]) -> tuple[Point, ...]:
    """The points, the last name of a grid fastest; none when the field that holds the number is not in the config.

    Raises ScatterError.
    """
    if scatter.points:
        points = scatter.points
    elif scatter.grid:
        names = [name for name, _ in scatter.grid]
        combinations = itertools.product(*(values for _, values in scatter.grid))
        points = tuple(Point(k, tuple(zip(names, values, strict=True))) for k, values in enumerate(combinations, 1))
    else:
        count = scatter.copies
        if isinstance(count, str):
            count = config.get(count)
            if count is None:
                return ()
            if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_POINTS:
                accepted = f"accepted is a whole number from 1 to {MAX_POINTS}"
                raise ScatterError(f"parameter '{scatter.copies}' is {_shown(config[str(scatter.copies)])}; {accepted}")
        points = tuple(Point(k, ((scatter.parameter, k),)) for k in range(1, (count or 0) + 1))
    if any(len(point.text) > _LONGEST_POINT for point in points):
        raise ScatterError(f"a value of 'scatter' is longer than {_LONGEST_POINT} characters; put it into the config")
    return points


def check_points(points: Sequence[Point], config: Mapping[str, Any], schema: Schema) -> tuple[str, ...]:
    """In what way a variant's config breaks the schema: the first one whole, then each further value by itself.

    That is enough, for no keyword of a parameter schema ties one parameter to another.
    """
    if not points:
        return check_parameters(config, schema)
    problems = list(check_parameters({**config, **dict(points[0].values)}, schema))
    known = schema.get("properties", {})
    seen = {(name, _shown(value, 10**6)) for name, value in points[0].values}
    for name, value in itertools.chain.from_iterable(point.values for point in points[1:]):
        text = _shown(value, 10**6)
        if (name, text) not in seen and name in known and len(problems) < _SHOWN:
            problems += check_parameters({name: value}, {"properties": {name: known[name]}})
        seen.add((name, text))
    return tuple(dict.fromkeys(problems))


@dataclass(frozen=True)
class Place:
    """Where one attempt's report and results go: the label within the job and, with a folder of its own, that."""

    label: str
    folder: str | None = None


def variant_places(labels: Sequence[str], points: Sequence[Point]) -> tuple[Place, ...]:
    """A place for every variant of every dataset, the datasets in order and within each the points in order."""
    variants = ((label, point) for label in labels for point in points)
    return tuple(_unique(_variant_name(label, point) for label, point in variants))


def folder_places(labels: Sequence[str]) -> tuple[Place, ...]:
    """The same datasets, each with a folder of its own; labels are unique already and stay as they are."""
    free = _Free()
    return tuple(Place(label, free.name(_split(label)[0])) for label in labels)


def _variant_name(label: str, point: Point) -> tuple[str, str]:
    """Stem and suffix of a variant's label."""
    stem, suffix = _split(label)
    words = "_".join(f"{_plain(name)}-{_plain(_text(value))}" for name, value in point.values)
    name = f"{stem}__{words}"
    room = MAX_LABEL - len(suffix)
    if len(name) > room:
        name = f"{name[: room - 9]}-{hashlib.sha256(f'{label} {point.text}'.encode()).hexdigest()[:8]}"
    return name, suffix


def _unique(names: Iterator[tuple[str, str]]) -> Iterator[Place]:
    """Folders differ, and so do labels, which are folders with a suffix."""
    free = _Free()
    for stem, suffix in names:
        folder = free.name(stem)
        yield Place(folder + suffix, folder)


class _Free:
    """Gives out names, each once. Ten thousand may ask for the same one, so it remembers the number it came to."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._last: dict[str, int] = {}

    def name(self, stem: str) -> str:
        """The stem if it is free, else with the first free number behind it."""
        name, ordinal = stem, self._last.get(stem, 1)
        while name in self._used:
            ordinal += 1
            name = f"{stem}-{ordinal}"
        self._last[stem] = ordinal
        self._used.add(name)
        return name


def _split(label: str) -> tuple[str, str]:
    path = PurePosixPath(label)
    return (label, "") if len(path.suffix) > _LONGEST_SUFFIX else (path.stem, path.suffix)


def _plain(text: str) -> str:
    return _ODD.sub("-", text) or "none"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(value: object, most: int = 80) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:most]
