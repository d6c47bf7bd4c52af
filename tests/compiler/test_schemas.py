"""The published schemas: valid themselves, and explaining every field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ncap_compiler.errors import PROBLEM_IDS
from ncap_compiler.shapes import SCHEMA_KINDS, schema_text


def fields(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}/{name}", child
        yield from fields(child, f"{path}/{name}")
    if isinstance(schema.get("items"), dict):
        yield from fields(schema["items"], f"{path}/*")


@pytest.mark.parametrize("kind", SCHEMA_KINDS)
def test_a_schema_is_valid_and_describes_every_field(kind: str) -> None:
    schema = json.loads(schema_text(kind))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["description"]
    undescribed = [path for path, child in fields(schema) if "description" not in child and "$ref" not in child]
    assert undescribed == []


def test_every_kind_has_its_shape_problems_listed() -> None:
    for letter in SCHEMA_KINDS.values():
        assert {f"{letter}{number}" for number in range(101, 110)} <= set(PROBLEM_IDS)


SUBMISSION = {"dataname": "lab/inputs/a", "configname": "lab/configs/c.json", "timestamp": "t"}


@pytest.mark.parametrize(
    ("submission", "accepted"),
    [
        (SUBMISSION, True),
        (SUBMISSION | {"dataname": ["a", "b"], "timestamp": 3, "instance_type": "m7i.large"}, True),
        (SUBMISSION | {"version": "v-0123456789abcdef"}, True),
        ({"cancel": "job__spikes_t"}, True),
        ({"cancel": "job__spikes_t", "dataname": "a"}, False),
        (SUBMISSION | {"dataname": []}, False),
        (SUBMISSION | {"resultpath": "s3://x/y"}, False),
        ({"dataname": "a", "configname": "c"}, False),
    ],
)
def test_the_submission_schema_is_the_contract(submission: dict[str, Any], accepted: bool) -> None:
    assert Draft202012Validator(json.loads(schema_text("submission"))).is_valid(submission) is accepted
