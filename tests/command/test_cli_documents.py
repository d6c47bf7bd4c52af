"""`ncap blueprint|profile|account` without any cloud: validate, compile, plan --offline, list, pin."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.cli import main
from ncap_iac.deploy.images import pinned_text
from ncap_iac.documents import check_config
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind, Project

BLUEPRINT = Path("ncap_blueprints/kalman-lds/stack_config_template.json")


@pytest.fixture
def project(project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ncap_blueprints", "user_profiles", "protocols"):
        shutil.copytree(project_root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEUROCAAS_HOME", str(tmp_path / "home"))
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert main([*words, "--output", "json"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["schemaVersion"] == 1
    return document


def change_blueprint(project: Path, **fields: object) -> None:
    path = project / BLUEPRINT
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}, indent=2))


def test_good_documents_have_no_problems(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "blueprint", "validate")["problems"] == []
    assert answer(capsys, "profile", "validate", "demo")["problems"] == []


def test_all_problems_of_all_files_are_in_one_report(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_blueprint(project, PipelineName="Bad_Name", Nonsense=1)
    other = project / "other.json"
    other.write_text("{")
    document = answer(capsys, "blueprint", "validate", "kalman-lds", str(other), code=2)
    assert {problem["file"] for problem in document["problems"]} == {str(project / BLUEPRINT), str(other)}
    assert len(document["problems"]) >= 3
    assert set(document["problems"][0]) == {"id", "file", "line", "pointer", "message", "hint"}


def test_people_see_problems_with_place_and_hint(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_blueprint(project, Nonsense=1)
    assert main(["blueprint", "validate"]) == 2
    shown = capsys.readouterr()
    assert f"{BLUEPRINT}:" in shown.out
    assert "/Nonsense" in shown.out
    assert "1 problem." in shown.err


def test_a_file_that_is_not_there_is_a_usage_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blueprint", "validate", "nope.json"]) == 2
    assert "kalman-lds" in capsys.readouterr().err


def test_validating_a_path_needs_no_project(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project / BLUEPRINT
    (project / "elsewhere").mkdir()
    monkeypatch.chdir("/")
    assert main(["blueprint", "validate", str(path)]) == 0


@pytest.mark.parametrize(
    "words", [("blueprint", "compile", "kalman-lds"), ("profile", "compile", "demo"), ("account", "compile")]
)
def test_compiling_prints_a_template_and_writes_the_same_one(
    project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert main(list(words)) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["Resources"]
    assert main([*words, "-o", "out.json"]) == 0
    assert capsys.readouterr().out == f"{project / 'out.json'}\n"
    assert (project / "out.json").read_text() == text
    assert answer(capsys, *words)["template"] == json.loads(text)


def test_compiling_a_broken_document_changes_nothing_and_tells_all(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_blueprint(project, Nonsense=1, Rubbish=2)
    assert main(["blueprint", "compile", "kalman-lds", "-o", "out.json"]) == 2
    said = capsys.readouterr().err
    assert "Nonsense" in said
    assert "Rubbish" in said
    assert not (project / "out.json").exists()


def test_a_plan_against_nothing_shows_resources_and_permissions(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = answer(capsys, "blueprint", "plan", "kalman-lds", "--offline")
    assert plan["creates"]
    assert plan["versionId"].startswith("v-")
    assert {change["verb"] for change in plan["changes"]} == {"added"}
    assert any(change["granted"] for change in plan["changes"])
    assert main(["account", "plan", "--offline"]) == 0
    assert "Permissions" not in capsys.readouterr().err


def test_the_documents_of_the_project_are_listed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blueprints = answer(capsys, "blueprint", "list")["documents"]
    environments = {item["name"]: item["environment"] for item in blueprints}
    assert environments["kalman-lds"].startswith("iae:kalman-lds@sha256:")
    assert "demo-member" in answer(capsys, "profile", "list")["documents"][0]["groups"]


def test_pinning_changes_the_digest_and_no_other_byte(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / BLUEPRINT
    before = path.read_bytes()
    odd = before.replace(b'"AMI": ', b'"AMI"  :\t').replace(b"\n", b"\r\n")
    path.write_bytes(odd)
    environment = answer(capsys, "environment", "pin", "kalman-lds")["environment"]
    after = path.read_bytes()
    assert environment.encode() in after
    assert len(after) == len(odd)
    assert after.replace(environment.encode(), b"") == pinned_text(odd, "", where="x")
    assert answer(capsys, "environment", "pin", "kalman-lds")["changed"] is False
    listed = answer(capsys, "environment", "list")["environments"]
    assert next(item for item in listed if item["environment"] == environment)["pinned"] is True


def test_a_blueprint_without_one_ami_field_cannot_be_pinned() -> None:
    for text in (b"{}", b'{"AMI": "a", "B": {"AMI": "b"}}'):
        with pytest.raises(UsageError, match="AMI fields"):
            pinned_text(text, "iae:x", where="x")


def test_an_environment_without_an_image_is_not_found(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["environment", "verify", "kalman-lds"]) == 4
    assert "ncap environment build kalman-lds" in capsys.readouterr().err


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "additionalProperties": False}


@pytest.fixture
def schema(project: Path) -> Project:
    (project / BLUEPRINT.parent / "parameters.schema.json").write_text(json.dumps(SCHEMA))
    return Project(project)


@pytest.mark.parametrize(
    ("name", "text"),
    [("c.json", '{"n": 3}'), ("c.yaml", "n: 3\n__duration__: 10\n"), ("c.yml", "{}")],
)
def test_a_config_the_schema_accepts(schema: Project, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    check_config(tmp_path / name, "kalman-lds", schema)


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("c.json", '{"n": 0}', "minimum"),
        ("c.json", '{"m": 1}', "'m'"),
        ("c.json", "{", "Expecting"),
        ("c.yaml", "n: [", "flow node"),
        ("c.yaml", "- 1\n", "mapping"),
        ("c.txt", "n: 1", ".yaml"),
        ("c.yaml", "!!python/object/apply:os.system ['true']", "python"),
    ],
)
def test_a_config_is_refused_before_anything_is_uploaded(
    schema: Project, tmp_path: Path, name: str, text: str, word: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=word):
        check_config(tmp_path / name, "kalman-lds", schema)


def test_an_analysis_the_project_does_not_know_has_no_schema_to_check(schema: Project, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"anything": true}')
    check_config(tmp_path / "c.json", "another-analysis", schema)


def test_kinds_of_documents_know_their_folders() -> None:
    assert (Kind.BLUEPRINT.noun, Kind.PROFILE.noun) == ("blueprint", "profile")
