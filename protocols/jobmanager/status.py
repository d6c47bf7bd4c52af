"""What an instance reported on its dataset, and how its attempt ended according to that. Reads no storage.

A STATUS object is written by user-controlled code's neighbour: nothing in it is trusted to have a type or a size.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from jobmanager.rows import InstanceRow
from jobmanager.states import AttemptState, FailureClass
from jobmanager.times import seconds_between
from jobmanager.writes import Ending

_LONGEST_LINE = 300
_TOLD_BY_INSTANCE = frozenset(
    {
        FailureClass.USER_CODE,
        FailureClass.OUT_OF_MEMORY,
        FailureClass.DISK_FULL,
        FailureClass.TIMEOUT,
        FailureClass.INPUT,
        FailureClass.BOOT,
        FailureClass.SPOT,
        FailureClass.CANCELLED,
    }
)


@dataclass(frozen=True)
class Status:
    """A STATUS object, as far as it could be read."""

    instance: str
    status: str
    reason: int | None = None
    failure: FailureClass | None = None
    message: str | None = None
    last_line: str | None = None
    cpu: str | None = None
    memory: str | None = None
    disk: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the instance reported the end."""
        return self.status in ("SUCCESS", "FAILED")


def parse_status(body: bytes | None) -> Status | None:
    """The status in an object; None when there is none, or none that can be read."""
    try:
        found = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    failure = found.get("failure")
    reason = found.get("reason")
    return Status(
        instance=_text(found.get("instance")) or "",
        status=_text(found.get("status")) or "",
        reason=reason if isinstance(reason, int) and not isinstance(reason, bool) else None,
        failure=FailureClass(failure) if isinstance(failure, str) and failure in _TOLD_BY_INSTANCE else None,
        message=_text(found.get("message")),
        last_line=_last_line(found.get("std")),
        cpu=_text(found.get("cpu_usage")),
        memory=_text(found.get("memory_usage")),
        disk=_text(found.get("disk_usage")),
    )


def judge_end(row: InstanceRow, status: Status | None, *, ended_at: str, dead_man_minutes: int) -> Ending:
    """How the attempt of an ended instance ended: by its own report, else by why it was stopped, else it was lost."""
    own = status if status and status.instance == row.instance else None
    ending = Ending(AttemptState.SUCCEEDED, ended_at)
    if own:
        ending = replace(
            ending, exit_code=own.reason, last_line=own.last_line, cpu=own.cpu, memory=own.memory, disk=own.disk
        )
    if own and own.status == "SUCCESS" and own.reason == 0:
        return ending
    failure: FailureClass
    # An instance that was told to go off knows no reason; whoever told it does.
    if own and own.is_final and own.failure is not FailureClass.CANCELLED:
        failure, message = own.failure or FailureClass.USER_CODE, own.message or _exit_words(own.reason)
    else:
        failure, message = _judge_silence(row, ended_at=ended_at, dead_man_minutes=dead_man_minutes)
    return replace(ending, state=AttemptState.FAILED, failure=failure, message=message)


def _judge_silence(row: InstanceRow, *, ended_at: str, dead_man_minutes: int) -> tuple[FailureClass, str]:
    if row.stop == FailureClass.CANCELLED:
        return FailureClass.CANCELLED, "stopped because the job was cancelled"
    if row.stop and row.stop != FailureClass.TIMEOUT:
        return FailureClass(row.stop), "stopped because the job could not go on"
    alive_s = seconds_between(row.launched_at, ended_at)
    if row.stop == FailureClass.TIMEOUT or alive_s >= (row.minutes + dead_man_minutes) * 60:
        return FailureClass.TIMEOUT, f"stopped at its limit of {row.minutes} minutes"
    return FailureClass.LOST_INSTANCE, f"instance {row.instance} was gone before the analysis ended"


def _exit_words(code: int | None) -> str:
    return "the analysis failed" if code is None else f"the analysis ended with exit code {code}"


def _last_line(std: object) -> str | None:
    if not isinstance(std, dict):
        return None
    lines = [_text(line) for line in std.values()]
    return next((line for line in reversed(lines) if line and line.strip()), None)


def _text(value: object) -> str | None:
    """One line of printable text, for what an instance wrote goes into rows of a table."""
    if not isinstance(value, str):
        return None
    plain = "".join(sign if sign.isprintable() else " " for sign in value[: 2 * _LONGEST_LINE])
    return plain.replace(" | ", " ¦ ").strip()[:_LONGEST_LINE]
