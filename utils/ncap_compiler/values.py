"""Small readers shared by the documents: lists written as one text, numbers written as text.

Everything here takes values a schema has already passed. It must not report problems.
"""

from __future__ import annotations

from decimal import Decimal

from ncap_compiler.document import Json, unescape

MILLIONTH = Decimal("0.000001")
PLACEHOLDER = "{}"
VALUES = ("bucket", "dataset key", "result path", "config key")
"""What the placeholders of a command take, in turn."""
WIDEFIELD_VALUES = ("bucket", "folder of the data", "file name")
"""The same in the widefield protocol."""


def texts(value: Json) -> tuple[str, ...]:
    """A list of texts, or one text standing for a list of one."""
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def whole(value: Json, default: int) -> int:
    """A whole number, possibly written as text; `default` when absent. 0 stays 0."""
    return int(value) if isinstance(value, int | float | str) else default


def dollars(value: Json, default: str) -> str:
    """An amount in USD as a decimal text without exponent, to a millionth; `default` when absent. 0 stays 0."""
    if not isinstance(value, int | float | str):
        return default
    amount = Decimal(repr(value) if isinstance(value, float) else str(value)).quantize(MILLIONTH)
    return f"{amount.normalize():f}"


def text_or_none(value: Json) -> str | None:
    """A text, None when absent."""
    return value if isinstance(value, str) else None


def put_at(root: dict[str, Json], pointer: str, value: Json) -> None:
    """Set the field at `pointer`, whose parents exist in `root`."""
    *parents, last = [unescape(part) for part in pointer.split("/")[1:]]
    found: Json = root
    for name in parents:
        if isinstance(found, list):
            found = found[int(name)]
        elif isinstance(found, dict):
            found = found[name]
    if isinstance(found, dict):
        found[last] = value
