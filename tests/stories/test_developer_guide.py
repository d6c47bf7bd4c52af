"""The developer's guide, word for word: from a public repository with two scripts to a published analysis, offline."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.stories.laboratory import ROOT, Laboratory, make_home

pytestmark = [pytest.mark.cloud, pytest.mark.heavy]

GUIDE = ROOT / "docs" / "developers.md"
TITLE = "## From a repository to a published analysis"
ADDRESS = "https://github.com/example-lab/events"
DETECT = '''"""Find events: python detect.py --in DATA --params CONFIG --out RESULT"""

import argparse
import json

import numpy as np

from thresholds import robust_threshold

parser = argparse.ArgumentParser()
for name in ("--in", "--params", "--out"):
    parser.add_argument(name, required=True)
words = vars(parser.parse_args())
trace = np.loadtxt(words["in"], delimiter=",")
with open(words["params"]) as file:
    factor = json.load(file).get("factor", 4)
limit = robust_threshold(trace, factor)
above = np.flatnonzero((trace[1:] >= limit) & (trace[:-1] < limit)) + 1
print(f"{len(above)} events above {limit:.2f}")
with open(words["out"], "w") as file:
    json.dump({"events": above.tolist()}, file)
'''
THRESHOLDS = '''"""A threshold that large events do not raise."""

import numpy as np


def robust_threshold(trace, factor):
    return factor * np.median(np.abs(trace - np.median(trace))) / 0.6745
'''


def commands() -> list[str]:
    """The guide's commands, one a line, in order."""
    section = GUIDE.read_text().partition(TITLE)[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def make_repository(folder: Path) -> Path:
    """The lab's public repository."""
    folder.mkdir()
    (folder / "detect.py").write_text(DETECT)
    (folder / "thresholds.py").write_text(THRESHOLDS)
    (folder / "example.csv").write_text("\n".join("9" if step % 50 == 25 else str(step % 3 - 1) for step in range(500)))
    (folder / "example.json").write_text('{"factor": 4}\n')
    commit(folder, "scripts")
    return folder


def make_project(folder: Path) -> Path:
    """A clone of the project, as far as an analysis needs it."""
    for name in ("protocols", "ncap_blueprints/shared", "user_profiles/demo"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".gitignore", folder / ".gitignore")
    commit(folder, "the project")
    return folder


def commit(folder: Path, message: str) -> None:
    git(folder, "init", "--quiet", "--initial-branch", "main")
    for name, value in (("user.name", "Ada"), ("user.email", "ada@lab.example")):
        git(folder, "config", name, value)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def shell_environment(laboratory: Laboratory, folder: Path, repository: Path) -> Mapping[str, str]:
    """A developer's shell: `ncap` on the path, the public address answered by the repository beside."""
    programs = folder / "bin"
    programs.mkdir()
    command = programs / "ncap"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m ncap_iac "$@"\n')
    command.chmod(0o755)
    kept = {name: value for name, value in laboratory.environment().items() if name != "NCAP_CLOUD"}
    return {
        **kept,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The project after the whole guide was followed, and all that was said meanwhile."""
    folder = tmp_path_factory.mktemp("guide")
    repository = make_repository(folder / "public")
    project = make_project(folder / "project")
    laboratory = Laboratory(project, make_home(folder / "home"), "developer")
    script = folder / "guide.sh"
    script.write_text("set -ex\n" + "\n".join(commands()) + "\n")
    try:
        done = subprocess.run(
            ["bash", str(script)],
            cwd=project,
            env=shell_environment(laboratory, folder, repository),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        yield project, done.stdout
    finally:
        laboratory.ncap("local", "down", "--name", "developer", check=False)


def test_the_guide_shows_every_step_there_is() -> None:
    said = "\n".join(commands())
    verbs = ("launch", "list", "run", "connect", "stop", "start", "extend", "save", "end")
    assert all(f"ncap instance {verb}" in said for verb in verbs)
    assert all(f"ncap analysis {verb}" in said for verb in ("new", "test", "run", "shell", "report", "publish"))


def test_the_guide_ends_on_a_branch_with_the_folder_and_a_version(followed: tuple[Path, str]) -> None:
    project, said = followed
    (branch,) = git(project, "branch", "--list", "publish/*", "--format", "%(refname:short)").splitlines()
    assert re.fullmatch(r"publish/events-v-[0-9a-f]{16}", branch)
    assert f"git push origin {branch}" in said
    changed = git(project, "diff", "--name-only", ":/the project", branch).splitlines()
    assert "ncap_blueprints/events/environment/thresholds.py" in changed
    assert all(path.startswith("ncap_blueprints/events/") for path in changed)
    message = git(project, "log", "-1", "--format=%B", branch)
    assert branch.removeprefix("publish/events-") in message
    assert "Test: sample passed" in message
    published = json.loads(git(project, "show", f"{branch}:ncap_blueprints/events/stack_config_template.json"))
    assert published["Lambda"]["LambdaConfig"]["AMI"].startswith("iae:events@sha256:")


def test_the_scripts_found_the_events_on_the_machine_too(followed: tuple[Path, str]) -> None:
    project, said = followed
    assert said.count("10 events above") >= 2
    (result,) = project.glob("neurocaas-results/test_*/example_events.json")
    assert json.loads(result.read_text())["events"] == list(range(25, 500, 50))


def test_the_saved_image_is_between_two_commits(followed: tuple[Path, str]) -> None:
    project, _ = followed
    subjects = git(project, "log", "--format=%s").splitlines()
    assert re.fullmatch(r'Revert "events: runs on ami-[0-9a-f]{17}"', subjects[0])
    assert re.fullmatch(r"events: runs on ami-[0-9a-f]{17}", subjects[1])
    assert subjects[2:] == ["events: as tested on a development instance", "the project"]
