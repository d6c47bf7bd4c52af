"""When to ask the base for a snapshot: soon after the last change, and regularly while there is no last one."""

from __future__ import annotations

import threading
from collections.abc import Callable

QUIET_S = 1.0
AT_MOST_S = 5.0


class SnapshotTimer:
    """Calls `save` once `quiet_s` after the last change, and at least every `at_most_s` while changes go on."""

    def __init__(
        self,
        save: Callable[[], None],
        clock: Callable[[], float],
        *,
        quiet_s: float = QUIET_S,
        at_most_s: float = AT_MOST_S,
    ) -> None:
        self._save = save
        self._clock = clock
        self._quiet_s = quiet_s
        self._at_most_s = at_most_s
        self._changed = threading.Condition()
        self._first: float | None = None
        self._last = 0.0
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was not saved yet is left to the base's own orderly end."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def touch(self) -> None:
        """Something changed."""
        with self._changed:
            self._last = self._clock()
            if self._first is None:
                self._first = self._last
                self._changed.notify()

    def _run(self) -> None:
        while self._wait_until_due():
            self._save()

    def _wait_until_due(self) -> bool:
        with self._changed:
            while not self._ended:
                if self._first is None:
                    self._changed.wait()
                    continue
                left = min(self._last + self._quiet_s, self._first + self._at_most_s) - self._clock()
                if left <= 0:
                    self._first = None
                    return True
                self._changed.wait(left)
            return False
