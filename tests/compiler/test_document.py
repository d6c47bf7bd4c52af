"""The JSON reader: the line of every value, and what it refuses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncap_compiler.document import Json, canonical_json, decode_text, did_you_mean, escape, read_document
from ncap_compiler.errors import DocumentError, Problem

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=6), children, max_size=4),
    max_leaves=20,
)


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(DocumentError) as caught:
        read_document(text, "a.json")
    return caught.value.problems


def pointers(value: Json, pointer: str = "") -> list[str]:
    children: list[tuple[str, Json]] = []
    if isinstance(value, dict):
        children = [(f"{pointer}/{escape(name)}", child) for name, child in value.items()]
    if isinstance(value, list):
        children = [(f"{pointer}/{index}", child) for index, child in enumerate(value)]
    return [pointer, *(found for name, child in children for found in pointers(child, name))]


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.sampled_from([None, 0, 2]))
def test_reads_what_json_reads_and_places_every_value(value: dict[str, Json], indent: int | None) -> None:
    document = read_document(json.dumps(value, indent=indent), "a.json")
    assert document.value == value
    assert set(document.lines) == set(pointers(value))
    assert all(document.get(pointer) == document.get(pointer) for pointer in pointers(value))


def test_a_line_is_where_the_value_begins() -> None:
    document = read_document('{\n  "a": 1,\n  "b": [\n    2,\n    {"c~/d":\n 3}]\n}', "a.json")
    assert document.lines == {"": 1, "/a": 2, "/b": 3, "/b/0": 4, "/b/1": 5, "/b/1/c~0~1d": 6}
    assert document.get("/b/1/c~0~1d") == 3
    assert document.line("/b/1/missing") == 5


def test_every_repeated_field_is_reported_with_both_lines() -> None:
    found = problems('{\n"a": 1,\n"b": {"x": 1,\n"x": 2},\n"a": 2}')
    assert [(problem.id, problem.line, problem.pointer) for problem in found] == [
        ("D103", 4, "/b/x"),
        ("D103", 5, "/a"),
    ]
    assert "the first is on line 2" in found[1].message


@pytest.mark.parametrize(
    ("text", "problem_id", "line"),
    [
        ("", "D102", 1),
        ('{\n"a": 1,\n}', "D102", 3),
        ("{'a': 1}", "D102", 1),
        ('\ufeff{"a": 1}', "D101", 1),
        ('{\n"a": NaN}', "D104", 2),
        ('{"a": -Infinity}', "D104", 1),
        ('{"a": 1e999}', "D104", 1),
        ('{"a": ' + "1" * 5000 + "}", "D104", None),
        ("[1]", "D106", 1),
        ('{"a": "\\ud800"}', "D107", 1),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", "D105", 1),
        ("[" * 100_000 + "]" * 100_000, "D105", None),
    ],
)
def test_refuses_what_is_not_a_plain_json_object(text: str, problem_id: str, line: int | None) -> None:
    found = problems(text)
    assert [(problem.id, problem.line) for problem in found] == [(problem_id, line)]


def test_bytes_that_are_not_utf8_are_refused_with_their_line() -> None:
    with pytest.raises(DocumentError) as caught:
        decode_text(b'{\n"a": "\xff"}', "a.json")
    assert [(problem.id, problem.line) for problem in caught.value.problems] == [("D101", 2)]


@given(VALUES)
def test_canonical_json_does_not_depend_on_the_order_of_fields(value: Json) -> None:
    turned = dict(reversed(list(value.items()))) if isinstance(value, dict) else value
    assert canonical_json(turned) == canonical_json(value)
    assert json.loads(canonical_json(value)) == value


def test_a_near_name_is_suggested_whatever_its_case() -> None:
    assert did_you_mean("instance_typ", ["INSTANCE_TYPE", "AMI"]) == "Did you mean `INSTANCE_TYPE`?"
    assert did_you_mean("colour", ["INSTANCE_TYPE", "AMI"]) is None


def test_problems_are_told_in_the_order_of_the_text_with_place_and_hint() -> None:
    error = DocumentError(
        [Problem("B102", "a.json", "/x", 9, "later", None), Problem("B101", "a.json", "/y", 2, "sooner", "Do this.")]
    )
    assert str(error) == "a.json:2: B101 sooner (at /y). Do this.\na.json:9: B102 later (at /x)."
