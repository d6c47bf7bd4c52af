"""Stages: the suffix behind every name, names that become too long by it, and the file that describes stages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ncap_compiler.blueprint import load_blueprint
from ncap_compiler.document import read_document
from ncap_compiler.errors import DocumentError
from ncap_compiler.profile import Profile, load_profile
from ncap_compiler.stages import DEVELOPMENT, PRODUCTION, Stage, load_stages, stage_blueprint, stage_profile

GROUP = {
    "AffiliateName": "demo",
    "UserNames": ["ada", "bob"],
    "Suspended": ["bob"],
    "Pipelines": ["kalman-lds"],
    "Collaborators": ["friends"],
    "Budget": {"kalman-lds": 25, "total": 100},
}
BLUEPRINT: dict[str, Any] = {
    "PipelineName": "kalman-lds",
    "Lambda": {
        "CodeUri": "../../protocols",
        "Handler": "submit_start.handler_develop",
        "LambdaConfig": {"AMI": "ami-0123456789abcdef0", "INSTANCE_TYPE": "m7i.large", "COMMAND": "run {} {} {} {}"},
    },
    "UXData": {"Affiliates": [{"AffiliateName": "demo", "UserNames": ["ada"]}]},
}


def profile_text(**changes: object) -> str:
    return json.dumps({"UXData": {"Affiliates": [{**GROUP, **changes}]}}, indent=2)


def staged_profile(text: str, stage: Stage) -> Profile:
    return stage_profile(load_profile(text, file="p.json"), stage, read_document(text, "p.json"))


def refused(text: str) -> list[tuple[str, str, int | None]]:
    with pytest.raises(DocumentError) as caught:
        load_stages(text, file="stages.json")
    return [(problem.id, problem.pointer, problem.line) for problem in caught.value.problems]


def test_production_changes_nothing() -> None:
    text = profile_text()
    assert staged_profile(text, PRODUCTION) == load_profile(text, file="p.json")


def test_every_name_of_a_profile_gets_the_suffix_and_the_total_stays_the_total() -> None:
    (group,) = staged_profile(profile_text(), DEVELOPMENT).groups
    assert (group.name, group.members, group.suspended) == ("demo-dev", ("ada-dev", "bob-dev"), ("bob-dev",))
    assert (group.analyses, group.collaborators) == (("kalman-lds-dev",), ("friends-dev",))
    assert {budget.analysis for budget in group.budgets} == {"kalman-lds-dev", "total"}


def test_every_name_of_a_blueprint_gets_the_suffix_and_its_environment_stays() -> None:
    text = json.dumps(BLUEPRINT)
    plain = load_blueprint(text, file="b.json")
    found = stage_blueprint(plain, DEVELOPMENT, read_document(text, "b.json"))
    assert (found.analysis, found.group_names) == ("kalman-lds-dev", ("demo-dev",))
    assert found.groups[0].members == ("ada-dev",)
    assert found.hardware == plain.hardware


def test_names_that_become_too_long_are_told_with_their_places() -> None:
    text = profile_text(AffiliateName="g" * 44, UserNames=["ada", "m" * 62], Suspended=[])
    with pytest.raises(DocumentError) as caught:
        staged_profile(text, DEVELOPMENT)
    found = [(problem.id, problem.pointer) for problem in caught.value.problems]
    assert found == [
        ("G201", "/UXData/Affiliates/0/AffiliateName"),
        ("G201", "/UXData/Affiliates/0/UserNames/1"),
    ]
    assert all(problem.line for problem in caught.value.problems)


def test_a_stage_may_not_take_the_name_of_another_analysis() -> None:
    text = json.dumps(BLUEPRINT)
    plain, document = load_blueprint(text, file="b.json"), read_document(text, "b.json")
    with pytest.raises(DocumentError, match="G203"):
        stage_blueprint(plain, DEVELOPMENT, document, frozenset({"kalman-lds", "kalman-lds-dev"}))


def test_a_file_gives_stages_places_parameters_and_tags() -> None:
    text = json.dumps(
        {
            "stages": {
                "dev": {"suffix": "-dev", "profile": "lab-dev", "region": "eu-west-1", "tags": {"CostCenter": "42"}},
                "review": {"parameters": {"PermissionsBoundary": "arn:aws:iam::1:policy/b"}},
            }
        }
    )
    found = {stage.name: stage for stage in load_stages(text, file="stages.json")}
    assert set(found) == {"dev", "prod", "review"}
    assert found["dev"] == Stage("dev", "-dev", "lab-dev", "eu-west-1", (), (("CostCenter", "42"),))
    assert (found["review"].suffix, found["prod"]) == ("-review", PRODUCTION)
    assert found["review"].parameters == (("PermissionsBoundary", "arn:aws:iam::1:policy/b"),)


@pytest.mark.parametrize(
    ("stages", "problem_id"),
    [
        ({"dev": {"suffix": "dev"}}, "G105"),
        ({"dev": {"suffix": "--x"}}, "G105"),
        ({"dev": {"suffix": "-" + "x" * 17}}, "G105"),
        ({"dev": {"sufix": "-dev"}}, "G102"),
        ({"dev": {"region": "Ireland"}}, "G105"),
        ({"dev": {"tags": {"aws:x": "1"}}}, "G105"),
        ({"dev": {"tags": {"neurocaas:stack": "1"}}}, "G105"),
        ({"dev": {"parameters": {"A": 1}}}, "G103"),
        ({"Dev": {}}, "G105"),
        ({"dev": {"suffix": "-x"}, "review": {"suffix": "-x"}}, "G202"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(stages: object, problem_id: str) -> None:
    assert [found[0] for found in refused(json.dumps({"stages": stages}))] == [problem_id]


def test_stages_of_one_suffix_are_apart_in_different_places() -> None:
    stages = {"prod": {"profile": "lab"}, "mirror": {"suffix": "", "profile": "lab", "region": "eu-west-1"}}
    assert len(load_stages(json.dumps({"stages": stages}), file="s.json")) == 3
