"""Trials of samples: every one submitted, followed to its end, fetched and checked; what came of each as a value.

All are submitted before the first is waited for; the local cloud runs as many at once as there are cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.analysis.checking import Figure, run_check
from ncap_iac.analysis.facts import facts_of
from ncap_iac.errors import NcapError
from ncap_iac.job.jobs import JobRef, Outcome

if TYPE_CHECKING:
    from ncap_iac.analysis.bench import Laid
    from ncap_iac.analysis.laboratory import Laboratory
    from ncap_iac.analysis.sample import Sample


@dataclass(frozen=True)
class Trial:
    """One analysis tried on its sample."""

    analysis: str
    environment: str
    problems: tuple[str, ...]
    """Sentences; none if all came out as expected."""
    job: str = ""
    seconds: float | None = None
    peak_memory_bytes: float | None = None
    figures: tuple[Figure, ...] = ()
    shown: str | None = None
    """The figure of merit its sample names for tables."""

    @property
    def has_passed(self) -> bool:
        """Whether all is as expected."""
        return not self.problems

    @property
    def figure(self) -> Figure | None:
        """The figure of merit for a table: the one the sample names, else the first."""
        return next((it for it in self.figures if self.shown in (None, it.name)), None)

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "analysis": self.analysis,
            "environment": self.environment,
            "job": self.job,
            "passed": self.has_passed,
            "runSeconds": self.seconds,
            "peakMemoryBytes": self.peak_memory_bytes,
            "figures": [it.document() for it in self.figures],
            "problems": list(self.problems),
        }


@dataclass(frozen=True)
class _Submitted:
    laid: Laid
    sample: Sample
    ref: JobRef | None
    failure: str = ""


def try_samples(
    laboratory: Laboratory,
    samples: Sequence[tuple[Laid, Sample]],
    *,
    names: Sequence[str],
    folder: Path,
    timeout_s: float | None,
    image_of: Callable[[Laid], Path],
) -> list[Trial]:
    """Try them all; one that fails keeps no other from being tried. Raises NcapError only before the first."""
    laboratory.furnish(names)
    submitted = [_submit(laboratory, laid, sample) for laid, sample in samples]
    return [_judge(laboratory, it, folder, timeout_s, image_of) for it in submitted]


def _submit(laboratory: Laboratory, laid: Laid, sample: Sample) -> _Submitted:
    try:
        laboratory.deploy(laid)
        ref = laboratory.submit(laid, [str(path) for path in sample.datasets], str(sample.config))
    except NcapError as error:
        return _Submitted(laid, sample, None, f"{error} {error.hint}".strip())
    return _Submitted(laid, sample, ref)


def _judge(
    laboratory: Laboratory,
    it: _Submitted,
    folder: Path,
    timeout_s: float | None,
    image_of: Callable[[Laid], Path],
) -> Trial:
    trial = Trial(it.laid.name, it.laid.environment, (it.failure,), shown=it.sample.figure)
    if it.ref is None:
        return trial
    trial = replace(trial, job=it.ref.job)
    try:
        status = laboratory.follow(it.ref, timeout_s)
        ended = laboratory.fetch(status, folder / it.laid.name)
    except NcapError as error:
        return replace(trial, problems=(f"{error} {error.hint}".strip(),))
    facts = facts_of(status, it.laid.environment)
    trial = replace(trial, seconds=facts.seconds, peak_memory_bytes=facts.peak_memory_bytes)
    if status.outcome is not Outcome.SUCCEEDED:
        said = " ".join(status.end_text.split())
        return replace(trial, problems=(f"the job is {status.outcome.value}: {said}",))
    checked = run_check(image_of(it.laid), it.sample.check, ended.results.folder)
    return replace(trial, problems=checked.problems, figures=checked.figures)
