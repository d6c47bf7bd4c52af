"""The steps of an analysis as values: one dataset scattered over parameters, results handed to other analyses.

docs/contracts.md section 9. Read from checked documents (`step_checks`), written back, and rendered for the version
document. This module must not check anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeAlias

from ncap_compiler import defaults
from ncap_compiler.document import Document, Json
from ncap_compiler.values import texts

STEPS = "/Steps"


class StepType(Enum):
    """What a step does; the values are those of documents."""

    SCATTER = "scatter"
    GATHER = "gather"
    CHAIN = "chain"


class When(Enum):
    """For which jobs a step is taken: all, those that were scattered, those whose config asks for it."""

    ALWAYS = "always"
    SCATTERED = "scattered"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Scatter:
    """Every dataset several times with different parameters.

    Either `copies` (a number, or the config's field that holds it), counted from 1 in `parameter`, or a `grid`: each
    parameter with its values.
    """

    copies: int | str | None = None
    parameter: str | None = None
    grid: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Handover:
    """Results become the dataset (`GATHER`) or datasets (`CHAIN`) of a job of another analysis.

    `files` are patterns of names, none: all files; `at_least` None: everything must have succeeded.
    """

    type: StepType
    analysis: str
    files: tuple[str, ...] = ()
    config: Mapping[str, Json] = field(default_factory=dict)
    at_least: int | None = None
    when: When = When.ALWAYS


Step: TypeAlias = Scatter | Handover


def next_analyses(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """The analyses steps hand over to, in order."""
    return tuple(dict.fromkeys(step.analysis for step in steps if isinstance(step, Handover)))


def read_steps(document: Document) -> tuple[Step, ...]:
    """The steps of a checked blueprint. The ensemble protocol of earlier generations is a scatter."""
    listed = document.get(STEPS)
    found = tuple(_step(entry) for entry in (listed if isinstance(listed, list) else []) if isinstance(entry, dict))
    is_scattered = any(isinstance(step, Scatter) for step in found)
    if document.get("/Lambda/Handler") == defaults.ENSEMBLE_HANDLER and not is_scattered:
        return (Scatter(copies=defaults.ENSEMBLE_COPIES, parameter=defaults.ENSEMBLE_PARAMETER), *found)
    return found


def staged_steps(steps: tuple[Step, ...], suffix: str) -> tuple[Step, ...]:
    """The steps with the names their analyses have in a stage."""
    return tuple(
        replace(step, analysis=step.analysis + suffix) if isinstance(step, Handover) else step for step in steps
    )


def dump_steps(steps: tuple[Step, ...]) -> list[Json]:
    """The steps as a blueprint has them, every effective value spelled out."""
    return [_dump(step) for step in steps]


def render_steps(steps: tuple[Step, ...]) -> list[Json]:
    """The steps as the version document has them (docs/contracts.md section 3)."""
    return [_render(step) for step in steps]


def _step(entry: dict[str, Json]) -> Step:
    kind = StepType(entry["Type"])
    at_least, copies, config = entry.get("AtLeast"), entry.get("Copies"), entry.get("Config")
    if kind is StepType.SCATTER:
        grid = entry.get("Grid")
        parameter = entry.get("Parameter")
        return Scatter(
            copies=copies if isinstance(copies, int | str) else None,
            parameter=str(parameter) if parameter is not None else None,
            grid={
                name: tuple(values)
                for name, values in (grid if isinstance(grid, dict) else {}).items()
                if isinstance(values, list)
            },
        )
    return Handover(
        type=kind,
        analysis=str(entry["Analysis"]),
        files=texts(entry.get("Files")),
        config=config if isinstance(config, dict) else {},
        at_least=at_least if isinstance(at_least, int) else None,
        when=When(entry.get("When", When.ALWAYS.value)),
    )


def _dump(step: Step) -> dict[str, Json]:
    if isinstance(step, Scatter):
        found: dict[str, Json] = {"Type": StepType.SCATTER.value}
        if step.grid:
            return {**found, "Grid": {name: list(values) for name, values in step.grid.items()}}
        return {**found, "Copies": step.copies, "Parameter": step.parameter}
    return {
        "Type": step.type.value,
        "Analysis": step.analysis,
        **({"Files": list(step.files)} if step.files else {}),
        "Config": dict(step.config),
        **({} if step.at_least is None else {"AtLeast": step.at_least}),
        "When": step.when.value,
    }


def _render(step: Step) -> dict[str, Json]:
    if isinstance(step, Scatter):
        found: dict[str, Json] = {"type": StepType.SCATTER.value}
        if step.grid:
            return {**found, "grid": {name: list(values) for name, values in step.grid.items()}}
        return {**found, "copies": step.copies, "parameter": step.parameter}
    return {
        "type": step.type.value,
        "analysis": step.analysis,
        "bucket": step.analysis,
        "files": list(step.files),
        "config": dict(step.config),
        "atLeast": step.at_least,
        "when": step.when.value,
    }
