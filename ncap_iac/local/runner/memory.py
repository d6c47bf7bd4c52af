"""A machine has the memory of its instance type, and no more: what the kernel's out-of-memory killer does, in small.

By looking, not by a limit of the kernel: control groups need a privilege the local cloud does not ask for, and a limit
on address space refuses what numerical libraries reserve and never use. Between two looks a process can exceed.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from ncap_iac.local.runner.processes import proportional_bytes, watched_descendants

_GIB = 1024**3


class MemoryWatch:
    """Kills the largest process of a machine that holds more than `limit_bytes`."""

    def __init__(self, limit_bytes: int, say: Callable[[str], None]) -> None:
        self._limit = limit_bytes
        self._say = say

    def look(self, root: int) -> None:
        """Look once at all descendants of `root`.

        Resident sizes are cheap and count shared pages once a process; only when their sum is too high are the
        pages divided among those who share them, and that decides.
        """
        found = watched_descendants(root)
        if sum(process.resident_bytes for process in found) <= self._limit:
            return
        sizes = {process: proportional_bytes(process) for process in found}
        held = sum(sizes.values())
        if held <= self._limit:
            return
        largest = max(sizes, key=lambda process: sizes[process])
        with contextlib.suppress(ProcessLookupError):
            os.kill(largest.pid, signal.SIGKILL)
            self._say(
                f"out of memory: killed {largest.name}, which held {sizes[largest] / _GIB:.2f} GiB; the machine has "
                f"{self._limit / _GIB:.2f} GiB"
            )
