"""What the analysis takes of the machine, read from ``/proc``. Where that is missing, nothing is claimed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workflow.status import Usage

DISK_EVERY_S = 30.0
DISK_MAX_FILES = 50_000
"""A walk over more files than this would itself be a load; the disk figure is then a lower bound."""

MB = 1e6


def count_cores() -> int:
    """Processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_PEAK = re.compile(rb"^VmHWM:\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True)
class _Reading:
    """One process: CPU seconds (with ended children); resident bytes of its own, shared, and the most it ever had."""

    cpu_s: float
    own: int
    shared: int
    peak: int


class UsageMeter:
    """Samples memory and CPU of all processes of a session, and disk of a folder."""

    def __init__(
        self, session: int, *, folder: Path, cores: int, clock: Callable[[], float], proc: Path = Path("/proc")
    ) -> None:
        self._session = session
        self._folder = folder
        self._cores = cores
        self._clock = clock
        self._proc = proc
        self._started_s = self._last_s = clock()
        self._last_cpu_s = 0.0
        self._total_cpu_s = 0.0
        self._peak_mb: float | None = None
        self._disk_mb: float | None = None
        self._disk_s = float("-inf")

    def sample(self) -> Usage:
        """Usage now; CPU is the mean since the sample before."""
        now_s = self._clock()
        found = [reading for reading in map(self._reading, self._pids()) if reading is not None]
        if not found:
            return Usage(self._peak_mb, None, self._disk(now_s))
        cpu_s = sum(reading.cpu_s for reading in found)
        memory_mb = (sum(reading.own for reading in found) + max(reading.shared for reading in found)) / MB
        used_s = max(0.0, cpu_s - self._last_cpu_s)
        span_s = max(now_s - self._last_s, 1e-3)
        self._last_cpu_s, self._last_s = cpu_s, now_s
        self._total_cpu_s += used_s
        self._peak_mb = max(self._peak_mb or 0.0, memory_mb, *(reading.peak / MB for reading in found))
        return Usage(memory_mb, min(100.0, 100 * used_s / span_s / self._cores), self._disk(now_s))

    def whole_run(self, child_cpu_s: float) -> Usage:
        """Usage of the whole run: peak memory seen, mean CPU from the system's own account of ended children."""
        elapsed_s = max(self._clock() - self._started_s, 1e-3)
        cpu = min(100.0, 100 * max(child_cpu_s, self._total_cpu_s) / elapsed_s / self._cores)
        self._disk_s = float("-inf")
        return Usage(self._peak_mb, cpu, self._disk(self._clock()))

    def _pids(self) -> list[str]:
        try:
            return [entry.name for entry in self._proc.iterdir() if entry.name.isdigit()]
        except OSError:
            return []

    def _reading(self, pid: str) -> _Reading | None:
        """One process of the session; None for another session's, or one that has just ended.

        Fields: proc(5), /proc/pid/stat 6 (session), 14-17 (times in ticks); /proc/pid/statm 2, 3 (pages);
        /proc/pid/status VmHWM (kB).
        """
        try:
            stat = (self._proc / pid / "stat").read_bytes()
            fields = stat[stat.rindex(b")") + 2 :].split()
            if int(fields[3]) != self._session:
                return None
            pages = (self._proc / pid / "statm").read_bytes().split()
            peak = _PEAK.search((self._proc / pid / "status").read_bytes())
        except (OSError, ValueError, IndexError):
            return None
        page = os.sysconf("SC_PAGE_SIZE")
        seconds = sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
        shared = int(pages[2]) * page
        return _Reading(seconds, int(pages[1]) * page - shared, shared, int(peak[1]) * 1024 if peak else 0)

    def _disk(self, now_s: float) -> float | None:
        if now_s - self._disk_s >= DISK_EVERY_S:
            self._disk_s = now_s
            self._disk_mb = folder_bytes(self._folder) / MB
        return self._disk_mb


def folder_bytes(folder: Path) -> int:
    """Bytes allocated to the files of a tree, links not followed; stops counting after ``DISK_MAX_FILES`` files."""
    total = files = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * 512  # noqa: PTH118 - called for every file
            except OSError:
                continue
        files += len(names)
        if files > DISK_MAX_FILES:
            break
    return total
