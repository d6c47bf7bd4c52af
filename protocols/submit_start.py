"""A submission arrived: start its job. Also started by the other two functions, to go on with a job's queue."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from jobmanager.events import resume_event, submission_events
from jobmanager.grouproles import RolePlace
from jobmanager.manager import Manager
from jobmanager.pricing import PricePlace
from jobmanager.services import Services, make_services
from jobmanager.settings import LambdaContext, Settings, price_place, role_place, topic_arn


@cache
def _services(
    table: str, topic: str | None, volume_key: str | None, place: PricePlace | None, roles: RolePlace | None
) -> Services:
    return make_services(table, topic=topic, volume_key=volume_key, price_place=place, role_place=roles)


def handler_develop(event: Mapping[str, Any], context: LambdaContext) -> None:
    """Lambda's entry point. An error makes Lambda deliver the event again, which goes on where this one stopped."""
    serve(event, context, Manager)


def serve(event: Mapping[str, Any], context: LambdaContext, kind: type[Manager]) -> None:
    """What the entry points of all protocols do, each with its own kind of manager."""
    logging.getLogger("jobmanager").setLevel(logging.INFO)
    settings = Settings.from_environ(os.environ, submit=True)
    services = _services(
        settings.ledger_table, topic_arn(context), settings.volume_key, price_place(context), role_place(context)
    )
    manager = kind(services, version_id=settings.version_id, function=context.function_name, subnets=settings.subnets)
    carry_out(event, manager)


def run(
    event: Mapping[str, Any], services: Services, *, version_id: str, function: str, subnets: tuple[str, ...] = ()
) -> None:
    """Carry out every submission of an event, or the resume it asks for. Raises the first error when all had a turn."""
    carry_out(event, Manager(services, version_id=version_id, function=function, subnets=subnets))


def carry_out(event: Mapping[str, Any], manager: Manager) -> None:
    """The same with a manager that is there. Raises the first error when all had a turn."""
    resume = resume_event(event)
    if resume:
        manager.resume(resume)
        return
    errors = []
    for submission in submission_events(event):
        try:
            manager.submit(submission)
        except Exception as error:
            logging.getLogger("jobmanager").exception("s3://%s/%s", submission.bucket, submission.key)
            errors.append(error)
    if errors:
        raise errors[0]
