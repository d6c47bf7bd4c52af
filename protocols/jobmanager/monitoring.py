"""What an EC2 state change means for the attempt on that instance. Events may come twice, late, swapped, or never."""

from __future__ import annotations

from jobmanager.closing import close_instance, note_running
from jobmanager.events import WARNED, InstanceEvent
from jobmanager.job import JobPaths
from jobmanager.launching import make_rows
from jobmanager.rows import InstanceRow
from jobmanager.services import Services


def follow_instance(services: Services, event: InstanceEvent) -> None:
    """Act on one event. Raises AwsError: to be delivered again."""
    if event.state == "running":
        if note_running(services, event.instance, event.time) is None and _adopt(services, event.instance):
            note_running(services, event.instance, event.time)
    elif event.state == WARNED:
        # Nothing is relaunched yet: until the instance has ended, it may still store results.
        row = services.ledger.instance(event.instance) or _adopt(services, event.instance)
        if row and row.spot:
            services.ledger.mark_warned(event.instance, event.time)
    elif event.state in ("shutting-down", "terminated"):
        row = services.ledger.instance(event.instance) or _adopt(services, event.instance)
        if row:
            close_instance(services, row, event.time, has_ended=event.state == "terminated")
    elif event.state in ("stopping", "stopped"):
        row = services.ledger.instance(event.instance) or _adopt(services, event.instance)
        if row:
            services.gateway.terminate_instances([event.instance])


def _adopt(services: Services, instance: str) -> InstanceRow | None:
    """The row of an instance whose launcher has not written it down yet, by the instance's tags; None: not ours."""
    found = services.gateway.describe_instance(instance)
    if found is None or not {"analysis", "group", "job", "launch"} <= found.tags.keys():
        return None
    paths = JobPaths(found.tags["analysis"], found.tags["group"], found.tags["job"])
    job = services.ledger.job(paths)
    launch = next((it for it in job.launches if str(it.number) == found.tags["launch"]), None) if job else None
    if job is None or launch is None:
        return None
    rows = make_rows(services, job, launch, [found])
    if rows and services.ledger.adopt(job.row, launch, rows[0]):
        return rows[0]
    return services.ledger.instance(instance)
