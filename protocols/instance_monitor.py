"""An instance changed state: keep its record, settle its money, end its job with the last one."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from jobmanager.events import instance_event
from jobmanager.monitoring import follow_instance
from jobmanager.pricing import PricePlace
from jobmanager.services import Services, make_services
from jobmanager.settings import LambdaContext, Settings, price_place, topic_arn


@cache
def _services(table: str, topic: str | None, place: PricePlace | None) -> Services:
    return make_services(table, topic=topic, price_place=place)


def handler(event: Mapping[str, Any], context: LambdaContext) -> None:
    """Lambda's entry point. An error makes Lambda deliver the event again."""
    logging.getLogger("jobmanager").setLevel(logging.INFO)
    settings = Settings.from_environ(os.environ)
    run(event, _services(settings.ledger_table, topic_arn(context), price_place(context)))


def run(event: Mapping[str, Any], services: Services) -> None:
    """Act on a state change, or on the warning of one; any other event is ignored."""
    change = instance_event(event)
    if change:
        follow_instance(services, change)
