"""What a command answers, as values: data for scripts, blocks for people, an exit code for both.

Commands return an `Answer`; only the console renders it. Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ncap_iac.errors import ExitCode

SCHEMA_VERSION = 1
"""Of every JSON document the command writes; raised when a field changes its meaning or goes."""


class Output(Enum):
    """How the answer is written."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True)
class Table:
    """Rows for people; `empty` is said when there are none."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    empty: str = "Nothing here."


@dataclass(frozen=True)
class Text:
    """Text written as it is, ended by one newline."""

    text: str


@dataclass(frozen=True)
class Answer:
    """The answer of one command.

    `kind` names the shape of `data`; `notes` and `next_commands` are talk (stderr) and are not part of the data.
    """

    kind: str
    data: Mapping[str, object]
    blocks: tuple[Table | Text, ...] = ()
    notes: tuple[str, ...] = ()
    next_commands: tuple[str, ...] = ()
    exit_code: ExitCode = field(default=ExitCode.DONE)

    def document(self) -> dict[str, object]:
        """The one JSON document of the answer."""
        return {"schemaVersion": SCHEMA_VERSION, "kind": self.kind, **self.data}
