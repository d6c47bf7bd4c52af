"""Wanted × deployed, stack by stack: what becomes different, what it costs when idle, what cannot be undone. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from ncap_compiler import Change, compare_templates, names
from ncap_iac.deploy.careful import Care, careful_about
from ncap_iac.deploy.idle_cost import IdleCost, idle_cost
from ncap_iac.deploy.resolved import effective_parameters, resolve_template
from ncap_iac.deploy.state import Deployed, Phase
from ncap_iac.deploy.wanted import Pairs, Wanted, is_as_wanted, own_tags


class Outcome(Enum):
    """What becomes of a stack."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    AS_WANTED = "as wanted"


@dataclass(frozen=True)
class ValueChange:
    """A parameter or tag that becomes different; None: not there."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class StackPlan:
    """What becomes different in one stack."""

    stack: str
    outcome: Outcome
    changes: tuple[Change, ...]
    parameters: Pairs
    parameter_changes: tuple[ValueChange, ...]
    tag_changes: tuple[ValueChange, ...]
    careful: tuple[Care, ...]
    idle_before: IdleCost
    idle_after: IdleCost
    fingerprint: str
    """Of the stack as it was when this was planned (`Deployed.fingerprint`)."""


def stack_plan(wanted: Wanted, deployed: Deployed) -> StackPlan:
    """What becomes different in a stack that is made or changed."""
    creates = deployed.phase in (Phase.ABSENT, Phase.SPOILT)
    before = _Side(None if creates else deployed.template, dict(deployed.parameters))
    after = _Side(json.loads(wanted.template), dict(wanted.parameters))
    changes = _changes(before, after)
    as_wanted = is_as_wanted(wanted, deployed)
    return StackPlan(
        stack=wanted.stack,
        outcome=Outcome.CREATED if creates else Outcome.AS_WANTED if as_wanted else Outcome.CHANGED,
        changes=changes,
        parameters=wanted.parameters,
        parameter_changes=_value_changes(before.values, after.values),
        tag_changes=_value_changes(own_tags(deployed), dict(wanted.tags)),
        careful=(
            *careful_about(wanted.stack, changes, before.resources, after.resources),
            *_foreign(deployed, as_wanted),
        ),
        idle_before=before.idle_cost,
        idle_after=after.idle_cost,
        fingerprint=deployed.fingerprint,
    )


def _foreign(deployed: Deployed, as_wanted: bool) -> tuple[Care, ...]:
    """A stack in whose template nothing carries the platform's tag is somebody else's."""
    ours = deployed.template is None or names.STACK_TAG in json.dumps(deployed.template)
    if ours or as_wanted or deployed.phase in (Phase.ABSENT, Phase.SPOILT):
        return ()
    said = f"The stack {deployed.stack} was not made by this platform, and everything in it would be replaced."
    return (Care(deployed.stack, said, destroys=True),)


def deleted_stack_plan(deployed: Deployed) -> StackPlan:
    """What goes with a stack that is deleted."""
    before, after = _Side(deployed.template, dict(deployed.parameters)), _Side(None, {})
    changes = _changes(before, after)
    return StackPlan(
        stack=deployed.stack,
        outcome=Outcome.DELETED,
        changes=changes,
        parameters=(),
        parameter_changes=(),
        tag_changes=(),
        careful=careful_about(deployed.stack, changes, before.resources, {}),
        idle_before=before.idle_cost,
        idle_after=after.idle_cost,
        fingerprint=deployed.fingerprint,
    )


class _Side:
    """One side of a comparison: a template as it is made with its parameters; None: no stack."""

    def __init__(self, template: Mapping[str, Any] | None, parameters: Mapping[str, str]) -> None:
        self._template = template
        self._parameters = parameters
        self.values = effective_parameters(template, parameters) if template is not None else {}

    @cached_property
    def resolved(self) -> dict[str, Any] | None:
        return None if self._template is None else resolve_template(self._template, self._parameters)

    @property
    def resources(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = (self.resolved or {}).get("Resources", {})
        return found

    @property
    def idle_cost(self) -> IdleCost:
        return idle_cost(self._template, self._parameters)


def _changes(before: _Side, after: _Side) -> tuple[Change, ...]:
    return compare_templates(
        None if before.resolved is None else json.dumps(before.resolved),
        None if after.resolved is None else json.dumps(after.resolved),
    )


def _value_changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[ValueChange, ...]:
    return tuple(
        ValueChange(name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )
