"""Makes a run repeatable: one source of randomness, one thread a process.

SpikeInterface draws numbers with ``numpy.random.default_rng(None)`` in places its sorters' seed does not reach, so two
runs differ. Inside `repeatable`, such a call is given the run's seed; calls that bring their own are left alone. Sums
to which several processes add are rounded by who came first: `in_one_process` keeps such a function to one. It must
not change what is computed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np


def cores() -> int:
    """Cores the run was given: the platform says so in OMP_NUM_THREADS."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(given), here) if given.isdigit() and int(given) > 0 else here


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Seed numpy's and Python's generators, and each generator that is made without a seed; undone at the end."""
    from threadpoolctl import threadpool_limits

    original, own = np.random.default_rng, seed

    def with_own_seed(seed: Any = None) -> np.random.Generator:
        return original(own if seed is None else seed)

    np.random.seed(seed)
    random.seed(seed)
    np.random.default_rng = with_own_seed
    try:
        with threadpool_limits(1):
            yield
    finally:
        np.random.default_rng = original


@contextmanager
def in_one_process(module: ModuleType, name: str) -> Iterator[None]:
    """A function of a module, called with one job whatever it is asked for; undone at the end."""
    original = getattr(module, name)

    def alone(*arguments: Any, **named: Any) -> Any:
        return original(*arguments, **{**named, "n_jobs": 1})

    setattr(module, name, alone)
    try:
        yield
    finally:
        setattr(module, name, original)
