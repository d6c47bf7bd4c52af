"""The last lines of a log that may be of any size, binary, and written with carriage returns. Pure."""

from __future__ import annotations

import codecs
from collections import deque

MAX_LINES = 2000
MAX_LINE_CHARACTERS = 10_000
MAX_CHARACTERS = 2**20
"""All shown lines together: a status object stays small enough to be read every few seconds."""


class Tail:
    """Keeps the end of a stream of bytes as numbered lines (from 0); memory does not grow with the stream."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._characters = 0
        self._open_line = ""
        self._after_return = False
        self.count = 0
        """Complete lines seen so far."""

    def feed(self, chunk: bytes, *, final: bool = False) -> None:
        """Take the next bytes; ``final`` completes a line without an end."""
        text = self._decoder.decode(chunk, final)
        if self._after_return and text.startswith("\n"):
            text = text[1:]
        if text:
            self._after_return = text.endswith("\r")
        pieces = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for piece in pieces[:-1]:
            self._add(self._open_line + piece)
            self._open_line = ""
        self._open_line = (self._open_line + pieces[-1])[: MAX_LINE_CHARACTERS + 1]
        if final and self._open_line:
            self._add(self._open_line)
            self._open_line = ""

    def _add(self, line: str) -> None:
        if len(line) > MAX_LINE_CHARACTERS:
            line = line[:MAX_LINE_CHARACTERS] + "…"
        if len(self._lines) == MAX_LINES:
            self._characters -= len(self._lines.popleft())
        self._lines.append(line + "\n")
        self._characters += len(line) + 1
        while self._characters > MAX_CHARACTERS:
            self._characters -= len(self._lines.popleft())
        self.count += 1

    def numbered(self) -> dict[str, str]:
        """Line number as text -> line with its newline; the line being written counts as the last one."""
        first = self.count - len(self._lines)
        lines = {str(first + i): line for i, line in enumerate(self._lines)}
        if self._open_line:
            lines[str(self.count)] = self._open_line[:MAX_LINE_CHARACTERS] + "\n"
        return lines

    def last(self, count: int) -> list[str]:
        """The last ``count`` lines that are not blank, without newlines."""
        lines = [line for line in [*self._lines, self._open_line] if line.strip()]
        return [line.rstrip("\n") for line in lines[-count:]]
