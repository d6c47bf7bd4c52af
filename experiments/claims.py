"""What the paper's text says in numbers, and what its own data give. Sentences from values; no figure, no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments import cost_model
from experiments.inputs import Job
from experiments.panels import Value, of_panel


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, the range its data give, and whether the two agree."""

    where: str
    says: str
    low: float
    high: float
    unit: str
    holds: bool
    remark: str

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "does not hold for every bar"
        return (
            f"{self.where}: the text says {self.says}; the numbers are {self.low:.1f} to {self.high:.1f} {self.unit}: "
            f"{verdict}. {self.remark}"
        )


def crossover_claims(values: Sequence[Value], suffix: str) -> tuple[Claim, ...]:
    """The two claims about crossovers (section 3.3): 10-100 datasets a week, and 25-50 % of all time.

    The text says them of the workstation (`powermatch`, Figure 10); of the cluster it says nothing in numbers.
    """
    figure = "Figure 10" if suffix == "powermatch" else "Figure 15 (the text speaks of Figure 10)"
    return (
        _range(
            values,
            f"LCC_{suffix}",
            claim=(f"section 3.3, {figure}", "~10-100 datasets a week", 10, 100),
            remark="A dataset of the panels is a job: for DLC 5 to 15 videos, for PMD+LocaNMF 1 to 5 recordings.",
        ),
        _range(
            values,
            f"LUC_{suffix}",
            claim=(f"section 3.3, {figure}", "25-50 % of the machine's life", 25, 50),
            remark="DLC's local times are not measured: number of videos times the slowest cloud instance.",
        ),
    )


def _range(values: Sequence[Value], panel: str, *, claim: tuple[str, str, float, float], remark: str) -> Claim:
    found = of_panel(values, panel)
    where, says, least, most = claim
    inside = [value for value in found if least <= value.value <= most]
    low, high = min(it.value for it in found), max(it.value for it in found)
    remark = f"{len(inside)} of {len(found)} bars are inside. {remark}"
    return Claim(where, says, low, high, found[0].unit, len(inside) == len(found), remark)


def speed_claim(jobs: Sequence[Job]) -> Claim:
    """That processing is faster (section 3.3), with the upload counted and without."""
    with_upload = [
        job.local_seconds / (cost_model.upload_seconds(job) + cost_model.compute_seconds(job)) for job in jobs
    ]
    without = [job.local_seconds / cost_model.compute_seconds(job) for job in jobs]
    return Claim(
        "section 3.3, Figure 10A",
        "NeuroCAAS is faster",
        min(with_upload),
        max(with_upload),
        "times as fast, upload counted",
        min(with_upload) > 1,
        f"Without the upload {min(without):.1f} to {max(without):.1f} times.",
    )
