"""Spot prices: what a recorded history says, and what a job costs and when it ends when it may be interrupted.

A history is a file in AWS's own form (`aws ec2 describe-spot-price-history > history.json`). The interruption model
is a constant hazard: at any moment an instance is lost with the same probability an hour, as AWS's published monthly
frequencies suggest no better one. Randomness comes from the caller.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.errors import InputError
from experiments.inputs import DATA

EXAMPLE = DATA / "spot_price_history_example.json"
"""Made, not recorded: see its `About`. Its mean is that of September 2019 (paper, section 9.3)."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class PriceHistory:
    """One instance type in one zone: prices (USD/hour) from moments (seconds since 1970) on, until `until`."""

    instance_type: str
    zone: str
    moments: tuple[float, ...]
    prices: tuple[float, ...]
    until: float

    @property
    def weights(self) -> Numbers:
        """Seconds each price was in force."""
        return np.diff([*self.moments, self.until])

    def mean(self) -> float:
        """USD an hour, each price by the time it was in force."""
        return float(np.average(self.prices, weights=self.weights))

    def deviation(self) -> float:
        """Standard deviation of the price over time."""
        return float(math.sqrt(np.average((np.array(self.prices) - self.mean()) ** 2, weights=self.weights)))

    def quantile(self, share: float) -> float:
        """The price not exceeded for `share` of the time."""
        order = np.argsort(self.prices)
        passed = np.cumsum(self.weights[order]) / self.weights.sum()
        return float(np.array(self.prices)[order][int(np.searchsorted(passed, share - 1e-12))])


def read_history(path: Path) -> tuple[PriceHistory, ...]:
    """The histories in a file of `describe-spot-price-history`, by type and zone. Raises InputError."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["SpotPriceHistory"]
        points = [
            (
                str(row["InstanceType"]),
                str(row["AvailabilityZone"]),
                datetime.fromisoformat(row["Timestamp"]).timestamp(),
                float(row["SpotPrice"]),
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a spot price history of AWS ({type(error).__name__}: {error})") from error
    if not points:
        raise InputError(f"{path}: it holds no prices")
    latest = max(moment for _, _, moment, _ in points)
    found = []
    for kind, zone in sorted({(kind, zone) for kind, zone, _, _ in points}):
        own = sorted((moment, price) for type_, place, moment, price in points if (type_, place) == (kind, zone))
        moments, prices = zip(*own, strict=True)
        # The last price of all was in force for no time we know of; an hour keeps it from vanishing.
        found.append(PriceHistory(kind, zone, moments, prices, max(latest, moments[-1]) + 3600))
    return tuple(found)


@dataclass(frozen=True)
class Policy:
    """How a dataset is bought: on spot until `losses` interruptions, then on demand; 0 is on demand from the start.

    This platform's own rule is 2 (DESIGN section 5). A run that is interrupted begins anew.
    """

    name: str
    losses: int


POLICIES = (Policy("on demand", 0), Policy("spot once", 1), Policy("spot twice", 2), Policy("spot five times", 5))


@dataclass(frozen=True)
class Outcome:
    """What a policy gives over many runs: hours until the result, and USD, means and 95 % points."""

    policy: Policy
    mean_hours: float
    hours_95: float
    mean_cost: float
    cost_95: float
    interrupted: float
    """Share of runs interrupted at least once."""


def simulate(
    policy: Policy,
    *,
    hours: float,
    hazard: float,
    spot_prices: Sequence[float] | Numbers,
    on_demand: float,
    runs: int,
    random: np.random.Generator,
    restart_hours: float = 0.05,
) -> Outcome:
    """Run a job of `hours` many times under a policy.

    `hazard`: interruptions an hour. `spot_prices`: prices to draw from, equally likely. `restart_hours`: until the
    next instance works. Interrupted hours are paid (AWS gives back only an interrupted first hour of some systems,
    which is not counted here).
    """
    if hours <= 0 or hazard < 0 or runs < 1:
        raise ValueError("hours must be above 0, hazard not below 0, and runs at least 1")
    waited, paid = np.zeros(runs), np.zeros(runs)
    open_runs = np.ones(runs, dtype=bool)
    lost_once = np.zeros(runs, dtype=bool)
    for _ in range(policy.losses):
        until_loss = random.exponential(1 / hazard, runs) if hazard else np.full(runs, np.inf)
        price = random.choice(np.asarray(spot_prices, dtype=np.float64), runs)
        lived = np.minimum(until_loss, hours)
        lost = open_runs & (until_loss < hours)
        paid += np.where(open_runs, lived * price, 0)
        waited += np.where(open_runs, lived + np.where(lost, restart_hours, 0), 0)
        lost_once |= lost
        open_runs = lost
    paid += np.where(open_runs, hours * on_demand, 0)
    waited += np.where(open_runs, hours, 0)
    return Outcome(
        policy,
        mean_hours=float(waited.mean()),
        hours_95=float(np.quantile(waited, 0.95)),
        mean_cost=float(paid.mean()),
        cost_95=float(np.quantile(paid, 0.95)),
        interrupted=float(lost_once.mean()),
    )


def expected_hours_until_done(hours: float, hazard: float) -> float:
    """Mean hours of a run restarted from the beginning for ever: `(e^(h L) - 1) / h`; the simulation's check."""
    return hours if hazard == 0 else math.expm1(hazard * hours) / hazard


def hazard_of_monthly_frequency(share: float) -> float:
    """Interruptions an hour from the share of instances interrupted within a month, as AWS's Spot Advisor gives it."""
    if not 0 <= share < 1:
        raise ValueError("a share is from 0 up to but not 1")
    return -math.log(1 - share) / 730
