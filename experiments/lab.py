"""What your lab would pay: answers -> a year in the cloud, a year with a machine, and how sure that is.

The model is the paper's (`cost_model`), with today's price of an hour and your own figures. Uncertainty is spread
over the answers nobody knows exactly; randomness comes from the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments import cost_model
from experiments.errors import InputError
from experiments.usage import UsedJob

Numbers = NDArray[np.float64]

SPREAD = {"cloud_usd": 0.15, "local_hours": 0.3, "machine_usd": 0.1, "support_usd": 0.4}
"""How far off each answer may be, as a share of it (half the width of a triangular distribution)."""


@dataclass(frozen=True)
class Answers:
    """Your lab. A dataset is whatever you submit as one."""

    datasets_a_week: float = 10
    cloud_hours: float = 0.5
    """On one cloud instance, a dataset."""
    cloud_usd_an_hour: float = 3.2256
    """Default: m7i.16xlarge, on demand, us-east-1 (`data/prices_2026.json`)."""
    result_gb: float = 1.0
    """Taken home, a dataset: transfer out is paid."""
    transfer_usd_a_gb: float = 0.09
    local_hours: float = 1.5
    """On your machine, a dataset."""
    machine_usd: float = 3120
    support_usd: float = 465
    """A year: repairs, somebody's time (default: desktop kept two years, Morey and Nambiar 2009)."""
    years: float = 3

    def __post_init__(self) -> None:
        for name in ("datasets_a_week", "cloud_hours", "cloud_usd_an_hour", "local_hours", "years"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}: it has to be above 0")
        for name in ("result_gb", "transfer_usd_a_gb", "machine_usd", "support_usd"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}: it cannot be below 0")

    @property
    def cloud_usd(self) -> float:
        """USD a dataset in the cloud."""
        return self.cloud_hours * self.cloud_usd_an_hour + self.result_gb * self.transfer_usd_a_gb


@dataclass(frozen=True)
class Verdict:
    """USD a year both ways, the rate at which they meet, and how sure the answer is."""

    cloud_a_year: float
    local_a_year: float
    crossover: float
    """Datasets a week from which on the machine is cheaper (LCC)."""
    busy_now: float
    """Per cent of all time the machine would run at your rate."""
    busy_at_crossover: float
    """The same at the crossover (LUC)."""
    chance_cloud_is_cheaper: float

    def __str__(self) -> str:
        if self.busy_now > 100:
            return (
                f"One machine cannot do it: it would have to run {self.busy_now:.0f} % of all time. In the cloud it is "
                f"{self.cloud_a_year:,.0f} USD a year."
            )
        cheaper = "the cloud" if self.cloud_a_year < self.local_a_year else "your own machine"
        sure = max(self.chance_cloud_is_cheaper, 1 - self.chance_cloud_is_cheaper)
        at = (
            f"at {self.busy_at_crossover:.0f} % of its time"
            if self.busy_at_crossover <= 100
            else "which is more than it can do"
        )
        return (
            f"{self.cloud_a_year:,.0f} USD a year in the cloud, {self.local_a_year:,.0f} with a machine: {cheaper} is "
            f"cheaper ({sure:.0%} sure). The machine pays from {self.crossover:.1f} datasets a week on, {at}."
        )


def judge(answers: Answers, random: np.random.Generator, *, draws: int = 20_000) -> Verdict:
    """Compare a year in the cloud with a year of the machine."""
    annual = cost_model.equivalent_annual_cost(answers.machine_usd, answers.support_usd, answers.years)
    crossover = cost_model.local_cost_crossover(annual, answers.cloud_usd)
    hours = answers.local_hours * 3600
    cloud, local = draw_costs(answers, np.array([answers.datasets_a_week]), random, draws)
    return Verdict(
        cloud_a_year=answers.datasets_a_week * cost_model.WEEKS_A_YEAR * answers.cloud_usd,
        local_a_year=annual,
        crossover=crossover,
        busy_now=cost_model.local_utilization_crossover(answers.datasets_a_week, hours),
        busy_at_crossover=cost_model.local_utilization_crossover(crossover, hours),
        chance_cloud_is_cheaper=float(np.mean(cloud[:, 0] < local[:, 0])),
    )


def draw_costs(answers: Answers, rates: Numbers, random: np.random.Generator, draws: int) -> tuple[Numbers, Numbers]:
    """USD a year in the cloud and with machines, of shape (draws, rates): as many machines as the rate needs."""

    def around(name: str, value: float) -> Numbers:
        spread = SPREAD[name] * value
        return (
            random.triangular(value - spread, value, value + spread, (draws, 1))
            if spread
            else np.full((draws, 1), value)
        )

    cloud = around("cloud_usd", answers.cloud_usd) * rates * cost_model.WEEKS_A_YEAR
    price, support = around("machine_usd", answers.machine_usd), around("support_usd", answers.support_usd)
    seconds = around("local_hours", answers.local_hours) * 3600
    machines = np.maximum(1, np.ceil(rates * seconds / cost_model.SECONDS_A_WEEK))
    return cloud, machines * (price / cost_model.annuity_factor(answers.years) + support)


def answers_from_usage(jobs: Sequence[UsedJob], weeks: float, answers: Answers) -> Answers:
    """The answers a platform's own records can give: rate, hours and price of a dataset. Raises InputError."""
    instances, hours = sum(job.instances for job in jobs), sum(job.hours for job in jobs)
    if not jobs or hours <= 0 or weeks <= 0:
        raise InputError("the usage records hold no time to reckon with")
    cost = sum(job.cost for job in jobs)
    return Answers(
        datasets_a_week=instances / weeks,
        cloud_hours=hours / instances,
        cloud_usd_an_hour=cost / hours,
        result_gb=answers.result_gb,
        transfer_usd_a_gb=answers.transfer_usd_a_gb,
        local_hours=answers.local_hours,
        machine_usd=answers.machine_usd,
        support_usd=answers.support_usd,
        years=answers.years,
    )
