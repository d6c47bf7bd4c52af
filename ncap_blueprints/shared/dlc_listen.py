"""Listens to what DeepLabCut prints: all of it goes to a file, progress is told in short lines.

DeepLabCut reports epochs through `logging` and frames through a progress bar; both end up in the streams that are
replaced here while it works. It must not know what DeepLabCut is doing.
"""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

EPOCH = re.compile(r"Epoch (\d+)/(\d+) .*train loss ([\d.e+-]+|nan)(?:, valid loss ([\d.e+-]+|nan))?")
FRAMES = re.compile(r"(\d+)/(\d+) \[")
EVERY_S = 5.0
PICTURE_EVERY_S = 60.0


class Listener(io.TextIOBase):
    """A stream that keeps what is written and tells `report` how far it is, every five seconds at most.

    `after_epoch` is called once a minute at most, so that it may draw.
    """

    def __init__(self, kept: TextIO, report: Callable[[str], None], after_epoch: Callable[[], None]) -> None:
        self._kept = kept
        self._report = report
        self._after_epoch = after_epoch
        self._told = time.monotonic() - EVERY_S
        self._drawn = time.monotonic()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Keep a piece of text and look for progress in it."""
        # A progress bar writes over its own line: a file needs lines.
        self._kept.write(text.replace("\r", "\n"))
        epoch = EPOCH.search(text)
        if epoch:
            valid = f", test frames {epoch[4]}" if epoch[4] else ""
            is_last = epoch[1] == epoch[2]
            self._tell(f"Epoch {epoch[1]} of {epoch[2]}: loss {epoch[3]}{valid}.", at_once=is_last or bool(epoch[4]))
            if time.monotonic() - self._drawn >= PICTURE_EVERY_S:
                self._after_epoch()
                self._drawn = time.monotonic()
        frames = FRAMES.findall(text)
        if frames and int(frames[-1][0]):
            self._tell(f"Frame {int(frames[-1][0]):,} of {int(frames[-1][1]):,}.", at_once=False)
        return len(text)

    def flush(self) -> None:
        """Pass it on."""
        self._kept.flush()

    def _tell(self, line: str, *, at_once: bool) -> None:
        now = time.monotonic()
        if at_once or now - self._told >= EVERY_S:
            self._report(line)
            self._told = now


@contextmanager
def listening(log: Path, after_epoch: Callable[[], None] = lambda: None) -> Iterator[None]:
    """While this is open, everything printed goes to the end of `log`, and progress to the standard output."""
    out = sys.stdout

    def report(line: str) -> None:
        print(line, file=out, flush=True)

    with log.open("a", encoding="utf-8") as kept:
        listener = Listener(kept, report, after_epoch)
        with redirect_stdout(listener), redirect_stderr(listener):
            yield
