"""The steps of a version in words: what a job of it starts elsewhere. Pure; docs/contracts.md sections 3 and 9."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_JOBS = {
    "always": "every job",
    "scattered": "every job that is scattered",
    "asked": "a job whose config asks for it with `__steps__`",
}


def next_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The analyses a version hands results to."""
    return tuple(str(step["analysis"]) for step in document.get("steps") or () if "analysis" in step)


def describe_steps(document: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence for each step of a version: what it does, for which jobs, and who pays."""
    return tuple(_sentence(step) for step in document.get("steps") or ())


def _sentence(step: Mapping[str, Any]) -> str:
    if step["type"] == "scatter":
        return f"every dataset of every job runs {_points(step)}"
    files = ", ".join(step.get("files") or ()) or "all results"
    least = step.get("atLeast")
    if step["type"] == "gather":
        what = f"the {files} of all its successful runs become one dataset of {step['analysis']}"
        enough = f", if at least {least} succeeded" if least else ", if all succeeded"
    else:
        what = f"the {files} of each dataset that succeeded become a dataset of {step['analysis']}"
        enough = ""
    return f"after {_JOBS[step.get('when') or 'always']} {what}{enough}; the group pays for that job as well"


def _points(step: Mapping[str, Any]) -> str:
    grid = step.get("grid")
    if grid:
        return " and ".join(f"with {name} {', '.join(map(json.dumps, values))}" for name, values in grid.items())
    copies = step.get("copies")
    times = f"{copies} times" if isinstance(copies, int) else f"as often as its config's {copies} says"
    return f"{times}, numbered in {step.get('parameter')}"


def step_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What a change of a version's steps means, in words; nothing where they are the same."""
    had, has = describe_steps(before), describe_steps(after)
    yield from (f"from now on {sentence}" for sentence in has if sentence not in had)
    yield from (f"no longer: {sentence}" for sentence in had if sentence not in has)
