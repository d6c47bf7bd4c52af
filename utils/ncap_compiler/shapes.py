"""Documents against their JSON Schemas: findings in the words of the field, with places and nearest names.

The schemas under `schemas/` are the one source of what is accepted. This module must not know what a document means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, cast

from ncap_compiler.document import Document, Json, describe_type, did_you_mean, escape
from ncap_compiler.errors import Problem

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

SCHEMA_KINDS: dict[str, str] = {
    "blueprint": "B",
    "profile": "P",
    "recipe": "R",
    "parameters": "M",
    "submission": "S",
    "stages": "G",
}
"""Published schemas, and the letter their problems begin with."""

_NUMBERS: dict[str, int] = {
    "required": 101,
    "additionalProperties": 102,
    "type": 103,
    "enum": 104,
    "const": 104,
    "pattern": 105,
    "minimum": 106,
    "maximum": 106,
    "exclusiveMinimum": 106,
    "exclusiveMaximum": 106,
    "minLength": 107,
    "maxLength": 107,
    "minItems": 107,
    "maxItems": 107,
    "minProperties": 107,
    "maxProperties": 107,
    "uniqueItems": 109,
}

_TYPE_WORDS: dict[str, str] = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def schema_text(kind: str) -> str:
    """The published JSON Schema of a kind of document, as text."""
    return resources.files("ncap_compiler").joinpath("schemas", f"{kind}.json").read_text(encoding="utf-8")


def check_shape(document: Document, kind: str, refused: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """Every difference between `document` and the schema of its `kind`.

    `refused` maps a field's pointer, with `*` for a list's index, to why this release does not take it.
    """
    problems: list[Problem] = []
    seen: set[tuple[str, str]] = set()
    for error in _validator(kind).iter_errors(document.value):
        for problem in _problems(document, SCHEMA_KINDS[kind], error, refused or {}):
            if (problem.id, problem.pointer) not in seen:
                seen.add((problem.id, problem.pointer))
                problems.append(problem)
    return tuple(problems)


@cache
def _validator(kind: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator, validators

    extend: Callable[..., type[Draft202012Validator]] = validators.extend
    ranges = {"minimum": _check_minimum, "maximum": _check_maximum}
    strict = extend(Draft202012Validator, {"pattern": _check_pattern, **ranges})
    return strict(json.loads(schema_text(kind)))


def _check_pattern(validator: object, pattern: str, value: Json, schema: object) -> Iterator[ValidationError]:
    """`pattern` as in ECMA-262, where `$` is the very end: Python's also matches before a last line feed."""
    from jsonschema.exceptions import ValidationError

    if isinstance(value, str) and not _has_form(value, pattern):
        yield ValidationError(f"{value!r} does not match")


def _has_form(text: str, pattern: str) -> bool:
    return re.search(re.sub(r"\$(?=$|\|)", r"\\Z", pattern), text) is not None


def _check_minimum(validator: object, least: float, value: Json, schema: dict[str, Json]) -> Iterator[ValidationError]:
    yield from _check_range(least, value, schema, is_outside=lambda number: number < least)


def _check_maximum(validator: object, most: float, value: Json, schema: dict[str, Json]) -> Iterator[ValidationError]:
    yield from _check_range(most, value, schema, is_outside=lambda number: number > most)


def _check_range(
    limit: float, value: Json, schema: dict[str, Json], *, is_outside: Callable[[float], bool]
) -> Iterator[ValidationError]:
    """A limit holds for a number and for the text of one, where the schema takes both and the text has its form."""
    from jsonschema.exceptions import ValidationError

    pattern = schema.get("pattern")
    if isinstance(value, str) and isinstance(pattern, str) and _has_form(value, pattern):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and is_outside(value):
        yield ValidationError(f"{value!r} against {limit!r}")


def _problems(document: Document, letter: str, error: ValidationError, refused: Mapping[str, str]) -> Iterator[Problem]:
    pointer = "".join(f"/{escape(str(part))}" for part in error.absolute_path)
    schema = cast("dict[str, Json]", error.schema)
    keyword = str(error.validator)
    problem_id = f"{letter}{_NUMBERS.get(keyword, 104)}"
    if keyword == "required":
        yield from _missing(document, problem_id, pointer, error)
    elif keyword == "additionalProperties":
        yield from _unknown(document, letter, pointer, error, refused)
    else:
        value = cast("Json", error.instance)
        message = _describe(pointer, keyword, value, cast("Json", error.validator_value))
        near = _nearest(value, schema.get("enum"))
        yield document.problem(problem_id, pointer, message, near or _accepted(schema))


def _nearest(value: Json, options: Json) -> str | None:
    known = [option for option in options if isinstance(option, str)] if isinstance(options, list) else []
    return did_you_mean(value, known) if isinstance(value, str) else None


def _missing(document: Document, problem_id: str, pointer: str, error: ValidationError) -> Iterator[Problem]:
    properties = cast("dict[str, dict[str, Json]]", cast("dict[str, Json]", error.schema).get("properties", {}))
    known = cast("dict[str, Json]", error.instance)
    for name in cast("list[str]", error.validator_value):
        if name not in known:
            child = f"{pointer}/{escape(name)}"
            yield document.problem(problem_id, child, f"`{name}` is missing", _accepted(properties.get(name, {})))


def _unknown(
    document: Document, letter: str, pointer: str, error: ValidationError, refused: Mapping[str, str]
) -> Iterator[Problem]:
    known = cast("dict[str, Json]", cast("dict[str, Json]", error.schema).get("properties", {}))
    for name in cast("dict[str, Json]", error.instance):
        if name in known:
            continue
        child = f"{pointer}/{escape(name)}"
        reason = refused.get(_without_indices(child))
        if reason is not None:
            yield document.problem(f"{letter}108", child, f"`{name}` is not part of this release", reason)
            continue
        hint = did_you_mean(name, known) or f"Known here: {', '.join(sorted(known))}."
        yield document.problem(f"{letter}102", child, f"`{name}` is not a known field", hint)


def _describe(pointer: str, keyword: str, value: Json, wanted: Json) -> str:
    name = pointer.rpartition("/")[2] or "the document"
    field = f"entry {name}" if name.isdigit() else f"`{name}`"
    if keyword == "type":
        accepted = [wanted] if isinstance(wanted, str) else cast("list[str]", wanted)
        return f"{field} is {describe_type(value)}; accepted: {' or '.join(_TYPE_WORDS[kind] for kind in accepted)}"
    shown = json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}…"
    if keyword in ("enum", "const"):
        accepted_values = wanted if keyword == "enum" and isinstance(wanted, list) else [wanted]
        known = ", ".join(json.dumps(option, ensure_ascii=False) for option in accepted_values)
        return f"{field} is {shown}; accepted: {known}"
    if keyword in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        words = {"minimum": "at least", "maximum": "at most"}.get(
            keyword, "more than" if "Min" in keyword else "less than"
        )
        return f"{field} is {shown}; accepted: {words} {wanted}"
    if keyword == "uniqueItems":
        return f"{field} holds an entry twice"
    if keyword.startswith(("min", "max")) and isinstance(value, str | list | dict):
        unit = "characters" if isinstance(value, str) else "entries"
        return f"{field} has {len(value)} {unit}; {'at least' if keyword.startswith('min') else 'at most'} {wanted}"
    return f"{field} is {shown}, which does not have the accepted form"


def _accepted(schema: Mapping[str, Json]) -> str | None:
    description = schema.get("description")
    return f"Wanted: {description}." if isinstance(description, str) else None


def _without_indices(pointer: str) -> str:
    return "/".join("*" if part.isdigit() else part for part in pointer.split("/"))
