"""How a run ended, as one of the failure classes of docs/contracts.md section 5 and a sentence for people. Pure."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

TIMEOUT_EXIT_CODE = 124
"""What timeout(1) of GNU coreutils returns when it ended a command."""

OUT_OF_MEMORY_SIGNS = ("MemoryError", "Cannot allocate memory", "std::bad_alloc", "Out of memory", "out of memory")
DISK_FULL_SIGNS = ("No space left on device", "ENOSPC", "Disk quota exceeded")


class Failure(Enum):
    """The classes an instance can tell."""

    USER_CODE = "user-code"
    OUT_OF_MEMORY = "out-of-memory"
    DISK_FULL = "disk-full"
    TIMEOUT = "timeout"
    INPUT = "input"
    BOOT = "boot"
    SPOT = "spot"
    CANCELLED = "cancelled"


class Ending(Enum):
    """Why the child is no longer running."""

    EXITED = "exited"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    SPOT = "spot"


@dataclass(frozen=True)
class Outcome:
    """The end of an attempt: exit code, class (None: it succeeded) and one plain sentence with the remedy."""

    exit_code: int
    failure: Failure | None = None
    message: str | None = None


def judge(ending: Ending, exit_code: int, last_lines: Sequence[str], *, limit_minutes: float) -> Outcome:
    """The outcome of a run that was started; ``last_lines`` are the last non-blank lines of its output."""
    if ending is Ending.DEADLINE:
        return Outcome(
            TIMEOUT_EXIT_CODE,
            Failure.TIMEOUT,
            f"The analysis was stopped at its limit of {limit_minutes:g} minutes; what it had written is kept."
            " Allow more time with __duration__ in the config, or send a smaller dataset.",
        )
    if ending is Ending.SPOT:
        return Outcome(
            exit_code or 1,
            Failure.SPOT,
            "The spot instance was taken back by the cloud before the analysis ended; it is started again by itself.",
        )
    if ending is Ending.CANCELLED:
        return Outcome(
            exit_code or 1,
            Failure.CANCELLED,
            "The instance was told to stop before the analysis ended; what it had written is kept. Submit again to"
            " run it in full.",
        )
    if exit_code == 0:
        return Outcome(0)
    return _judge_exit(exit_code, last_lines)


def _judge_exit(exit_code: int, last_lines: Sequence[str]) -> Outcome:
    end = "\n".join(last_lines)
    if any(sign in end for sign in DISK_FULL_SIGNS):
        return Outcome(
            exit_code,
            Failure.DISK_FULL,
            "The disk of the instance is full; ask the analysis' developer for a larger volume, or send a smaller"
            " dataset.",
        )
    if any(sign in end for sign in OUT_OF_MEMORY_SIGNS):
        return Outcome(
            exit_code,
            Failure.OUT_OF_MEMORY,
            "The analysis needed more memory than the instance has; choose an instance_type with more memory, or send"
            " a smaller dataset.",
        )
    if exit_code == 128 + signal.SIGKILL:
        # Nothing tells who sent it; on a machine of its own it is nearly always the kernel, out of memory.
        return Outcome(
            exit_code,
            Failure.OUT_OF_MEMORY,
            "The analysis was killed (signal SIGKILL), as the system does when memory runs out; choose an instance_type"
            " with more memory, or send a smaller dataset.",
        )
    last = f" Its last line: {last_lines[-1].strip()[:300]}" if last_lines else " It printed nothing."
    return Outcome(exit_code, Failure.USER_CODE, f"The analysis ended with {_described(exit_code)}.{last}")


def _described(exit_code: int) -> str:
    if exit_code > 128:
        try:
            return f"signal {signal.Signals(exit_code - 128).name} (exit code {exit_code})"
        except ValueError:
            pass
    return f"exit code {exit_code}"
