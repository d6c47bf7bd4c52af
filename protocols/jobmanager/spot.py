"""Spot instances: which jobs run on them, what counts as taken back, when a dataset goes on demand. Pure rules.

AWS takes a spot instance back with two minutes' notice, or with less (EC2 user guide, "Spot Instance interruptions").
"""

from __future__ import annotations

from enum import StrEnum

from jobmanager.parameters import DURATION
from jobmanager.rows import AttemptRow, InstanceRow, JobRow
from jobmanager.states import FailureClass

MAX_LOSSES = 2
"""After so many instances taken back, a dataset runs on demand."""
MARKET_OPTIONS = {
    "MarketType": "spot",
    "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
}
"""InstanceMarketOptions of RunInstances. Without a highest price, AWS asks for at most the on-demand price."""
TAKEN_BACK = ("Server.SpotInstanceTermination", "Server.SpotInstanceShutdown")
"""How EC2's reason for the end of an instance begins when it took the instance back."""


class SpotPolicy(StrEnum):
    """When the jobs of an analysis run on spot instances (contract section 10)."""

    NEVER = "never"
    SAVE = "save"
    ALWAYS = "always"


def choose_spot(policy: SpotPolicy, asked: bool | None, *, has_duration: bool) -> tuple[bool, str | None]:
    """Whether a job runs on spot instances; or why it may not, for the user."""
    if asked and policy is SpotPolicy.NEVER:
        return False, "this analysis does not run on spot instances; leave 'spot' out"
    if asked and policy is SpotPolicy.SAVE and not has_duration:
        return False, f"'spot' needs a time limit; set '{DURATION}' in the config, in minutes, or leave 'spot' out"
    if asked is not None:
        return asked, None
    return policy is SpotPolicy.ALWAYS or (policy is SpotPolicy.SAVE and has_duration), None


def runs_on_spot(job: JobRow, attempt: AttemptRow) -> bool:
    """Whether an attempt that waits is to be launched on spot."""
    return job.spot and attempt.spot_losses < MAX_LOSSES


def is_taken_back(row: InstanceRow, reason: str) -> bool:
    """Whether an instance that ended without a report was taken back: EC2 says so, or had warned of it."""
    return reason.startswith(TAKEN_BACK) or (row.spot and row.warned_at is not None)


def losses_after(row: InstanceRow, failure: str | None) -> int:
    """How many spot instances a dataset has lost when this attempt at it ended so."""
    return row.spot_losses + (row.spot and failure == FailureClass.SPOT)
