"""Order of work: which resource waits for which, and running a graph of tasks on a small pool.

Knows nothing of stacks; names in, calls out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from ncap_iac.local.cloudformation.values import invalid

PARALLEL = 4
"""Resources worked on at once."""

Graph = Mapping[str, frozenset[str]]
"""Name to the names it waits for."""


@dataclass(frozen=True)
class GraphRun:
    """How a run over a graph ended."""

    done: frozenset[str]
    failed: Mapping[str, BaseException]


def order(graph: Graph) -> list[str]:
    """Names, each after what it waits for. Raises ServiceError ValidationError naming a cycle."""
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        names = sorted(set(error.args[1]))
        raise invalid(f"Circular dependency between resources: [{', '.join(names)}]") from error


def reverse(graph: Graph) -> Graph:
    """The graph for taking down: each name waits for those that waited for it."""
    turned: dict[str, set[str]] = {name: set() for name in graph}
    for name, waits in graph.items():
        for other in waits:
            turned[other].add(name)
    return {name: frozenset(waits) for name, waits in turned.items()}


def within(graph: Mapping[str, Iterable[str]], names: Iterable[str]) -> Graph:
    """The part of a graph between the given names, waiting through names outside of it is kept."""
    chosen = set(names)

    def reached(name: str, seen: set[str]) -> set[str]:
        found: set[str] = set()
        for other in graph.get(name, ()):
            if other in chosen:
                found.add(other)
            elif other not in seen:
                seen.add(other)
                found |= reached(other, seen)
        return found

    return {name: frozenset(reached(name, {name}) - {name}) for name in chosen}


def run_graph(
    graph: Graph, task: Callable[[str], None], *, stopped: Callable[[], bool], keep_going: bool = False
) -> GraphRun:
    """Call `task(name)` for every name as early as its prerequisites allow, at most PARALLEL at once.

    After a failure nothing more is begun; with `keep_going` only what waits for the failed one is left out.
    `stopped` is asked before each begin.
    """
    done: set[str] = set()
    failed: dict[str, BaseException] = {}
    running: dict[Future[None], str] = {}
    waiting = dict(sorted(graph.items()))
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="cloudformation") as pool:
        while True:
            if not stopped() and (keep_going or not failed):
                ready = [name for name, waits in waiting.items() if waits <= done]
                for name in ready[: PARALLEL - len(running)]:
                    del waiting[name]
                    running[pool.submit(task, name)] = name
            if not running:
                return GraphRun(frozenset(done), failed)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                error = future.exception()
                if error is None:
                    done.add(name)
                else:
                    failed[name] = error
