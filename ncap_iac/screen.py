"""The live part of a terminal: running steps with their seconds, transfers, one table that changes.

Used by the console on a terminal only; imports rich, so it is imported when a terminal is really there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from rich.console import Console as RichConsole
from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table as RichTable
from rich.text import Text as RichText

from ncap_iac.answer import Table

STATE_STYLES = {
    "SUCCESS": "green",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "REJECTED": "red",
    "PARTIAL": "yellow",
    "CANCELLED": "yellow",
    "IN PROGRESS": "cyan",
    "RUNNING": "cyan",
}


def rich_console(stream: TextIO, *, color: bool) -> RichConsole:
    """A rich console that interprets nothing in the text it is given."""
    return RichConsole(file=stream, no_color=not color, highlight=False, markup=False, emoji=False)


def rich_table(table: Table) -> RichTable:
    """A table for a terminal; long cells fold, nothing is cut off."""
    drawn = RichTable(
        title=table.title or None,
        box=None,
        pad_edge=False,
        title_justify="left",
        header_style="bold",
        padding=(0, 2, 0, 0),
    )
    for column in table.columns:
        drawn.add_column(column, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(RichText(cell, style=STATE_STYLES.get(cell, "")) for cell in row))
    return drawn


class Screen:
    """Lines that stay, above a region that is redrawn while work goes on."""

    def __init__(self, stream: TextIO, *, color: bool, clock: Callable[[], float]) -> None:
        self._console = rich_console(stream, color=color)
        self._clock = clock
        self._steps: dict[str, tuple[float, str]] = {}
        self._transfers: dict[str, tuple[int, int]] = {}
        self._table: Table | None = None
        self._spinner = Spinner("dots")
        self._live: Live | None = None

    def line(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self._console.print(RichText(text, style=style))

    def start_step(self, name: str) -> None:
        """Show a running step."""
        self._steps[name] = (self._clock(), "")
        self._refresh()

    def advance_step(self, name: str, text: str) -> None:
        """Show what a running step does now."""
        if name in self._steps:
            self._steps[name] = (self._steps[name][0], text)

    def end_step(self, name: str) -> None:
        """Take a step off the region."""
        self._steps.pop(name, None)
        self._refresh()

    def transfer(self, name: str, done: int, total: int) -> None:
        """Show a transfer until it is complete."""
        if done >= total:
            self._transfers.pop(name, None)
        else:
            self._transfers[name] = (done, total)
        self._refresh()

    def show_table(self, table: Table | None) -> None:
        """Replace the changing table; None takes it away."""
        self._table = table
        self._refresh()

    def close(self) -> None:
        """Leave the terminal as a plain one; may be called twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _refresh(self) -> None:
        busy = bool(self._steps or self._transfers or self._table)
        if busy and self._live is None:
            self._live = Live(
                console=self._console, get_renderable=self._draw, refresh_per_second=6, transient=True,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._live.start()
        elif not busy:
            self.close()

    def _draw(self) -> RenderableType:
        parts: list[RenderableType] = []
        for name, (began, text) in list(self._steps.items()):
            row = RichTable.grid(padding=(0, 1, 0, 0))
            said = f"{name}  {self._clock() - began:5.1f} s"
            row.add_row(self._spinner, RichText(said), RichText(text, style="dim", overflow="ellipsis", no_wrap=True))
            parts.append(row)
        for name, (done, total) in list(self._transfers.items()):
            parts.append(RichText(f"  {name}  {bar(done, total)}"))
        if self._table is not None:
            parts.append(rich_table(self._table))
        return Group(*parts)


def bar(done: int, total: int, width: int = 24) -> str:
    """A transfer as text: a bar, percent and megabytes."""
    share = 1.0 if total == 0 else min(done / total, 1.0)
    filled = round(share * width)
    return f"[{'#' * filled}{'.' * (width - filled)}] {share:4.0%}  {done / 1e6:.1f} of {total / 1e6:.1f} MB"
