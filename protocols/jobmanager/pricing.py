"""Hourly prices of instance types, on demand and on spot: the table shipped in the bundle, and the newer one that the
sweeper keeps in the artifact bucket. Reads; asks no price service.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from jobmanager.budget import micro_of
from jobmanager.errors import AwsError
from jobmanager.nearest import nearest_name
from jobmanager.times import Clock, to_moment

REMEMBERED = timedelta(hours=1)
"""How long a table that was read, or could not be read, is used before it is looked for again."""
MAX_TABLE_BYTES = 4 * 1024 * 1024
log = logging.getLogger(__name__)


class UnknownPriceError(ValueError):
    """No price is known for a type; the message is for the user."""


@dataclass(frozen=True)
class PricePlace:
    """Where the newer table of a region is kept."""

    bucket: str
    region: str

    @property
    def key(self) -> str:
        """The object in the artifact bucket (contract section 10)."""
        return f"prices/{self.region}.json"


@dataclass(frozen=True)
class Prices:
    """Micro-dollars an hour by instance type, Linux; on spot by type and zone. Memory of the types; when fetched."""

    micro_per_hour: Mapping[str, int]
    memory_gib: Mapping[str, int] = field(default_factory=dict)
    spot_micro: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    fetched_at: str | None = None

    def of(self, instance_type: str) -> int:
        """The on-demand price. Raises UnknownPriceError: a job without a price would escape its budget."""
        try:
            return self.micro_per_hour[instance_type]
        except KeyError:
            near = nearest_name(instance_type, self.micro_per_hour)
            raise UnknownPriceError(
                f"no price is known for instance type '{instance_type}', so its cost cannot be reserved; "
                + (f"the nearest known type is '{near}'" if near else "choose a type of the analysis's list")
            ) from None

    def of_spot(self, instance_type: str, zone: str = "") -> int:
        """The spot price in a zone, or the dearest of all zones; never above the on-demand price, which stands in
        where no spot price is known. Raises UnknownPriceError.
        """
        by_zone = self.spot_micro.get(instance_type, {})
        most = self.of(instance_type)
        return min(most, by_zone.get(zone) or max(by_zone.values(), default=most))


def spot_of(history: Iterable[Mapping[str, Any]]) -> Mapping[str, Mapping[str, int]]:
    """Spot prices by type and zone of a spot price history, whose first entry of a type and zone is the newest."""
    found: dict[str, dict[str, int]] = {}
    for item in history:
        zones = found.setdefault(str(item["InstanceType"]), {})
        zones.setdefault(str(item["AvailabilityZone"]), micro_of(str(item["SpotPrice"])))
    return found


def parse_prices(body: bytes) -> Prices:
    """A price table. Raises ValueError when it cannot be used."""
    try:
        table: Any = json.loads(body)
        types = table["types"].items()
        return Prices(
            {str(name): micro_of(entry["usd_per_hour"]) for name, entry in types},
            {str(name): int(entry["memory_gib"]) for name, entry in types if "memory_gib" in entry},
            {
                str(name): {str(zone): micro_of(usd) for zone, usd in entry["spot"].items()}
                for name, entry in types
                if entry.get("spot")
            },
            fetched_at=_moment(table.get("fetched_at")),
        )
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a price table: {error!r}") from error


def _moment(text: Any) -> str | None:
    """When a table was fetched. Raises ValueError, TypeError for what is no moment."""
    if text is None:
        return None
    to_moment(text)
    return str(text)


@cache
def shipped_prices() -> Prices:
    """The table `prices.json` beside this module, read once."""
    return parse_prices(Path(__file__).with_name("prices.json").read_bytes())


def newer_prices(shipped: Prices, fetched: Prices) -> Prices:
    """The fetched table if it is the newer one, with the shipped prices of types it does not list."""
    if not fetched.fetched_at or (shipped.fetched_at or "") > fetched.fetched_at:
        return shipped
    return Prices(
        {**shipped.micro_per_hour, **fetched.micro_per_hour},
        {**shipped.memory_gib, **fetched.memory_gib},
        {**shipped.spot_micro, **fetched.spot_micro},
        fetched.fetched_at,
    )


class PriceBook:
    """The prices in force, looked up at most once an hour. Whatever is wrong with the newer table, the shipped one
    serves: no job waits for a price list.
    """

    def __init__(self, read: Callable[[], bytes] | None, clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._known: tuple[datetime, Prices] | None = None
        self._fetched: datetime | None = None

    def prices(self) -> Prices:
        """The newer of the two tables."""
        now = self._clock()
        if self._known is None or now - self._known[0] >= REMEMBERED:
            self._known = now, self._look()
        return self._known[1]

    def wants_fetch(self, every: timedelta) -> bool:
        """Whether the table in force is so old that another is to be fetched; says so at most once an hour."""
        now, fetched_at = self._clock(), self.prices().fetched_at
        is_fresh = fetched_at is not None and now - to_moment(fetched_at) < every
        if is_fresh or (self._fetched is not None and now - self._fetched < REMEMBERED):
            return False
        self._fetched = now
        return True

    def keep(self, prices: Prices) -> None:
        """Use a table that was just fetched."""
        self._known = self._clock(), newer_prices(shipped_prices(), prices)

    def _look(self) -> Prices:
        if self._read is None:
            return shipped_prices()
        try:
            return newer_prices(shipped_prices(), parse_prices(self._read()))
        except (AwsError, ValueError) as error:  # before the first daily fetch there is none
            log.info("the shipped prices serve: %s", error)
            return shipped_prices()
