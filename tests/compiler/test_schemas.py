"""The published schemas: valid themselves, and explaining every field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from jobmanager.submission import parse_submission
from ncap_compiler.errors import PROBLEM_IDS
from ncap_compiler.shapes import SCHEMA_KINDS, schema_text

EDITED_BY_PEOPLE = {"blueprint", "profile", "submission", "parameters", "recipe"}


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
    found = dict(fields(schema["$defs"]["schema"] if kind == "parameters" else schema))
    assert [path for path, child in found.items() if "description" not in child] == []
    if kind in EDITED_BY_PEOPLE:
        assert [path for path, child in found.items() if "title" not in child] == []


@pytest.mark.parametrize("kind", SCHEMA_KINDS)
def test_the_examples_and_defaults_of_a_schema_are_accepted_by_it(kind: str) -> None:
    schema = json.loads(schema_text(kind))
    named = {"$schema": schema["$schema"], "$defs": schema.get("$defs", {})}
    for path, child in [("", schema), *fields(schema)]:
        shown = [*child.get("examples", []), *([child["default"]] if "default" in child else [])]
        for example in shown:
            errors = list(Draft202012Validator(named | child).iter_errors(example))
            assert errors == [], (path, example)


@pytest.mark.parametrize(
    ("kind", "file"), [("blueprint", "ncap_blueprints/*/*.json"), ("profile", "user_profiles/*/*.json")]
)
def test_the_schema_line_of_a_document_leads_an_editor_to_the_schema(kind: str, file: str, project_root: Path) -> None:
    named = {path: json.loads(path.read_text()).get("$schema") for path in project_root.glob(file)}
    lines = {(path.parent / line).resolve() for path, line in named.items() if line and line.endswith(f"{kind}.json")}
    assert lines == {project_root / f"utils/ncap_compiler/schemas/{kind}.json"}


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
        (SUBMISSION | {"resultpath": "s3://lab-archive/y"}, True),
        (SUBMISSION | {"dataname": "s3://lab-archive/y"}, True),
        (SUBMISSION | {"configname": "s3://lab-archive/y"}, True),
        (SUBMISSION | {"configname": "lab/configs/"}, False),
        ({"dataname": "a", "configname": "c"}, False),
        ({"dataname": "a", "timestamp": "t"}, False),
        ({"cancel": "a/b"}, False),
        ({"cancel": ""}, False),
        ({"dataname": "lab/inputs/session/"}, True),
        ({"dataname": "lab/inputs/session/", "instance_type": "r5.16xlarge"}, True),
        ({"dataname": "lab/inputs/session.zip"}, False),
        ({"dataname": ["lab/inputs/session/"]}, False),
        ({"instance_type": "r5.16xlarge"}, False),
        ({}, False),
    ],
)
def test_the_submission_schema_is_the_contract(submission: dict[str, Any], accepted: bool) -> None:
    assert Draft202012Validator(json.loads(schema_text("submission"))).is_valid(submission) is accepted


@pytest.mark.parametrize(
    "submission",
    [
        SUBMISSION,
        SUBMISSION | {"dataname": ["lab/inputs/a", "lab/inputs/b"], "timestamp": 3, "instance_type": "m7i.large"},
        SUBMISSION | {"configname": "lab/inputs/c.json", "version": "v-0123456789abcdef"},
        SUBMISSION | {"dataname": []},
        SUBMISSION | {"dataname": [3]},
        SUBMISSION | {"dataname": "s3://x/lab/inputs/a"},
        SUBMISSION | {"dataname": "s3://lab-archive/raw/a", "resultpath": "s3://lab-archive/results"},
        SUBMISSION | {"dataname": "lab/inputs/a/", "folders": "whole", "files": ["*.npy"]},
        SUBMISSION | {"folders": "all"},
        SUBMISSION | {"configname": ""},
        SUBMISSION | {"configname": "lab/configs/"},
        SUBMISSION | {"timestamp": ""},
        SUBMISSION | {"timestamp": True},
        SUBMISSION | {"timestamp": "t" * 129},
        SUBMISSION | {"resultpath": "s3://x/y"},
        SUBMISSION | {"instance_type": ""},
        SUBMISSION | {"scatter": {"copies": 9, "parameter": "seed"}, "folders": "one"},
        SUBMISSION | {"scatter": {"copies": 9}},
        SUBMISSION | {"scatter": {"grid": {"seed": [1, 2], "rank": [5]}}, "resumes": ["job__spikes_t"]},
        SUBMISSION | {"scatter": {"grid": {"seed": [1, 1]}}},
        SUBMISSION | {"scatter": {"points": [{"k": 1, "values": {}}]}},
        SUBMISSION | {"from": {"bucket": "spikes", "job": "job__spikes_t", "edge": 0}},
        {"replay": "job__spikes_t"},
        {"replay": "a/b"},
        {"cancel": "job__spikes_t"},
        {"cancel": "a/b"},
        {"cancel": 3},
        {"configname": "lab/configs/c.json", "timestamp": "t"},
    ],
)
def test_the_submission_schema_and_the_job_manager_agree(submission: dict[str, Any]) -> None:
    said = parse_submission(json.dumps(submission).encode(), "lab").problems
    assert Draft202012Validator(json.loads(schema_text("submission"))).is_valid(submission) is (said == ()), said


@pytest.mark.parametrize("kind", ["blueprint", "profile"])
def test_the_page_about_documents_names_every_field(kind: str, project_root: Path) -> None:
    page = (project_root / "docs" / "documents.md").read_text()
    named = {path.rpartition("/")[2] for path, _ in fields(json.loads(schema_text(kind)))}
    inner = {"*", "Lambda", "LambdaConfig", "UXData", "Position", "Value"}
    words = set(re.findall(r"[$A-Za-z_]+", page))
    assert sorted(named - inner - words) == []
