"""The parameter validator agrees with JSON Schema and speaks plainly."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmanager.config import Limits, check_limits
from jobmanager.parameters import check_parameters


def _said(value: Any, schema: dict[str, Any]) -> str:
    return " / ".join(check_parameters({"p": value}, {"type": "object", "properties": {"p": schema}}))


@pytest.mark.parametrize(
    ("value", "schema", "words"),
    [
        ("x", {"type": "integer"}, "parameter 'p' is \"x\"; accepted is a whole number"),
        (True, {"type": "integer"}, "accepted is a whole number"),
        (1.5, {"type": "integer"}, "accepted is a whole number"),
        (1, {"type": ["string", "null"]}, "accepted is text or null"),
        (0, {"minimum": 1}, "parameter 'p' is 0; it must be at least 1"),
        (9, {"maximum": 5}, "it must be at most 5"),
        (1, {"exclusiveMinimum": 1}, "it must be greater than 1"),
        (1, {"exclusiveMaximum": 1}, "it must be less than 1"),
        (0.35, {"multipleOf": 0.1}, "it must be a multiple of 0.1"),
        ("", {"minLength": 1}, "it must have at least 1"),
        ("abc", {"maxLength": 2}, "it may have at most 2"),
        ("a1", {"pattern": "^[a-z]+$"}, "it must match the pattern ^[a-z]+$"),
        ([], {"minItems": 1}, "it must have at least 1"),
        ([1, 2], {"maxItems": 1}, "it may have at most 1"),
        ([1, "x"], {"items": {"type": "number"}}, "parameter 'p[1]' is \"x\"; accepted is a number"),
        ("emm", {"enum": ["em", "subspace"]}, 'accepted is "em" or "subspace"; did you mean \'em\'?'),
        (1, {"enum": [True]}, "accepted is true"),
        (2, {"const": 1}, "the only accepted value is 1"),
        ({}, {"required": ["q"], "properties": {"q": {"type": "number"}}}, "'p.q' is missing; accepted is a number"),
        ({"ab": 1}, {"properties": {"abc": {}}, "additionalProperties": False}, "did you mean 'abc'?"),
        (float("inf"), {"type": "number"}, "accepted is a finite number"),
    ],
)  # fmt: skip
def test_each_keyword_says_what_is_accepted(value: Any, schema: dict[str, Any], words: str) -> None:
    assert words in _said(value, schema)


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (3.0, {"type": "integer"}),
        (0.3, {"multipleOf": 0.1}),
        (None, {"type": "null"}),
        (False, {"type": "boolean", "enum": [False]}),
        ([1, 2.5], {"type": "array", "items": {"type": "number"}}),
        ({"x": 1}, {"type": "object"}),
    ],
)
def test_what_is_accepted_is_accepted(value: Any, schema: dict[str, Any]) -> None:
    assert _said(value, schema) == ""


SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=3)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text("pq", max_size=2), SCALARS, max_size=3)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "enum": st.lists(SCALARS, min_size=1, max_size=3),
        "minimum": st.integers(-3, 3),
        "exclusiveMaximum": st.integers(-3, 3),
        "multipleOf": st.integers(1, 3),
        "minLength": st.integers(0, 2),
        "maxItems": st.integers(0, 2),
        "pattern": st.sampled_from(["^a", "b$"]),
        "items": st.fixed_dictionaries({"type": TYPES}),
        "properties": st.dictionaries(st.text("pq", max_size=2), st.fixed_dictionaries({"type": TYPES}), max_size=2),
        "required": st.lists(st.text("pq", max_size=2), max_size=2, unique=True),
        "additionalProperties": st.booleans(),
    },
)


@given(VALUES, SCHEMAS)
def test_it_accepts_exactly_what_json_schema_accepts(value: Any, schema: dict[str, Any]) -> None:
    whole = {"properties": {"p": schema}}
    accepted = jsonschema.Draft202012Validator(whole).is_valid({"p": value})
    assert (check_parameters({"p": value}, whole) == ()) == accepted


def test_the_reserved_keys_are_always_allowed() -> None:
    assert check_parameters({"__duration__": 5, "__dataset_size__": 1}, {"additionalProperties": False}) == ()


@pytest.mark.parametrize("wrong", [0, -1_000_000, 61, "10", 10.5, True, [1]])
def test_a_duration_must_be_whole_minutes_within_the_limit(wrong: object) -> None:
    limits, problems = check_limits({"__duration__": wrong}, max_minutes=60, max_gib=10)
    assert "accepted is a whole number of minutes from 1 to 60" in problems[0]
    assert limits.minutes == 60


def test_absent_limits_are_the_defaults() -> None:
    assert check_limits({"__duration__": None}, max_minutes=60, max_gib=10) == (Limits(60, 0), ())
    assert check_limits({"__duration__": 5, "__dataset_size__": 3}, max_minutes=60, max_gib=10)[0] == Limits(5, 3)
