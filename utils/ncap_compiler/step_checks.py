"""The rules of `Steps` that a JSON Schema cannot state.

`check_steps` looks at one blueprint; `check_neighbours` also at the parameters of the analysis and at the other
blueprints, where they are known. Nothing here builds values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncap_compiler.document import Document, Json, did_you_mean, escape
from ncap_compiler.errors import Problem
from ncap_compiler.steps import STEPS, StepType, When
from ncap_compiler.values import texts

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_OF_SCATTER = ("Copies", "Parameter", "Grid")
_OF_HANDOVER = ("Analysis", "Files", "Config", "AtLeast", "When")
MAX_POINTS = 10_000
"""Variants one dataset may have: those of a job."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another analysis as far as a step to it is concerned. `parameters` None: it has no parameters schema."""

    groups: tuple[str, ...]
    parameters: Mapping[str, Json] | None
    next_analyses: tuple[str, ...]


def check_steps(document: Document) -> Iterator[Problem]:
    """Problems of the steps of a blueprint that needs no other document: order, contradictions, patterns, itself."""
    seen: set[str] = set()
    for index, entry in _steps(document):
        pointer = f"{STEPS}/{index}"
        kind = entry.get("Type")
        if kind == StepType.SCATTER.value:
            if index:
                message = f"step {index + 1} is a scatter; a job is scattered once, before anything else"
                yield document.problem("B214", pointer, message, "Make it the first step.")
            yield from _check_scatter(document, pointer, entry)
        elif kind in (StepType.GATHER.value, StepType.CHAIN.value):
            yield from _check_handover(document, pointer, entry, seen)


def _steps(document: Document) -> Iterator[tuple[int, dict[str, Json]]]:
    listed = document.get(STEPS)
    for index, entry in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(entry, dict):
            yield index, entry


def _check_scatter(document: Document, pointer: str, entry: dict[str, Json]) -> Iterator[Problem]:
    yield from _foreign(document, pointer, entry, _OF_HANDOVER, "a scatter hands nothing over")
    copies, grid = entry.get("Copies"), entry.get("Grid")
    if copies is not None and grid is not None:
        message = "`Copies` and `Grid` are both given, and each says how often a dataset is run"
        yield document.problem("B215", f"{pointer}/Grid", message, "Keep one of them.")
    elif copies is None and grid is None:
        message = "it says neither `Copies` nor `Grid`"
        yield document.problem("B215", pointer, message, "Say how many copies, or which values of which parameters.")
    elif copies is not None and "Parameter" not in entry:
        message = "`Parameter` is missing: which parameter counts the copies"
        yield document.problem("B215", pointer, message, 'For example "Parameter": "seed".')
    elif grid is not None and "Parameter" in entry:
        message = "`Parameter` belongs to `Copies`; a grid names its parameters itself"
        yield document.problem("B215", f"{pointer}/Parameter", message, "Remove it.")
    points = 1
    for values in (grid if isinstance(grid, dict) else {}).values():
        points *= len(values) if isinstance(values, list) else 1
    if points > MAX_POINTS:
        message = f"the grid has {points:,} points; a job has at most {MAX_POINTS:,} datasets"
        yield document.problem("B215", f"{pointer}/Grid", message, "Use fewer values.")


def _check_handover(document: Document, pointer: str, entry: dict[str, Json], seen: set[str]) -> Iterator[Problem]:
    yield from _foreign(document, pointer, entry, _OF_SCATTER, "only a scatter has it")
    analysis = entry.get("Analysis")
    if analysis is None:
        message = "`Analysis` is missing: whose dataset the results become"
        yield document.problem("B101", f"{pointer}/Analysis", message, "Name another blueprint's PipelineName.")
    elif analysis == document.get("/PipelineName"):
        message = f"`{analysis}` hands its results to itself: such a job would never end"
        yield document.problem("B216", f"{pointer}/Analysis", message, "Name another analysis.")
    elif isinstance(analysis, str) and analysis in seen:
        message = f"two steps go to `{analysis}`; both would be one job"
        yield document.problem("B216", f"{pointer}/Analysis", message, "Keep one of them.")
    seen |= {analysis} if isinstance(analysis, str) else set()
    if entry.get("Type") == StepType.CHAIN.value and "AtLeast" in entry:
        message = "`AtLeast` belongs to a gather; a chain takes every dataset that succeeded"
        yield document.problem("B215", f"{pointer}/AtLeast", message, "Remove it.")
    for index, pattern in enumerate(texts(entry.get("Files"))):
        if reason := why_not_a_pattern(pattern):
            yield document.problem("B219", f"{pointer}/Files/{index}", f"`{pattern}` cannot match: {reason}", None)


def why_not_a_pattern(pattern: str) -> str | None:
    """Why a pattern of files' names can match nothing, None when it can."""
    if pattern.startswith("/") or "\\" in pattern or "//" in pattern:
        return "names are relative, with single slashes"
    if any(part in (".", "..") for part in pattern.split("/")):
        return "no name has a part `.` or `..`"
    if any(not sign.isprintable() for sign in pattern):
        return "it holds a control character"
    return None


def _foreign(
    document: Document, pointer: str, entry: dict[str, Json], fields: tuple[str, ...], reason: str
) -> Iterator[Problem]:
    for name in fields:
        if name in entry:
            message = f"a {entry.get('Type')} has no `{name}`: {reason}"
            yield document.problem("B215", f"{pointer}/{name}", message, "Remove it.")


# --- with the parameters and the other analyses ---


def check_neighbours(
    document: Document, parameters: Mapping[str, Json] | None, others: Mapping[str, Neighbour] | None
) -> tuple[Problem, ...]:
    """Problems of the steps of a blueprint without other problems.

    `parameters`: its own parameters schema. `others`: the other analyses of the project by name, None: not known.
    """
    return tuple(_check_neighbours(document, parameters, others))


def _check_neighbours(
    document: Document, parameters: Mapping[str, Json] | None, others: Mapping[str, Neighbour] | None
) -> Iterator[Problem]:
    for index, entry in _steps(document):
        pointer = f"{STEPS}/{index}"
        if entry.get("Type") == StepType.SCATTER.value:
            yield from _check_scattered(document, pointer, entry, parameters)
        elif others is not None:
            yield from _check_next(document, pointer, entry, others)


def _check_scattered(
    document: Document, pointer: str, entry: dict[str, Json], parameters: Mapping[str, Json] | None
) -> Iterator[Problem]:
    """Scattered parameters against the analysis's schema: the names, and every value."""
    copies, grid, parameter = entry.get("Copies"), entry.get("Grid"), entry.get("Parameter")
    for name, values in (grid if isinstance(grid, dict) else {}).items():
        place = f"{pointer}/Grid/{escape(name)}"
        yield from _check_values(document, place, name, values if isinstance(values, list) else [], parameters)
    if isinstance(parameter, str):
        counted: list[Json] = [1, copies] if isinstance(copies, int) else [1]
        yield from _check_values(document, f"{pointer}/Parameter", parameter, counted, parameters)
    if isinstance(copies, str):
        yield from _check_values(document, f"{pointer}/Copies", copies, [], parameters)


def _check_values(
    document: Document,
    place: str,
    name: str,
    values: Sequence[Json],
    schema: Mapping[str, Json] | None,
    problem_id: str = "B218",
) -> Iterator[Problem]:
    """A parameter that a schema does not know, or values of it that the schema refuses."""
    properties = {} if schema is None else schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    if schema is None or (name not in known and schema.get("additionalProperties") is not False):
        return
    if name not in known:
        hint = did_you_mean(name, known) or f"Known are {', '.join(known)}."
        yield document.problem(problem_id, place, f"the analysis has no parameter `{name}`", hint)
        return
    for error in (error for value in values for error in _errors(known[name], value)):
        message = f"the analysis refuses this `{name}`: {error.message}"
        yield document.problem(problem_id, place, message, "Use values its parameters.schema.json accepts.")


def _errors(schema: Json, value: Json) -> Iterator[ValidationError]:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema if isinstance(schema, dict) else {}).iter_errors(value)


def _check_next(
    document: Document, pointer: str, entry: dict[str, Json], others: Mapping[str, Neighbour]
) -> Iterator[Problem]:
    analysis = str(entry.get("Analysis"))
    place = f"{pointer}/Analysis"
    found = others.get(analysis)
    if found is None:
        hint = did_you_mean(analysis, others) or "Add its blueprint, or correct the name."
        yield document.problem("B217", place, f"no blueprint of this project describes `{analysis}`", hint)
        return
    lacking = [name for name in _groups(document) if name not in found.groups]
    if lacking and entry.get("When", When.ALWAYS.value) != When.ASKED.value:
        message = f"`{analysis}` is not for every group of this analysis; it lacks {', '.join(lacking)}"
        hint = "Add them to its blueprint: without that right jobs with this step are refused."
        yield document.problem("B217", place, message, hint)
    if circle := _circle(str(document.get("/PipelineName")), analysis, others):
        message = f"the steps go round in a circle: {' -> '.join(circle)}"
        yield document.problem("B216", place, message, "Take one of these steps out; such jobs would never end.")
    config = entry.get("Config")
    for name, value in (config if isinstance(config, dict) else {}).items():
        yield from _check_values(document, f"{pointer}/Config/{escape(name)}", name, [value], found.parameters, "B220")


def _groups(document: Document) -> list[str]:
    listed = document.get("/UXData/Affiliates")
    entries = listed if isinstance(listed, list) else []
    return [str(entry.get("AffiliateName")) for entry in entries if isinstance(entry, dict)]


def _circle(start: str, following: str, others: Mapping[str, Neighbour]) -> tuple[str, ...]:
    """The analyses on the way from `start` over `following` back to `start`; none if there is no way."""
    waiting: list[tuple[str, ...]] = [(start, following)]
    seen: set[str] = set()
    while waiting:
        way = waiting.pop()
        last = way[-1]
        if last == start:
            return way
        if last in seen or last not in others:
            continue
        seen.add(last)
        waiting += [(*way, name) for name in others[last].next_analyses]
    return ()
