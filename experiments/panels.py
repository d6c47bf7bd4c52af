"""The values of the figures' panels: time, cost, crossover and utilisation, for one set of prices and machines.

Values only; `drawing` makes pictures of them, `tables` files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from experiments import cost_model
from experiments.cost_model import LIFETIMES, PUBLISHED, Mode, Reading
from experiments.inputs import Job, Machine, Prices

VARIANT_SUFFIX = {"workstation": "powermatch", "cluster": "cluster"}
"""How panel files are called after the machine they compare with."""


@dataclass(frozen=True)
class Value:
    """One bar of a panel. `size_label` is the axis label; `series` the legend's entry."""

    panel: str
    analysis: str
    size: str
    size_label: str
    series: str
    value: float
    unit: str


def time_values(jobs: Sequence[Job]) -> Iterator[Value]:
    """Hours on NeuroCAAS, upload and compute apart, and on the local machine."""
    for job in jobs:
        seconds = {
            "NeuroCAAS (upload)": cost_model.upload_seconds(job),
            "NeuroCAAS (compute)": cost_model.compute_seconds(job),
            "Local": job.local_seconds,
        }
        for series, value in seconds.items():
            yield Value("Time", job.analysis, job.size, job.label, series, value / 3600, "hours")


def cost_values(jobs: Sequence[Job], prices: Prices, modes: Sequence[Mode], reading: Reading) -> Iterator[Value]:
    """USD a job in each mode."""
    for job in jobs:
        for mode in modes:
            cost = cost_model.job_cost(job, prices, mode, reading)
            yield Value("Cost", job.analysis, job.size, job.label, mode.value, cost, "USD a job")


def crossover_values(
    jobs: Sequence[Job],
    prices: Prices,
    machines: Mapping[str, Machine],
    *,
    modes: Sequence[Mode],
    reading: Reading = PUBLISHED,
) -> Iterator[Value]:
    """LCC and LUC of each job for each mode and lifetime. `machines`: the local machine of each analysis."""
    for job in jobs:
        machine = machines[job.analysis]
        suffix = VARIANT_SUFFIX.get(machine.variant, machine.variant)
        for lifetime, years in LIFETIMES.items():
            annual = cost_model.machine_cost(machine, years, job.analysis, reading)
            for mode in modes:
                lcc = cost_model.local_cost_crossover(annual, cost_model.job_cost(job, prices, mode, reading))
                luc = cost_model.local_utilization_crossover(lcc, job.local_seconds)
                series = f"{mode.value}, {lifetime} ({years} y)"
                yield Value(f"LCC_{suffix}", job.analysis, job.size, job.label, series, lcc, "jobs a week")
                yield Value(f"LUC_{suffix}", job.analysis, job.size, job.label, series, luc, "% of all time")


def of_panel(values: Sequence[Value], panel: str, analysis: str | None = None) -> tuple[Value, ...]:
    """The values of one panel, or of one panel of one analysis."""
    return tuple(it for it in values if it.panel == panel and analysis in (None, it.analysis))


def panels_of(values: Sequence[Value]) -> tuple[str, ...]:
    """The panels there are values for, in order."""
    return tuple(dict.fromkeys(value.panel for value in values))
