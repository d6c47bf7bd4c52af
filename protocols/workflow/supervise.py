"""Waits for a running command while reporting on it: until it ends, its time is up, or it is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType

from workflow.failure import Ending
from workflow.process import Child
from workflow.reporter import Reporter

Inbox = SimpleQueue[object]
"""What the main thread waits on. ``SimpleQueue.put`` is safe in a signal handler, an Event's ``set`` is not."""

GRACE_S = 10.0
STOP_GRACE_S = 3.0
"""When the machine is about to go, little time is left to store what there is."""

NOTICE_EVERY_S = 5.0


def listen_for_stop(inbox: Inbox) -> None:
    """Deliver termination signals (the end of the instance, or Ctrl-C) to the inbox."""

    def deliver(_number: int, _frame: FrameType | None) -> None:
        inbox.put(Ending.CANCELLED)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, deliver)


class NoticeWatch:
    """Asks for the notice of a spot interruption, at most every ``NOTICE_EVERY_S`` seconds."""

    def __init__(self, has_spot_notice: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._has_spot_notice = has_spot_notice
        self._clock = clock
        self._asked_s = clock()

    def has_notice(self) -> bool:
        """Whether it is time to ask and there is a notice."""
        if self._clock() - self._asked_s < NOTICE_EVERY_S:
            return False
        self._asked_s = self._clock()
        return self._has_spot_notice()


def supervise(
    child: Child,
    reporter: Reporter,
    inbox: Inbox,
    *,
    clock: Callable[[], float],
    deadline_s: float,
    has_spot_notice: Callable[[], bool],
) -> Ending:
    """Why the child ended; when this returns nothing of its process group is left.

    The inbox must receive ``Ending.EXITED`` when the child exits. ``deadline_s`` is a reading of ``clock``.
    """
    started_s = clock()
    watch = NoticeWatch(has_spot_notice, clock)
    while True:
        now_s = clock()
        reporter.tick()
        pause_s = 0.1 if now_s - started_s < 10 else 0.5
        try:
            message = inbox.get(timeout=max(0.0, min(pause_s, deadline_s - now_s)))
        except Empty:
            message = None
        if message is Ending.EXITED:
            child.kill_group()
            return Ending.EXITED
        if message is Ending.CANCELLED:
            ending = Ending.SPOT if has_spot_notice() else Ending.CANCELLED
            child.stop(grace_s=STOP_GRACE_S)
            return ending
        if clock() >= deadline_s:
            child.stop(grace_s=GRACE_S)
            return Ending.DEADLINE
        if watch.has_notice():
            # The two minutes that remain are for storing what there is.
            child.stop(grace_s=GRACE_S)
            return Ending.SPOT
