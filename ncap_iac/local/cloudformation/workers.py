"""Background threads, at most one a stack: the next one waits for the one before, which is asked to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable

Stopped = Callable[[], bool]
Job = Callable[[Stopped], None]


class Workers:
    """Runs one job after the other for each stack."""

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        """`failed` hears of a job that ended with an exception, with its stack's id."""
        self._failed = failed
        self._lock = threading.Lock()
        self._running: dict[str, tuple[threading.Thread, threading.Event]] = {}
        self._closing = threading.Event()

    def begin(self, stack_id: str, job: Job) -> None:
        """Run a job in the background; a job of the same stack is told to stop, and is waited for."""
        with self._lock:
            if self._closing.is_set():
                return
            before = self._running.get(stack_id)
            cancelled = threading.Event()
            thread = threading.Thread(
                target=self._run, args=(stack_id, job, cancelled, before), name=f"stack-{stack_id}", daemon=True
            )
            self._running[stack_id] = (thread, cancelled)
            thread.start()

    def _run(
        self,
        stack_id: str,
        job: Job,
        cancelled: threading.Event,
        before: tuple[threading.Thread, threading.Event] | None,
    ) -> None:
        if before is not None:
            before[1].set()
            before[0].join()
        try:
            job(lambda: cancelled.is_set() or self._closing.is_set())
        except Exception as error:
            if not self._closing.is_set():
                self._failed(stack_id, error)
        finally:
            with self._lock:
                if self._running.get(stack_id, (None,))[0] is threading.current_thread():
                    del self._running[stack_id]

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the moment everything has to end."""
        self._closing.wait(seconds)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until no job is running; whether that is so."""
        for thread in self._threads():
            thread.join(timeout_s)
        return not self._threads()

    def close(self) -> None:
        """Tell every job to stop and wait for the steps under way. May be called twice."""
        self._closing.set()
        self.wait()

    def _threads(self) -> list[threading.Thread]:
        with self._lock:
            return [thread for thread, _ in self._running.values()]
