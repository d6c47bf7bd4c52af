"""Filters and pages of the Describe operations. Pure.

An unknown filter is an error: an emulator that ignored one would hand a caller instances it did not ask for.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from ncap_iac.local.ec2.requests import Parameters
from ncap_iac.local.service import ServiceError

Item = TypeVar("Item")
Fields = Mapping[str, Callable[[Item], Iterable[str]]]
"""What each filter looks at."""

_TAG = "tag:"
_TAG_KEY = "tag-key"


def select(
    items: Iterable[Item],
    parameters: Parameters,
    fields: Fields[Item],
    tags: Callable[[Item], Mapping[str, str]] | None,
) -> list[Item]:
    """Items that match every filter; within one filter any value will do. `*` and `?` stand for any characters."""
    found = list(items)
    for condition in parameters.get("Filters") or ():
        name = condition.get("Name") or ""
        patterns = [_pattern(str(value)) for value in condition.get("Values") or ()]
        look = _looker(name, fields, tags)
        found = [item for item in found if any(p.fullmatch(value) for value in look(item) for p in patterns)]
    return found


def _looker(
    name: str, fields: Fields[Item], tags: Callable[[Item], Mapping[str, str]] | None
) -> Callable[[Item], Iterable[str]]:
    if tags is not None and name == _TAG_KEY:
        return lambda item: tags(item).keys()
    if tags is not None and name.startswith(_TAG):
        key = name.removeprefix(_TAG)
        return lambda item: [tags(item)[key]] if key in tags(item) else []
    if name in fields:
        return fields[name]
    known = sorted(fields) + ([f"{_TAG}KEY", _TAG_KEY] if tags is not None else [])
    raise ServiceError(
        "InvalidParameterValue", f"The filter '{name}' is invalid. The local cloud has: {', '.join(known)}."
    )


def _pattern(value: str) -> re.Pattern[str]:
    """EC2's wildcards; a backslash makes the next character itself."""
    parts = re.findall(r"\\.|.", value, re.DOTALL)
    special = {"*": ".*", "?": "."}
    return re.compile("".join(special.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL)


def page(
    items: Sequence[Item], parameters: Parameters, *, least: int = 5, most: int = 1000
) -> tuple[Sequence[Item], str | None]:
    """The items of this page and the token of the next. Raises InvalidParameterValue for a bad size or token."""
    size = parameters.get("MaxResults")
    if size is not None and not least <= int(size) <= most:
        raise ServiceError(
            "InvalidParameterValue",
            f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value between {least} and {most}.",
        )
    start = _position(parameters.get("NextToken"))
    end = start + int(size) if size is not None else len(items)
    return items[start:end], _token(end) if end < len(items) else None


def _token(position: int) -> str:
    return base64.urlsafe_b64encode(f"after {position}".encode()).decode()


def _position(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("after "))
    except (binascii.Error, ValueError):
        raise ServiceError("InvalidNextToken", "The token is not valid.") from None
