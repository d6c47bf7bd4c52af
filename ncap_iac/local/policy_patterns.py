"""Patterns of IAM policies: wildcards, policy variables, ARNs. Pure.

Source: "IAM JSON policy elements: Resource / Condition" and "Policy variables and tags", IAM user guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

Context = Mapping[str, Sequence[str]]
"""Condition keys in lower case with their values; an absent key has no entry."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}
_ARN_PARTS = 6


def matches(pattern: str, text: str, context: Context | None = None, *, ignore_case: bool = False) -> bool:
    """Whether a pattern with `*`, `?` and `${variables}` covers the whole text.

    A variable stands for its value letter by letter, wildcards in it included. Without a value (and default) the
    pattern covers nothing. `context` None: variables are not variables but text.
    """
    expression = _expression(pattern, context)
    if expression is None:
        return False
    return bool(_compiled(expression, ignore_case).fullmatch(text))


@lru_cache(maxsize=4096)
def _compiled(expression: str, ignore_case: bool) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _expression(pattern: str, context: Context | None) -> str | None:
    if context is None or "${" not in pattern:
        return _wild(pattern)
    parts = []
    end = 0
    for found in _VARIABLE.finditer(pattern):
        value = _value(found[1], context)
        if value is None:
            return None
        parts += [_wild(pattern[end : found.start()]), re.escape(value)]
        end = found.end()
    return "".join([*parts, _wild(pattern[end:])])


def _wild(text: str) -> str:
    return "".join(".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in text)


def _value(variable: str, context: Context) -> str | None:
    if variable in _LITERALS:
        return _LITERALS[variable]
    name, comma, default = variable.partition(",")
    values = context.get(name.strip().lower(), ())
    if len(values) == 1:
        return values[0]
    default = default.strip()
    if comma and len(default) > 1 and default[0] == default[-1] == "'":
        return default[1:-1]
    return None


def expand(text: str, context: Context) -> str | None:
    """Text with its variables replaced, for comparisons without wildcards; None if a variable has no value."""
    missing = False

    def replace(found: re.Match[str]) -> str:
        nonlocal missing
        value = _value(found[1], context)
        missing = missing or value is None
        return value or ""

    expanded = _VARIABLE.sub(replace, text)
    return None if missing else expanded


def arn_matches(pattern: str, arn: str, context: Context | None = None) -> bool:
    """As `matches`, part by part of two ARNs: a wildcard never reaches over a colon of the first five."""
    patterns, parts = pattern.split(":", _ARN_PARTS - 1), arn.split(":", _ARN_PARTS - 1)
    if pattern == "*":
        return True
    if len(patterns) != _ARN_PARTS or len(parts) != _ARN_PARTS:
        return False
    return all(matches(one, part, context) for one, part in zip(patterns, parts, strict=True))
