"""The instances of one analysis shared out among groups: who may take how many of the free ones. Pure arithmetic.

While nobody waits, whoever comes takes what is free. Once a group had to wait, free instances go one by one to the
group that has the fewest: a group with a thousand datasets in its queue does not keep another's two out.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

from jobmanager.errors import Value

CLAIM_MINUTES = 3
"""How long a group counts as waiting after it last found no room; it asks again every minute."""
IN_FLIGHT, CONTENDED = "in_flight", "contended_until"
_GROUP, _WAITING = "group:", "waiting:"


def group_attribute(group: str) -> str:
    """The attribute that counts a group's instances."""
    return f"{_GROUP}{group}"


def waiting_attribute(group: str) -> str:
    """The attribute that tells until when a group counts as waiting, and for how many instances."""
    return f"{_WAITING}{group}"


@dataclass(frozen=True)
class Flight:
    """The instances of an analysis in flight, in all and by group, and who waits: until when, for how many."""

    in_flight: int = 0
    by_group: Mapping[str, int] = field(default_factory=dict)
    waiting: Mapping[str, tuple[str, int]] = field(default_factory=dict)


def flight_of(row: Mapping[str, Value] | None) -> Flight:
    """What a FLIGHT row tells."""
    found = row or {}
    return Flight(
        in_flight=_number(found.get(IN_FLIGHT)),
        by_group={name.removeprefix(_GROUP): _number(it) for name, it in found.items() if name.startswith(_GROUP)},
        waiting={
            name.removeprefix(_WAITING): (str(it[0]), _number(it[1]))
            for name, it in found.items()
            if name.startswith(_WAITING) and isinstance(it, list) and len(it) == 2
        },
    )


def fair_room(flight: Flight, group: str, *, wanted: int, limit: int, now: str) -> int:
    """How many instances this group may take now, beside the others that wait."""
    wants = {name: count for name, (until, count) in flight.waiting.items() if until > now} | {group: wanted}
    line = [(max(0, flight.by_group.get(name, 0)), name) for name, count in wants.items() if count > 0]
    heapq.heapify(line)
    taken = 0
    for _ in range(max(0, limit - flight.in_flight)):
        if not line:
            break
        has, name = line[0]
        wants[name] -= 1
        taken += name == group
        if wants[name]:
            heapq.heapreplace(line, (has + 1, name))
        else:
            heapq.heappop(line)
    return taken


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0
