"""Ending a job before its time: cancelled by its group, out of time, or impossible to start. Leaves nothing running."""

from __future__ import annotations

from jobmanager.answers import Job
from jobmanager.closing import ask_to_resume, finish
from jobmanager.edges import cancel_edges
from jobmanager.errors import JobManagerError
from jobmanager.job import JobPaths
from jobmanager.launching import find_launched, record
from jobmanager.services import Services
from jobmanager.states import AttemptState, FailureClass, is_job_open
from jobmanager.times import seconds_between
from jobmanager.writes import Ending

LAUNCH_LOST_S = 600
"""After this long without an instance in sight a launch that was never confirmed is taken as not made."""


def cancel_job(services: Services, paths: JobPaths) -> bool:
    """Cancel a job and, if it has ended, what follows it; False when there was no job to end, or it was ending."""
    if stop_job(services, paths, FailureClass.CANCELLED, "The job was cancelled at the request of its group"):
        return True
    job = services.ledger.job(paths)
    if job and not is_job_open(job.row.state):
        cancel_edges(services, job)
    return False


def stop_job(services: Services, paths: JobPaths, failure: FailureClass, message: str) -> bool:
    """End a job for a reason, which becomes the class of every attempt without a report of its own."""
    if not services.ledger.stop_job(paths, failure, message):
        return False
    job = services.ledger.job(paths)
    if job:
        carry_out_stop(services, job)
    return True


def carry_out_stop(services: Services, job: Job) -> None:
    """Do what is left to do of a stop: end the queue and the instances, and the job when nothing is open."""
    if job.row.stop is None:
        raise JobManagerError(f"{job.row.job}: not being stopped")
    failure, message = FailureClass(job.row.stop), job.row.stop_message
    if not job.is_complete:  # only the submit function may read the list of attempts
        ask_to_resume(services, job.row.submit_function, job.row.paths)
        return
    for launch in job.open_launches:
        found = find_launched(services, job.row, launch)
        if found:
            job = record(services, job, launch, found)
        elif seconds_between(launch.created_at, services.now) > LAUNCH_LOST_S:
            services.ledger.give_up_launch(job.row, launch, wait="stop", resume_at=services.now, lines=())
            job = services.ledger.job(job.row.paths) or job
    ending = Ending(AttemptState.FAILED, services.now, failure=failure, message=message)
    services.ledger.drop(job.row, job.queue, ending)
    running = [it.instance for it in job.attempts if it.state is AttemptState.LAUNCHING and it.instance]
    services.gateway.terminate_instances(running)
    finish(services, job.row.paths)
