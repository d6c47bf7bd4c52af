"""What happens while a command works, as values: the console decides how to show them.

Nothing here prints, waits or reads a clock that was not handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Note:
    """One sentence of talk."""

    text: str


@dataclass(frozen=True)
class Warned:
    """One sentence the user should not miss."""

    text: str


@dataclass(frozen=True)
class Detail:
    """One sentence for those who asked for more (`--verbose`)."""

    text: str


@dataclass(frozen=True)
class StepStarted:
    """A step of a longer piece of work began."""

    step: str


@dataclass(frozen=True)
class StepAdvanced:
    """The step lives; `text` is what it does now."""

    step: str
    text: str


@dataclass(frozen=True)
class StepEnded:
    """The step is over."""

    step: str
    seconds: float
    succeeded: bool = True
    text: str = ""


@dataclass(frozen=True)
class Transferred:
    """Bytes of one file moved so far; `total` is its size."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class ResourceChanged:
    """CloudFormation reported a new state of one resource."""

    stack: str
    resource: str
    kind: str
    status: str
    reason: str = ""


@dataclass(frozen=True)
class RowsChanged:
    """A live table got new contents; an empty table takes it off the screen."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Line:
    """A line of data that belongs on stdout as soon as it is known (followed logs)."""

    text: str


Event = (
    Note | Warned | Detail | StepStarted | StepAdvanced | StepEnded | Transferred | ResourceChanged | RowsChanged | Line
)
Reporter = Callable[[Event], None]


def silent(_event: Event) -> None:
    """A reporter that tells nobody."""


@dataclass
class Step:
    """A running step; set `text` to what its last line shall say."""

    name: str
    report: Reporter
    text: str = field(default="")

    def advance(self, text: str) -> None:
        """Say what the step does now."""
        self.report(StepAdvanced(self.name, text))


@contextmanager
def step(name: str, report: Reporter, clock: Callable[[], float]) -> Iterator[Step]:
    """Report start, end and seconds of what happens inside; a failure is reported and goes on its way."""
    began = clock()
    report(StepStarted(name))
    running = Step(name, report)
    try:
        yield running
    except BaseException:
        report(StepEnded(name, clock() - began, succeeded=False, text=running.text))
        raise
    report(StepEnded(name, clock() - began, text=running.text))
