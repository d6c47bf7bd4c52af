"""Condition operators of IAM policies. Pure.

Source: "IAM JSON policy elements: Condition operators" and "Multivalued context keys", IAM user guide.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from ncap_iac.local.policy_patterns import Context, arn_matches, expand, matches

Test = Callable[[str, str, Context], bool]
"""Whether a request's value satisfies one of the policy's values."""


class ConditionError(ValueError):
    """A condition that cannot be evaluated: an unknown operator."""


def _equals(wanted: str, value: str, context: Context) -> bool:
    return expand(wanted, context) == value


def _equals_any_case(wanted: str, value: str, context: Context) -> bool:
    expanded = expand(wanted, context)
    return expanded is not None and expanded.lower() == value.lower()


def _numeric(compare: Callable[[float, float], bool]) -> Test:
    def test(wanted: str, value: str, context: Context) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return test


def moment(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 date or of such a number. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _dated(compare: Callable[[float, float], bool]) -> Test:
    def test(wanted: str, value: str, context: Context) -> bool:
        try:
            return compare(moment(value), moment(wanted))
        except ValueError:
            return False

    return test


def _ip(wanted: str, value: str, context: Context) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "equals": lambda value, wanted: value == wanted,
    "lessthan": lambda value, wanted: value < wanted,
    "lessthanequals": lambda value, wanted: value <= wanted,
    "greaterthan": lambda value, wanted: value > wanted,
    "greaterthanequals": lambda value, wanted: value >= wanted,
}

_TESTS: Mapping[str, Test] = {
    "stringequals": _equals,
    "stringequalsignorecase": _equals_any_case,
    "stringlike": lambda wanted, value, context: matches(wanted, value, context),
    "binaryequals": lambda wanted, value, context: wanted == value,
    "bool": lambda wanted, value, context: wanted.lower() == value.lower(),
    "ipaddress": _ip,
    "arnequals": lambda wanted, value, context: arn_matches(wanted, value, context),
    "arnlike": lambda wanted, value, context: arn_matches(wanted, value, context),
    **{f"numeric{name}": _numeric(compare) for name, compare in _COMPARISONS.items()},
    **{f"date{name}": _dated(compare) for name, compare in _COMPARISONS.items()},
}

_NEGATED: Mapping[str, str] = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}


def holds(operator: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    """Whether one condition of a statement is true in this context. Raises ConditionError."""
    name = operator.lower()
    quantifier, colon, rest = name.partition(":")
    if colon:
        name = rest
    if_exists = name.endswith("ifexists")
    name = name.removesuffix("ifexists")
    if colon and quantifier not in ("foranyvalue", "forallvalues"):
        raise ConditionError(f"unknown condition operator {operator!r}")
    values = list(context.get(key.lower(), ()))
    if name == "null":
        return any(text.lower() == ("false" if values else "true") for text in wanted)
    negated = name in _NEGATED
    test = _TESTS.get(_NEGATED.get(name, name))
    if test is None:
        raise ConditionError(f"unknown condition operator {operator!r}")
    if not values:
        return if_exists or quantifier == "forallvalues" or (negated and quantifier != "foranyvalue")
    results = [any(test(one, value, context) for one in wanted) != negated for value in values]
    if quantifier == "foranyvalue" or (not colon and not negated):
        return any(results)
    return all(results)
