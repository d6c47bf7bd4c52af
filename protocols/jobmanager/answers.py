"""What the ledger answers, as values: a job with all its rows, what is open, what became of an admission."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from jobmanager.fairness import Flight
from jobmanager.rows import AttemptRow, EdgeRow, InstanceRow, JobRow, LaunchRow, PendingRow
from jobmanager.states import AttemptState, LaunchState


class Verdict(Enum):
    """What became of an admission."""

    DONE = "done"
    CLAIMED = "the same submission was handled before"
    NAME_TAKEN = "another submission has this job name"
    NO_BUDGET = "the budget for the analysis does not cover it"
    NO_TOTAL = "the total budget of the group does not cover it"
    NO_ROOM = "too many instances are in flight"
    NO_ORIGIN = "the edge it comes from waits no longer"


@dataclass(frozen=True)
class Admission:
    """What became of an admission, and what stood against it: money committed, or the instances in flight."""

    verdict: Verdict
    committed: int = 0
    flight: Flight = field(default_factory=Flight)


@dataclass(frozen=True)
class Job:
    """A job with all its rows, as one consistent reading found them."""

    row: JobRow
    attempts: tuple[AttemptRow, ...]
    launches: tuple[LaunchRow, ...]
    edges: tuple[EdgeRow, ...] = ()

    @property
    def latest(self) -> tuple[AttemptRow, ...]:
        """The last attempt of each dataset, in the datasets' order."""
        return tuple({attempt.index: attempt for attempt in self.attempts}.values())

    @property
    def is_complete(self) -> bool:
        """Whether every dataset has its row."""
        return len({attempt.index for attempt in self.attempts}) >= self.row.dataset_count

    @property
    def open_launches(self) -> tuple[LaunchRow, ...]:
        """Launches of which it is not yet written what came of them."""
        return tuple(launch for launch in self.launches if launch.state is LaunchState.OPEN)

    @property
    def queue(self) -> tuple[AttemptRow, ...]:
        """Attempts waiting for a launch."""
        promised = {name for launch in self.open_launches for name in launch.attempts}
        return tuple(
            attempt
            for attempt in self.attempts
            if attempt.state is AttemptState.QUEUED and attempt.sort_key not in promised
        )


@dataclass(frozen=True)
class OpenRows:
    """What the sweeper looks after: open jobs, living instances, submissions not answered, edges with news."""

    jobs: tuple[JobRow, ...]
    instances: tuple[InstanceRow, ...]
    pending: tuple[PendingRow, ...]
    edges: tuple[EdgeRow, ...] = ()
