"""Starts the analysis as a child in its own session and ends it with everything it started.

Its output goes to a file, so that no amount of it can block the child or fill memory. It must not look at the output.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

EXIT_ON_SIGNAL = 128
"""A child ended by signal n is reported with exit code 128 + n, as shells do."""


class Child:
    """A running command; ``exited`` is called once, from another thread, when the command itself has ended."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        folder: Path,
        environ: Mapping[str, str],
        log: Path,
        exited: Callable[[], None],
    ) -> None:
        """Start it. Raises OSError when the program cannot be started."""
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                list(argv),
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._ended = threading.Event()
        self._exited = exited
        threading.Thread(target=self._wait, daemon=True).start()

    @property
    def session(self) -> int:
        """The id of the session (and process group) all descendants belong to unless they leave it."""
        return self._popen.pid

    def exit_code(self) -> int:
        """Wait for the end; 0 to 255, 128 + n for signal n."""
        self._ended.wait()
        code = self._popen.returncode
        return EXIT_ON_SIGNAL - code if code < 0 else code

    def stop(self, *, grace_s: float) -> None:
        """Ask the whole group to end, then insist after ``grace_s`` seconds."""
        self._signal(signal.SIGTERM)
        self._ended.wait(grace_s)
        self.kill_group()

    def kill_group(self) -> None:
        """End whatever of the group is still alive, also after the command itself has ended."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # PermissionError: a zombie group on some systems.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, number)

    def _wait(self) -> None:
        self._popen.wait()
        self._ended.set()
        self._exited()
