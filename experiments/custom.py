"""A lab's own machine against NeuroCAAS: reads a cost file (YAML) and compares it with the benchmark.

The fields and their meaning are those of the original tool's cost files (`data/custom_cost_file.schema.json`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments import cost_model
from experiments.cost_model import LIFETIMES, Mode
from experiments.errors import InputError
from experiments.inputs import DATA, Job, Machine, Prices, benchmark_jobs, support_profile
from experiments.panels import Value, cost_values, crossover_values, time_values

ANALYSIS_NAMES = {"CaImAn": "CaImAn", "DLC": "DLC", "PMDLocaNMF": "PMD+LocaNMF"}
SUPPORT_NAMES = {"workstation_default": "desktop", "laptop_default": "laptop", "cluster_default": "cluster"}


@dataclass(frozen=True)
class CostFile:
    """A lab's machine, and how long one job of one size takes on it (None: as in the benchmark, every size)."""

    analysis: str
    machine: Machine
    size: str | None
    seconds: float | None


def read_cost_file(path: Path) -> CostFile:
    """Read a cost file. Raises InputError with every problem found."""
    import yaml
    from jsonschema import Draft202012Validator

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    schema = json.loads((DATA / "custom_cost_file.schema.json").read_text(encoding="utf-8"))
    errors = sorted(Draft202012Validator(schema).iter_errors(found), key=lambda error: list(map(str, error.path)))
    if errors:
        said = [f"{'/'.join(map(str, error.path)) or 'the file'}: {_words(error)}" for error in errors]
        raise InputError(f"{path}: " + "; ".join(said))
    return _cost_file(found, path.stem)


def _words(error: Any) -> str:
    """What a validator's error means to a person."""
    if error.validator == "oneOf" and "support_cost" in error.path:
        return f"write five numbers (a year's support when kept 1 to 5 years) or one of {', '.join(SUPPORT_NAMES)}"
    if error.validator == "oneOf":
        return "write `size: small|medium|large`, with `analysis_time` in seconds or null, or leave it out"
    return str(error.message)


def _cost_file(found: Mapping[str, Any], name: str) -> CostFile:
    analysis = ANALYSIS_NAMES[found["analysis"]]
    support = found["support_cost"]
    yearly = (
        support_profile(SUPPORT_NAMES[support], analysis) if isinstance(support, str) else tuple(map(float, support))
    )
    performance = found.get("performance") or {}
    seconds = performance.get("analysis_time")
    return CostFile(
        analysis=analysis,
        machine=Machine(name, float(found["pricetag_cost"]), yearly),  # type: ignore[arg-type]
        size=performance.get("size"),
        seconds=None if seconds is None else float(seconds),
    )


def compared_jobs(cost_file: CostFile) -> tuple[Job, ...]:
    """The benchmark's jobs to compare with, with the lab's own time where it gave one."""
    jobs = [job for job in benchmark_jobs() if job.analysis == cost_file.analysis]
    if cost_file.size is not None:
        jobs = [job for job in jobs if job.size == cost_file.size]
    if cost_file.seconds is not None:
        jobs = [replace(job, local_seconds=cost_file.seconds) for job in jobs]
    return tuple(jobs)


def custom_values(cost_file: CostFile, prices: Prices, modes: Sequence[Mode]) -> tuple[Value, ...]:
    """Every panel for a lab's machine."""
    jobs = compared_jobs(cost_file)
    machines = {cost_file.analysis: cost_file.machine}
    return (
        *time_values(jobs),
        *cost_values(jobs, prices, modes, cost_model.PUBLISHED),
        *crossover_values(jobs, prices, machines, modes=modes),
    )


def verdicts(cost_file: CostFile, prices: Prices) -> tuple[str, ...]:
    """What the comparison means, a sentence a size and lifetime."""
    said = []
    for job in compared_jobs(cost_file):
        for years in LIFETIMES.values():
            annual = cost_model.machine_cost(cost_file.machine, years, job.analysis)
            rate = cost_model.local_cost_crossover(annual, cost_model.job_cost(job, prices, Mode.STANDARD))
            busy = cost_model.local_utilization_crossover(rate, job.local_seconds)
            most = cost_model.SECONDS_A_WEEK / job.local_seconds
            end = (
                f"at {rate:.1f} jobs a week, {busy:.0f} % of its time"
                if busy <= 100
                else f"never: it manages {most:.1f} jobs a week, and {rate:.1f} would be needed"
            )
            said.append(
                f"{job.analysis}, {job.label}, kept {years} years ({annual:,.0f} USD a year): the machine pays {end}."
            )
    return tuple(said)
