"""Damaged documents give problems or a value, never another exception; what is accepted survives dump and load."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncap_compiler.blueprint import dump_blueprint, load_blueprint
from ncap_compiler.document import decode_text
from ncap_compiler.errors import PROBLEM_IDS, DocumentError
from ncap_compiler.parameters import load_parameters_schema
from ncap_compiler.profile import dump_profile, load_profile
from ncap_compiler.recipe import load_recipe
from tests.compiler.documents import minimal_profile
from tests.compiler.mutations import ODD_NUMBERS, ODD_TEXTS, PROFILE_SEEDS, SEEDS, VALUES, mutated

FAST = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
Load = Callable[..., Any]


def verdict(load: Load, text: str) -> Any:
    """The value, or None for a document with problems, each of which must be explained."""
    try:
        return load(text, file="x.json")
    except DocumentError as error:
        problems = error.problems
    assert problems
    for problem in problems:
        assert problem.id in PROBLEM_IDS
        assert problem.message
        assert problem.line is not None or problem.id in ("D104", "D105")
    return None


@FAST
@given(st.data())
def test_a_damaged_blueprint_gives_problems_or_a_value_that_survives_dump_and_load(data: Any) -> None:
    document = data.draw(mutated(data.draw(st.sampled_from(SEEDS))))
    found = verdict(load_blueprint, json.dumps(document))
    if found is not None:
        dumped = dump_blueprint(found)
        again = load_blueprint(dumped, file="x.json")
        assert again == found
        assert dump_blueprint(again) == dumped


@FAST
@given(st.data())
def test_a_damaged_profile_gives_problems_or_a_value_that_survives_dump_and_load(data: Any) -> None:
    document = data.draw(mutated(data.draw(st.sampled_from(PROFILE_SEEDS))))
    found = verdict(load_profile, json.dumps(document))
    if found is not None:
        dumped = dump_profile(found)
        again = load_profile(dumped, file="x.json")
        assert again == found
        assert dump_profile(again) == dumped


NAMES = st.text(alphabet="abcXY09._@+-", min_size=1, max_size=12)
GROUPS = st.fixed_dictionaries(
    {
        "AffiliateName": NAMES,
        "UserNames": st.lists(NAMES, max_size=4, unique=True),
        "Pipelines": st.lists(st.from_regex(r"[a-z][a-z0-9-]{1,10}[a-z0-9]", fullmatch=True), max_size=3, unique=True),
    },
    optional={
        "KeySerialNumber": st.integers(1, 99) | st.integers(1, 99).map(str),
        "Budget": st.integers(0, 10**6) | st.floats(0, 10**6),
        "Collaborators": st.lists(NAMES, max_size=2, unique=True),
        "ContactEmail": st.text(max_size=5) | st.lists(st.text(max_size=5), max_size=2),
        "PipelineDir": st.text(max_size=5) | st.lists(st.text(max_size=5), max_size=2),
    },
)


@FAST
@given(st.lists(GROUPS, min_size=1, max_size=3))
def test_whatever_profile_is_accepted_survives_dump_and_load(groups: list[dict[str, Any]]) -> None:
    found = verdict(load_profile, json.dumps(minimal_profile() | {"UXData": {"Affiliates": groups}}))
    if found is not None:
        assert load_profile(dump_profile(found), file="x.json") == found


@pytest.mark.parametrize("load", [load_blueprint, load_profile, load_parameters_schema, load_recipe])
@settings(FAST, max_examples=60)
@given(document=st.dictionaries(ODD_TEXTS | st.text(max_size=9), VALUES, max_size=4))
def test_any_object_gives_problems_or_a_value(load: Load, document: dict[str, Any]) -> None:
    verdict(load, json.dumps(document))


SCHEMA_WORDS = st.sampled_from(
    [
        "type",
        "properties",
        "items",
        "required",
        "default",
        "pattern",
        "enum",
        "minimum",
        "multipleOf",
        "maxLength",
        "const",
    ]
)
SCHEMAS = st.recursive(
    st.one_of(ODD_TEXTS, ODD_NUMBERS, st.booleans(), st.sampled_from(["string", "number", "object", "array", "("])),
    lambda children: st.dictionaries(SCHEMA_WORDS | ODD_TEXTS, children, max_size=4) | st.lists(children, max_size=3),
    max_leaves=12,
)


@FAST
@given(st.dictionaries(SCHEMA_WORDS, SCHEMAS, max_size=4))
def test_any_parameters_schema_gives_problems_or_a_value(schema: dict[str, Any]) -> None:
    verdict(load_parameters_schema, json.dumps(schema))


@FAST
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.sampled_from(SEEDS), st.data())
def test_any_bytes_give_problems_or_a_value(noise: bytes, seed: dict[str, Any], data: Any) -> None:
    whole = json.dumps(seed).encode()
    place = data.draw(st.integers(0, len(whole)))
    cut = data.draw(st.sampled_from([place, len(whole)]))
    for damaged in (noise, whole[:place] + noise + whole[cut:]):
        verdict(lambda given, *, file: load_blueprint(decode_text(given, file), file=file), damaged)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        '{"PipelineName": NaN}',
        '{"PipelineName": 1e999}',
        '{"a": ' + "9" * 5000 + "}",
        "[" * 3000,
        '{"a":' * 3000,
        '{"a": "\\ud800"}',
        '{"\\udfff": 1}',
        "\x00",
        '{"a": "\x01"}',
        "// comment\n{}",
    ],
)
@pytest.mark.parametrize("load", [load_blueprint, load_profile, load_parameters_schema, load_recipe])
def test_text_that_json_readers_stumble_over_gives_problems(load: Load, text: str) -> None:
    assert verdict(load, text) is None
