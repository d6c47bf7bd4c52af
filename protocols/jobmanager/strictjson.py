"""JSON read strictly: no NaN, no key twice, no byte-order mark, no endless nesting. Says in words what is wrong."""

from __future__ import annotations

import json
from typing import Any


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
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except NotJsonError:
        raise
    except json.JSONDecodeError as error:
        raise NotJsonError(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise NotJsonError("it is nested too deeply") from error
    except ValueError as error:
        raise NotJsonError("it holds a number with too many digits") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise NotJsonError(f"the field '{name}' is there twice")
        found[name] = value
    return found


def _refuse_constant(name: str) -> Any:
    raise NotJsonError(f"{name} is not a JSON number")
