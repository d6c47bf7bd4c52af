"""A user's parameters against the analysis's schema: JSON Schema keywords in, plain words out.

Checks only; fills in nothing, changes nothing. Keywords not listed in the contract are annotations and have no effect.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Context, Decimal
from typing import Any

from jobmanager.nearest import did_you_mean

DURATION = "__duration__"
DATASET_SIZE = "__dataset_size__"
STEPS = "__steps__"
SCATTER = "__scatter__"
RESERVED = frozenset({DURATION, DATASET_SIZE, STEPS, SCATTER})
"""The platform's own parameters: allowed under every schema, checked by `config` and `steps`.

`__scatter__` is written by the instance; a user who submits such a config again need not take it out.
"""

_LONGEST_MATCHED = 10_000
_EXACT = Context(prec=6000)
"""More digits than a number may have that was read: the remainder of a huge one is no error."""
_MAX_PROBLEMS = 50

Schema = Mapping[str, Any]


def check_parameters(values: Mapping[str, Any], schema: Schema) -> tuple[str, ...]:
    """Every way in which the parameters break the schema, one sentence each; none: they are accepted."""
    own = {name: value for name, value in values.items() if name not in RESERVED}
    found = []
    for problem in _problems("", own, schema):
        found.append(problem)
        if len(found) == _MAX_PROBLEMS:
            break
    return tuple(found)


def _problems(name: str, value: Any, schema: Schema) -> Iterator[str]:
    wanted = schema.get("type")
    if wanted is not None and not any(_is_type(value, kind) for kind in _as_list(wanted)):
        yield f"{_subject(name)} is {_shown(value)}; accepted is {_either(_TYPE_WORDS[k] for k in _as_list(wanted))}"
        return
    if "const" in schema and not _equal(value, schema["const"]):
        yield f"{_subject(name)} is {_shown(value)}; the only accepted value is {_shown(schema['const'])}"
    if "enum" in schema and not any(_equal(value, choice) for choice in schema["enum"]):
        texts = [choice for choice in schema["enum"] if isinstance(choice, str)]
        hint = did_you_mean(value, texts) if isinstance(value, str) else ""
        yield f"{_subject(name)} is {_shown(value)}; accepted is {_either(map(_shown, schema['enum']))}{hint}"
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float):
        yield from _number_problems(name, value, schema)
    elif isinstance(value, str):
        yield from _text_problems(name, value, schema)
    elif isinstance(value, list):
        yield from _list_problems(name, value, schema)
    elif isinstance(value, Mapping):
        yield from _mapping_problems(name, value, schema)


_BOUNDS: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("minimum", "at least", lambda value, bound: value >= bound),
    ("maximum", "at most", lambda value, bound: value <= bound),
    ("exclusiveMinimum", "greater than", lambda value, bound: value > bound),
    ("exclusiveMaximum", "less than", lambda value, bound: value < bound),
)


def _number_problems(name: str, value: int | float, schema: Schema) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):  # of a whole number this would overflow
        yield f"{_subject(name)} is {value}; accepted is a finite number"
        return
    for keyword, words, holds in _BOUNDS:
        if keyword in schema and not holds(value, schema[keyword]):
            yield f"{_subject(name)} is {_shown(value)}; it must be {words} {_shown(schema[keyword])}"
    step = schema.get("multipleOf")
    if step and _EXACT.remainder(Decimal(str(value)), Decimal(str(step))) != 0:
        yield f"{_subject(name)} is {_shown(value)}; it must be a multiple of {_shown(step)}"


def _text_problems(name: str, value: str, schema: Schema) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0):
        yield f"{_subject(name)} has {len(value)} characters; it must have at least {schema['minLength']}"
    if len(value) > schema.get("maxLength", math.inf):
        yield f"{_subject(name)} has {len(value)} characters; it may have at most {schema['maxLength']}"
    if "pattern" in schema and (len(value) > _LONGEST_MATCHED or not re.search(schema["pattern"], value)):
        yield f"{_subject(name)} is {_shown(value)}; it must match the pattern {schema['pattern']}"


def _list_problems(name: str, value: list[Any], schema: Schema) -> Iterator[str]:
    if len(value) < schema.get("minItems", 0):
        yield f"{_subject(name)} has {len(value)} items; it must have at least {schema['minItems']}"
    if len(value) > schema.get("maxItems", math.inf):
        yield f"{_subject(name)} has {len(value)} items; it may have at most {schema['maxItems']}"
    if "items" in schema:
        for position, item in enumerate(value):
            yield from _problems(f"{name}[{position}]", item, schema["items"])


def _mapping_problems(name: str, value: Mapping[str, Any], schema: Schema) -> Iterator[str]:
    known: Mapping[str, Schema] = schema.get("properties", {})
    for wanted in schema.get("required", ()):
        if wanted not in value:
            accepted = _accepted(known.get(wanted, {}))
            yield f"{_subject(_joined(name, wanted))} is missing" + (f"; accepted is {accepted}" if accepted else "")
    for field, item in value.items():
        if field in known:
            yield from _problems(_joined(name, field), item, known[field])
        elif schema.get("additionalProperties", True) is False:
            hint = did_you_mean(field, known) or f"; known are: {', '.join(sorted(known)) or 'none'}"
            yield f"{_subject(_joined(name, field))} is not known to this analysis{hint}"


_TYPE_WORDS = {
    "null": "null",
    "boolean": "true or false",
    "object": "a mapping of names to values",
    "array": "a list",
    "number": "a number",
    "integer": "a whole number",
    "string": "text",
}


def _is_type(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, int):
        return kind in ("integer", "number")
    if isinstance(value, float):
        return kind == "number" or (kind == "integer" and value.is_integer())
    kinds: dict[str, tuple[type, ...]] = {"null": (type(None),), "object": (dict,), "array": (list,), "string": (str,)}
    return isinstance(value, kinds.get(kind, ()))


def _equal(left: Any, right: Any) -> bool:
    # In JSON true is not 1, although Python says so.
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _accepted(schema: Schema) -> str:
    if "enum" in schema:
        return _either(map(_shown, schema["enum"]))
    return _either(_TYPE_WORDS[kind] for kind in _as_list(schema.get("type", [])))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _either(words: Iterator[str] | Any) -> str:
    return " or ".join(words)


def _joined(outer: str, inner: str) -> str:
    return f"{outer}.{inner}" if outer else str(inner)


def _subject(name: str) -> str:
    return f"parameter '{name}'" if name else "the config"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"
