"""A developer's loop: a new analysis, a green test, a change that breaks it, a test that says so, a run, a shell."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.laboratory import ROOT, Laboratory, make_home

pytestmark = [pytest.mark.cloud, pytest.mark.heavy]

CLOUD = "loop"
BETWEEN_BINS = "(step_hz * (left - right) / (2 * bend) if bend < 0 else 0.0)"


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A project without analyses, a place for a cloud that does not run yet."""
    folder = tmp_path_factory.mktemp("loop")
    project = folder / "project"
    shutil.copytree(ROOT / "ncap_blueprints" / "shared", project / "ncap_blueprints" / "shared")
    for name in ("protocols", "user_profiles"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    found = Laboratory(project, make_home(folder / "home"), CLOUD)
    try:
        yield found
    finally:
        found.ncap("local", "down", "--name", CLOUD, check=False)


@pytest.fixture(scope="module")
def spectra(loop: Laboratory) -> Path:
    loop.ncap("analysis", "new", "spectra")
    return loop.project / "ncap_blueprints" / "spectra"


def blueprint_of(folder: Path) -> str:
    return (folder / "stack_config_template.json").read_text()


def test_a_new_analysis_passes_its_test_the_users_way(loop: Laboratory, spectra: Path) -> None:
    ran = loop.ncap("analysis", "test", "spectra", "--output", "json")

    (trial,) = ran.data["analyses"]
    assert ran.data["passed"] is True
    assert trial["environment"] in blueprint_of(spectra)
    (figure,) = trial["figures"]
    assert figure["name"] == "largest_error_hz"
    assert figure["value"] <= figure["atMost"] == 0.06
    assert trial["peakMemoryBytes"] > 0


def test_a_workflow_that_computes_something_else_fails_the_test_and_the_blueprint_stays(
    loop: Laboratory, spectra: Path, tmp_path: Path
) -> None:
    module = spectra / "environment" / "spectrum.py"
    good, before = module.read_text(), blueprint_of(spectra)
    assert BETWEEN_BINS in good
    module.write_text(good.replace(BETWEEN_BINS, "0.0"))
    try:
        words = ("analysis", "test", "spectra", "--record", str(tmp_path / "record.md"), "--output", "json")
        ran = loop.ncap(*words, check=False)
    finally:
        module.write_text(good)

    assert ran.code == 1
    (trial,) = ran.data["analyses"]
    assert trial["environment"] not in before
    assert any("largest_error_hz is 0.1" in problem for problem in trial["problems"])
    assert "FAILED" in (tmp_path / "record.md").read_text()
    assert blueprint_of(spectra) == before


def test_a_workflow_that_breaks_says_why(loop: Laboratory, spectra: Path) -> None:
    config = spectra / "sample" / "config.json"
    good = config.read_text()
    config.write_text(json.dumps({"window_s": 1e6}))
    try:
        ran = loop.ncap("analysis", "test", "spectra", check=False)
    finally:
        config.write_text(good)

    assert ran.code == 1
    assert "does not fit rhythms.csv" in ran.out


def test_a_run_prints_lines_fetches_results_and_reports_the_resources(
    loop: Laboratory, spectra: Path, tmp_path: Path
) -> None:
    sample = spectra / "sample"
    data, config = str(sample / "rhythms.csv"), str(sample / "config.json")
    out = tmp_path / "out"
    ran = loop.ncap("analysis", "run", "spectra", "--data", data, "--config", config, "--results", str(out))

    assert "Channel ch01: strongest at 4.10 Hz." in ran.out
    assert "COST RESERVED" in ran.out
    assert (out / "rhythms_spectrum.png").read_bytes().startswith(b"\x89PNG")
    assert "SUCCEEDED" in (out / "logs" / "certificate.txt").read_text()

    picture = tmp_path / "resources.png"
    report = loop.ncap("analysis", "report", "spectra", "--plot", str(picture), "--output", "json").data
    assert report["recommended"]["instanceType"]
    assert report["peakMemoryBytes"] > 10e6
    (series,) = report["datasets"]
    assert series["rows"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_shell_is_inside_the_read_only_environment_with_the_sample_in_place(
    loop: Laboratory, spectra: Path, tmp_path: Path
) -> None:
    program = (
        'test -r "$NEUROCAAS_DATA" && python workflow.py "$NEUROCAAS_DATA" "$NEUROCAAS_CONFIG" "$NEUROCAAS_RESULTS"; '
        'echo x > "$NEUROCAAS_IMAGE/x" || echo cannot be written'
    )
    ran = loop.ncap("analysis", "shell", "spectra", "--results", str(tmp_path / "kept"), "--", "sh", "-c", program)
    assert "Done in" in ran.out
    assert "cannot be written" in ran.out
    assert (tmp_path / "kept" / "rhythms_summary.json").is_file()

    assert loop.ncap("analysis", "shell", "spectra", "--", "sh", "-c", "exit 3", check=False).code == 1
    assert loop.ncap("analysis", "shell", "spectra", "--", "nowhere", check=False).code == 1
