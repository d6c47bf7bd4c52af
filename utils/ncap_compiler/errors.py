"""Problems of documents: what was found where, what is accepted, and the published table of their ids.

Used by every reader and check of this package. It must not read, print or decide anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about a document.

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
    "P201": "a group name that cannot be used",
    "P202": "derived names that collide",
    "P203": "a member of two groups",
    "P204": "an analysis name that cannot name a bucket",
    "P205": "a budget that cannot be enforced",
    "P206": "a member name that cannot be used",
    "R201": "a path that leaves the environment folder",
    "R202": "a file the recipe names is missing",
    "M201": "a pattern that is not a regular expression",
    "M202": "a default its own schema refuses",
    "M203": "limits that contradict each other",
    "T101": "too many resources in one stack",
    "T102": "the template is too large",
    "T103": "too many template parameters",
    "T104": "the inline policies of a role are too long",
    "T105": "the inline policies of a group are too long",
    "Z101": "a path that cannot be in a bundle",
    "Z102": "two paths of a bundle that are one file on some systems",
}

PROBLEM_IDS: dict[str, str] = {
    **{f"{letter}{number}": meaning for letter in KINDS for number, meaning in SHAPE_MEANINGS.items()},
    **_SPECIFIC,
}
"""Every id with its meaning: the source of the reference page."""
