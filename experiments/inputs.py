"""The files in `data/` as values. Reads, checks nothing beyond what its types say, computes nothing.

Where each number was found is written in the files themselves (`source`, `origin`, `seen`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"

ANALYSES = ("CaImAn", "DLC", "PMD+LocaNMF")
SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class StageRun:
    """One stage of one benchmarked job as it ran on NeuroCAAS in 2019: an instance for each recording."""

    stage: str
    instance_type: str
    instance_seconds: tuple[float, ...]
    """Seconds each instance lived."""
    upload_seconds: float
    dataset_gb: tuple[float, ...]
    result_gb: tuple[float, ...]
    """Decimal gigabytes, one figure a recording."""
    lambda_ms: tuple[float, ...]
    lambda_memory_mb: float


@dataclass(frozen=True)
class Job:
    """One benchmarked job: a batch of recordings of one size through all stages of an analysis."""

    analysis: str
    size: str
    batch: int
    label: str
    """Number of recordings and gigabytes of each, as the paper's panels have them."""
    stages: tuple[StageRun, ...]
    local_seconds: float
    """On the simulated local machine, all stages and recordings one after another (Table 9)."""


@dataclass(frozen=True)
class InstancePrice:
    """USD per hour of one instance type."""

    on_demand: float
    spot_block_1h: float | None = None
    spot_block_6h: float | None = None
    spot_mean: float | None = None


@dataclass(frozen=True)
class Prices:
    """What the cloud charged at one time, USD."""

    instances: Mapping[str, InstancePrice]
    lambda_gb_second: float
    transfer_out_gb: float
    volume_gb_month: float
    storage_gb_month: float
    requests_1000: float
    """S3 requests that write, a thousand of them."""


@dataclass(frozen=True)
class Machine:
    """A local machine for one analysis: price tag, and support a year when kept 1, 2, … 5 years (USD)."""

    variant: str
    price_tag: float
    support: tuple[float, float, float, float, float]


def _json(name: str) -> Any:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def _rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def benchmark_jobs() -> tuple[Job, ...]:
    """The nine benchmarked jobs, by analysis and size."""
    found = _json("benchmark_jobs.json")["jobs"]
    labels = _json("parameters.json")["size_labels"]
    local = _rows("local_times.csv")
    jobs = []
    for analysis in ANALYSES:
        for size in SIZES:
            runs = [job for job in found if (job["analysis"], job["size"]) == (analysis, size)]
            seconds = [
                float(row["local_seconds"]) for row in local if (row["analysis"], row["size"]) == (analysis, size)
            ]
            stages = tuple(_stage(run) for run in runs)
            gigabytes, count = labels[analysis][size].split(" x ")
            label = f"{count} × {gigabytes} GB"
            jobs.append(Job(analysis, size, runs[0]["batch"], label, stages, sum(seconds)))
    return tuple(jobs)


def _stage(run: Mapping[str, Any]) -> StageRun:
    return StageRun(
        stage=run["stage"],
        instance_type=run["instance_type"],
        instance_seconds=tuple(run["instance_seconds"]),
        upload_seconds=run["upload_seconds"],
        dataset_gb=tuple(run["dataset_gb"]),
        result_gb=tuple(run["result_gb"]),
        lambda_ms=tuple(run["lambda_ms"]),
        lambda_memory_mb=run["lambda_memory_mb"],
    )


VOLUME_GB = {"CaImAn": 500, "DLC": 200, "PMD": 75, "LocaNMF": 75}
"""Disk of each stage's instance (paper, Table 2), which the published figure does not charge."""


@cache
def prices_2019() -> Prices:
    """September 2019, us-east-1 (paper, Table 4). Disk, storage and requests: AWS's list prices of that time."""
    found = _json("cloud_prices_2019.json")
    return Prices(
        instances={name: InstancePrice(**price) for name, price in found["ec2_usd_per_hour"].items()},
        lambda_gb_second=found["lambda_usd_per_gb_second"]["used_for_the_figure"],
        transfer_out_gb=found["s3_transfer_out_usd_per_gb"],
        volume_gb_month=0.10,
        storage_gb_month=0.023,
        requests_1000=0.005,
    )


TODAYS_TYPE = {"m5.16xlarge": "m7i.16xlarge", "p2.xlarge": "g4dn.xlarge", "p3.2xlarge": "g5.2xlarge"}
"""What replaces the types of 2019: as many processors, and the nearest graphics processor AWS still offers."""


@cache
def prices_2026() -> Prices:
    """List prices of 2026 under the names of 2019, each type by its replacement. Their dates are in the file."""
    found = _json("prices_2026.json")
    listed = found["ec2_usd_per_hour"]
    return Prices(
        instances={old: InstancePrice(listed[new]["on_demand"]) for old, new in TODAYS_TYPE.items()},
        lambda_gb_second=found["lambda_usd_per_gb_second"]["x86"],
        transfer_out_gb=found["s3"]["transfer_out_usd_per_gb_after_free"],
        volume_gb_month=found["ebs_usd_per_gb_month"]["gp3"],
        storage_gb_month=found["s3"]["standard_usd_per_gb_month"],
        requests_1000=0.005,
    )


@cache
def support_profile(name: str, analysis: str = "") -> tuple[float, float, float, float, float]:
    """Support a year of a machine kept 1 to 5 years: `laptop`, `desktop`, or `cluster` (of an analysis)."""
    profiles = _json("local_hardware.json")["support_profiles"]
    if name == "cluster":
        found = profiles["cluster"][analysis]
        yearly = float(found.get("annual_usd", found.get("annual_usd_in_cost_file")))
        return (yearly,) * 5
    by_years = profiles[name]["annual_usd_by_lifetime_years"]
    one, two, three, four, five = (float(by_years[str(years)]) for years in range(1, 6))
    return one, two, three, four, five


def cluster_support_from_parts(analysis: str) -> float:
    """Support a year of the cluster as the sum of its documented parts; differs for PMD+LocaNMF (see `Reading`)."""
    found = _json("local_hardware.json")["support_profiles"]["cluster"][analysis]
    return float(found["storage_admin"] + found["server_maintenance"] + found["it_labour"])


@cache
def machine(variant: str, analysis: str) -> Machine:
    """The local machine of a variant (`workstation`: Figure 10, `cluster`: Figure 15, …) for an analysis."""
    found = _json("local_hardware.json")["variants"][variant][analysis]
    support = (0.0,) * 5 if found["support"] is None else support_profile(found["support"], analysis)
    return Machine(variant, float(found["pricetag"]), support)


def recorded_usage() -> tuple[Mapping[str, Any], ...]:
    """The pseudonymised usage records, as the file has them."""
    return tuple(_json("usage_sample.json")["records"])


def runaway_jobs() -> frozenset[str]:
    """Jobs the original figure leaves out, and the file says why."""
    return frozenset(_json("usage_sample.json")["exclude_jobs"]["ids"])
