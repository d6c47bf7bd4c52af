"""Parameter schemas: only what the job manager can check, and only what makes sense."""

from __future__ import annotations

from typing import Any

import pytest

from ncap_compiler.errors import DocumentError
from ncap_compiler.parameters import load_parameters_schema
from tests.compiler.documents import text


def ids(schema: Any) -> list[str]:
    try:
        load_parameters_schema(text(schema), file="parameters.schema.json")
    except DocumentError as error:
        return [problem.id for problem in error.problems]
    return []


def prop(**schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": schema}}


def test_every_supported_keyword_is_accepted() -> None:
    number = {"type": "number", "minimum": 0, "maximum": 9, "exclusiveMinimum": -1, "exclusiveMaximum": 10}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "x",
        "title": "t",
        "description": "d",
        "type": "object",
        "additionalProperties": False,
        "required": ["n"],
        "properties": {
            "n": {**number, "multipleOf": 0.5, "default": 1, "examples": [1], "unit": "Hz"},
            "s": {"type": ["string", "null"], "minLength": 1, "maxLength": 3, "pattern": "^a"},
            "e": {"enum": [1, "a", None]},
            "c": {"const": 1},
            "l": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
        },
    }
    assert ids(schema) == []


@pytest.mark.parametrize("keyword", ["anyOf", "$ref", "format", "patternProperties", "if", "dependentRequired"])
def test_a_keyword_the_job_manager_does_not_know_is_refused(keyword: str) -> None:
    assert ids(prop(**{keyword: {}})) == ["M102"]


@pytest.mark.parametrize(
    ("schema", "problem_id"),
    [
        (prop(type="float"), "M105"),
        (prop(type=["number", "float"]), "M104"),
        (prop(pattern="("), "M201"),
        (prop(type="integer", default="a"), "M202"),
        (prop(minimum=3, maximum=2), "M203"),
        (prop(items={"minLength": -1}), "M106"),
        ({"additionalProperties": {"type": "string"}}, "M103"),
        (prop(enum=[]), "M107"),
        (prop(pattern="(") | {"default": {"x": "a"}}, "M201"),
        (prop(type="number", multipleOf=0.5, default=10**400), "M202"),
    ],
)
def test_a_schema_that_could_not_be_kept_is_refused(schema: Any, problem_id: str) -> None:
    assert ids(schema) == [problem_id]
