"""Lines of progress out of what a library prints and draws while it works.

It must not hide an error: exceptions pass through.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator

BAR = re.compile(r"^\s*(?P<stage>[A-Za-z][^(:]*?)\s*(?:\([^)]*\))?:\s*(?P<percent>\d+)%\|")
FOUND = re.compile(r"^\s*(?P<step>[a-z_]+)\(\): (?P<count>\d+) [a-z ]+$")
EVERY_S = 10.0


class Progress(io.TextIOBase):
    """Stands in for stdout and stderr of a library; says each stage once, its share every ten seconds, and counts."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._rest, self._stage, self._last = "", "", 0.0
        self.counts: dict[str, int] = {}

    def write(self, text: str) -> int:
        """Take text as it comes; lines end in a newline or a carriage return."""
        before = self._rest
        *lines, self._rest = re.split(r"[\r\n]", before + text)
        if lines and lines[0] == before:
            del lines[0]  # it was taken when it came
        for line in (*lines, self._rest):
            self._take(line)
        return len(text)

    def _take(self, line: str) -> None:
        if found := FOUND.match(line):
            count = int(found["count"])
            if self.counts.get(found["step"]) != count:
                self.counts[found["step"]] = count
                self._say(f"{found['step'].replace('_', ' ').capitalize()}: {count:,}.")
        elif (bar := BAR.match(line)) and (bar["stage"] != self._stage or self._clock() - self._last >= EVERY_S):
            self._stage, self._last = bar["stage"], self._clock()
            self._say(f"{bar['stage'].replace('_', ' ').capitalize()}: {bar['percent']} %")


@contextlib.contextmanager
def quiet() -> Iterator[Progress]:
    """What libraries print becomes progress; their warnings, which are for their developers, are left out."""
    out = sys.stdout
    progress = Progress(lambda text: print(text, file=out, flush=True))
    with contextlib.redirect_stdout(progress), contextlib.redirect_stderr(progress), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield progress
