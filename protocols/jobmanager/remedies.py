"""What a user can do about each way a dataset may fail, with figures where they are known. Words only."""

from __future__ import annotations

from collections.abc import Mapping

from jobmanager.rows import AttemptRow, JobRow
from jobmanager.states import FailureClass

_MIB_PER_GIB = 1024
_PLAIN = {
    FailureClass.USER_CODE: "its output is in the STATUS file; correct the data or the config and submit it again",
    FailureClass.INPUT: "upload the dataset and the config again and submit again",
    FailureClass.BOOT: "submit again; if it repeats, tell an operator: the environment does not start",
    FailureClass.SPOT: "AWS took the instance back twice; submit again",
    FailureClass.LOST_INSTANCE: "submit again; if it repeats, tell an operator",
    FailureClass.CANCELLED: "submit again to have it analysed",
    FailureClass.QUOTA: "submit again later or fewer at once, or ask an operator to raise the limit",
    FailureClass.BUDGET: "ask an operator for a larger budget",
}


def remedy(job: JobRow, attempt: AttemptRow, memory_gib: Mapping[str, int]) -> str:
    """One line for a failed attempt. `memory_gib`: the memory of instance types as far as it is known."""
    failure = FailureClass(attempt.failure or FailureClass.USER_CODE)
    if failure is FailureClass.OUT_OF_MEMORY:
        return _more_memory(job, attempt, memory_gib)
    if failure is FailureClass.DISK_FULL:
        return _more_disk(job, attempt)
    if failure is FailureClass.TIMEOUT:
        return f"its limit was {attempt.minutes} minutes; set a larger __duration__, or split the dataset"
    if failure is FailureClass.CAPACITY:
        others = " or ".join(f"'{name}'" for name in job.other_types)
        return "submit again later" + (f", or with instance_type {others}" if others else "")
    return _PLAIN[failure]


def _more_memory(job: JobRow, attempt: AttemptRow, memory_gib: Mapping[str, int]) -> str:
    has = memory_gib.get(attempt.instance_type or "")
    used = _gib(attempt.memory)
    figures = f"{used} of {has} GiB used" if used and has else ""
    larger = sorted(
        (memory_gib[name], name) for name in (*job.types, *job.other_types) if memory_gib.get(name, 0) > (has or 0)
    )
    if has and larger:
        advice = f"try instance_type '{larger[0][1]}', which has {larger[0][0]} GiB"
    else:
        advice = "this analysis offers no type with more memory: send smaller datasets or ask its developer"
    return "; ".join(part for part in (figures, advice) if part)


def _more_disk(job: JobRow, attempt: AttemptRow) -> str:
    used, size = _gib(attempt.disk), job.volume_gib + job.extra_gib
    figures = f"{used} GiB written to a disk of {size} GiB" if used else f"the disk has {size} GiB"
    return f"{figures}; set __dataset_size__ in the config to the gigabytes to add (now {job.extra_gib})"


def _gib(text: str | None) -> str:
    """`31744 MB` as GiB, without needless digits; empty when it is no such amount."""
    number, _, unit = (text or "").partition(" ")
    if unit != "MB" or not number.isdecimal() or len(number) > 9:
        return ""
    return f"{int(number) / _MIB_PER_GIB:.1f}".removesuffix(".0")
