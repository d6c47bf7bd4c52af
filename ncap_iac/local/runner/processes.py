"""Which processes belong to a machine and how much memory they hold. Reads, and sends no signal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024


@dataclass(frozen=True)
class Process:
    """One process of the host."""

    pid: int
    parent: int
    state: str
    """One letter; `Z` has ended and waits to be reaped."""
    resident_bytes: int
    started: int
    """Clock ticks since boot; only for comparing."""
    name: str

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self.state not in ("Z", "X")


def describe_process(pid: int) -> Process | None:
    """The process, or None if it is gone (proc(5), `/proc/<pid>/stat`)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    pages = int(fields[21])
    return Process(
        pid=pid,
        parent=int(fields[1]),
        state=fields[0],
        resident_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        started=int(fields[19]),
        name=name,
    )


def _all_processes() -> Iterator[Process]:
    if Path("/proc/self/stat").exists():
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and (process := describe_process(int(entry.name))):
                yield process
        return
    import subprocess  # a warden starts without what Linux does not need

    answer = subprocess.run(["ps", "-axo", "pid=,ppid=,state=,rss=,comm="], capture_output=True, text=True, check=False)
    for line in answer.stdout.splitlines():
        pid, parent, state, resident, name = line.split(None, 4)
        yield Process(int(pid), int(parent), state[0], int(resident) * _KIB, int(pid), name)


def generations(root: int) -> list[list[Process]]:
    """All descendants of `root`, by generation: children first. Complete: every process of the host is looked at."""
    by_parent: dict[int, list[Process]] = {}
    for process in _all_processes():
        by_parent.setdefault(process.parent, []).append(process)
    found: list[list[Process]] = []
    level = by_parent.get(root, [])
    while level:
        found.append(sorted(level, key=lambda process: (process.started, process.pid)))
        level = [child for process in level for child in by_parent.get(process.pid, [])]
    return found


def _children(pid: int) -> Iterator[int]:
    """Children by `/proc/<pid>/task/*/children`, cheap but blind to a child that ends meanwhile."""
    try:
        for task in os.scandir(f"/proc/{pid}/task"):
            yield from map(int, Path(task.path, "children").read_text().split())
    except OSError:
        return


def watched_descendants(root: int) -> list[Process]:
    """Descendants of `root`, cheaply, for looking often; one may be missed now and then."""
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        return [process for level in generations(root) for process in level]
    found: list[Process] = []
    waiting = list(_children(root))
    while waiting:
        pid = waiting.pop()
        if process := describe_process(pid):
            found.append(process)
            waiting.extend(_children(pid))
    return found


def proportional_bytes(process: Process) -> int:
    """Memory of a process with shared pages divided among their users; its resident size where that is unknown."""
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * _KIB
    except OSError:
        pass
    return process.resident_bytes
