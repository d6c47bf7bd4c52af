"""Hourly prices of instance types, from the table shipped in the bundle. Asks no service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jobmanager.budget import micro_of
from jobmanager.nearest import nearest_name


class UnknownPriceError(ValueError):
    """No price is known for a type; the message is for the user."""


@dataclass(frozen=True)
class Prices:
    """Micro-dollars an hour by instance type, Linux, on demand; and the memory of the types."""

    micro_per_hour: Mapping[str, int]
    memory_gib: Mapping[str, int] = field(default_factory=dict)

    def of(self, instance_type: str) -> int:
        """The price of a type. Raises UnknownPriceError: a job without a price would escape its budget."""
        try:
            return self.micro_per_hour[instance_type]
        except KeyError:
            near = nearest_name(instance_type, self.micro_per_hour)
            raise UnknownPriceError(
                f"no price is known for instance type '{instance_type}', so its cost cannot be reserved; "
                + (f"the nearest known type is '{near}'" if near else "choose a type of the analysis's list")
            ) from None


@cache
def shipped_prices() -> Prices:
    """The table `prices.json` beside this module, read once."""
    table = json.loads(Path(__file__).with_name("prices.json").read_text("utf-8"))
    types = table["types"].items()
    return Prices(
        {name: micro_of(entry["usd_per_hour"]) for name, entry in types},
        {name: int(entry["memory_gib"]) for name, entry in types},
    )
