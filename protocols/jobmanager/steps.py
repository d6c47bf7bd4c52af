"""What follows a job: the steps of its version, which of them this job takes, and what they hand over. Pure.

`docs/contracts.md`, section 9. A step becomes an edge (a row of the ledger) when its job is admitted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from jobmanager.nearest import did_you_mean
from jobmanager.parameters import STEPS
from jobmanager.scatter import Scatter, parse_scatter

MAX_CONFIG = 100_000
"""Bytes of the config a step hands over: it is kept in a row of the ledger, and twenty of them in one transaction."""


class StepType(StrEnum):
    """How a job's results become datasets of the next one."""

    GATHER = "gather"
    CHAIN = "chain"


class When(StrEnum):
    """Which jobs take a step."""

    ALWAYS = "always"
    SCATTERED = "scattered"
    ASKED = "asked"


@dataclass(frozen=True)
class Step:
    """One step. `bucket` is the next analysis's; `files` are patterns of names, none: all of them."""

    type: StepType
    analysis: str
    bucket: str
    files: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    at_least: int | None = None
    when: When = When.ALWAYS

    @property
    def config_text(self) -> str:
        """The next job's config as it is written. Raises ValueError for a number JSON has not."""
        return json.dumps(self.config, ensure_ascii=False, indent=1, default=str, allow_nan=False)


@dataclass(frozen=True)
class Steps:
    """The steps of a version: a scatter of its own, and what follows."""

    scatter: Scatter | None = None
    following: tuple[Step, ...] = ()


def parse_steps(found: Sequence[Mapping[str, Any]]) -> Steps:
    """The steps of a version document. Raises KeyError, TypeError, ValueError: the document is not as compiled."""
    scatter, following = None, []
    for step in found:
        if step["type"] == "scatter":
            scatter = parse_scatter({name: step[name] for name in ("copies", "parameter", "grid") if step.get(name)})
            continue
        at_least = step.get("atLeast")
        following.append(
            Step(
                type=StepType(step["type"]),
                analysis=str(step["analysis"]),
                bucket=str(step.get("bucket") or step["analysis"]),
                files=tuple(str(name) for name in step.get("files") or ()),
                config=dict(step.get("config") or {}),
                at_least=None if at_least is None else int(at_least),
                when=When(step.get("when") or When.ALWAYS),
            )
        )
    return Steps(scatter, tuple(following))


@dataclass(frozen=True)
class Taken:
    """The steps a job takes, each with the config it hands over; problems are sentences for the user."""

    steps: tuple[Step, ...] = ()
    problems: tuple[str, ...] = ()


def steps_taken(steps: Steps, config: Mapping[str, Any], *, is_scattered: bool) -> Taken:
    """Which steps a job with this config takes. The user's `__steps__` adds to what a step sets."""
    asked = config.get(STEPS)
    if asked is None:
        asked = {}
    if not isinstance(asked, Mapping) or not all(isinstance(it, Mapping) for it in asked.values()):
        return Taken(problems=(f"'{STEPS}' must be as {{\"<next analysis>\": {{<its parameters>}}}}",))
    known = [step.analysis for step in steps.following]
    problems = [
        f"'{STEPS}' names '{name}', which is no next step of this analysis"
        + (did_you_mean(name, known) or f"; it has {', '.join(known) or 'none'}")
        for name in asked
        if name not in known
    ]
    taken = []
    for step in steps.following:
        if step.when is When.ASKED and step.analysis not in asked:
            continue
        if step.when is When.SCATTERED and not is_scattered:
            continue
        changed = replace(step, config={**step.config, **asked.get(step.analysis, {})})
        problems += _config_problems(changed)
        taken.append(changed)
    return Taken(tuple(taken), tuple(problems))


def _config_problems(step: Step) -> tuple[str, ...]:
    try:
        size = len(step.config_text.encode("utf-8"))
    except ValueError:
        return (f"'{STEPS}' gives '{step.analysis}' a value that is no JSON number",)
    if size > MAX_CONFIG:
        return (f"'{STEPS}' gives '{step.analysis}' more than {MAX_CONFIG // 1000} KB",)
    return ()


def enough(step_type: StepType, *, at_least: int | None, succeeded: int, count: int) -> str | None:
    """Why too few of `count` attempts succeeded for a step, in words; None when they are enough.

    A chain goes on with every dataset that succeeded, a gather needs all of them unless it says otherwise.
    """
    wanted = at_least or (count if step_type is StepType.GATHER else 1)
    if succeeded >= wanted:
        return None
    return f"{succeeded} of {count} succeeded and it needs {wanted}"
