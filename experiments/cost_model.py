"""The paper's model of time and cost (section 5.3), as functions of numbers. No file, no picture, no default prices.

Money is USD, time is seconds, sizes are decimal gigabytes. Where paper, tables and the published panels disagree, a
`Reading` says which is taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from experiments.inputs import VOLUME_GB, Job, Machine, Prices, StageRun, cluster_support_from_parts

WEEKS_A_YEAR = 52
SECONDS_A_WEEK = 604_800
SECONDS_AN_HOUR = 3600
HOURS_A_MONTH = 730
"""The month AWS bills volumes by."""
ANNUITY_RATE = 0.1
"""The paper gives no value; its published panels were made with 10 % a year."""
LIFETIMES = {"realistic": 2, "optimistic": 4}
"""Years a local machine is kept (section 5.3)."""


class Mode(Enum):
    """How instances are bought."""

    STANDARD = "Standard"
    """On demand."""
    SAVE = "Save"
    """Spot for a duration fixed beforehand (spot blocks), which AWS withdrew at the end of 2022."""


@dataclass(frozen=True)
class Reading:
    """Which of two readings is taken where sources disagree, and what is charged at all.

    `lambda_mb_per_gb`: the panels divide by 1000, AWS bills 1024. `save_divisor`: from 1 h to 6 h there are 5 steps,
    the panels divide by 6. `cluster_support_from_parts`: the cost file of PMD+LocaNMF has 392 USD a year, its parts
    sum to 1761. `volumes`, `storage_days`, `requests`: what the paper left out.
    """

    lambda_mb_per_gb: int = 1000
    save_divisor: int = 6
    cluster_support_from_parts: bool = False
    volumes: bool = False
    storage_days: float = 0
    requests: int = 0
    """S3 requests a recording."""


PUBLISHED = Reading()
"""What the published panels show."""
COMPLETE = Reading(1024, 5, True, volumes=True, storage_days=30, requests=200)
"""Every reading as documents and AWS's bills have it, and what was left out charged too."""


def save_price(stage: StageRun, prices: Prices, reading: Reading = PUBLISHED) -> float:
    """USD per hour of a stage's instances bought for as many whole hours as the longest of them needs.

    Linear between the prices of 1 h and 6 h (section 9.3 and the data's `save_mode_rule`). Raises ValueError where no
    such price exists: the offer was withdrawn.
    """
    price = prices.instances[stage.instance_type]
    if price.spot_block_1h is None or price.spot_block_6h is None:
        raise ValueError(f"{stage.instance_type}: spot for a fixed duration cannot be bought at these prices")
    hours = math.ceil(max(stage.instance_seconds) / SECONDS_AN_HOUR)
    return price.spot_block_1h + (hours - 1) * (price.spot_block_6h - price.spot_block_1h) / reading.save_divisor


def stage_cost(stage: StageRun, prices: Prices, mode: Mode, reading: Reading = PUBLISHED) -> Mapping[str, float]:
    """USD of one stage by part: instances, functions, transfer out, and what `reading` adds.

    Instances are charged by the second (section 5.3, Table 4); transfer in costs nothing.
    """
    hourly = (
        prices.instances[stage.instance_type].on_demand if mode is Mode.STANDARD else save_price(stage, prices, reading)
    )
    seconds = sum(stage.instance_seconds)
    gigabytes = sum(stage.dataset_gb) + sum(stage.result_gb)
    function_gb = stage.lambda_memory_mb / reading.lambda_mb_per_gb
    parts = {
        "instances": seconds * hourly / SECONDS_AN_HOUR,
        "functions": sum(stage.lambda_ms) / 1000 * function_gb * prices.lambda_gb_second,
        "transfer": sum(stage.result_gb) * prices.transfer_out_gb,
        "volumes": VOLUME_GB[stage.stage] * prices.volume_gb_month * seconds / (HOURS_A_MONTH * SECONDS_AN_HOUR),
        "storage": gigabytes * prices.storage_gb_month * reading.storage_days * 24 / HOURS_A_MONTH,
        "requests": reading.requests * len(stage.result_gb) * prices.requests_1000 / 1000,
    }
    return parts if reading.volumes else {**parts, "volumes": 0.0}


def job_cost(job: Job, prices: Prices, mode: Mode, reading: Reading = PUBLISHED) -> float:
    """USD of a job on NeuroCAAS: the sum over its stages."""
    return sum(sum(stage_cost(stage, prices, mode, reading).values()) for stage in job.stages)


def upload_seconds(job: Job) -> float:
    """Seconds to bring the data, paid once for any number of analyses of it; later stages find it there."""
    return job.stages[0].upload_seconds


def compute_seconds(job: Job) -> float:
    """Seconds from submission to results: recordings run side by side, so each stage takes its slowest instance."""
    return sum(max(stage.instance_seconds) for stage in job.stages)


def annuity_factor(years: float, rate: float = ANNUITY_RATE) -> float:
    """What a yearly payment of 1 is worth now: `(1 - (1 + r)^-n) / r` (section 5.3); `years` for a rate of 0."""
    if years <= 0:
        raise ValueError("a machine is kept for some time")
    return years if rate == 0 else (1 - (1 + rate) ** -years) / rate


def equivalent_annual_cost(price_tag: float, support: float, years: float, rate: float = ANNUITY_RATE) -> float:
    """EAC: USD a year of a machine kept `years`, its price tag spread over them, plus support a year (section 5.3)."""
    return price_tag / annuity_factor(years, rate) + support


def machine_cost(machine: Machine, years: int, analysis: str, reading: Reading = PUBLISHED) -> float:
    """EAC of a local machine of the data files, kept 1 to 5 years. Raises ValueError beyond."""
    if not 1 <= years <= len(machine.support):
        raise ValueError(f"support is known for 1 to {len(machine.support)} years, not for {years}")
    support = machine.support[years - 1]
    if machine.variant == "cluster" and reading.cluster_support_from_parts:
        support = cluster_support_from_parts(analysis)
    return equivalent_annual_cost(machine.price_tag, support, years)


def local_cost_crossover(annual_cost: float, cloud_cost: float) -> float:
    """LCC: jobs a week from which on a local machine is cheaper, `EAC / (52 x)` (section 5.3)."""
    if cloud_cost <= 0:
        raise ValueError("a job that costs nothing in the cloud never crosses over")
    return annual_cost / (WEEKS_A_YEAR * cloud_cost)


def local_utilization_crossover(crossover: float, local_seconds: float) -> float:
    """LUC: per cent of all time the machine must be busy at that rate (section 5.3). Over 100 it cannot."""
    return crossover * local_seconds * 100 / SECONDS_A_WEEK
