"""Trials as a table: rows for the terminal, and a Markdown page with the date and the size of the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ncap_iac.analysis.trial import Trial

COLUMNS = ("analysis", "environment", "time", "peak memory", "figure of merit", "threshold", "verdict")
_DIGEST_SHOWN = 12


def row(trial: Trial) -> tuple[str, ...]:
    """One trial for a table with COLUMNS."""
    figure = trial.figure
    return (
        trial.analysis,
        trial.environment.rpartition("sha256:")[2][:_DIGEST_SHOWN],
        "" if trial.seconds is None else f"{trial.seconds:.0f} s",
        "" if trial.peak_memory_bytes is None else f"{trial.peak_memory_bytes / 1e6:.0f} MB",
        "" if figure is None else f"{figure.dataset}: {figure.name} {figure.value:.4g}",
        "" if figure is None else figure.limits,
        "passed" if trial.has_passed else "FAILED",
    )


def record_text(trials: Sequence[Trial], now: datetime, machine: str) -> str:
    """The trials as a Markdown page."""
    lines = [
        "# Samples of the analyses",
        "",
        f"{now.astimezone(UTC):%Y-%m-%d}, {machine}. Made by `ncap analysis test`: every sample went the way of a",
        "user's job on the local cloud. Time: all datasets of a sample together; memory: that of the largest.",
        "Again: `ncap analysis test --all --heavy --record FILE`; without `--heavy` the light ones only.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row(trial))} |" for trial in trials]
    return "\n".join(lines) + "\n"


def machine_text() -> str:
    """The computer, as far as results depend on it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    return f"{cores} cores ({platform.machine()}), {memory:.0f} GiB of memory, Python {platform.python_version()}"
