"""`ncap job` and versions: naming one when submitting, and seeing which one a job runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.cli import main
from ncap_iac.job.jobs import JobReader
from tests.command.bucket import BUCKET, GROUP, JOB, REF, Bucket

VERSION = "v-0123456789abcdef"
WHERE = ("--aws", "--region", "us-east-1", "--group", GROUP, "--output", "json")


def ncap(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert main([*words, *WHERE]) == code
    shown = capsys.readouterr()
    document: dict[str, Any] = json.loads(shown.out or shown.err)
    return document


@pytest.fixture
def submit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Words of a submission, in a project whose own parameters its config does not have."""
    blueprint = tmp_path / "ncap_blueprints" / BUCKET
    blueprint.mkdir(parents=True)
    (tmp_path / "protocols").mkdir()
    (blueprint / "stack_config_template.json").write_text(json.dumps({"PipelineName": BUCKET}))
    (blueprint / "parameters.schema.json").write_text(json.dumps({"type": "object", "required": ["latents"]}))
    for name, text in (("a.csv", "1,2\n"), ("c.json", '{"gain": 1}')):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return ("job", "submit", BUCKET, "--data", "a.csv", "--config", "c.json", "--timestamp", "t1")


def test_a_version_is_named_by_the_beginning_of_its_id_and_submitted_whole(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], submit: tuple[str, ...]
) -> None:
    bucket.put(f"versions/{VERSION}.json", "{}")
    ncap(capsys, *submit, "--analysis-version", "v-0123")
    assert json.loads(bucket.text(f"{GROUP}/submissions/t1_submit.json"))["version"] == VERSION


def test_a_typo_is_told_before_anything_is_uploaded(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], submit: tuple[str, ...]
) -> None:
    bucket.put(f"versions/{VERSION}.json", "{}")
    error = ncap(capsys, *submit, "--analysis-version", "v-0123456789abcdee", code=4)["error"]
    assert f"Did you mean {VERSION}?" in error["hint"]
    assert bucket.listing() == [f"versions/{VERSION}.json"]


def test_the_projects_parameters_are_those_of_the_default_version_only(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], submit: tuple[str, ...]
) -> None:
    bucket.put(f"versions/{VERSION}.json", "{}")
    assert "latents" in ncap(capsys, *submit, code=2)["error"]["what"]
    ncap(capsys, *submit, "--analysis-version", VERSION)


def test_a_status_tells_the_version_of_the_certificate(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    bucket.job("logs/certificate.txt", f"REQUEST START TIME: …\t[+0]\nANALYSIS VERSION ID: {VERSION} (git commit c)\n")
    assert ncap(capsys, "job", "status", JOB)["versionId"] == VERSION
    assert main(["job", "status", JOB, "--aws", "--region", "us-east-1", "--group", GROUP]) == 0
    assert f"{JOB}: RUNNING (version {VERSION})" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["", "ANALYSIS VERSION ID: none", "NOTE: ANALYSIS VERSION ID: " + VERSION])
def test_a_certificate_without_a_version_tells_none(bucket: Bucket, line: str) -> None:
    bucket.job("logs/certificate.txt", f"{line}\n")
    assert JobReader(bucket.objects, REF).status().version_id is None
