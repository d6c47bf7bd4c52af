"""Whether what runs has brought a group to the limit of a budget, as that is now: operators lower budgets at any time.

At admission every job is reserved in full, so this is the second lock on the same door. It decides; it stops nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobmanager.answers import OpenRows
from jobmanager.budget import cost_micro, micro_of, usd_text
from jobmanager.rows import TOTAL, InstanceRow, JobRow
from jobmanager.services import Services
from jobmanager.states import is_job_open
from jobmanager.times import seconds_between

_NAMES_A_CALL = 10
"""ssm:GetParameters takes no more."""
Purse = tuple[str, str]
"""A group, and an analysis or TOTAL."""


@dataclass(frozen=True)
class Overspent:
    """A job to be stopped, and why, in a sentence for its user."""

    job: JobRow
    message: str


def find_overspent(services: Services, rows: OpenRows) -> tuple[Overspent, ...]:
    """Open jobs of groups whose settled and running costs have reached a limit. Raises AwsError."""
    jobs = [job for job in rows.jobs if is_job_open(job.state) and not job.stop]
    running = [row for row in rows.instances if row.open_pk]
    purses = sorted({purse for job in jobs if job.reserved_micro for purse in _purses(job)})
    costs = {purse: _running_cost(services, running, purse) for purse in purses}
    limits = _limits(services, [purse for purse, cost in costs.items() if cost])
    reached: dict[Purse, str] = {}
    for purse, limit in limits.items():
        if (spent := services.ledger.spent(*purse) + costs[purse]) > limit:
            reached[purse] = (
                f"The budget of {usd_text(limit)} {_words(purse)} is spent ({usd_text(spent)} with what ran), so the "
                "job was stopped; results written before are kept"
            )
    found = ((job, next((reached[it] for it in _purses(job) if it in reached), None)) for job in jobs)
    return tuple(Overspent(job, message) for job, message in found if message)


def _purses(job: JobRow) -> tuple[Purse, ...]:
    own = (job.group, job.analysis)
    return (own, (job.group, TOTAL)) if job.in_total else (own,)


def _running_cost(services: Services, running: list[InstanceRow], purse: Purse) -> int:
    """What the instances that live now have cost so far; 0 where there is none, for one costs a minute at least."""
    group, name = purse
    own = (it for it in running if it.group == group and (it.in_total if name == TOTAL else it.analysis == name))
    return sum(cost_micro(row.rate, seconds_between(row.launched_at, services.now)) for row in own)


def _limits(services: Services, purses: list[Purse]) -> Mapping[Purse, int]:
    """The budgets that are set; one that is no amount was refused where it was set and limits nothing here."""
    names = {f"/neurocaas/budgets/{group}/{name}": (group, name) for group, name in purses}
    ordered = list(names)
    limits: dict[Purse, int] = {}
    for start in range(0, len(ordered), _NAMES_A_CALL):
        for name, text in services.gateway.parameters(ordered[start : start + _NAMES_A_CALL]).items():
            try:
                limits[names[name]] = micro_of(text)
            except ValueError:
                continue
    return limits


def _words(purse: Purse) -> str:
    return "of your group for all analyses together" if purse[1] == TOTAL else "of your group for this analysis"
