"""EventBridge's event patterns. Pure.

Source: "Amazon EventBridge event patterns" and "Comparison operators", EventBridge user guide.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_ABSENT = object()


class PatternError(ValueError):
    """A pattern that EventBridge would refuse, or that is not understood here."""


def parse_pattern(text: str) -> Mapping[str, Any]:
    """A rule's pattern. Raises PatternError."""
    try:
        pattern = json.loads(text)
    except ValueError as error:
        raise PatternError(f"not JSON: {error}") from error
    if not isinstance(pattern, dict):
        raise PatternError("a pattern is a JSON object")
    return pattern


def covers(pattern: Mapping[str, Any], event: Any) -> bool:
    """Whether an event (or a part of it) matches a pattern. Raises PatternError."""
    for name, wanted in pattern.items():
        if name == "$or":
            if not isinstance(wanted, list):
                raise PatternError("$or: expected a list of patterns")
            if not any(covers(part, event) for part in wanted):
                return False
            continue
        found = event.get(name, _ABSENT) if isinstance(event, Mapping) else _ABSENT
        if isinstance(wanted, Mapping):
            if not _covers_nested(wanted, found):
                return False
        elif not isinstance(wanted, list):
            raise PatternError(f"{name}: expected a list or an object")
        elif not any(_covers_value(one, found) for one in wanted):
            return False
    return True


def _covers_nested(pattern: Mapping[str, Any], found: Any) -> bool:
    parts = found if isinstance(found, list) else [found]
    return any(covers(pattern, {} if part is _ABSENT else part) for part in parts)


def _covers_value(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Mapping):
        if len(wanted) != 1:
            raise PatternError("a comparison has one operator")
        operator, operand = next(iter(wanted.items()))
        if operator == "exists":
            return bool(operand) == (found is not _ABSENT)
        compare = _OPERATORS.get(operator)
        if compare is None:
            raise PatternError(f"comparison {operator!r} is not understood")
        return found is not _ABSENT and any(compare(operand, value) for value in _values(found))
    return found is not _ABSENT and any(_same(wanted, value) for value in _values(found))


def _values(found: Any) -> Sequence[Any]:
    return found if isinstance(found, list) else [found]


def _same(wanted: Any, value: Any) -> bool:
    """JSON equality: true is not 1."""
    return isinstance(wanted, bool) == isinstance(value, bool) and bool(wanted == value)


def _prefix(operand: Any, value: Any) -> bool:
    if isinstance(operand, Mapping):
        return isinstance(value, str) and value.lower().startswith(_ignored_case(operand))
    return isinstance(value, str) and value.startswith(operand)


def _suffix(operand: Any, value: Any) -> bool:
    if isinstance(operand, Mapping):
        return isinstance(value, str) and value.lower().endswith(_ignored_case(operand))
    return isinstance(value, str) and value.endswith(operand)


def _ignored_case(operand: Mapping[str, Any]) -> str:
    text = operand.get("equals-ignore-case")
    if not isinstance(text, str) or len(operand) != 1:
        raise PatternError("expected equals-ignore-case with text")
    return text.lower()


def _anything_but(operand: Any, value: Any) -> bool:
    if isinstance(operand, Mapping):
        (operator, inner) = next(iter(operand.items()))
        compare = _OPERATORS.get(operator)
        if compare is None or operator in ("anything-but", "numeric"):
            raise PatternError(f"anything-but {operator!r} is not understood")
        return not any(compare(one, value) for one in (inner if isinstance(inner, list) else [inner]))
    return not any(_same(one, value) for one in (operand if isinstance(operand, list) else [operand]))


_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda value, limit: value == limit,
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
}


def _numeric(operand: Any, value: Any) -> bool:
    if not isinstance(operand, list) or len(operand) % 2 or not operand:
        raise PatternError("numeric: expected pairs of a comparison and a number")
    pairs = list(zip(operand[::2], operand[1::2], strict=True))
    if any(sign not in _COMPARISONS or not isinstance(limit, int | float) for sign, limit in pairs):
        raise PatternError("numeric: expected pairs of a comparison and a number")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return all(_COMPARISONS[sign](value, limit) for sign, limit in pairs)


def _wildcard(operand: Any, value: Any) -> bool:
    expression = ".*".join(re.escape(part) for part in str(operand).split("*"))
    return isinstance(value, str) and bool(re.fullmatch(expression, value, re.DOTALL))


def _cidr(operand: Any, value: Any) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(operand, strict=False)
    except ValueError:
        return False


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "anything-but": _anything_but,
    "equals-ignore-case": lambda operand, value: isinstance(value, str) and value.lower() == str(operand).lower(),
    "numeric": _numeric,
    "wildcard": _wildcard,
    "cidr": _cidr,
}
