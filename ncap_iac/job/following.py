"""The jobs that follow a job: which they are, and where they are. Read from what a member may read, and nothing else.

A job's certificate has a line for each step (docs/contracts.md section 9), and `end.txt` a sentence; the certificate is
the later one. Writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ncap_iac import progress
from ncap_iac.errors import AccessError, NotFoundError
from ncap_iac.job.jobs import JobReader, JobRef, JobStatus, Outcome, Patience, watch

if TYPE_CHECKING:
    from ncap_iac.aws import Objects

LINE = re.compile(
    r"^(?:\[Job Manager\] NEXT STEP|Next step) (?P<number>\d+) \((?P<type>\w+), (?P<analysis>[a-z0-9-]+)\): "
    r"(?P<said>[^\n]*?)(?:\t\[\+[0-9:.]+\])?$",
    re.MULTILINE,
)
JOB = re.compile(r"job (?P<job>job__.+) in bucket (?P<bucket>[a-z0-9.-]+) (?:was|ended)\b")
MAX_DEPTH = 10
"""Jobs in a row: the job manager starts no longer ones."""
COLUMNS = ("step", "analysis", "job", "is")


@dataclass(frozen=True)
class NextStep:
    """One step of a job: how, with which analysis, its job if there is one yet, and what the job manager says."""

    number: int
    type: str
    analysis: str
    ref: JobRef | None
    said: str


@dataclass(frozen=True)
class Followed:
    """A job with what follows it; `step` None: the first. `status` None: there is no job, or it may not be seen."""

    step: NextStep | None
    status: JobStatus | None
    steps: tuple[Followed, ...] = ()

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Followed]]:
        """Itself and all that follows, with how far down each is."""
        yield depth, self
        for step in self.steps:
            yield from step.walk(depth + 1)

    @property
    def statuses(self) -> tuple[JobStatus, ...]:
        """All jobs there are, the first first."""
        return tuple(found.status for _, found in self.walk() if found.status is not None)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return all(status.outcome.is_over for status in self.statuses)

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The steps for a table with COLUMNS, a tree by indentation."""
        return tuple(_row(depth, found.step, found.status) for depth, found in self.walk() if found.step is not None)

    def documents(self) -> list[dict[str, object]]:
        """The steps for JSON."""
        return [found.document() for found in self.steps]

    def document(self) -> dict[str, object]:
        """One step for JSON."""
        step = self.step
        return {
            "number": step and step.number,
            "type": step and step.type,
            "analysis": step and step.analysis,
            "job": step and step.ref and step.ref.job,
            "outcome": self.status and self.status.outcome.value,
            "message": step and step.said,
            "steps": self.documents(),
        }


def _row(depth: int, step: NextStep, status: JobStatus | None) -> tuple[str, ...]:
    job = step.ref.job if step.ref else ""
    said = status.outcome.value if status is not None and status.outcome is not Outcome.REJECTED else step.said
    return (f"{'  ' * (depth - 1)}{step.number} {step.type}", step.analysis, job, said)


def next_steps(status: JobStatus) -> tuple[NextStep, ...]:
    """The steps a job's certificate tells, or where it tells none, its `end.txt`."""
    found = list(LINE.finditer(status.certificate)) or list(LINE.finditer(status.end_text))
    latest = {int(match["number"]): match for match in found}
    return tuple(_step(status.ref, number, match) for number, match in sorted(latest.items()))


def _step(ref: JobRef, number: int, match: re.Match[str]) -> NextStep:
    job = JOB.match(match["said"])
    return NextStep(
        number=number,
        type=match["type"],
        analysis=match["analysis"],
        ref=JobRef(job["bucket"], ref.group, job["job"]) if job else None,
        said=match["said"].strip(),
    )


def read_followed(objects: Objects, status: JobStatus) -> Followed:
    """What follows a job that was read, now."""
    return Followed(None, status, _steps(objects, status, {status.ref}, MAX_DEPTH))


def _steps(objects: Objects, status: JobStatus, seen: set[JobRef], depth: int) -> tuple[Followed, ...]:
    found = []
    for step in next_steps(status):
        after = None
        if step.ref is not None and step.ref not in seen and depth:
            seen.add(step.ref)
            try:
                after = JobReader(objects, step.ref).status()
            except (AccessError, NotFoundError):
                after = None
        found.append(Followed(step, after, _steps(objects, after, seen, depth - 1) if after else ()))
    return tuple(found)


def watch_followed(objects: Objects, ref: JobRef, patience: Patience, report: progress.Reporter) -> Followed:
    """Wait for a job's end, and then for that of all that follows. Raises WaitTimeoutError.

    A job's end is told when it is known what follows it, so a step without a job will have none.
    """
    ends_at = None if patience.timeout_s is None else patience.clock() + patience.timeout_s

    def waited(one: JobRef) -> JobStatus:
        left = None if ends_at is None else max(0.0, ends_at - patience.clock())
        return watch(JobReader(objects, one), replace(patience, timeout_s=left), report)

    first = waited(ref)
    seen = {ref}
    waiting = list(next_steps(first))
    while waiting:
        step = waiting.pop(0)
        if step.ref is None or step.ref in seen:
            continue
        seen.add(step.ref)
        report(progress.Note(f"{step.type.capitalize()}: {step.ref.job}."))
        try:
            waiting += next_steps(waited(step.ref))
        except AccessError:
            report(progress.Warned(f"{step.ref.job} cannot be followed with these keys."))
    return read_followed(objects, JobReader(objects, ref).status())
