"""Several blocking calls at once on daemon threads, so that a stop signal never waits for a transfer to finish."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def each(function: Callable[[Item], Answer], items: Iterable[Item], *, threads: int) -> list[Answer]:
    """``[function(item) for item in items]`` on up to ``threads`` threads; the first error is raised at once."""
    todo: SimpleQueue[tuple[int, Item]] = SimpleQueue()
    count = 0
    for number, item in enumerate(items):
        todo.put((number, item))
        count += 1
    done: SimpleQueue[tuple[int, Answer] | BaseException] = SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                number, item = todo.get_nowait()
            except Empty:
                return
            try:
                done.put((number, function(item)))
            except BaseException as error:
                done.put(error)
                return

    for _ in range(min(threads, count)):
        threading.Thread(target=work, daemon=True).start()
    answers: dict[int, Answer] = {}
    while len(answers) < count:
        outcome = done.get()
        if isinstance(outcome, BaseException):
            stop.set()
            raise outcome
        answers[outcome[0]] = outcome[1]
    return [answers[number] for number in range(count)]


def in_background(function: Callable[[], Answer], tell: Callable[[Answer | BaseException], None]) -> None:
    """Run ``function`` on a daemon thread and hand its answer, or the exception it raised, to ``tell``."""

    def work() -> None:
        try:
            tell(function())
        except BaseException as error:
            tell(error)

    threading.Thread(target=work, daemon=True).start()
