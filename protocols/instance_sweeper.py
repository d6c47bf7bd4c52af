"""Every minute: repair what events missed. No orphan, no stuck job, no instance past its limit. Once a day: prices."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from jobmanager.pricelist import refresh_prices
from jobmanager.pricing import PricePlace
from jobmanager.services import Services, make_services
from jobmanager.settings import LambdaContext, Settings, price_place, topic_arn
from jobmanager.sweeping import sweep


@cache
def _services(table: str, topic: str | None, place: PricePlace | None) -> Services:
    return make_services(table, topic=topic, price_place=place)


def handler(event: Mapping[str, Any], context: LambdaContext) -> None:
    """Lambda's entry point, on a schedule; what the event holds does not matter."""
    logging.getLogger("jobmanager").setLevel(logging.INFO)
    settings = Settings.from_environ(os.environ)
    run(_services(settings.ledger_table, topic_arn(context), price_place(context)))


def run(services: Services) -> None:
    """Sweep, then see to the price list. Raises the sweep's first error, after everything has had its turn."""
    try:
        sweep(services)
    finally:
        refresh_prices(services)
