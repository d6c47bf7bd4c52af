"""What a developer wants to know of a run: which version and environment ran, how long, with what, what it would cost.

Pure: from a job's status and its certificate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from ncap_iac.job.jobs import DatasetStatus, JobStatus

_MEMORY = re.compile(r"([0-9.]+) MB")
_COST = re.compile(r"^\[Job Manager\] (COST [^\t\n]*)", re.MULTILINE)
_ENVIRONMENT = re.compile(r"(?:iae:[a-z0-9-]+@)?sha256:(?P<digest>[0-9a-f]{64})")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Facts:
    """Of one job: seconds of the datasets together, the largest memory of one, the certificate's words on cost."""

    version_id: str
    environment: str
    seconds: float | None
    peak_memory_bytes: float | None
    cost: str

    @property
    def short_environment(self) -> str:
        """The first digits of the digest."""
        match = _ENVIRONMENT.search(self.environment)
        return match["digest"][:12] if match else self.environment


def facts_of(status: JobStatus, environment: str) -> Facts:
    """The facts of a job that ended; `environment` is the one deployed."""
    seconds = [found for found in map(seconds_of, status.datasets) if found is not None]
    peaks = [found for found in map(memory_of, status.datasets) if found is not None]
    costs = _COST.findall(status.certificate)
    return Facts(
        version_id=status.version_id or "",
        environment=environment,
        seconds=sum(seconds) if seconds else None,
        peak_memory_bytes=max(peaks) if peaks else None,
        cost="; ".join(costs),
    )


def seconds_of(dataset: DatasetStatus) -> float | None:
    """How long a dataset ran, as its STATUS tells (whole seconds)."""
    try:
        span = datetime.strptime(dataset.job_finish, _TIME) - datetime.strptime(dataset.job_start, _TIME)
    except ValueError:
        return None
    return span.total_seconds()


def memory_of(dataset: DatasetStatus) -> float | None:
    """The largest memory a dataset took, in bytes."""
    match = _MEMORY.fullmatch(dataset.memory_usage)
    return float(match[1]) * 1e6 if match else None
