"""Whether a Python version lies in a recipe's range (`>=3.11,<3.15`). Pure; releases only, no pre-release rules."""

from __future__ import annotations

import re

_CLAUSE = re.compile(r"\s*(===|~=|==|!=|<=|>=|<|>)\s*(\d+(?:\.\d+)*)(\.\*)?\s*")


def satisfies(version: tuple[int, ...], wanted: str) -> bool:
    """Whether every clause of `wanted` holds (version specifiers of the Python packaging guide).

    Raises ValueError naming a clause that cannot be read.
    """
    return all(_holds(version, clause) for clause in wanted.split(",") if clause.strip())


def _holds(version: tuple[int, ...], clause: str) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        raise ValueError(f"not a version range: {clause.strip()!r}")
    operator, wanted = match[1], tuple(map(int, match[2].split(".")))
    if match[3] or operator == "~=":
        prefix = wanted if match[3] else wanted[:-1]
        begins_so = version[: len(prefix)] == prefix
        if operator == "~=":
            return begins_so and _padded(version, wanted) >= _padded(wanted, version)
        return begins_so if operator == "==" else not begins_so
    left, right = _padded(version, wanted), _padded(wanted, version)
    return {
        "===": left == right,
        "==": left == right,
        "!=": left != right,
        "<=": left <= right,
        ">=": left >= right,
        "<": left < right,
        ">": left > right,
    }[operator]


def _padded(version: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return version + (0,) * (len(other) - len(version))
