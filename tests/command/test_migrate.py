"""`ncap blueprint|profile migrate` and `schema`, and the notices of `validate`: without any cloud."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ncap_compiler.migration import restore
from ncap_iac.cli import main
from ncap_iac.errors import UsageError
from ncap_iac.review.migration import write_document

SHAPES = "tests/compiler/legacy"


@pytest.fixture
def project(project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with three documents of the predecessor: one to migrate, one with a problem left, one of today."""
    shutil.copytree(project_root / "protocols", tmp_path / "protocols", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(project_root / "utils/ncap_compiler/schemas", tmp_path / "utils/ncap_compiler/schemas")
    for name in ("shortest", "three-values", "today"):
        folder = tmp_path / "ncap_blueprints" / name
        folder.mkdir(parents=True)
        shutil.copy(project_root / SHAPES / "blueprints" / f"{name}.json", folder / "stack_config_template.json")
    (tmp_path / "user_profiles/lab").mkdir(parents=True)
    shutil.copy(
        project_root / SHAPES / "profiles/bare-names.json", tmp_path / "user_profiles/lab/user_config_template.json"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blueprint(project: Path, name: str) -> Path:
    return project / "ncap_blueprints" / name / "stack_config_template.json"


def answer(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert main([*words, "--output", "json"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_nothing_is_written_without_being_told_to(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = blueprint(project, "shortest").read_bytes()
    assert main(["blueprint", "migrate", "shortest"]) == 0
    shown = capsys.readouterr()
    assert '-            "INSTANCE_TYPE": "p3.2xlarge"' in shown.out
    assert '+            "INSTANCE_TYPE": "g5.2xlarge"' in shown.out
    assert "EC2 no longer starts" in shown.out
    assert "ncap blueprint migrate shortest --write" in shown.err
    assert blueprint(project, "shortest").read_bytes() == before


def test_a_written_document_is_valid_and_can_be_taken_back(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = blueprint(project, "shortest")
    before = json.loads(path.read_text())
    path.chmod(0o640)
    assert main(["blueprint", "migrate", str(path), "--write"]) == 0
    after = json.loads(path.read_text())
    assert after["$schema"] == "../../utils/ncap_compiler/schemas/blueprint.json"
    assert json.dumps(restore(after)) == json.dumps(before)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "no half-written file is left"
    capsys.readouterr()
    assert answer(capsys, "blueprint", "validate", "shortest")["notices"] == []
    assert answer(capsys, "blueprint", "migrate", "shortest")["documents"][0]["changed"] is False


def test_what_only_a_person_can_decide_is_reported_and_the_rest_is_migrated(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = blueprint(project, "three-values")
    document = answer(capsys, "blueprint", "migrate", "--write", code=2)
    (problem,) = document["problems"]
    assert (problem["id"], problem["pointer"]) == ("B205", "/Lambda/LambdaConfig/COMMAND")
    assert '"COMMAND"' in path.read_text().splitlines()[problem["line"] - 1]
    written = {Path(entry["file"]).parent.name: entry["written"] for entry in document["documents"]}
    assert written == {"shortest": True, "three-values": True, "today": False}
    assert json.loads(path.read_text())["Lambda"]["CodeUri"] == "../../protocols"


def test_json_gives_every_change_with_its_reason_and_the_document(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (entry,) = answer(capsys, "blueprint", "migrate", "shortest")["documents"]
    change = next(change for change in entry["changes"] if change["pointer"].endswith("INSTANCE_TYPE"))
    assert change == {
        "kind": "changed",
        "pointer": "/Lambda/LambdaConfig/INSTANCE_TYPE",
        "before": "p3.2xlarge",
        "after": "g5.2xlarge",
        "reason": "EC2 no longer starts the type",
    }
    assert entry["document"]["Lambda"]["LambdaConfig"]["INSTANCE_TYPE"] == "g5.2xlarge"


def test_a_profile_is_migrated_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "migrate", "--write"]) == 0
    group = json.loads((project / "user_profiles/lab/user_config_template.json").read_text())["UXData"]["Affiliates"][0]
    assert (group["UserNames"], group["Pipelines"]) == (["mia"], ["sorter-web"])
    capsys.readouterr()
    assert answer(capsys, "profile", "validate", "lab")["notices"] == []


def test_a_file_outside_a_project_needs_none(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "old.json"
    shutil.copy(blueprint(project, "shortest"), elsewhere)
    monkeypatch.chdir(elsewhere.parent)
    assert main(["blueprint", "migrate", "old.json", "--write"]) == 0
    assert json.loads(elsewhere.read_text())["$schema"].endswith("schemas/blueprint.json")


def test_a_document_that_is_not_json_is_a_problem_among_the_others(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blueprint(project, "today").write_text("{'a': 1}")
    (project / "bytes.json").write_bytes(b"\xff\xfe")
    document = answer(capsys, "blueprint", "migrate", "today", "shortest", "bytes.json", code=2)
    assert [problem["id"] for problem in document["problems"]] == ["D102", "D101"]
    assert [entry["changed"] for entry in document["documents"]] == [False, True, False]


def test_a_folder_that_takes_no_file_is_an_error_and_leaves_the_document(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone"):
        write_document(tmp_path / "gone" / "a.json", "{}")


@pytest.mark.parametrize("noun", ["blueprint", "profile"])
def test_the_schema_is_printed_as_it_is_published(
    noun: str, project_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([noun, "schema"]) == 0
    published = project_root / f"utils/ncap_compiler/schemas/{noun}.json"
    assert capsys.readouterr().out == published.read_text()


def test_notices_are_shown_and_the_document_is_accepted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = blueprint(project, "today")
    document = json.loads(path.read_text()) | {"STAGE": "develop"}
    path.write_text(json.dumps(document, indent=2))
    (notice,) = answer(capsys, "blueprint", "validate", "today")["notices"]
    assert (notice["id"], notice["pointer"]) == ("N201", "/STAGE")
    assert path.read_text().splitlines()[notice["line"] - 1].strip().startswith('"STAGE"')
    assert main(["blueprint", "validate", "today"]) == 0
    shown = capsys.readouterr()
    assert "N201" in shown.out
    assert "no problems, 1 notice." in shown.err


def test_a_step_after_a_job_that_the_code_has_not_is_a_problem_with_its_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = blueprint(project, "today")
    document = json.loads(path.read_text())
    document["Lambda"]["PostHandler"] = "postprocess.consensus"
    path.write_text(json.dumps(document, indent=2))
    (problem,) = answer(capsys, "blueprint", "validate", "today", code=2)["problems"]
    assert (problem["id"], problem["pointer"]) == ("B203", "/Lambda/PostHandler")
    assert "no function consensus" in problem["message"]


def test_two_blueprints_of_one_analysis_are_found(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(project / "ncap_blueprints/today", project / "ncap_blueprints/again")
    (problem,) = answer(capsys, "blueprint", "validate", "today", "again", code=2)["problems"]
    assert (problem["id"], problem["pointer"]) == ("B212", "/PipelineName")


def test_migrating_and_validating_need_no_network_and_no_credentials(project: Path, project_root: Path) -> None:
    for words in (["migrate"], ["validate"], ["schema"]):
        done = subprocess.run(
            [sys.executable, "-m", "ncap_iac", "blueprint", *words, *([] if words == ["schema"] else ["today"])],
            env={"PATH": "", "HOME": "/nonexistent", "PYTHONPATH": str(project_root)},
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
