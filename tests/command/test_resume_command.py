"""`ncap job resume` as typed: answers, exit codes, what is refused and in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.cli import main
from tests.command.bucket import BUCKET, GROUP, JOB, Bucket
from tests.command.ended_job import CONFIG, VERSION, end_job

WHERE = ("--aws", "--region", "us-east-1")
A, B = f"{GROUP}/inputs/a.csv", f"{GROUP}/inputs/b.csv"
SUBMISSION = f"{GROUP}/submissions/2025-11-22T10-13-05Z-resume-1_submit.json"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No project around."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def partial(bucket: Bucket) -> Bucket:
    end_job(bucket, {A: "user-code", B: None})
    return bucket


def resume(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0, group: str = GROUP) -> dict[str, Any]:
    assert main(["job", "resume", *words, "--group", group, *WHERE, "--output", "json"]) == code
    shown = capsys.readouterr()
    document: dict[str, Any] = json.loads(shown.out or shown.err)
    return document


def submitted(bucket: Bucket) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(bucket.text(SUBMISSION))
    return document


def test_resuming_answers_with_the_job_and_how_to_fetch_both(
    partial: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["job", "resume", JOB, *WHERE]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{JOB}-resume-1\n"
    assert f"1 dataset of {JOB} again: config {CONFIG}, version {VERSION}, m7i.large" in " ".join(shown.err.split())
    for job in (JOB, f"{JOB}-resume-1"):
        assert f"ncap job results {job} --group {GROUP}" in shown.err
    assert submitted(partial)["dataname"] == A


def test_resuming_in_json(partial: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    document = resume(capsys, JOB)
    assert document == {
        "schemaVersion": 1,
        "kind": "Resumption",
        "job": JOB,
        "bucket": BUCKET,
        "group": GROUP,
        "outcome": "PARTIAL",
        "asked": True,
        "resumedBy": [],
        "next": f"{JOB}-resume-1",
        "datasets": [
            {
                "dataset": A,
                "failure": "user-code",
                "message": "It ended so.",
                "remedy": "do this about user-code.",
            }
        ],
        "config": CONFIG,
        "configHasChanged": False,
        "changedDatasets": [],
        "versionId": VERSION,
        "instanceType": "m7i.large",
        "largerInstanceType": None,
        "submission": SUBMISSION,
        "uploadedBytes": 0,
    }


def test_a_dry_run_shows_the_same_and_writes_nothing(partial: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    before = partial.listing()
    assert resume(capsys, JOB, "--dry-run")["datasets"][0]["dataset"] == A
    assert main(["job", "resume", JOB, "--dry-run", *WHERE]) == 0
    assert "would run 1 dataset again" in capsys.readouterr().out
    assert partial.listing() == before


def test_a_job_that_succeeded_needs_nothing(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    end_job(bucket, {A: None})
    assert resume(capsys, JOB)["asked"] is False
    assert main(["job", "resume", JOB, *WHERE]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_what_is_named_goes_into_the_submission(
    partial: Bucket, capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    (elsewhere / "better.json").write_text('{"gain": 3}')
    resume(capsys, JOB, "--config", "better.json", "--instance-type", "m7i.xlarge", "--analysis-version", "current")
    assert submitted(partial) == {
        "dataname": A,
        "configname": f"{GROUP}/configs/better.json",
        "instance_type": "m7i.xlarge",
        "timestamp": "2025-11-22T10-13-05Z-resume-1",
    }
    assert partial.text(f"{GROUP}/configs/better.json") == '{"gain": 3}'


def test_a_kept_version_is_named_by_its_beginning(partial: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    other = "v-fedcba9876543210"
    partial.put(f"versions/{other}.json", "{}")
    resume(capsys, JOB, "--analysis-version", "v-fed")
    assert submitted(partial)["version"] == other


def test_the_projects_parameters_are_checked_where_its_version_is_to_run(
    partial: Bucket, capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    blueprint = elsewhere / "ncap_blueprints" / BUCKET
    blueprint.mkdir(parents=True)
    (elsewhere / "protocols").mkdir()
    (blueprint / "stack_config_template.json").write_text(json.dumps({"PipelineName": BUCKET}))
    (blueprint / "parameters.schema.json").write_text(json.dumps({"type": "object", "required": ["latents"]}))
    (elsewhere / "c.json").write_text('{"gain": 1}')
    error = resume(capsys, JOB, "--config", "c.json", "--analysis-version", "current", code=2)["error"]
    assert "latents" in error["what"]
    resume(capsys, JOB, "--config", "c.json")


def test_a_config_written_over_since_needs_a_yes(partial: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    partial.put(CONFIG, '{"gain": 2}')
    before = partial.listing()
    assert resume(capsys, JOB, "--dry-run")["configHasChanged"] is True
    error = resume(capsys, JOB, code=2)["error"]
    assert f"The config {CONFIG} was written over since" in error["what"]
    assert "--config" in error["what"]
    assert partial.listing() == before
    assert resume(capsys, JOB, "--yes")["asked"] is True


def test_more_memory_is_suggested_in_words(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    end_job(bucket, {A: "out-of-memory"}, remedy="try instance_type 'm7i.xlarge', which has 16 GiB.")
    assert main(["job", "resume", JOB, "--dry-run", *WHERE]) == 0
    assert "--instance-type m7i.xlarge" in capsys.readouterr().err


def test_data_written_over_since_is_told(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    end_job(bucket, {A: "user-code"}, began="2025-11-22 10:13:05")
    assert main(["job", "resume", JOB, "--dry-run", *WHERE]) == 0
    assert f"taken as it is now: {A}" in capsys.readouterr().err


def test_watching_ends_with_the_further_jobs_outcome(partial: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    assert resume(capsys, JOB, "--watch", "--timeout", "0.1", code=6)["error"]["type"] == "WaitTimeoutError"
    assert submitted(partial)["dataname"] == A


def test_the_second_one_is_told_the_first_ones_job(partial: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    resume(capsys, JOB)
    error = resume(capsys, JOB, code=2)["error"]
    assert f"{JOB}-resume-1 is SUBMITTED" in error["what"]
    assert error["where"] == JOB


def test_an_unknown_job_is_answered_with_the_nearest(partial: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    for said in ("2025-11-22T10-13-06Z", JOB.replace("13-05", "13-06")):
        error = resume(capsys, said, "--analysis", BUCKET, code=4)["error"]
        assert f"Did you mean {JOB}?" in error["hint"]


def test_a_job_of_another_group_is_told_so(partial: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    error = resume(capsys, JOB, code=4, group="neighbours")["error"]
    assert f"is a job of group {GROUP}, not of neighbours" in error["what"]
