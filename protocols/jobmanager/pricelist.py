"""The daily price list of a region: fetched from AWS's price services by the sweeper, kept in the artifact bucket.

A list that cannot be fetched is no fault of any job: the one before, or the shipped one, serves.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from jobmanager.errors import AwsError
from jobmanager.pricing import PricePlace, parse_prices
from jobmanager.services import Services

FETCHED_EVERY = timedelta(hours=24)
ABOUT = "Linux prices of one region, USD an hour: on demand from AWS's Price List, spot by zone when it was fetched."
log = logging.getLogger(__name__)


def refresh_prices(services: Services) -> None:
    """Fetch the list again when it is a day old. Tries at most once an hour; never raises for AWS's sake."""
    place = services.price_place
    if place is None or not services.price_book.wants_fetch(FETCHED_EVERY):
        return
    try:
        body = render_table(
            on_demand=services.gateway.on_demand_prices(place.region),
            spot=services.gateway.spot_prices(services.clock()),
            place=place,
            now=services.now,
        )
        prices = parse_prices(body)
        if not prices.micro_per_hour:
            raise ValueError(f"AWS lists no price of {place.region}")
        services.gateway.put_object(place.bucket, place.key, body, "application/json")
    except (AwsError, ValueError) as error:
        log.warning("no new prices of %s: %s", place.region, error)
        return
    services.price_book.keep(prices)


def render_table(*, on_demand: Iterable[str], spot: Iterable[Mapping[str, Any]], place: PricePlace, now: str) -> bytes:
    """The table in the form of the shipped one. `on_demand`: products of GetProducts, as the texts it gives."""
    types = {name: entry for product in on_demand for name, entry in _priced(product, now)}
    for item in spot:  # newest first: the first price of a zone is the one in force
        entry = types.get(str(item["InstanceType"]))
        if entry is not None:
            entry.setdefault("spot", {}).setdefault(str(item["AvailabilityZone"]), str(item["SpotPrice"]))
    table = {"about": ABOUT, "region": place.region, "fetched_at": now, "types": dict(sorted(types.items()))}
    return json.dumps(table, indent=1).encode() + b"\n"


def _priced(product: str, now: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Type and entry of a product of the Price List; nothing for one without an hourly price."""
    try:
        found = json.loads(product)
        attributes = found["product"]["attributes"]
        usd = next(
            dimension["pricePerUnit"]["USD"]
            for term in found["terms"]["OnDemand"].values()
            for dimension in term["priceDimensions"].values()
            if dimension["unit"] == "Hrs"
        )
        if Decimal(usd) <= 0:
            return
        memory = Decimal(attributes["memory"].split()[0].replace(",", ""))
        yield (
            attributes["instanceType"],
            {"usd_per_hour": usd, "seen": f"AWS Price List, {now}", "memory_gib": int(memory)},
        )
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, StopIteration, InvalidOperation):
        log.info("a product without a price that can be read is left out")
