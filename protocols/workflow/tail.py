"""The last lines of a log that may be of any size, binary, and drawn over with carriage returns. Pure."""

from __future__ import annotations

import codecs
from collections import deque

MAX_LINES = 2000
MAX_LINE_CHARACTERS = 10_000
MAX_CHARACTERS = 2**20
"""All shown lines together: a status object stays small enough to be read every few seconds."""


class Tail:
    """Keeps the end of a stream of bytes as numbered lines (from 0); memory does not grow with the stream.

    Lines end with a newline. A carriage return starts the line anew, as on a terminal, so that a progress bar is one
    line that shows its last state. Bytes that are not UTF-8 are shown as U+FFFD.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._characters = 0
        self._open_line = ""
        self._returned = False
        self.count = 0
        """Complete lines seen so far."""

    def feed(self, chunk: bytes, *, final: bool = False) -> None:
        """Take the next bytes; ``final`` completes a line without an end."""
        *complete, rest = self._decoder.decode(chunk, final).split("\n")
        for piece in complete[:1]:
            self._write(piece)
            self._end_line()
        # Of a large chunk only the lines that will still be shown are looked at.
        passed = max(0, len(complete) - 1 - MAX_LINES)
        self.count += passed
        for piece in complete[1 + passed :]:
            self._write(piece)
            self._end_line()
        self._write(rest)
        if final and self._open_line:
            self._end_line()

    def _write(self, piece: str) -> None:
        """Put text without newlines into the open line."""
        head = piece.rstrip("\r")
        if head:
            _, returned, last = head.rpartition("\r")
            before = "" if returned or self._returned else self._open_line
            self._open_line = (before + last)[: MAX_LINE_CHARACTERS + 1]
        if piece:
            # A return at the very end may belong to a line end: what it draws over is not known yet.
            self._returned = len(head) < len(piece) or (self._returned and not head)

    def _end_line(self) -> None:
        line = _shortened(self._open_line) + "\n"
        self._open_line = ""
        self._returned = False
        if len(self._lines) == MAX_LINES:
            self._characters -= len(self._lines.popleft())
        self._lines.append(line)
        self._characters += len(line)
        while self._characters > MAX_CHARACTERS:
            self._characters -= len(self._lines.popleft())
        self.count += 1

    def numbered(self) -> dict[str, str]:
        """Line number as text -> line with its newline; the line being written counts as the last one."""
        first = self.count - len(self._lines)
        lines = {str(first + i): line for i, line in enumerate(self._lines)}
        if self._open_line:
            lines[str(self.count)] = _shortened(self._open_line) + "\n"
        return lines

    def last(self, count: int) -> list[str]:
        """The last ``count`` lines that are not blank, without newlines."""
        lines = [line for line in [*self._lines, self._open_line] if line.strip()]
        return [line.rstrip("\n") for line in lines[-count:]]


def _shortened(line: str) -> str:
    return line if len(line) <= MAX_LINE_CHARACTERS else line[:MAX_LINE_CHARACTERS] + "…"
