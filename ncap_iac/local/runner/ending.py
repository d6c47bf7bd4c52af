"""The orderly end of a machine: everybody is told, then everybody is gone. Runs in the warden.

The machine's init is stopped first and told last: a shell that saw its command end would go on with the next line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Container, Iterable

from ncap_iac.local.runner.processes import Process, describe_process, generations

_PAUSE_S = 0.02
_LEAST_FOR_INIT_S = 0.1


def end_descendants(holders: int, *, init_lives: bool, grace_s: float, meanwhile: Callable[[], None]) -> None:
    """TERM to the machine, `grace_s` to obey, then KILL until no descendant of this process is left.

    `holders`: how many generations only hold the sandbox; they are not told, or they would take it down.
    """
    deadline = time.monotonic() + grace_s
    line = _first_of_each_generation(holders + 1) if init_lives else []
    init = line[-1:] if len(line) > holders else []
    spared = {process.pid for process in line}
    told: set[int] = set()
    _send(init, signal.SIGSTOP)
    while (others := _living(spared)) and time.monotonic() < deadline:
        _send([process for process in others if process.pid not in told], signal.SIGTERM)
        told.update(process.pid for process in others)
        _pause(meanwhile)
    deadline = max(deadline, time.monotonic() + _LEAST_FOR_INIT_S)
    _send(init, signal.SIGTERM, signal.SIGCONT)
    while any(_is_running(process) for process in init) and time.monotonic() < deadline:
        _pause(meanwhile)
    while left := _living(frozenset()):
        _send(left, signal.SIGKILL)
        _pause(meanwhile)
    _reap()


def _first_of_each_generation(count: int) -> list[Process]:
    """The holders and the init: each the first its parent made; orphans a parent adopted later are younger."""
    line: list[Process] = []
    parent = os.getpid()
    for level in generations(parent)[:count]:
        children = [process for process in level if process.parent == parent]
        if not children:
            break
        line.append(children[0])
        parent = children[0].pid
    return line


def _living(spared: Container[int]) -> list[Process]:
    everybody = (process for level in generations(os.getpid()) for process in level)
    return [process for process in everybody if process.is_alive and process.pid not in spared]


def _is_running(process: Process) -> bool:
    now = describe_process(process.pid)
    return now is not None and now.is_alive and now.started == process.started


def _send(processes: Iterable[Process], *signals: int) -> None:
    for process in processes:
        for number in signals:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, number)


def _pause(meanwhile: Callable[[], None]) -> None:
    meanwhile()
    _reap()
    time.sleep(_PAUSE_S)


def _reap() -> None:
    """Collect every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
