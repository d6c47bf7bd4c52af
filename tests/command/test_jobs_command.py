"""`ncap job` as typed, against an analysis bucket: answers, exit codes, and where files go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.cli import main
from tests.command.bucket import BUCKET, GROUP, JOB, Bucket

WHERE = ("--aws", "--region", "us-east-1")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No project around, and a folder of its own for downloads."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ncap(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert main([*words, *WHERE, "--output", "json"]) == code
    shown = capsys.readouterr()
    document: dict[str, Any] = json.loads(shown.out or shown.err)
    return document


@pytest.fixture
def finished(bucket: Bucket) -> Bucket:
    bucket.job("logs/certificate.txt", "CERTIFICATE\n")
    bucket.dataset("a.csv", "SUCCESS")
    bucket.job("process_results/a_result.npy", "numbers")
    bucket.end("SUCCEEDED\n\nAll is well.\n")
    return bucket


def test_submitting_answers_with_the_job_and_the_next_command(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    (elsewhere / "a.csv").write_text("1,2\n")
    (elsewhere / "c.yaml").write_text("n: 1\n")
    words = ("job", "submit", BUCKET, "--data", "*.csv", "--config", "c.yaml", "--group", GROUP, "--timestamp", "t1")
    assert main([*words, *WHERE]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"job__{BUCKET}_t1\n"
    assert "On AWS, region us-east-1." in shown.err
    assert f"ncap job status job__{BUCKET}_t1 --group {GROUP} --watch --aws" in shown.err
    assert json.loads(bucket.text(f"{GROUP}/submissions/t1_submit.json"))["dataname"] == f"{GROUP}/inputs/a.csv"
    assert ncap(capsys, *words, code=2)["error"]["where"].endswith("/submissions")


def test_submitting_in_json(bucket: Bucket, capsys: pytest.CaptureFixture[str], elsewhere: Path) -> None:
    for name in ("a.csv", "c.json"):
        (elsewhere / name).write_text("{}")
    document = ncap(
        capsys, "job", "submit", BUCKET, "--data", "a.csv", "--config", "c.json", "--group", GROUP, "--timestamp", "x"
    )
    assert document == {
        "schemaVersion": 1,
        "kind": "Submission",
        "job": f"job__{BUCKET}_x",
        "bucket": BUCKET,
        "group": GROUP,
        "submission": f"{GROUP}/submissions/x_submit.json",
        "datasets": [f"{GROUP}/inputs/a.csv"],
        "config": f"{GROUP}/configs/c.json",
        "resultsTo": None,
        "uploadedBytes": 4,
    }


def test_watching_a_submission_ends_with_6_when_time_is_up(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    for name in ("a.csv", "c.json"):
        (elsewhere / name).write_text("{}")
    words = ("job", "submit", BUCKET, "--data", "a.csv", "--config", "c.json", "--group", GROUP)
    error = ncap(capsys, *words, "--watch", "--timeout", "0.1", code=6)["error"]
    assert error["type"] == "WaitTimeoutError"
    assert "SUBMITTED" in error["what"]


@pytest.mark.parametrize(
    ("end", "code"),
    [("SUCCEEDED", 0), ("FAILED", 1), ("PARTIAL", 1), ("REJECTED", 1), ("CANCELLED", 1), (None, 0)],
)
def test_the_status_of_a_job_decides_the_exit_code(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], end: str | None, code: int
) -> None:
    bucket.dataset("a.csv")
    if end is not None:
        bucket.end(f"{end}\n\nThe reason, and what to do.\n")
    status = ncap(capsys, "job", "status", JOB, code=code)
    assert status["outcome"] == (end or "RUNNING")
    assert status["group"] == GROUP
    assert status["datasets"][0]["label"] == "a.csv"
    assert main(["job", "status", JOB, *WHERE]) == code
    if end:
        assert "The reason, and what to do." in capsys.readouterr().out


def test_jobs_are_listed(finished: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    document = ncap(capsys, "job", "list", BUCKET)
    assert document["jobs"] == [{"job": JOB, "outcome": "SUCCEEDED"}]
    assert document["total"] == 1


def test_logs_are_data_on_stdout(finished: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["job", "logs", JOB, *WHERE]) == 0
    assert capsys.readouterr().out == "CERTIFICATE\n\n--- a.csv: SUCCESS ---\nline 1\nline 2\n"
    assert main(["job", "logs", JOB, "-f", *WHERE]) == 0
    assert capsys.readouterr().out == "line 1\nline 2\n"
    document = ncap(capsys, "job", "logs", JOB, "--follow")
    assert document["datasets"] == [{"label": "a.csv", "status": "SUCCESS", "lines": ["line 1", "line 2"]}]


def test_results_go_to_a_folder_named_after_the_job_or_the_one_named(
    finished: Bucket, capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    document = ncap(capsys, "job", "results", "2025-11-22", "--analysis", BUCKET)
    assert document["folder"] == str(elsewhere / JOB)
    assert document["files"] == ["a_result.npy", "end.txt"]
    assert (elsewhere / JOB / "a_result.npy").read_text() == "numbers"
    assert ncap(capsys, "job", "results", JOB, "-o", "here")["folder"] == str(elsewhere / "here")


def test_results_with_a_hostile_key_end_with_1_and_name_it(
    finished: Bucket, capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    finished.job("process_results/../../../../evil", "x")
    document = ncap(capsys, "job", "results", JOB, "-o", "deep/here", code=1)
    assert document["refused"] == [f"{GROUP}/results/{JOB}/process_results/../../../../evil"]
    assert not list(elsewhere.rglob("evil"))


def test_cancelling_asks_once_a_job_runs_and_not_when_it_is_over(
    bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.dataset("a.csv")
    document = ncap(capsys, "job", "cancel", JOB)
    assert document["asked"] is True
    assert json.loads(bucket.text(document["submission"])) == {"cancel": JOB}
    bucket.end("CANCELLED\n")
    assert ncap(capsys, "job", "cancel", JOB)["asked"] is False


def test_what_does_not_exist_ends_with_4(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    bucket.put(f"{GROUP}/inputs/a.csv")
    assert ncap(capsys, "job", "status", f"job__{BUCKET}_none", code=4)["error"]["exitCode"] == 4
    assert ncap(capsys, "job", "list", "no-such-analysis", code=4)["error"]["exitCode"] == 4
    assert ncap(capsys, "job", "list", BUCKET, "--as", "nobody", code=4)["error"]["exitCode"] == 4


def test_an_analysis_that_cannot_be_told_is_asked_for(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--analysis" in ncap(capsys, "job", "status", "2025", code=2)["error"]["hint"]


def test_a_member_acts_with_their_own_keys_and_group(finished: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    import boto3

    keys = {"AccessKeyId": "AKIAMEMBER", "SecretAccessKey": "hush", "group": GROUP}
    secrets = boto3.client("secretsmanager", region_name="us-east-1")
    secrets.create_secret(Name="/neurocaas/members/ada", SecretString=json.dumps(keys))
    finished.put("neighbours/inputs/b.csv")  # two groups: only the keys tell which is meant
    assert main(["job", "status", JOB, "--as", "ada", "--verbose", *WHERE]) == 0
    shown = capsys.readouterr()
    assert "--as ada" in shown.err
    assert "hush" not in shown.out + shown.err
