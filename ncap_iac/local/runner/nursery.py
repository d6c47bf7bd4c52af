"""Where wardens come from: one process that has everything imported and forks a warden a machine.

Starting an interpreter for each machine would cost more than all else a boot does. The process talks to nobody: it
receives two pipe ends over its socket, says that it has them, forks, and forgets. It ends when the edge does; its
wardens watch the edge themselves.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path

_PACKAGE_ROOT = Path(__file__).resolve().parents[3]
_RUNGS = ("bubblewrap", "landlock", "namespaces")
_PIPES = 2
_ONE = b"1"


class Nursery:
    """The edge's side: asks for wardens. The process starts with the first and is replaced if it was killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    @contextmanager
    def hatch(self) -> Iterator[tuple[FileIO, BufferedReader]]:
        """A warden, and the files to tell it things and to hear from it; closing the former ends its machine."""
        heard, commands = os.pipe()
        reports, told = os.pipe()
        with os.fdopen(commands, "wb", buffering=0) as tell, os.fdopen(reports, "rb") as hear:
            try:
                self._ask(heard, told)
            finally:
                os.close(heard)
                os.close(told)
            yield tell, hear

    def _ask(self, commands: int, reports: int) -> None:
        with self._lock:
            for attempt in range(2):
                if self._socket is None or self._process is None or self._process.poll() is not None:
                    self._start()
                assert self._socket is not None
                try:
                    socket.send_fds(self._socket, [_ONE], [commands, reports])
                    # A killed process may leave its socket open for a moment: only an answer shows that it lives.
                    if self._socket.recv(1) != _ONE:
                        raise ConnectionResetError("the nursery ended")
                    return
                except OSError:
                    if attempt:
                        raise
                    self._end()

    def warm(self) -> None:
        """Start the process before the first warden is wanted."""
        with self._lock:
            if self._socket is None:
                self._start()

    def close(self) -> None:
        """End the process; wardens that live go on."""
        with self._lock:
            self._end()

    def _start(self) -> None:
        self._end()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(nursery_command(), stdin=theirs.fileno(), start_new_session=True)
        self._socket = ours

    def _end(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.wait()
            self._process = None


def nursery_command() -> list[str]:
    """How to start the process: free of the user's Python settings, with nothing but this package's folder."""
    code = f"import sys; sys.path.insert(0, {str(_PACKAGE_ROOT)!r})\n"
    code += "from ncap_iac.local.runner.nursery import main\nmain()"
    return [sys.executable, "-I", "-S", "-c", code]


def main() -> None:
    """Fork a warden for each pair of pipe ends, until the socket closes."""
    warden = importlib.import_module("ncap_iac.local.runner.warden")
    for rung in _RUNGS:
        importlib.import_module(f"ncap_iac.local.runner.{rung}")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        # Ignoring the end of a child lets the kernel reap it.
        signal.signal(number, signal.SIG_IGN)
    door = socket.socket(fileno=sys.stdin.fileno())
    while True:
        said, pipes, _, _ = socket.recv_fds(door, 1, _PIPES)
        if not said:
            os._exit(0)
        door.send(_ONE)
        if os.fork() == 0:
            try:
                os.setsid()
                os.dup2(pipes[0], 0)  # takes the place of the socket
                os.dup2(pipes[1], 1)
                for pipe in pipes:
                    os.close(pipe)
                warden.main()
            finally:
                os._exit(0)
        for pipe in pipes:
            os.close(pipe)
