"""What a job's certificate, STATUS objects and `end.txt` tell of its datasets and of what it ran with. Text to values.

Reads nothing itself. The formats are those of docs/contracts.md section 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ncap_iac.job.jobs import VERSION_LINE, JobStatus, Outcome

DIVIDER = "=" * 16
NOT_RUN = "not-run"
"""Stands in for the failure class of a dataset nothing was reported about."""
OUT_OF_MEMORY = "out-of-memory"
CLASSES = (
    "user-code",
    OUT_OF_MEMORY,
    "disk-full",
    "timeout",
    "input",
    "boot",
    "spot",
    "capacity",
    "quota",
    "budget",
    "lost-instance",
    "cancelled",
)
"""Failure classes (docs/contracts.md section 5)."""
# Greedy: what a user chose is the key; in the rest of the row ` | ` only stands between fields.
ROW = re.compile(r"DATANAME: (?P<key>.+) \| STATUS: (?P<status>[^|]*?) \| TIME: ", re.DOTALL)
SUCCEEDED = re.compile(r"(?P<key>.+): succeeded\.")
FAILED = re.compile(rf"(?P<key>.+?): (?P<failure>{'|'.join(CLASSES)}): (?P<said>.*)")
REMEDY = " Remedy: "
LARGER = re.compile(r"try instance_type '(?P<type>[a-z0-9.-]+)'")
BEGAN = re.compile(r"^REQUEST START TIME: (?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT", re.MULTILINE)
TYPES = re.compile(r"^\[Job Manager\] ENVIRONMENT: \S+, (?P<types>[a-z0-9.-]+(?: or [a-z0-9.-]+)*)\s", re.MULTILINE)


@dataclass(frozen=True)
class Unfinished:
    """A dataset that did not succeed. `failure` is a class of docs/contracts.md section 5, or NOT_RUN."""

    dataset: str
    failure: str
    message: str = ""
    remedy: str = ""

    @property
    def larger_type(self) -> str | None:
        """The instance type its remedy names for a dataset that ran out of memory."""
        match = LARGER.search(self.remedy) if self.failure == OUT_OF_MEMORY else None
        return match["type"] if match else None


@dataclass(frozen=True)
class Settings:
    """What a job ran with, as far as its certificate tells."""

    version_id: str | None
    types: tuple[str, ...]
    began: datetime | None


def settings_of(certificate: str) -> Settings:
    """The set-up log of a certificate → value."""
    version, types, began = (form.search(certificate) for form in (VERSION_LINE, TYPES, BEGAN))
    return Settings(
        version_id=version[1] if version else None,
        types=tuple(types["types"].split(" or ")) if types else (),
        began=datetime.strptime(began["time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) if began else None,
    )


def datasets_of(job: JobStatus) -> dict[str, bool]:
    """The datasets of an ended job, in order, and whether each succeeded: certificate and STATUS must both say so.

    In a job that succeeded all did, whatever was tidied away since. Where the certificate has no rows, because no
    instance ever started, `end.txt` names them; where that does not either, the STATUS objects.
    """
    # A STATUS object that does not say its dataset goes by its label.
    reported = {status.dataset: status.status == "SUCCESS" for status in job.datasets}
    # A variant of a scattered job is named by its label; its STATUS says the dataset all of them have.
    labelled = {status.label: status.status == "SUCCESS" for status in job.datasets}
    said = _rows(job.certificate) or {key: left is None for key, left in _ends(job.end_text).items()}
    if job.outcome is Outcome.SUCCEEDED:
        return dict.fromkeys(said or reported, True)
    if not said:
        return reported
    return {key: ok and reported.get(key, labelled.get(_name(key), False)) for key, ok in said.items()}


def reasons_of(job: JobStatus) -> Callable[[str], Unfinished]:
    """Why a dataset of an ended job did not succeed: by `end.txt`, else by its STATUS."""
    ends = _ends(job.end_text)
    reported = {status.dataset: status for status in job.datasets}
    labelled = {status.label: status for status in job.datasets}

    def told(key: str) -> Unfinished:
        ended = ends.get(_plain(key))
        if ended is not None:
            return replace(ended, dataset=key)
        status = reported.get(key) or labelled.get(_name(key))
        if status is None:
            return Unfinished(key, NOT_RUN)
        return Unfinished(key, status.failure or status.status.lower(), status.message or status.last_line)

    return told


def _rows(certificate: str) -> dict[str, bool]:
    lines = certificate.split("\n")
    marks = [number for number, line in enumerate(lines) if line == DIVIDER]
    between = lines[marks[0] + 1 : marks[-1]] if len(marks) > 1 else []
    found = [match for line in between if (match := ROW.match(line))]
    return {match["key"]: match["status"] == "SUCCESS" for match in found}


def _ends(text: str) -> dict[str, Unfinished | None]:
    """Each dataset `end.txt` has a line about; None for one that succeeded."""
    found: dict[str, Unfinished | None] = {}
    for line in text.split("\n"):
        failed, succeeded = FAILED.fullmatch(line), SUCCEEDED.fullmatch(line)
        if failed:
            message, _, remedy = failed["said"].rpartition(REMEDY)
            found[failed["key"]] = Unfinished(failed["key"], failed["failure"], message, remedy)
        elif succeeded:
            found[succeeded["key"]] = None
    return found


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _plain(key: str) -> str:
    """A key as the lines of `end.txt` have it."""
    return "".join(sign if sign.isprintable() else " " for sign in key)
