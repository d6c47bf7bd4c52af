"""`ncap check` in real git repositories: what changed documents would change."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ncap_iac.cli import main
from ncap_iac.environments.source import read_source

BLUEPRINT = "ncap_blueprints/kalman-lds/stack_config_template.json"
PROFILE = "user_profiles/demo/user_config_template.json"
ATTACK = "](javascript:x) <script> @someone `` ` ``` \n::error::x | # #1 https://evil.example \u202e"


class Repository:
    """A project in a git repository of its own, with one commit on `main`, on branch `change`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, *words: str) -> str:
        settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *settings, *words],
            cwd=self.root,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        )
        return done.stdout

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")

    def edit(self, path: str, change: Callable[[Any], object]) -> None:
        """Change a JSON document in place."""
        document = json.loads((self.root / path).read_text())
        change(document)
        (self.root / path).write_text(json.dumps(document, indent=2))

    def add(self, name: str, **fields: object) -> str:
        """Another blueprint, a copy of the first under a name of its own."""
        folder = self.root / "ncap_blueprints" / name
        shutil.copytree(self.root / "ncap_blueprints/kalman-lds", folder)
        path = f"ncap_blueprints/{name}/stack_config_template.json"
        self.edit(path, lambda document: document.update({"PipelineName": name, **fields}))
        return path


@pytest.fixture(scope="module")
def pristine(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pristine") / "project"
    for name in ("ncap_blueprints/kalman-lds", "user_profiles/demo", "protocols"):
        shutil.copytree(project_root / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "sample"))
    repository = Repository(root)
    repository.git("init", "-q", "-b", "main")
    # Pinned here, whatever state the in-instance tool of the checkout is in.
    environment = read_source(root / "ncap_blueprints/kalman-lds/environment", root / "protocols").environment
    repository.edit(BLUEPRINT, lambda document: document["Lambda"]["LambdaConfig"].update(AMI=environment))
    # This project has one analysis, so there is none a step of it could hand over to.
    repository.edit(BLUEPRINT, lambda document: document.pop("Steps", None))
    repository.commit()
    repository.git("checkout", "-q", "-b", "change")
    return root


@pytest.fixture
def repository(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    root = tmp_path / "project"
    shutil.copytree(pristine, root, symlinks=True)
    monkeypatch.chdir(root)
    return Repository(root)


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    def run(*words: str, code: int = 0) -> dict[str, Any]:
        assert main(["check", *words, "--output", "json"]) == code
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    return run


def shown(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["check", *words]) == code
    return capsys.readouterr().out


def config(document: Any) -> Any:
    return document["Lambda"]["LambdaConfig"]


Check = Callable[..., dict[str, Any]]


def test_nothing_changed_is_nothing_to_say(repository: Repository, check: Check) -> None:
    found = check()
    assert (found["problems"], found["stacks"], found["documents"], found["code"]) == ([], [], [], None)
    assert found["base"] == repository.git("rev-parse", "main").strip()


def test_a_changed_limit_is_another_version_of_that_analysis_only(repository: Repository, check: Check) -> None:
    repository.add("other-one")
    repository.commit()
    repository.git("branch", "-f", "main")
    repository.edit(BLUEPRINT, lambda document: config(document).update(MAX_DURATION=60))
    found = check()
    assert [stack["stack"] for stack in found["stacks"]] == ["kalman-lds"]
    stack = found["stacks"][0]
    assert stack["outcome"] == "changed"
    assert stack["versionBefore"] != stack["versionAfter"]
    assert found["documents"] == [BLUEPRINT]


def test_committed_staged_and_untracked_changes_count_alike(repository: Repository, check: Check) -> None:
    committed = repository.add("added-one")
    repository.commit()
    untracked = repository.add("added-two")
    assert check()["documents"] == [committed, untracked]


def test_an_added_group_is_told_as_permissions_in_words(repository: Repository, check: Check) -> None:
    group = {"AffiliateName": "third", "UserNames": ["ann"]}
    repository.edit(BLUEPRINT, lambda document: document["UXData"]["Affiliates"].append(group))
    changes = check()["stacks"][0]["changes"]
    assert any("neurocaas-instance-third" in words for change in changes for words in change["granted"])


def test_a_removed_blueprint_says_what_stays(
    repository: Repository, check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(repository.root / "ncap_blueprints/kalman-lds")
    stack = check()["stacks"][0]
    assert stack["outcome"] == "deleted"
    assert any("kalman-lds" in care["text"] and "stays" in care["text"] for care in stack["careful"])
    assert [change["type"] for change in stack["changes"] if change["keeps"]] == ["AWS::S3::Bucket"]
    text = shown(capsys, "--format", "markdown")
    assert "its document is removed" in text
    assert "merging does not delete the stack" in text


def test_a_renamed_analysis_is_one_stack_left_and_one_made(repository: Repository, check: Check) -> None:
    repository.edit(BLUEPRINT, lambda document: document.update(PipelineName="kalman-two"))
    assert {stack["stack"]: stack["outcome"] for stack in check()["stacks"]} == {
        "kalman-lds": "deleted",
        "kalman-two": "created",
    }


def test_a_removed_member_loses_a_secret_and_that_comes_first(repository: Repository, check: Check) -> None:
    def change(document: Any) -> None:
        document["UXData"]["Affiliates"][0]["UserNames"] = ["someone-else"]

    repository.edit(PROFILE, change)
    stack = check()["stacks"][0]
    assert stack["changes"][0]["severity"] == "data is lost"
    assert any(care["destroys"] for care in stack["careful"])


def test_a_problem_has_its_file_and_line_and_exit_code_2(repository: Repository, check: Check) -> None:
    repository.edit(BLUEPRINT, lambda document: document.update(Nonsense=1))
    found = check(code=2)
    lines = (repository.root / BLUEPRINT).read_text().splitlines()
    problem = found["problems"][0]
    assert (problem["id"], problem["file"]) == ("B102", BLUEPRINT)
    assert "Nonsense" in lines[problem["line"] - 1]


def test_a_changed_parameters_schema_changes_the_version(repository: Repository, check: Check) -> None:
    repository.edit(
        "ncap_blueprints/kalman-lds/parameters.schema.json", lambda document: document.update(description="another")
    )
    found = check()
    assert found["documents"] == [BLUEPRINT]
    assert found["stacks"][0]["versionBefore"] != found["stacks"][0]["versionAfter"]


def test_a_bad_parameters_schema_is_a_problem_at_that_file(repository: Repository, check: Check) -> None:
    path = "ncap_blueprints/kalman-lds/parameters.schema.json"
    (repository.root / path).write_text("{")
    assert {problem["file"] for problem in check(code=2)["problems"]} == {path}


def test_an_environment_that_is_not_pinned_again_is_a_problem(repository: Repository, check: Check) -> None:
    workflow = repository.root / "ncap_blueprints/kalman-lds/environment/workflow.py"
    workflow.write_text(workflow.read_text() + "\n# changed\n")
    problem = check(code=2)["problems"][0]
    assert problem["id"] == "B213"
    assert "LambdaConfig/AMI" in problem["pointer"]
    assert "ncap environment pin kalman-lds" in problem["hint"]


def test_a_file_several_environments_share_concerns_each_of_them(repository: Repository, check: Check) -> None:
    shared = repository.root / "ncap_blueprints/shared/kit.py"
    shared.parent.mkdir(exist_ok=True)
    shared.write_text("x = 1\n")
    recipe = "ncap_blueprints/kalman-lds/environment/recipe.json"
    repository.edit(recipe, lambda document: document.update(shared=["kit.py"]))
    source = read_source(repository.root / "ncap_blueprints/kalman-lds/environment", repository.root / "protocols")
    repository.edit(BLUEPRINT, lambda document: config(document).update(AMI=source.environment))
    repository.commit()
    repository.git("branch", "-f", "main")
    shared.write_text("x = 2\n")
    found = check(code=2)
    assert [(problem["id"], problem["file"]) for problem in found["problems"]] == [("B213", BLUEPRINT)]
    assert found["documents"] == []


def test_changed_code_is_told_once_for_all_stacks(repository: Repository, check: Check) -> None:
    repository.add("other-one")
    repository.commit()
    repository.git("branch", "-f", "main")
    path = repository.root / "protocols/submit_start.py"
    path.write_text(path.read_text() + "\n# changed\n")
    found = check()
    assert found["stacks"] == []
    assert found["code"] == {
        "files": ["protocols/submit_start.py"],
        "stacks": ["kalman-lds", "neurocaas-account", "other-one"],
    }


def test_code_of_the_compared_tree_is_never_run(repository: Repository, check: Check, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    for name in ("submit_start.py", "conftest.py", "sitecustomize.py", "jobmanager/__init__.py"):
        path = repository.root / "protocols" / name
        before = path.read_text() if path.exists() else ""
        path.write_text(f"open({str(trap)!r}, 'w').close()\n{before}")
    (repository.root / ".gitattributes").write_text("* filter=trap export-ignore\n")
    check()
    assert not trap.exists()


def test_a_handler_that_is_gone_is_a_problem_of_every_blueprint(repository: Repository, check: Check) -> None:
    (repository.root / "protocols/submit_start.py").write_text("")
    problem = check(code=2)["problems"][0]
    assert (problem["id"], problem["pointer"]) == ("B203", "/Lambda/Handler")


def test_code_that_cannot_be_read_is_a_problem_not_a_crash(repository: Repository, check: Check) -> None:
    (repository.root / "protocols/submit_start.py").write_text("def (:")
    assert check(code=2)["problems"][0]["id"] == "B203"


def test_a_symbolic_link_is_not_followed(repository: Repository, check: Check, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"password": "hunter2"}')
    link = repository.root / "ncap_blueprints/kalman-lds/parameters.schema.json"
    link.unlink()
    link.symlink_to(secret)
    found = check(code=2)
    assert "D108" in {problem["id"] for problem in found["problems"]}
    assert "hunter2" not in json.dumps(found)


def test_a_blueprint_cannot_take_over_the_stack_of_another(repository: Repository, check: Check) -> None:
    path = repository.add("impostor", PipelineName="kalman-lds")
    problems = [problem for problem in check(code=2)["problems"] if problem["file"] == path]
    assert [problem["id"] for problem in problems] == ["B212"]


def test_only_named_documents_are_looked_at(repository: Repository, check: Check) -> None:
    repository.add("added-one")
    repository.edit(BLUEPRINT, lambda document: document.update(Nonsense=1))
    assert check("added-one")["documents"] == ["ncap_blueprints/added-one/stack_config_template.json"]
    assert check("ncap_blueprints/kalman-lds", code=2)["problems"]
    assert main(["check", "nope"]) == 2


def test_any_commit_can_be_the_base_and_an_unknown_one_is_refused(repository: Repository, check: Check) -> None:
    repository.edit(BLUEPRINT, lambda document: config(document).update(MAX_DURATION=60))
    repository.commit()
    assert check("--base", "HEAD")["stacks"] == []
    assert len(check("--base", "HEAD~1")["stacks"]) == 1
    assert main(["check", "--base", "nope"]) == 4
    assert main(["check", "--base=--output=trap"]) == 4


def test_outside_a_repository_it_says_so(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(repository.root / ".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.root.parent))
    assert main(["check"]) == 2
    assert "git checkout" in capsys.readouterr().err


def test_a_document_that_was_bad_before_is_compared_with_nothing(repository: Repository, check: Check) -> None:
    good = (repository.root / BLUEPRINT).read_text()
    (repository.root / BLUEPRINT).write_text("{")
    repository.commit()
    repository.git("branch", "-f", "main")
    (repository.root / BLUEPRINT).write_text(good)
    assert check()["stacks"][0]["outcome"] == "created"


def test_no_credentials_no_network_and_the_same_bytes_each_time(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    repository.edit(BLUEPRINT, lambda document: config(document).update(MAX_DURATION=60))
    first = shown(capsys, "--format", "markdown")
    assert first == shown(capsys, "--format", "markdown")
    assert "kalman-lds" in first


@pytest.mark.parametrize(("field", "code"), [("Retention", 0), ("::error::Nonsense", 2)])
def test_the_workflow_s_step_keeps_the_report_and_ends_like_the_check(
    repository: Repository, project_root: Path, tmp_path: Path, field: str, code: int
) -> None:
    repository.edit(BLUEPRINT, lambda document: document.update({field: 30}))
    repository.commit()
    workflow = yaml.safe_load((project_root / ".github/workflows/check.yml").read_text())
    script = next(step["run"] for step in workflow["jobs"]["documents"]["steps"] if step.get("name") == "Check")
    program = tmp_path / "temp/venv/bin/ncap"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ncap_iac "$@"\n')
    program.chmod(0o755)
    (tmp_path / "change").symlink_to(repository.root)
    environment = {**os.environ, "RUNNER_TEMP": str(tmp_path / "temp"), "GITHUB_WORKSPACE": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(project_root), str(project_root / "utils")])
    done = subprocess.run(["bash", "-e", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "temp/report/check.md").read_text().startswith("### What these documents would change")
    commands = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert [line.split(" ")[0] for line in commands] == (["::error"] if code else [])


def test_annotations_name_place_and_level(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    repository.edit(BLUEPRINT, lambda document: document.update({f"No%nsense {ATTACK}": 1}))
    lines = shown(capsys, "--format", "github", code=2).splitlines()
    assert lines[0].startswith(f"::error file={BLUEPRINT},line=")
    assert "title=B102::" in lines[0]
    assert "No%25nsense" in lines[0]
    assert sum(line.startswith("::") for line in lines) == len(lines) - 1


def test_a_project_in_a_folder_of_its_repository_is_annotated_by_the_repository_s_paths(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = repository.root / "inner"
    inner.mkdir()
    for name in ("ncap_blueprints", "user_profiles", "protocols"):
        repository.git("mv", name, f"inner/{name}")
    repository.commit()
    repository.git("branch", "-f", "main")
    monkeypatch.chdir(inner)
    Repository(inner).edit(BLUEPRINT, lambda document: document.update(Nonsense=1))
    assert f"file=inner/{BLUEPRINT}" in shown(capsys, "--format", "github", code=2)


def test_what_documents_say_cannot_become_markup(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    repository.edit(BLUEPRINT, lambda document: document.update({ATTACK: 1}))
    text = shown(capsys, "--format", "markdown", code=2)
    outside = without_code_spans(text)
    for part in ("](", "<script", "@someone", "::error", "https://", "\u202e", "#1"):
        assert part not in outside
    assert "\u202e" not in text
    assert not any(line.startswith("::") for line in text.splitlines())


def without_code_spans(text: str) -> str:
    """A text as a CommonMark reader sees it outside code spans: a span ends at a run of as many backticks."""
    import re

    lines = []
    for line in text.splitlines():
        rest, kept = line, ""
        while match := re.search("`+", rest):
            kept += rest[: match.start()]
            fence = match.group()
            end = re.search(rf"(?<!`){fence}(?!`)", rest[match.end() :])
            assert end is not None, f"an open code span: {line}"
            rest = rest[match.end() + end.end() :]
        lines.append(kept + rest)
    return "\n".join(lines)
