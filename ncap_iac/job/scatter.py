"""`--grid` and `--copies` as typed → the scatter of a submission (docs/contracts.md section 9). Pure."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ncap_iac.errors import UsageError

MAX_POINTS = 10_000
RANGE = re.compile(r"(-?\d{1,9})\.\.(-?\d{1,9})")
_PIECE = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^,]*)\s*(?:,|$)')


@dataclass(frozen=True)
class Scatter:
    """Copies that count in a parameter, or a grid of values; `points`, some of an earlier job's, written out."""

    copies: int | None = None
    parameter: str = ""
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    points: Sequence[Mapping[str, Any]] = ()

    def document(self) -> dict[str, Any]:
        """As a submission has it."""
        if self.points:
            return {"points": [dict(point) for point in self.points]}
        if self.grid:
            return {"grid": {name: list(values) for name, values in self.grid.items()}}
        return {"copies": self.copies, "parameter": self.parameter}

    def values(self) -> Iterator[dict[str, Any]]:
        """What each point sets, in order; the last name fastest."""
        if self.points:
            yield from (dict(point["values"]) for point in self.points)
        elif self.grid:
            names = list(self.grid)
            yield from (dict(zip(names, point, strict=True)) for point in itertools.product(*self.grid.values()))
        else:
            yield from ({self.parameter: number} for number in range(1, (self.copies or 0) + 1))

    @property
    def count(self) -> int:
        """Points."""
        return sum(1 for _ in self.values())


def scatter_of(grid: Sequence[str], *, copies: int | None, parameter: str | None) -> Scatter | None:
    """What the options say; None where they say nothing. Raises UsageError."""
    if grid and copies is not None:
        raise UsageError("--grid and --copies both say how often a dataset is run", hint="Use one of them.")
    if copies is not None and not parameter:
        raise UsageError("--copies needs a parameter to count in", hint="For example --copies 9 --parameter seed.")
    if parameter and copies is None:
        raise UsageError("--parameter belongs to --copies", hint=f"Say --copies N, or --grid {parameter}=1,2,3.")
    if copies is not None:
        if not 1 <= copies <= MAX_POINTS:
            raise UsageError(f"--copies is {copies}", hint=f"Accepted is 1 to {MAX_POINTS}.")
        return Scatter(copies=copies, parameter=str(parameter))
    found: dict[str, list[Any]] = {}
    for text in grid:
        name, equals, said = text.partition("=")
        if not equals or not name.strip() or not said.strip():
            raise UsageError(f"{text!r} is not NAME=VALUE,VALUE", where="--grid", hint="For example --grid rank=5,10.")
        if name.strip() in found:
            raise UsageError(f"{name.strip()!r} is given twice", where="--grid", hint="List all its values once.")
        found[name.strip()] = parse_values(said)
    points = 1
    for values in found.values():
        points *= len(values)
    if points > MAX_POINTS:
        raise UsageError(f"these are {points} points", where="--grid", hint=f"At most {MAX_POINTS} make one job.")
    return Scatter(grid=found) if found else None


def parse_values(text: str) -> list[Any]:
    """`1,2,0.5,pca,true,1..9` → values: JSON, ranges of whole numbers, else text. Raises UsageError."""
    values: list[Any] = []
    position = 0
    while position < len(text):
        match = _PIECE.match(text, position)
        if match is None or not match[1].strip():
            raise UsageError(f"a value is missing in {text!r}", where="--grid", hint="Separate values by commas.")
        values += _value(match[1].strip())
        position = match.end()
    if text.rstrip().endswith(","):
        raise UsageError(f"a value is missing in {text!r}", where="--grid", hint="Separate values by commas.")
    twice = [value for value, number in itertools.groupby(sorted(map(json.dumps, values))) if len(list(number)) > 1]
    if twice:
        raise UsageError(f"the value {twice[0]} is there twice", where="--grid", hint="Name each value once.")
    return values


def _value(text: str) -> list[Any]:
    if found := RANGE.fullmatch(text):
        first, last = int(found[1]), int(found[2])
        if not first <= last < first + MAX_POINTS:
            raise UsageError(f"{text!r} is no range", where="--grid", hint="A range goes up, such as 1..9.")
        return list(range(first, last + 1))
    try:
        value = json.loads(text, parse_constant=_not_json)
    except ValueError:
        return [text]
    if isinstance(value, list | dict):
        raise UsageError(f"{text!r} is no single value", where="--grid", hint="Numbers, texts, true, false or null.")
    return [value]


def _not_json(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
