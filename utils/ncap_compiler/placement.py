"""Which users stack holds which group, when one stack cannot hold them all.

A group stays where it is: moving it would delete its members' keys. Numbers only; what a group consists of is the
caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FULL_RESOURCES = 400
"""Groups are added to a stack up to so many of the 500 resources CloudFormation takes: members join later."""
FULL_BYTES = 800_000
"""The same of the 1,000,000 bytes of a template."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What a group takes of a stack: resources, and bytes of the template."""

    resources: int
    size: int


def place(weights: Mapping[str, Weight], placement: Mapping[str, int]) -> dict[int, tuple[str, ...]]:
    """Number of the stack (from 1) -> its groups, in the order of `weights`.

    A group of `placement` is where it says; every other one is in the first stack with room for it.
    """
    where = {name: placement[name] for name in weights if name in placement}
    for name, weight in weights.items():
        if name not in where:
            number = 1
            while not _has_room([weights[other] for other, used in where.items() if used == number], weight):
                number += 1
            where[name] = number
    return {number: tuple(name for name in weights if where[name] == number) for number in sorted({*where.values()})}


def _has_room(held: list[Weight], more: Weight) -> bool:
    if not held:
        return True
    resources = sum(weight.resources for weight in held) + more.resources
    size = sum(weight.size for weight in held) + more.size
    return resources <= FULL_RESOURCES and size <= FULL_BYTES
