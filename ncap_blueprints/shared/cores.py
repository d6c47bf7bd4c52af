"""Cores for processes of one thread each. It must be imported before numpy, and must not import it."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def take_cores(environ: MutableMapping[str, str]) -> int:
    """Cores this run may use. They go to processes with one thread each, which gives the same bits on any number.

    Called before numpy is imported, which reads the thread variables then.
    """
    given = environ.get(THREADS[0], "")
    cores = int(given) if given.isdigit() and int(given) > 0 else os.cpu_count() or 1
    environ.update(dict.fromkeys(THREADS, "1"))
    return cores
