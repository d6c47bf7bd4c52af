"""The schema of an analysis' parameters: which JSON Schema it may use, and whether it makes sense.

The job manager checks configs with a small validator of its own; the keywords it knows are those of
`schemas/parameters.json`. Here a schema is refused that it could not keep. Configs themselves are not checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ncap_compiler.document import Document, Json, escape, read_document
from ncap_compiler.errors import DocumentError, Problem
from ncap_compiler.shapes import check_shape

_PAIRS = (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems"))


def load_parameters_schema(text: str, *, file: str) -> Mapping[str, Json]:
    """Read a `parameters.schema.json`. Raises DocumentError with all problems."""
    document = read_document(text, file)
    shape = check_shape(document, "parameters")
    known_bad = frozenset(problem.pointer for problem in shape)
    rules = () if shape else tuple(_check(document, "", document.value))
    problems = (*shape, *(problem for problem in rules if problem.pointer not in known_bad))
    if problems:
        raise DocumentError(problems)
    return document.value


def _check(document: Document, pointer: str, schema: dict[str, Json]) -> Iterator[Problem]:
    """Problems of a schema and of those within it. A default is tried only against a schema that makes sense."""
    found = [*_check_own(document, pointer, schema), *_check_inner(document, pointer, schema)]
    yield from found
    if not found:
        yield from _check_default(document, pointer, schema)


def _check_own(document: Document, pointer: str, schema: dict[str, Json]) -> Iterator[Problem]:
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            message = f"`{pattern}` is not a regular expression: {error}"
            yield document.problem("M201", f"{pointer}/pattern", message, "Mend it, or leave the pattern out.")
    for low, high in _PAIRS:
        lower, upper = schema.get(low), schema.get(high)
        if isinstance(lower, int | float) and isinstance(upper, int | float) and lower > upper:
            yield document.problem("M203", f"{pointer}/{low}", f"{low} {lower} is above {high} {upper}", "Swap them.")


def _check_inner(document: Document, pointer: str, schema: dict[str, Json]) -> Iterator[Problem]:
    properties = schema.get("properties")
    for name, child in (properties if isinstance(properties, dict) else {}).items():
        if isinstance(child, dict):
            yield from _check(document, f"{pointer}/properties/{escape(name)}", child)
    items = schema.get("items")
    if isinstance(items, dict):
        yield from _check(document, f"{pointer}/items", items)


def _check_default(document: Document, pointer: str, schema: dict[str, Json]) -> Iterator[Problem]:
    if "default" not in schema:
        return
    from jsonschema import Draft202012Validator

    try:
        error = next(Draft202012Validator(schema).iter_errors(schema["default"]), None)
        reason = error.message if error is not None else ""
    except OverflowError:
        reason = "its number is too large to be compared"
    if reason:
        message = f"the default is refused by its own schema: {reason}"
        yield document.problem("M202", f"{pointer}/default", message, "Change the default or the limits.")
