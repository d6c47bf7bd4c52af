"""Keeps the STATUS object of one attempt current while a command runs and writes its last state for certain.

What the run took of the machine is written once, at its end, beside it.

Writing happens on a thread of its own: a slow or failing S3 never delays, and never ends, the analysis.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from workflow.failure import Outcome
from workflow.graphics import GraphicsMeter
from workflow.resources import Series
from workflow.status import About, Pace, Phase, Status, Usage, render_status
from workflow.storage import StorageError
from workflow.tail import Tail
from workflow.usage import UsageMeter

READ_BYTES = 2**20
USAGE_EVERY_S = 1.0
LAST_ATTEMPTS = 6


@dataclass(frozen=True)
class Clocks:
    """Time as the reporter needs it: seconds that only grow, the date, and waiting."""

    monotonic: Callable[[], float]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]


class Reporter:
    """The status of one attempt. ``put`` stores the object; ``say`` tells the instance's console of trouble.

    ``put_resources`` stores the series of what the run took; ``echo`` is given the command's output as it is read.
    """

    def __init__(
        self,
        about: About,
        log: Path,
        *,
        put: Callable[[bytes], None],
        clocks: Clocks,
        say: Callable[[str], None],
        put_resources: Callable[[bytes], None] | None = None,
        echo: Callable[[bytes], None] | None = None,
    ) -> None:
        self._about = about
        self._log = log
        self._put = put
        self._clocks = clocks
        self._echo = echo
        self._say = say
        self._started = clocks.now()
        self._pace = Pace(clocks.monotonic())
        self._tail = Tail()
        self._read = 0
        self._meter: UsageMeter | None = None
        self._usage = Usage()
        self._usage_s = float("-inf")
        self._put_resources = put_resources
        self._series = Series(interval_s=USAGE_EVERY_S)
        self._graphics: GraphicsMeter | None = None
        self._watched_s = 0.0
        self._feed = _Feed(put, say)

    def watch(self, meter: UsageMeter) -> None:
        """From now on a command runs; its usage is sampled."""
        self._meter = meter
        self._graphics = GraphicsMeter()
        self._watched_s = self._clocks.monotonic()

    def tick(self, message: str | None = None) -> None:
        """Read what was printed since, sample usage, and write the status if it is due."""
        self._read_log()
        now_s = self._clocks.monotonic()
        if self._meter and now_s - self._usage_s >= USAGE_EVERY_S:
            self._usage_s = now_s
            gpu_percent = self._graphics.percent() if self._graphics else None
            self._usage = replace(self._meter.sample(), gpu_percent=gpu_percent)
            self._series.add(now_s - self._watched_s, self._usage)
        phase = Phase.IN_PROGRESS if self._meter else Phase.INITIALIZING
        if self._pace.is_due(now_s, turn=(phase, self._read > 0), mark=(message, self._read)):
            body = self._render(Status(phase, self._started, message=message))
            self._pace.wrote(len(body))
            self._feed.offer(body)

    def last_lines(self, count: int = 30) -> list[str]:
        """The last non-blank lines printed so far."""
        self._read_log()
        return self._tail.last(count)

    def finish(self, outcome: Outcome, *, child_cpu_s: float = 0.0) -> None:
        """Write the final status, several times if need be; failing to is told, not raised."""
        self._read_log(final=True)
        if self._meter:
            self._usage = self._meter.whole_run(child_cpu_s)
        status = Status(
            Phase.SUCCESS if outcome.failure is None else Phase.FAILED,
            self._started,
            finished=self._clocks.now(),
            exit_code=outcome.exit_code,
            failure=outcome.failure.value if outcome.failure else None,
            message=outcome.message,
        )
        body = self._render(status)
        self._feed.close()
        self._store_resources()
        for attempt in range(LAST_ATTEMPTS):
            try:
                self._put(body)
                return
            except StorageError as error:
                self._say(f"The final status could not be stored (attempt {attempt + 1} of {LAST_ATTEMPTS}): {error}")
            self._clocks.sleep(min(0.5 * 2**attempt, 8.0))

    def _store_resources(self) -> None:
        if self._graphics:
            self._graphics.close()
        if self._put_resources:
            try:
                self._put_resources(self._series.render())
            except StorageError as error:
                self._say(f"What the run took of the machine could not be stored: {error}")

    def _render(self, status: Status) -> bytes:
        return render_status(self._about, status, self._usage, self._tail.numbered())

    def _read_log(self, *, final: bool = False) -> None:
        try:
            with self._log.open("rb") as file:
                # Only up to the present end: a command may print faster than this reads.
                end = os.fstat(file.fileno()).st_size
                file.seek(self._read)
                while self._read < end and (chunk := file.read(READ_BYTES)):
                    self._read += len(chunk)
                    self._tail.feed(chunk)
                    if self._echo:
                        self._echo(chunk)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._say(f"The log could not be read: {error}")
        if final:
            self._tail.feed(b"", final=True)


class _Feed:
    """Stores the latest body it was offered, one at a time, on a daemon thread."""

    def __init__(self, put: Callable[[bytes], None], say: Callable[[str], None]) -> None:
        self._put = put
        self._say = say
        self._wake = threading.Condition()
        self._body: bytes | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def offer(self, body: bytes) -> None:
        with self._wake:
            self._body = body
            self._wake.notify()

    def close(self, *, patience_s: float = 10.0) -> None:
        """Let a write that is under way finish, so that it cannot land after the final one."""
        with self._wake:
            self._closed = True
            self._body = None
            self._wake.notify()
        self._thread.join(patience_s)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._body is not None)
                if self._closed:
                    return
                body, self._body = self._body, None
            try:
                self._put(body or b"")
            except Exception as error:
                self._say(f"The status could not be stored: {error}")
