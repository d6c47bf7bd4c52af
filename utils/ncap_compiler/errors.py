"""Problems and notices of documents: what was found where, what is accepted, and the published table of their ids.

Used by every reader and check of this package. It must not read, print or decide anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found in a document.

    `id` is looked up in `PROBLEM_IDS`; `pointer` is a JSON pointer (RFC 6901, empty: the whole document); `line`
    counts from 1, None when the document has no text (a compiled template); `hint` says what to do.
    """

    id: str
    file: str
    pointer: str
    line: int | None
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        at = f" (at {self.pointer})" if self.pointer else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{place}: {self.id} {self.message}{at}.{hint}"


@dataclass(frozen=True, slots=True)
class Problem(Finding):
    """A finding for which the document cannot be used."""


@dataclass(frozen=True, slots=True)
class Notice(Finding):
    """Something that is accepted and still worth knowing: the document can be used."""


class DocumentError(ValueError):
    """A document cannot be used; `problems` holds every reason found, in the order of the text."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            sorted(problems, key=lambda problem: (problem.file, problem.line or 0, problem.pointer, problem.id))
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


SHAPE_MEANINGS: dict[int, str] = {
    101: "a required field is missing",
    102: "an unknown field",
    103: "a value of the wrong type",
    104: "a value that is not one of those accepted",
    105: "text that does not have the accepted form",
    106: "a number outside the accepted range",
    107: "too short, too long, too few or too many",
    108: "a field this release refuses by name",
    109: "the same entry twice",
}
"""What the shape problems mean; the id is the letter of the document's kind and this number."""

KINDS: dict[str, str] = {
    "B": "blueprint",
    "P": "profile",
    "R": "environment recipe",
    "M": "parameters schema",
    "S": "submission",
    "G": "stages file",
}
"""The letters that problem ids of a kind of document begin with."""

_SPECIFIC: dict[str, str] = {
    "D101": "the file is not UTF-8 text without a byte order mark",
    "D102": "the text is not JSON",
    "D103": "a field is written twice in one object",
    "D104": "a number JSON does not have (NaN, Infinity, or too large)",
    "D105": "nested too deeply",
    "D106": "the document is not a JSON object",
    "D107": "text that is not valid Unicode",
    "D108": "a symbolic link in place of a file",
    "B201": "the pipeline name cannot name a bucket and a stack",
    "B202": "a retired or impossible instance type",
    "B203": "a handler that does not exist",
    "B204": "a code folder that does not exist",
    "B205": "a command that cannot be filled in",
    "B206": "regions that differ",
    "B207": "a group name that cannot be used",
    "B208": "derived names that collide",
    "B209": "a setting that contradicts how the platform works",
    "B210": "a post-processing trigger that collides with submissions",
    "B211": "more groups than the job manager's policies can hold",
    "B212": "an analysis that two blueprints describe",
    "B213": "an environment that is not the one its recipe makes",
    "B214": "a scatter that is not the first step",
    "B215": "fields of a step that contradict each other, or say too little",
    "B216": "steps that never end, or meet: to the analysis itself, in a circle, or two to one analysis",
    "B217": "a step to an analysis the project does not have, or that is not for the same groups",
    "B218": "a scattered parameter that the analysis does not take",
    "B219": "a pattern of files that can match nothing",
    "B220": "constants of a step that its analysis does not take",
    "P201": "a group name that cannot be used",
    "P202": "derived names that collide",
    "P203": "a member of two groups",
    "P204": "an analysis name that cannot name a bucket",
    "P205": "a budget that cannot be enforced",
    "P206": "a member name that cannot be used",
    "P207": "a suspended member the group does not have",
    "P208": "a collaborator that cannot be one",
    "P210": "a place of data that cannot be one",
    "P211": "a bucket of the platform as a place of data",
    "P209": "a group or member that two profiles describe",
    "R201": "a path that leaves the environment folder",
    "R202": "a file the recipe names is missing",
    "R203": "two files of one name in an environment",
    "R204": "a requirement whose name on the package index is another project's",
    "M201": "a pattern that is not a regular expression",
    "M202": "a default its own schema refuses",
    "M203": "limits that contradict each other",
    "T101": "too many resources in one stack",
    "T102": "the template is too large",
    "T103": "too many template parameters",
    "T104": "the inline policies of a role are too long",
    "T105": "the inline policies of a group are too long",
    "T106": "a managed policy is too long",
    "T107": "too many managed policies on one role or group",
    "T108": "a bucket policy is too long",
    "T109": "too many lifecycle rules for one bucket",
    "G201": "a name that is none with its stage's suffix",
    "G202": "two stages that would meet",
    "G203": "a name another document has without the stage's suffix",
    "Z101": "a path that cannot be in a bundle",
    "Z102": "two paths of a bundle that are one file on some systems",
}

NOTICE_IDS: dict[str, str] = {
    "N201": "notice: fields without effect",
    "N202": "notice: a handler of an earlier generation, read as today's",
    "N203": "notice: a region this release does not know",
    "N204": "notice: a command that does not take all its values",
}
"""Ids of notices: what is accepted and worth knowing."""

PROBLEM_IDS: dict[str, str] = {
    **{f"{letter}{number}": meaning for letter in KINDS for number, meaning in SHAPE_MEANINGS.items()},
    **_SPECIFIC,
    **NOTICE_IDS,
}
"""Every id with its meaning: the source of the reference page."""
