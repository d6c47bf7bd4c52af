"""What the terminal shows: the only module that writes to stdout and stderr.

stdout is data (one JSON document, or tables), stderr is talk. Survives a closed pipe, honours NO_COLOR, and keeps
control characters of users' data off the terminal. Decides nothing about what is done.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from ncap_iac import progress
from ncap_iac.answer import SCHEMA_VERSION, Answer, Output, Table, Text
from ncap_iac.errors import NcapError

if TYPE_CHECKING:
    from ncap_iac.screen import Screen

CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}")
"""Everything that could steer a terminal; tab and newline stay."""


def printable(text: str) -> str:
    """Text without characters that could steer a terminal."""
    return text.replace("\r\n", "\n").translate(CONTROL)


@dataclass(frozen=True)
class Manner:
    """How to talk: chosen by options and the environment, once."""

    output: Output = Output.TABLE
    quiet: bool = False
    verbose: bool = False
    color: bool = True
    program: str = "ncap"
    """The word that starts this command in the user's terminal: a path where `ncap` alone would not be found."""


class Console:
    """Shows events, results and errors."""

    def __init__(self, out: TextIO, err: TextIO, *, manner: Manner, clock: Callable[[], float]) -> None:
        self._out = out
        self._err = err
        self.manner = manner
        self._clock = clock
        self._shown_rows: dict[str, tuple[str, ...]] = {}
        self._screen: Screen | None = None
        self._lock = threading.RLock()

    # --- events ---

    def report(self, event: progress.Event) -> None:
        """Show one event, from any thread. Raises BrokenPipeError when a followed stdout was closed by its reader."""
        with self._lock:
            self._report(event)

    def _report(self, event: progress.Event) -> None:
        if isinstance(event, progress.Line):
            if self.manner.output is Output.TABLE:
                self._out.write(self._safe(event.text, self._out) + "\n")
                self._out.flush()
        elif self.manner.output is Output.JSON:
            if self.manner.verbose:
                self._talk(json.dumps({"event": type(event).__name__, **vars(event)}))
        elif self._is_live():
            self._report_live(event)
        else:
            self._report_plain(event)

    def _is_live(self) -> bool:
        return not self.manner.quiet and self._err.isatty() and os.environ.get("TERM") != "dumb"

    def _live(self) -> Screen:
        if self._screen is None:
            from ncap_iac.screen import Screen

            self._screen = Screen(self._err, color=self.manner.color, clock=self._clock)
        return self._screen

    def _report_live(self, event: progress.Event) -> None:
        screen = self._live()
        match event:
            case progress.StepStarted(step):
                screen.start_step(printable(step))
            case progress.StepAdvanced(step, text):
                screen.advance_step(printable(step), printable(text))
            case progress.Transferred(name, done, total):
                screen.transfer(printable(name), done, total)
            case progress.RowsChanged(title, columns, rows):
                safe = tuple(tuple(printable(cell) for cell in row) for row in rows)
                screen.show_table(Table(columns, safe, title=title) if rows else None)
            case _:
                if isinstance(event, progress.StepEnded):
                    screen.end_step(printable(event.step))
                text = self._sentence(event)
                if text:
                    screen.line(printable(text), style=_style(event))

    def _report_plain(self, event: progress.Event) -> None:
        if isinstance(event, progress.Warned):
            self._talk(f"Warning: {event.text}")
            return
        if self.manner.quiet:
            return
        if isinstance(event, progress.RowsChanged):
            for row in event.rows:
                key = f"{event.title}\n{row[0]}"
                if self._shown_rows.get(key) != row:
                    self._shown_rows[key] = row
                    self._talk("  " + "  ".join(cell for cell in row if cell))
            return
        text = self._sentence(event)
        if text:
            self._talk(text)

    def _sentence(self, event: progress.Event) -> str:
        match event:
            case progress.Note(text):
                return text
            case progress.Warned(text):
                return f"Warning: {text}"
            case progress.Detail(text):
                return text if self.manner.verbose else ""
            case progress.StepEnded(step, seconds, succeeded, text):
                mark = self._mark(succeeded)
                return f"{mark} {step}  {seconds:.1f} s" + (f"  {text}" if text else "")
            case progress.ResourceChanged(_, resource, kind, status, reason):
                if not self.manner.verbose and not status.endswith("FAILED"):
                    return ""
                return f"  {status}  {kind} {resource}" + (f"  {reason}" if reason else "")
            case progress.StepAdvanced(step, text):
                return f"  {step}: {text}" if self.manner.verbose else ""
            case progress.Transferred(name, done, total):
                return f"  {name}  {total / 1e6:.1f} MB" if done >= total and self.manner.verbose else ""
            case _:
                return ""

    def _mark(self, succeeded: bool) -> str:
        mark, plain = ("✓", "ok") if succeeded else ("✗", "failed")
        try:
            mark.encode(self._err.encoding or "utf-8")
        except (UnicodeEncodeError, LookupError):
            return plain
        return mark

    # --- results and errors ---

    def show(self, answer: Answer) -> None:
        """Write the answer: data on stdout, talk on stderr. A reader that has gone is no error."""
        self.close()
        try:
            if self.manner.output is Output.JSON:
                self._out.write(json.dumps(answer.document(), indent=2) + "\n")
            else:
                for number, block in enumerate(answer.blocks):
                    self._show_block(block, first=number == 0)
            self._out.flush()
        except BrokenPipeError:
            silence(self._out)
        if self.manner.output is Output.TABLE and not self.manner.quiet:
            for note in answer.notes:
                self._talk(note)
            for number, command in enumerate(answer.next_commands):
                self._talk(("Next: " if number == 0 else "      ") + self._typed(command))

    def preview(self, answer: Answer) -> None:
        """Show what is about to happen, before asking: for people only."""
        if self.manner.output is Output.TABLE and not self.manner.quiet:
            self.close()
            for number, block in enumerate(answer.blocks):
                self._show_block(block, first=number == 0)
            self._out.flush()
            for note in answer.notes:
                self._talk(note)

    def _typed(self, command: str) -> str:
        """A command as it can be typed in this terminal."""
        for start in ("ncap ", 'eval "$(ncap '):
            if command.startswith(start):
                return start.replace("ncap", self.manner.program) + command.removeprefix(start)
        return command

    def _show_block(self, block: Table | Text, *, first: bool) -> None:
        if isinstance(block, Text):
            text = self._safe(block.text, self._out)
            self._out.write(text if text.endswith("\n") else text + "\n")
            return
        if not block.rows:
            if not self.manner.quiet:
                self._talk(block.empty)
            return
        if self._out.isatty():
            from ncap_iac.screen import rich_console, rich_table

            rows = tuple(tuple(printable(cell) for cell in row) for row in block.rows)
            if not first:
                self._out.write("\n")
            drawn = rich_table(Table(block.columns, rows, title=block.title))
            rich_console(self._out, color=self.manner.color).print(drawn)
            return
        for row in (block.columns, *block.rows):
            self._out.write("\t".join(" ".join(cell.split()) for cell in row) + "\n")

    def fail(self, error: NcapError, *, trace: str = "") -> None:
        """Say what went wrong, where, and what to do; the traceback only for those who asked."""
        self.close()
        if self.manner.output is Output.JSON:
            body: dict[str, object] = {
                "type": type(error).__name__, "exitCode": int(error.exit_code), "where": error.where,
                "what": error.what, "hint": error.hint,
            }  # fmt: skip
            if trace and self.manner.verbose:
                body["trace"] = trace
            self._talk(json.dumps({"schemaVersion": SCHEMA_VERSION, "error": body}))
            return
        if trace and self.manner.verbose:
            self._talk(trace.rstrip())
        self._talk(f"Error: {error}")
        if error.hint:
            self._talk(f"What to do: {error.hint}")

    def confirm(self, question: str, stdin: TextIO) -> bool | None:
        """Ask; None when there is nobody to ask."""
        if not (stdin.isatty() and self._err.isatty()):
            return None
        self.close()
        self._err.write(printable(f"{question} [y/N] "))
        self._err.flush()
        return stdin.readline().strip().lower() in ("y", "yes")

    def close(self) -> None:
        """End the live region; may be called twice."""
        if self._screen is not None:
            self._screen.close()

    def _safe(self, text: str, stream: TextIO) -> str:
        return printable(text) if stream.isatty() else text

    def _talk(self, text: str) -> None:
        try:
            self._err.write(printable(text) + "\n")
            self._err.flush()
        except BrokenPipeError:
            silence(self._err)


def silence(stream: TextIO) -> None:
    """Point a stream whose reader has gone at nothing, so that the interpreter's last flush is no error either."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return


def _style(event: progress.Event) -> str:
    if isinstance(event, progress.Warned):
        return "yellow"
    if isinstance(event, progress.StepEnded) and not event.succeeded:
        return "red"
    if isinstance(event, progress.Detail | progress.ResourceChanged):
        return "dim"
    return ""
