"""The several stacks one profile may have: which belong to it, who moves between them, and in which order they change.

Names of members and groups are one for an account, so a member that leaves one stack for another has to be gone from
the first before the second makes it. Pure: compares templates; compiles and reads nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from ncap_iac.deploy.resolved import name_of

UNIQUE = frozenset({
    "AWS::IAM::Group", "AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role", "AWS::IAM::User",
    "AWS::SecretsManager::Secret", "AWS::SSM::Parameter",
})  # fmt: skip
"""Types of a users stack whose names can be in one stack only."""

Templates = Mapping[str, Mapping[str, Any]]
"""Templates by stack, as they are made with their parameters."""


@dataclass(frozen=True)
class Move:
    """Something that leaves one stack and enters another: its type, name, and the two stacks."""

    kind: str
    name: str
    source: str
    target: str


def belongs(stack: str, first: str) -> bool:
    """Whether a stack is one of those of the profile whose first stack is `first`."""
    return stack == first or re.fullmatch(re.escape(first) + r"--[0-9]+", stack) is not None


def number_of(stack: str) -> int:
    """The number of a users stack, from 1 (docs/contracts.md section 1); folder names hold no `--`."""
    number = stack.rpartition("--")[2]
    return int(number) if "--" in stack and number.isdigit() else 1


def moves(deployed: Templates, wanted: Templates) -> tuple[Move, ...]:
    """What would be in two stacks at once, if the second were made before the first is changed."""
    places = {thing: stack for stack, template in deployed.items() for thing in _things(template)}
    return tuple(
        Move(*thing, source=places[thing], target=stack)
        for stack, template in sorted(wanted.items())
        for thing in _things(template)
        if places.get(thing, stack) != stack
    )


def _things(template: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    resources: Mapping[str, Mapping[str, Any]] = template.get("Resources", {})
    for logical_id, resource in sorted(resources.items()):
        kind = str(resource.get("Type"))
        if kind in UNIQUE:
            yield kind, name_of(logical_id, resource)


def in_order(stacks: Sequence[str], moving: Sequence[Move]) -> tuple[str, ...] | None:
    """The stacks so that each is changed after those it takes something from; None if they take from each other."""
    sources: dict[str, set[str]] = {stack: set() for stack in stacks}
    for move in moving:
        if move.source in sources:
            sources[move.target].add(move.source)
    try:
        return tuple(TopologicalSorter(sources).static_order())
    except CycleError:
        return None


def moving_members(moving: Sequence[Move]) -> tuple[str, ...]:
    """The members among what moves: each gets another key."""
    return tuple(sorted({move.name for move in moving if move.kind == "AWS::IAM::User"}))
