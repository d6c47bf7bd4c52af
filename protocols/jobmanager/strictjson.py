"""JSON read strictly: no NaN, no key twice, no byte-order mark, no deep nesting. Says in words what is wrong.

What passes can be written again as JSON; its texts may hold halves of signs (lone surrogates), see `is_unicode`.
"""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 100
"""Levels of lists and objects in one another. Python writes and compares deep values by recursion."""


class NotJsonError(ValueError):
    """The text is not what we take for JSON; the message is for the user."""


def parse_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises NotJsonError with a sentence that can be shown."""
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise NotJsonError("it begins with a byte-order mark; save it as UTF-8 without one")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJsonError(f"byte {error.start + 1} is not UTF-8; save it as UTF-8") from error
    if not text.strip():
        raise NotJsonError("it is empty")
    try:
        found = json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant, parse_float=_finite
        )
    except NotJsonError:
        raise
    except json.JSONDecodeError as error:
        raise NotJsonError(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise NotJsonError("it is nested too deeply") from error
    except ValueError as error:
        raise NotJsonError("it holds a number with too many digits") from error
    if is_too_deep(found):
        raise NotJsonError("it is nested too deeply")
    return found


def is_too_deep(value: Any) -> bool:
    """Whether lists and mappings are in one another beyond MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for it in level
            if isinstance(it, dict | list)
            for inner in (it.values() if isinstance(it, dict) else it)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def is_unicode(value: Any) -> bool:
    """Whether all texts in a value can be written in UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotJsonError(f"{text[:40]} is too large a number")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise NotJsonError(f"the field '{name}' is there twice")
        found[name] = value
    return found


def _refuse_constant(name: str) -> Any:
    raise NotJsonError(f"{name} is not a JSON number")
