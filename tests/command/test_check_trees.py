"""Comparing two trees of files as values: whatever is in them, there is a finding and never a traceback."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncap_iac.review.check import Checked, check_trees
from ncap_iac.review.report import document, github_commands, markdown
from ncap_iac.review.sources import Tree

BLUEPRINT = "ncap_blueprints/kalman-lds/stack_config_template.json"
PROFILE = "user_profiles/demo/user_config_template.json"
PARAMETERS = "ncap_blueprints/kalman-lds/parameters.schema.json"
RECIPE = "ncap_blueprints/kalman-lds/environment/recipe.json"
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1e308,
    "",
    "x" * 300,
    "a\nb",
    "`@",
    [],
    {},
    [[]],
    {"a": None},
    "../../..",
    "\ud800",
]


@pytest.fixture(scope="module")
def tree(project_root: Path) -> Tree:
    """The documents of one analysis and one profile, with a small stand-in for the code."""
    folders = ("ncap_blueprints/kalman-lds", "user_profiles/demo", "protocols/workflow")
    paths = [path for folder in folders for path in (project_root / folder).rglob("*") if path.is_file()]
    kept = [path for path in paths if not {"sample", "__pycache__"}.intersection(path.parts)]
    files = {path.relative_to(project_root).as_posix(): path.read_bytes() for path in kept}
    return Tree(
        {**files, "protocols/submit_start.py": b"def handler_develop(event, context):\n    pass\n"}, frozenset()
    )


def compare(before: Tree, after: Tree) -> Checked:
    with tempfile.TemporaryDirectory() as scratch:
        return check_trees(before, after, base="0" * 40, scratch=Path(scratch))


def told(checked: Checked) -> None:
    """Every way of telling works, too."""
    json.dumps(document(checked))
    markdown(checked).encode("utf-8", "replace")
    github_commands(checked).encode("utf-8", "replace")


@given(path=st.sampled_from([BLUEPRINT, PROFILE, PARAMETERS, RECIPE]), content=st.binary(max_size=60))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_in_place_of_a_document_are_a_problem_at_that_file(tree: Tree, path: str, content: bytes) -> None:
    checked = compare(tree, replace(tree, files={**tree.files, path: content}))
    assert path in {problem.file for problem in checked.problems} or path == RECIPE
    told(checked)


@given(data=st.data(), path=st.sampled_from([BLUEPRINT, PROFILE, PARAMETERS]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_in_any_place_of_a_document_gives_a_finding(tree: Tree, path: str, data: st.DataObject) -> None:
    value = json.loads(tree.files[path])
    found: Any = value
    while True:
        keys = list(found) if isinstance(found, dict) else list(range(len(found)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(found[key], dict | list) or not found[key] or data.draw(st.booleans()):
            break
        found = found[key]
    found[key] = data.draw(st.sampled_from(ODD))
    told(compare(tree, replace(tree, files={**tree.files, path: json.dumps(value).encode()})))


def test_the_same_trees_give_the_same_finding(tree: Tree) -> None:
    changed = replace(tree, files={path: content for path, content in tree.files.items() if path != PROFILE})
    first, again = compare(tree, changed), compare(tree, changed)
    assert markdown(first) == markdown(again)
    assert document(first) == document(again)


def test_a_group_stays_in_the_stack_it_is_in_when_others_come(tree: Tree) -> None:
    profile = json.loads(tree.files[PROFILE])
    group = {"AffiliateName": "aaa-first", "UserNames": ["zoe"], "Pipelines": ["kalman-lds"]}
    profile["UXData"]["Affiliates"].insert(0, group)
    checked = compare(tree, replace(tree, files={**tree.files, PROFILE: json.dumps(profile).encode()}))
    assert {change.verb.value for stack in checked.stacks for change in stack.plan.changes} == {"added"}
