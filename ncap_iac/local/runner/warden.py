"""The process beside one machine: starts it in its sandbox, watches it, ends it, and leaves nothing behind.

Reads its order as one JSON line from stdin, then commands; writes reports, one JSON line each, to stdout. When stdin
closes (the edge is gone, whatever killed it) the machine ends with it. Run as `python -I -S` with the standard library
only: a machine must be up in well under the 150 ms a user would notice.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path

from ncap_iac.local.runner import linux
from ncap_iac.local.runner.console import Console
from ncap_iac.local.runner.enclosure import start_machine
from ncap_iac.local.runner.ending import end_descendants
from ncap_iac.local.runner.memory import MemoryWatch
from ncap_iac.local.runner.order import Cause, Order, Report
from ncap_iac.local.runner.power import parse_power

_TICK_S = 0.15
_CHUNK = 65536
_CHUNKS_AT_ONCE = 16
"""A machine that prints without pause must not keep its warden from looking after it."""
_GRACE_WITHOUT_EDGE_S = 1.0
_LONGEST_ORDER = 4 * 1024 * 1024


class Warden:
    """One machine from its first process to its last."""

    def __init__(self, order: Order, *, commands: int, reports: int, is_told: bool) -> None:
        """`is_told`: the command to end came together with the order."""
        self._order = order
        self._is_told = is_told
        self._commands = commands
        self._reports = reports
        self._console = Console(Path(order.console), order.console_limit_bytes)
        self._memory = MemoryWatch(order.memory_bytes, self._console.say)
        self._output = -1
        self._child = -1
        self._off_at: float | None = None

    def run(self) -> None:
        """Start the machine, wait for its end, clean up, report."""
        with contextlib.suppress(OSError, AttributeError):
            linux.adopt_orphans()
        if self._order.core is not None:
            with contextlib.suppress(OSError, AttributeError):
                os.sched_setaffinity(0, {self._order.core})
        self._power = os.open(self._order.power, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._child, self._output = start_machine(self._order)
        self._report(Report("started", message=str(self._child)))
        cause, status = self._watch(woken)
        self._report(Report("ending", cause))
        grace_s = self._order.grace_s if cause is not Cause.LOST else min(_GRACE_WITHOUT_EDGE_S, self._order.grace_s)
        end_descendants(self._order.rung.holders, init_lives=status is None, grace_s=grace_s, meanwhile=self._drain)
        self._drain()
        ending = f" with exit status {status}" if status is not None else ""
        self._console.say(f"the machine is off ({cause.value}{ending})")
        self._report(Report("ended", cause, status))

    def _watch(self, woken: int) -> tuple[Cause, int | None]:
        """Until the machine has to end; the exit status of its init where that is why."""
        next_look = 0.0
        while True:
            heard = [self._commands, self._power, woken, *([self._output] if self._output >= 0 else [])]
            ready, _, _ = select.select(heard, [], [], self._wait_s())
            if woken in ready:
                os.read(woken, _CHUNK)
            self._drain()
            ended, status = os.waitpid(self._child, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                return self._why_init_ended(), code if code >= 0 else 128 - code
            if self._is_told:
                return Cause.TERMINATED, None
            if self._commands in ready:
                return (Cause.TERMINATED if os.read(self._commands, _CHUNK) else Cause.LOST), None
            if self._power in ready:
                self._hear_power()
            if self._off_at is not None and time.monotonic() >= self._off_at:
                return Cause.POWER, None
            if time.monotonic() >= next_look:
                self._memory.look(os.getpid())
                next_look = time.monotonic() + _TICK_S

    def _why_init_ended(self) -> Cause:
        """An init whose last word was to switch off did that, and did not just come to its end."""
        with contextlib.suppress(BlockingIOError):
            self._hear_power()
        is_off = self._off_at is not None and time.monotonic() >= self._off_at
        return Cause.POWER if is_off else Cause.FINISHED

    def _wait_s(self) -> float:
        if self._off_at is None:
            return _TICK_S
        return max(0.0, min(_TICK_S, self._off_at - time.monotonic()))

    def _hear_power(self) -> None:
        import datetime  # not needed before a machine speaks

        for line in os.read(self._power, _CHUNK).decode(errors="replace").splitlines():
            power = parse_power(line, datetime.datetime.now())
            if power is None:
                self._console.say(f"not understood, nothing done: {line}")
                continue
            self._console.say(power.message)
            self._off_at = None if power.delay_s is None else time.monotonic() + power.delay_s

    def _drain(self) -> None:
        """Move what the machine printed to its console."""
        for _ in range(_CHUNKS_AT_ONCE):
            if self._output < 0:
                return
            try:
                output = os.read(self._output, _CHUNK)
            except BlockingIOError:
                return
            if not output:
                os.close(self._output)
                self._output = -1
                return
            self._console.write(output)

    def _report(self, report: Report) -> None:
        with contextlib.suppress(OSError):
            os.write(self._reports, report.line())


def _read_order(source: int) -> tuple[bytes, bytes]:
    """The order's line and what was read beyond it; an empty line if stdin closed before it was whole."""
    text = b""
    while b"\n" not in text and len(text) < _LONGEST_ORDER:
        chunk = os.read(source, _CHUNK)
        if not chunk:
            return b"", b""
        text += chunk
    line, _, rest = text.partition(b"\n")
    return line, rest


def main() -> None:
    """Run the one machine that stdin orders."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    commands, reports = sys.stdin.fileno(), sys.stdout.fileno()
    line, rest = _read_order(commands)
    if not line:
        return
    try:
        Warden(Order.parse(line), commands=commands, reports=reports, is_told=bool(rest)).run()
    except OSError as error:
        os.write(reports, Report("ended", Cause.BROKEN, None, f"{type(error).__name__}: {error}").line())
