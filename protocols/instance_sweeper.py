"""Every minute: repair what events missed. No orphan, no stuck job, no instance past its limit."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from jobmanager.services import Services, make_services
from jobmanager.settings import LambdaContext, Settings, topic_arn
from jobmanager.sweeping import sweep


@cache
def _services(table: str, topic: str | None) -> Services:
    return make_services(table, topic=topic)


def handler(event: Mapping[str, Any], context: LambdaContext) -> None:
    """Lambda's entry point, on a schedule; what the event holds does not matter."""
    logging.getLogger("jobmanager").setLevel(logging.INFO)
    settings = Settings.from_environ(os.environ)
    sweep(_services(settings.ledger_table, topic_arn(context)))
