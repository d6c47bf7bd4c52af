"""What is committed when an AMI is saved and an analysis published: pairs, branches, and nothing else. Real git."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ncap_iac.analysis.publishing import branch_name, message_of, publish
from ncap_iac.development.repository import Checkout
from ncap_iac.development.saving import Blueprint, with_command
from ncap_iac.errors import UsageError
from workflow.command import shell_program

BLUEPRINT = {
    "PipelineName": "spectra",
    "Lambda": {
        "CodeUri": "../../protocols",
        "Handler": "submit_start.handler_develop",
        "LambdaConfig": {
            "AMI": "iae:spectra@sha256:" + "ab" * 32,
            "INSTANCE_TYPE": "m7i.large",
            "COMMAND": "run {} {} {} {}",
        },
    },
    "UXData": {"Affiliates": [{"AffiliateName": "demo", "UserNames": ["ada"], "UserInput": True}]},
}


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in a folder of a repository, with one analysis."""
    root = tmp_path / "repository" / "platform"
    folder = root / "ncap_blueprints" / "spectra"
    folder.mkdir(parents=True)
    (folder / "stack_config_template.json").write_text(json.dumps(BLUEPRINT, indent=2))
    (root / "protocols").mkdir()
    (root / "README.md").write_text("a project\n")
    git(tmp_path, "init", "-q", "-b", "main", "repository")
    git(root, "config", "user.email", "ada@lab.example")
    git(root, "config", "user.name", "Ada")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "begin")
    return root


def checkout(project: Path) -> Checkout:
    return Checkout(project, dict(os.environ))


def blueprint(project: Path) -> Blueprint:
    path = project / "ncap_blueprints" / "spectra" / "stack_config_template.json"
    return Blueprint(path, "spectra", checkout(project))


def test_an_ami_is_written_between_two_commits(project: Path) -> None:
    workflow = project / "ncap_blueprints" / "spectra" / "workflow.py"
    workflow.write_text("print()\n")
    found = blueprint(project)
    found.check_tree()
    before = found.commit_before("with ffmpeg")
    after = found.commit_after("ami-0123456789abcdef0", "with ffmpeg")
    assert git(project, "log", "--format=%H", "-2").split() == [after, before]
    assert git(project, "diff", "--name-only", before, after) == (
        "platform/ncap_blueprints/spectra/stack_config_template.json"
    )
    assert "ami-0123456789abcdef0" in git(
        project, "show", f"{after}:./ncap_blueprints/spectra/stack_config_template.json"
    )
    assert "Before: iae:spectra@sha256:ab" in git(project, "log", "-1", "--format=%B")
    assert git(project, "show", f"{before}:./ncap_blueprints/spectra/workflow.py") == "print()"


def test_a_blueprint_without_a_command_gets_one_that_runs_the_images_workflow() -> None:
    before = b'{"Lambda": {"LambdaConfig": {\n    "AMI": "ami-01",\n    "INSTANCE_TYPE": "m7i.large"}}}'
    after = with_command(before, ("python", "my workflow.py"))
    config = json.loads(after)["Lambda"]["LambdaConfig"]
    assert config["COMMAND"].count("{}") == 4
    assert config["COMMAND"].endswith("""python 'my workflow.py' "$data" "$config" "$NEUROCAAS_RESULTS\"""")
    assert b'\n    "COMMAND": ' in after
    assert subprocess.run(["sh", "-n", "-c", shell_program(config["COMMAND"])], check=False).returncode == 0
    assert with_command(after, ("other",)) == after
    assert with_command(before, ()) == before


def test_a_clean_tree_is_its_own_commit_before(project: Path) -> None:
    head = git(project, "rev-parse", "HEAD")
    assert blueprint(project).commit_before("") == head


@pytest.mark.parametrize("name", ["README.md", "../elsewhere.txt", "ncap_blueprints/pmd/new.json"])
def test_other_changed_files_refuse_it(project: Path, name: str) -> None:
    (project / name).parent.mkdir(exist_ok=True, parents=True)
    (project / name).write_text("changed\n")
    with pytest.raises(UsageError, match="not committed"):
        blueprint(project).check_tree()


def test_what_others_have_staged_is_not_committed(project: Path) -> None:
    (project / "README.md").write_text("staged\n")
    git(project, "add", "README.md")
    blueprint(project).commit_after("ami-0123456789abcdef0", "x")
    assert git(project, "diff", "--cached", "--name-only") == "platform/README.md"


def test_a_branch_to_publish_holds_the_folder_and_moves_nothing_else(project: Path) -> None:
    folder = project / "ncap_blueprints" / "spectra"
    (folder / "workflow.py").write_text("print()\n")
    (project / "README.md").write_text("mine\n")
    head, status = git(project, "rev-parse", "HEAD"), git(project, "status", "--porcelain")
    message = message_of("spectra", "v-1", "iae:spectra@sha256:ab", ["sample passed in 3 s"])
    done = publish(checkout(project), folder, branch_name("spectra", "v-1"), message)
    assert done.branch == "publish/spectra-v-1"
    assert done.push == "git push origin publish/spectra-v-1"
    assert git(project, "diff", "--name-only", head, done.commit) == "platform/ncap_blueprints/spectra/workflow.py"
    assert git(project, "rev-parse", f"{done.branch}^") == head
    assert "Test: sample passed in 3 s" in git(project, "log", "-1", "--format=%B", done.branch)
    assert git(project, "rev-parse", "HEAD") == head
    assert git(project, "status", "--porcelain") == status
    assert git(project, "rev-parse", "--abbrev-ref", "HEAD") == "main"


def test_a_version_is_published_once(project: Path) -> None:
    folder = project / "ncap_blueprints" / "spectra"
    publish(checkout(project), folder, "publish/spectra-v-1", "m")
    with pytest.raises(UsageError, match="there is a branch"):
        publish(checkout(project), folder, "publish/spectra-v-1", "m")


def test_without_a_repository_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="git"):
        Checkout(tmp_path, {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}).head()


def test_the_message_says_when_nothing_was_tested() -> None:
    assert "Test: not run (--skip-test)" in message_of("a", "v", "e", ["not run (--skip-test)"])
    assert json.dumps(message_of("a", "v", "e", [])).count("Test") == 0
