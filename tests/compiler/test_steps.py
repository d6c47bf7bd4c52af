"""Steps of a blueprint: what is accepted, what is refused with which id, and what becomes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ncap_compiler import DocumentError, compile_analysis, dump_blueprint, load_blueprint
from ncap_compiler.document import read_document
from ncap_compiler.errors import PROBLEM_IDS
from ncap_compiler.migration import migrate_blueprint, restore
from ncap_compiler.stages import DEVELOPMENT, stage_blueprint
from ncap_compiler.step_checks import Neighbour, check_neighbours
from ncap_compiler.steps import Handover, Scatter, StepType, When
from tests.compiler.documents import BUNDLE, minimal_blueprint, text

SCATTER = {"Type": "scatter", "Copies": 9, "Parameter": "seed"}
GATHER = {"Type": "gather", "Analysis": "consensus", "Files": ["*.h5"], "Config": {"beta": 12}, "AtLeast": 2}
CHAIN = {"Type": "chain", "Analysis": "locanmf", "When": "asked"}


def with_steps(*steps: Any) -> dict[str, Any]:
    return minimal_blueprint() | {"Steps": list(steps)}


def found(*steps: Any) -> list[tuple[str, str]]:
    try:
        load_blueprint(text(with_steps(*steps)), file="b.json")
    except DocumentError as error:
        return [(problem.id, problem.pointer) for problem in error.problems]
    return []


def test_steps_are_read_written_and_compiled() -> None:
    blueprint = load_blueprint(text(with_steps(SCATTER, GATHER, CHAIN)), file="b.json")
    assert blueprint.steps == (
        Scatter(copies=9, parameter="seed"),
        Handover(StepType.GATHER, "consensus", ("*.h5",), {"beta": 12}, 2, When.ALWAYS),
        Handover(StepType.CHAIN, "locanmf", when=When.ASKED),
    )
    assert load_blueprint(dump_blueprint(blueprint), file="b.json") == blueprint
    compiled = compile_analysis(blueprint, bundle_sha256=BUNDLE)
    gather = {"type": "gather", "analysis": "consensus", "bucket": "consensus", "files": ["*.h5"]}
    assert compiled.version_document["steps"] == [
        {"type": "scatter", "copies": 9, "parameter": "seed"},
        {**gather, "config": {"beta": 12}, "atLeast": 2, "when": "always"},
        {
            **{"type": "chain", "analysis": "locanmf", "bucket": "locanmf", "files": [], "config": {}},
            **{"atLeast": None, "when": "asked"},
        },
    ]


def test_a_grid_of_a_blueprint_is_in_its_version() -> None:
    grid = {"seed": [1, 2], "init": ["pca", "random"], "center": [True, None]}
    blueprint = load_blueprint(text(with_steps({"Type": "scatter", "Grid": grid})), file="b.json")
    assert compile_analysis(blueprint, bundle_sha256=BUNDLE).version_document["steps"] == [
        {"type": "scatter", "grid": grid}
    ]
    assert load_blueprint(dump_blueprint(blueprint), file="b.json") == blueprint


def test_without_steps_nothing_is_in_the_version() -> None:
    plain = compile_analysis(load_blueprint(text(minimal_blueprint()), file="b.json"), bundle_sha256=BUNDLE)
    empty = compile_analysis(load_blueprint(text(with_steps()), file="b.json"), bundle_sha256=BUNDLE)
    assert "steps" not in plain.version_document
    assert plain.version_id == empty.version_id


@pytest.mark.parametrize(
    ("steps", "problems"),
    [
        ([{"Type": "scater", "Copies": 2, "Parameter": "seed"}], [("B104", "/Steps/0/Type")]),
        ([{"Type": "scatter"}], [("B215", "/Steps/0")]),
        ([{"Type": "scatter", "Copies": 3}], [("B215", "/Steps/0")]),
        ([{"Type": "scatter", "Copies": 0, "Parameter": "seed"}], [("B106", "/Steps/0/Copies")]),
        ([{**SCATTER, "Grid": {"seed": [1]}}], [("B215", "/Steps/0/Grid")]),
        ([{"Type": "scatter", "Grid": {"seed": [1]}, "Parameter": "seed"}], [("B215", "/Steps/0/Parameter")]),
        ([{"Type": "scatter", "Grid": {}}], [("B107", "/Steps/0/Grid")]),
        ([{"Type": "scatter", "Grid": {"seed": [1, 1]}}], [("B109", "/Steps/0/Grid/seed")]),
        ([{"Type": "scatter", "Grid": {"a": list(range(101)), "b": list(range(100))}}], [("B215", "/Steps/0/Grid")]),
        ([{**SCATTER, "Analysis": "consensus"}], [("B215", "/Steps/0/Analysis")]),
        ([GATHER, SCATTER], [("B214", "/Steps/1")]),
        ([{"Type": "gather"}], [("B101", "/Steps/0/Analysis")]),
        ([{**GATHER, "Analysis": "spikes"}], [("B216", "/Steps/0/Analysis")]),
        ([GATHER, {**CHAIN, "Analysis": "consensus"}], [("B216", "/Steps/1/Analysis")]),
        ([{**CHAIN, "AtLeast": 2}], [("B215", "/Steps/0/AtLeast")]),
        ([{**GATHER, "When": "never"}], [("B104", "/Steps/0/When")]),
        ([{**GATHER, "Files": ["../*.h5"]}], [("B219", "/Steps/0/Files/0")]),
        ([{**GATHER, "Copies": 3}], [("B215", "/Steps/0/Copies")]),
        ([{**GATHER, "Filez": ["*"]}], [("B102", "/Steps/0/Filez")]),
    ],
)
def test_steps_that_cannot_be_are_refused_where_they_stand(steps: list[Any], problems: list[tuple[str, str]]) -> None:
    assert found(*steps) == problems
    assert {problem_id for problem_id, _ in problems} <= set(PROBLEM_IDS)


OTHERS = {
    "consensus": Neighbour(("lab",), {"additionalProperties": False, "properties": {"beta": {"minimum": 0}}}, ()),
    "locanmf": Neighbour((), None, ("spikes",)),
}
OWN: dict[str, Any] = {"additionalProperties": False, "properties": {"seed": {"type": "integer", "maximum": 4}}}


def against(*steps: Any) -> list[tuple[str, str]]:
    document = read_document(text(with_steps(*steps)), "b.json")
    return [(problem.id, problem.pointer) for problem in check_neighbours(document, OWN, OTHERS)]


@pytest.mark.parametrize(
    ("step", "problems"),
    [
        (GATHER, []),
        ({**GATHER, "Analysis": "consensuss"}, [("B217", "/Steps/0/Analysis")]),
        ({**CHAIN, "When": "always"}, [("B217", "/Steps/0/Analysis"), ("B216", "/Steps/0/Analysis")]),
        (CHAIN, [("B216", "/Steps/0/Analysis")]),
        ({**GATHER, "Config": {"betta": 1}}, [("B220", "/Steps/0/Config/betta")]),
        ({**GATHER, "Config": {"beta": -1}}, [("B220", "/Steps/0/Config/beta")]),
        ({**SCATTER, "Copies": 4}, []),
        ({**SCATTER, "Copies": 5}, [("B218", "/Steps/0/Parameter")]),
        ({**SCATTER, "Copies": 4, "Parameter": "sede"}, [("B218", "/Steps/0/Parameter")]),
        ({"Type": "scatter", "Copies": "size", "Parameter": "seed"}, [("B218", "/Steps/0/Copies")]),
        ({"Type": "scatter", "Grid": {"seed": [1, "two"]}}, [("B218", "/Steps/0/Grid/seed")]),
    ],
)
def test_steps_are_held_against_parameters_and_neighbours(step: Any, problems: list[tuple[str, str]]) -> None:
    assert against(step) == problems


def test_a_circle_is_told_with_its_way() -> None:
    document = read_document(text(with_steps(CHAIN)), "b.json")
    (problem,) = check_neighbours(document, None, OTHERS)
    assert "spikes -> locanmf -> spikes" in problem.message


def test_a_stage_has_steps_of_its_own() -> None:
    source = text(with_steps(SCATTER, GATHER))
    blueprint = load_blueprint(source, file="b.json")
    staged = stage_blueprint(blueprint, DEVELOPMENT, read_document(source, "b.json"))
    assert staged.next_analyses == ("consensus-dev",)


def statements(compiled: Any) -> dict[str, Any]:
    resources = json.loads(compiled.template)["Resources"].values()
    managed = [it["Properties"]["PolicyDocument"] for it in resources if it["Type"] == "AWS::IAM::ManagedPolicy"]
    return {it["Sid"]: it for policy in managed for it in policy["Statement"]}


def test_the_job_manager_may_submit_to_exactly_the_next_analyses_and_read_their_versions() -> None:
    blueprint = load_blueprint(text(with_steps(GATHER, CHAIN)), file="b.json")
    found = statements(compile_analysis(blueprint, bundle_sha256=BUNDLE))
    assert set(found) == {"FindNextVersions", "ReadNextVersions", "SubmitNext"}
    assert found["SubmitNext"]["Action"] == "s3:PutObject"
    said = [it["Fn::Sub"].partition(":::")[2] for it in found["SubmitNext"]["Resource"]]
    assert said == [
        f"{name}/*/{folder}/*" for name in ("consensus", "locanmf") for folder in ("configs", "submissions")
    ]
    said = [it["Fn::Sub"].partition(":::")[2] for it in found["ReadNextVersions"]["Resource"]]
    assert said == ["consensus/versions/*", "locanmf/versions/*"]
    said = [it["Fn::Sub"].rpartition(":")[2] for it in found["FindNextVersions"]["Resource"]]
    assert said == ["parameter/neurocaas/versions/consensus", "parameter/neurocaas/versions/locanmf"]
    plain = compile_analysis(load_blueprint(text(minimal_blueprint()), file="b.json"), bundle_sha256=BUNDLE)
    assert statements(plain) == {}


def test_every_analysis_tells_which_version_it_serves() -> None:
    compiled = compile_analysis(load_blueprint(text(minimal_blueprint()), file="b.json"), bundle_sha256=BUNDLE)
    parameter = json.loads(compiled.template)["Resources"]["ServedVersion"]["Properties"]
    assert (parameter["Name"], parameter["Value"]) == ("/neurocaas/versions/spikes", {"Ref": "VersionId"})


def test_ten_steps_with_long_names_fit_into_iams_sizes() -> None:
    steps = [{**CHAIN, "Analysis": f"{'a' * 60}{number:02}"} for number in range(10)]
    compile_analysis(load_blueprint(text(with_steps(*steps)), file="b.json"), bundle_sha256=BUNDLE)


def ensemble() -> dict[str, Any]:
    document = minimal_blueprint()
    document["Lambda"]["Handler"] = "submit_start.handler_ensemble"
    return document


def test_the_ensemble_protocol_is_a_scatter() -> None:
    blueprint = load_blueprint(text(ensemble()), file="b.json")
    assert blueprint.handler == "submit_start.handler_develop"
    assert blueprint.steps == (Scatter(copies="ensemble_size", parameter="jobnb"),)
    assert [notice.id for notice in blueprint.notices] == ["N202"]
    version = compile_analysis(blueprint, bundle_sha256=BUNDLE).version_document
    assert version["steps"] == [{"type": "scatter", "copies": "ensemble_size", "parameter": "jobnb"}]


def test_migrating_an_ensemble_writes_its_scatter_and_can_be_taken_back() -> None:
    migrated = migrate_blueprint(text(ensemble()), file="b.json")
    assert migrated.document is not None
    assert migrated.problems == ()
    assert migrated.document["Steps"] == [{"Type": "scatter", "Copies": "ensemble_size", "Parameter": "jobnb"}]
    before, after = (load_blueprint(it, file="b.json") for it in (text(ensemble()), migrated.text))
    assert (after.steps, after.handler) == (before.steps, before.handler)
    assert restore(migrated.document) == ensemble()
