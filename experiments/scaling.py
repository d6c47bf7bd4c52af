"""A simulation of this platform's control plane: what limits 10, 100, … a million datasets, and what lifts it.

Times of instances are drawn; limits are AWS's published ones; the platform's own figures are its measured calls
(`docs/benchmarks.md`) and contracts. Randomness comes from the caller. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Limits:
    """Provider and platform limits of one account and region; rates a second.

    RunInstances: a bucket of requests and one of instances (EC2 developer guide, request throttling). The vCPU quota
    of a fresh account is 5 for on-demand standard types and grows on request; 1,920 is a usual one of a lab that asked.
    """

    run_requests_burst: float = 5
    run_requests_rate: float = 2
    run_instances_burst: float = 1000
    run_instances_rate: float = 2
    instances_a_request: int = 100
    """How many one call asks for (`jobmanager.launch.MAX_INSTANCES`)."""
    vcpus: int = 1920
    deploy_limit: int = 100
    """Of the blueprint: instances at a time (Figure 14; 100 in most)."""
    ledger_writes_rate: float = 1000
    """DynamoDB, one partition: a job's rows are in one."""
    storage_writes_rate: float = 3500
    """S3, one prefix."""
    datasets_a_submission: int = 10_000
    admission_rate: float = 166
    """Datasets a second one submission takes in: DESIGN section 9 asks for 10,000 within a minute."""


@dataclass(frozen=True)
class Workload:
    """Equal datasets: how many, minutes on an instance (mean and spread), its processors and price."""

    datasets: int
    minutes: float = 20
    spread: float = 0.2
    """Standard deviation of the minutes, as a share of their mean."""
    vcpus: int = 8
    usd_per_hour: float = 0.40
    boot_s: float = 60


@dataclass(frozen=True)
class Bound:
    """A limit by itself: seconds the work takes at least because of it, and what lifts it."""

    name: str
    seconds: float
    lifted_by: str


@dataclass(frozen=True)
class Study:
    """What came out for one workload: seconds until the last launch and the last end, and USD."""

    workload: Workload
    launched_s: float
    ended_s: float
    bounds: tuple[Bound, ...]
    instances_usd: float
    control_usd: float
    peak_instances: int

    @property
    def bottleneck(self) -> Bound:
        """The limit that holds longest."""
        return max(self.bounds, key=lambda bound: bound.seconds)


@dataclass(frozen=True)
class ControlPlane:
    """What the platform does for one dataset, and what AWS charges for it (list prices, us-east-1, 2026).

    Calls and writes: contracts and `docs/benchmarks.md`. Each of two state changes costs the monitor up to three
    calls; the submit function spends its time on admission and launches.
    """

    ledger_writes: float = 6
    storage_writes: float = 12
    """Manifest share, status every half minute of a short run, certificate share, usage record, marks."""
    invocations: float = 2.1
    lambda_gb_seconds: float = 0.15
    prices: Mapping[str, float] = field(
        default_factory=lambda: {
            "ledger_write": 0.625e-6,
            "storage_write": 5e-6,
            "invocation": 0.2e-6,
            "gb_second": 1.66667e-5,
        }
    )

    def usd(self) -> float:
        """USD a dataset."""
        return (
            self.ledger_writes * self.prices["ledger_write"]
            + self.storage_writes * self.prices["storage_write"]
            + self.invocations * self.prices["invocation"]
            + self.lambda_gb_seconds * self.prices["gb_second"]
        )


def slots(workload: Workload, limits: Limits) -> int:
    """Instances that may run at once."""
    return max(1, min(limits.deploy_limit, limits.vcpus // workload.vcpus))


def bounds(workload: Workload, limits: Limits, control: ControlPlane | None = None) -> tuple[Bound, ...]:
    """Each limit by itself: what the work would take if nothing else held it."""
    control = control or ControlPlane()
    count, run_s = workload.datasets, workload.minutes * 60 + workload.boot_s
    by_quota = max(1, limits.vcpus // workload.vcpus)

    def turns(at_once: int) -> float:
        return count * run_s / min(count, at_once)

    def bucket(demand: float, burst: float, rate: float) -> float:
        return max(0.0, demand - burst) / rate

    requests = -(-count // limits.instances_a_request)
    return (
        Bound("one run", run_s, "a faster instance type"),
        Bound("deploy limit", turns(limits.deploy_limit), "a higher DEPLOY_LIMIT in the blueprint"),
        Bound("vCPU quota", turns(by_quota), "a higher EC2 quota, asked for in Service Quotas"),
        Bound(
            "instances a second",
            bucket(count, limits.run_instances_burst, limits.run_instances_rate) + run_s,
            "several datasets an instance, several regions or accounts, or a higher rate from AWS",
        ),
        Bound(
            "launch calls a second",
            bucket(requests, limits.run_requests_burst, limits.run_requests_rate) + run_s,
            "more instances a call",
        ),
        Bound("admission", count / limits.admission_rate, "several submissions at a time"),
        Bound("ledger writes", count * control.ledger_writes / limits.ledger_writes_rate, "several submissions"),
        Bound("S3 writes", count * control.storage_writes / limits.storage_writes_rate, "several groups' prefixes"),
    )


def simulate(workload: Workload, limits: Limits, random: np.random.Generator) -> Study:
    """Run a workload through launches and ends, in steps of a second up to a fiftieth of a run."""
    control = ControlPlane()
    found = bounds(workload, limits, control)
    run_s = workload.minutes * 60 + workload.boot_s
    # Fine enough for one run, or its rounding would add up turn after turn.
    step = max(1.0, min(max(bound.seconds for bound in found) / 20_000, run_s / 50))
    sigma = np.sqrt(np.log1p(workload.spread**2))
    room, waiting, running, peak = slots(workload, limits), workload.datasets, 0, 0
    requests, instances = limits.run_requests_burst, limits.run_instances_burst
    ends: dict[int, int] = {}
    tick, last_launch, last_end, seconds = 0, 0, 0, 0.0
    while waiting or running:
        running -= ends.pop(tick, 0)
        free = min(waiting, room - running, int(instances), int(requests) * limits.instances_a_request)
        free = min(free, _admitted(workload, limits, tick * step) - (workload.datasets - waiting))
        if free > 0:
            lives = random.lognormal(np.log(workload.minutes * 60) - sigma**2 / 2, sigma, free)
            seconds += float(lives.sum())
            at, many = np.unique(tick + 1 + ((lives + workload.boot_s) / step).astype(int), return_counts=True)
            for moment, number in zip(at.tolist(), many.tolist(), strict=True):
                ends[moment] = ends.get(moment, 0) + number
                last_end = max(last_end, moment)
            waiting, running = waiting - free, running + free
            instances -= free
            requests -= -(-free // limits.instances_a_request)
            last_launch, peak = tick, max(peak, running)
        tick += 1
        requests = min(limits.run_requests_burst, requests + limits.run_requests_rate * step)
        instances = min(limits.run_instances_burst, instances + limits.run_instances_rate * step)
        # A step may be longer than a bucket takes to fill; what it could have passed meanwhile is not lost.
        requests = max(requests, min(limits.run_requests_rate * step, workload.datasets))
        instances = max(instances, min(limits.run_instances_rate * step, workload.datasets))
    paid = (seconds + workload.boot_s * workload.datasets) / 3600 * workload.usd_per_hour
    return Study(workload, last_launch * step, last_end * step, found, paid, workload.datasets * control.usd(), peak)


def _admitted(workload: Workload, limits: Limits, at: float) -> int:
    """Datasets taken in by then: submissions of the largest size, one after another."""
    return min(workload.datasets, int((at + 1) * limits.admission_rate))


def lifted(limits: Limits, name: str, times: float) -> Limits:
    """The limits with one of them `times` as high: the answer to 'what if'."""
    names = {
        "deploy limit": "deploy_limit",
        "vCPU quota": "vcpus",
        "instances a second": "run_instances_rate",
        "launch calls a second": "run_requests_rate",
        "admission": "admission_rate",
        "ledger writes": "ledger_writes_rate",
        "S3 writes": "storage_writes_rate",
    }
    if name not in names:
        return limits
    value = getattr(limits, names[name]) * times
    changed = int(value) if names[name] in ("deploy_limit", "vcpus") else value
    return replace(limits, **{names[name]: changed})
