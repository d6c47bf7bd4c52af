"""`ncap analysis new`: what is made is complete, valid, pinned, lint-free; what cannot be made leaves nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ncap_iac.analysis.making import TEMPLATES
from ncap_iac.analysis.requirements import locked_names, requirement_name, with_requirements
from ncap_iac.cli import main
from ncap_iac.errors import UsageError

SCRIPT = """import argparse, csv, scipy.signal
from helper import count
parser = argparse.ArgumentParser()
"""


@pytest.fixture
def project(project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with shared files and profiles, no analysis."""
    folder = tmp_path / "project"
    shutil.copytree(project_root / "ncap_blueprints" / "shared", folder / "ncap_blueprints" / "shared")
    shutil.copytree(project_root / "user_profiles", folder / "user_profiles")
    shutil.copytree(project_root / "protocols", folder / "protocols", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NEUROCAAS_HOME", str(tmp_path / "home"))
    return folder


def folder_of(project: Path, name: str = "spectra") -> Path:
    return project / "ncap_blueprints" / name


def test_the_folder_is_complete_and_its_blueprint_valid_at_once(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analysis", "new", "spectra", "--title", "Rhythms", "--output", "json"]) == 0
    made = json.loads(capsys.readouterr().out)

    assert main(["blueprint", "validate", str(folder_of(project) / "stack_config_template.json")]) == 0
    blueprint = json.loads((folder_of(project) / "stack_config_template.json").read_text())
    assert blueprint["Lambda"]["LambdaConfig"]["AMI"] == made["environment"]
    assert blueprint["Description"]["Title"] == "Rhythms"
    assert blueprint["UXData"]["Affiliates"][0]["UserNames"] == ["demo-member"]
    assert "@" not in (folder_of(project) / "environment" / "recipe.json").read_text()
    about = json.loads((folder_of(project) / "sample" / "sample.json").read_text())
    assert all((folder_of(project) / "sample" / name).is_file() for name in (*about["datasets"], about["config"]))


def test_the_environment_is_the_one_pinning_would_write(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analysis", "new", "spectra"]) == 0
    capsys.readouterr()
    assert main(["environment", "pin", "spectra", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False


def test_the_code_of_a_new_analysis_pleases_the_linter(project: Path, project_root: Path) -> None:
    assert main(["analysis", "new", "spectra"]) == 0
    files = sorted(str(path) for path in folder_of(project).rglob("*.py"))
    rules = ["--config", str(project_root / "pyproject.toml"), "--ignore", "D1,T20,N803,N806,PTH"]
    for words in (["check", *rules], ["format", "--check", "--line-length", "120"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", *files], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Spectra"], "3 to 63"),
        (["ab"], "3 to 63"),
        (["total-", "--title", "x"], "3 to 63"),
        (["../spectra"], "3 to 63"),
        (["taken"], "there is such a folder already"),
        (["spectra", "--group", "demoo"], "Did you mean 'demo'?"),
        (["spectra", "--python", ">=3.99"], "the Python ncap runs on"),
        (["spectra", "--python", "three"], "not a version range"),
        (["spectra", "--requirement", "git+https://example.org/x"], "no package with versions"),
        (["spectra", "--requirement", "-r other.txt"], "no package with versions"),
        (["spectra", "--sample", "x.csv"], "Name the script with --from-script"),
        (["spectra", "--from-script", "missing.py"], "missing.py"),
        (["spectra", "--title", 'x"""'], "plain words"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    folder_of(project, "taken").mkdir()
    before = sorted((project / "ncap_blueprints").rglob("*"))

    assert main(["analysis", "new", *words]) == 2

    assert said in capsys.readouterr().err
    assert sorted((project / "ncap_blueprints").rglob("*")) == before


def test_a_script_is_wrapped_with_its_command_line_files_and_sample(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sort.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text("import numpy\n")
    (tmp_path / "small.csv").write_text("1,2\n")
    line = "python sort.py --in {data} --params {config} --out {results}"
    words = ["--command-line", line, "--with-file", "../helper.py", "--sample", "../small.csv"]

    assert main(["analysis", "new", "sorter", "--from-script", "../sort.py", *words]) == 0

    assert "--requirement scipy" in capsys.readouterr().err
    folder = folder_of(project, "sorter")
    assert json.loads((folder / "environment" / "recipe.json").read_text())["files"] == [
        "workflow.py",
        "sort.py",
        "helper.py",
    ]
    command = '["python", "sort.py", "--in", "{data}", "--params", "{config}", "--out", "{results}"]'
    assert command in (folder / "environment" / "workflow.py").read_text()
    assert json.loads((folder / "sample" / "sample.json").read_text())["datasets"] == ["small.csv"]
    assert main(["blueprint", "validate", str(folder / "stack_config_template.json")]) == 0


@pytest.mark.parametrize("line", ["python other.py {data} {results}", "python sort.py {results}", "python 'sort.py"])
def test_a_command_line_that_leaves_out_what_is_needed_is_refused(project: Path, tmp_path: Path, line: str) -> None:
    (tmp_path / "sort.py").write_text("print()\n")
    assert main(["analysis", "new", "sorter", "--from-script", "../sort.py", "--command-line", line]) == 2
    assert not folder_of(project, "sorter").exists()


def test_the_wrapper_passes_paths_as_they_are(project: Path, tmp_path: Path) -> None:
    """No shell looks at a dataset's name."""
    (tmp_path / "show.py").write_text("import sys\nprint(sys.argv[1:])\nsys.exit(7)\n")
    assert main(["analysis", "new", "shower", "--from-script", "../show.py"]) == 0
    name = "a b; echo $HOME 'x'.csv"
    done = subprocess.run(
        [sys.executable, "workflow.py", name, "c.json", "out"],
        cwd=folder_of(project, "shower") / "environment",
        env={"PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (7, str([name, "c.json", "out"]))


def test_a_requirement_takes_the_place_of_the_template_s() -> None:
    text = with_requirements("# why\nnumpy==2.4.6\nPyYAML>=6\n", ["numpy==2.4.0", "h5py>=3.12"])
    assert text == "# why\nPyYAML>=6\nnumpy==2.4.0\nh5py>=3.12\n"
    assert requirement_name("Scikit_Learn[extra]>=1.5,<2; python_version>'3.11'") == "scikit-learn"
    with pytest.raises(UsageError):
        requirement_name("numpy @ https://example.org/numpy.whl")


def test_the_lock_of_a_new_analysis_is_in_date(project: Path) -> None:
    assert main(["analysis", "new", "spectra", "--python", ">=3.11"]) == 0
    assert main(["environment", "lock", "spectra", "--check"]) == 0


def test_the_lock_of_the_template_has_what_the_template_asks_for() -> None:
    environment = TEMPLATES / "common" / "environment"
    asked = [
        requirement_name(line)
        for line in (environment / "requirements.in.template").read_text().splitlines()
        if not line.startswith("#")
    ]
    lock = (environment / "requirements.lock").read_text()
    assert set(asked) <= locked_names(lock)
    assert "--hash=sha256:" in lock
    assert "index-url" not in lock
