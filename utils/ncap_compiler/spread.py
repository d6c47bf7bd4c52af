"""Rights over many things, spread over as many policies as IAM's lengths ask for.

Knows lengths only; what a policy says is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from ncap_compiler.document import Json
from ncap_compiler.template import MAX_MANAGED_POLICY, policy_length

Policy: TypeAlias = dict[str, Json]
Item = TypeVar("Item")
Writer: TypeAlias = Callable[[Sequence[Item]], Policy]
"""Analyses, groups or places of data -> the policy over them."""


@dataclass(frozen=True, slots=True)
class Spread:
    """An inline policy, and the managed policies that follow it."""

    inline: Policy
    managed: tuple[Policy, ...]


def spread(items: Sequence[Item], *, inline: Writer[Item], further: Writer[Item], limit: int) -> Spread:
    """The rights over `items` in order: as many as `limit` characters hold inline, the others in managed policies.

    Adding an item at the end changes only the last policy.
    """
    first = fitting(items, inline, limit)
    return Spread(inline(items[:first]), managed_policies(items[first:], further))


def managed_policies(items: Sequence[Item], write: Writer[Item]) -> tuple[Policy, ...]:
    """The rights over `items` in managed policies, each as full as IAM allows; none without items."""
    found: list[Policy] = []
    left = items
    while left:
        count = max(1, fitting(left, write, MAX_MANAGED_POLICY))
        found.append(write(left[:count]))
        left = left[count:]
    return tuple(found)


def fitting(items: Sequence[Item], write: Writer[Item], limit: int) -> int:
    """How many of the first `items` a policy of at most `limit` characters holds."""
    low, high = 0, len(items)
    while low < high:
        middle = (low + high + 1) // 2
        if policy_length(write(items[:middle])) <= limit:
            low = middle
        else:
            high = middle - 1
    return low
