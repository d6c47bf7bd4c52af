"""Resuming and downloading jobs whose data, config or results lie elsewhere, or whose datasets are folders."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ncap_iac import progress
from ncap_iac.job.jobs import JobReader
from ncap_iac.job.results import download_elsewhere, relative_names
from ncap_iac.job.resume import ask, plan_resume, read_history
from tests.command.bucket import GROUP, JOB, REF, Bucket
from tests.command.ended_job import CONFIG, end_job

LATER = datetime.now(UTC) + timedelta(minutes=1)
ARCHIVE = "lab-archive"


def _resumed(bucket: Bucket, **asked: Any) -> dict[str, Any]:
    """What is submitted to resume the job, which was asked so."""
    if asked:
        _say(bucket, f"ASKED: {json.dumps(asked)}")
    history = read_history(bucket.objects, REF, now=LATER)
    plan = plan_resume(bucket.objects, history, config=None, version=None, instance_type=None)
    submitted = ask(plan, bucket.objects, now=lambda: LATER, report=progress.silent)
    found: dict[str, Any] = json.loads(bucket.text(submitted.key))
    return found


def _say(bucket: Bucket, words: str) -> None:
    key = f"{GROUP}/results/{JOB}/logs/certificate.txt"
    bucket.put(key, f"{bucket.text(key)}\n[Job Manager] {words}\t[+0:00:00.10]\n")


def test_data_in_another_bucket_is_named_again_without_being_looked_for(bucket: Bucket) -> None:
    end_job(bucket, {f"{GROUP}/inputs/a.csv": None, f"{GROUP}/inputs/b.csv": "boot"})
    text = bucket.text(f"{GROUP}/results/{JOB}/logs/certificate.txt")
    elsewhere = text.replace(f"{GROUP}/inputs/b.csv", f"s3://{ARCHIVE}/raw/b.csv")
    bucket.job("logs/certificate.txt", elsewhere)
    assert _resumed(bucket)["dataname"] == f"s3://{ARCHIVE}/raw/b.csv"


def test_results_go_where_those_of_the_job_went(bucket: Bucket) -> None:
    end_job(bucket, {f"{GROUP}/inputs/a.csv": "boot"})
    _say(bucket, f"RESULTS: s3://{ARCHIVE}/there/{JOB}/process_results")
    assert _resumed(bucket)["resultpath"] == f"s3://{ARCHIVE}/there"


def test_a_config_in_another_bucket_is_taken_again(bucket: Bucket) -> None:
    end_job(bucket, {f"{GROUP}/inputs/a.csv": "boot"}, rows=True)
    bucket.s3.delete_object(Bucket="kalman-lds", Key=CONFIG)
    config = f"s3://{ARCHIVE}/c.json"
    assert _resumed(bucket, configname=config)["configname"] == config


@pytest.mark.parametrize("spot", [True, False])
def test_the_market_is_the_one_that_was_asked_for(bucket: Bucket, spot: bool) -> None:
    end_job(bucket, {f"{GROUP}/inputs/a.csv": "spot"})
    assert _resumed(bucket, spot=spot)["spot"] is spot


def test_a_folder_that_was_one_dataset_is_one_again_with_the_same_files(bucket: Bucket) -> None:
    end_job(bucket, {f"{GROUP}/inputs/session/": "boot"})
    found = _resumed(bucket, folders="whole", files=["*.npy"])
    assert (found["dataname"], found["folders"], found["files"]) == (f"{GROUP}/inputs/session/", "whole", ["*.npy"])


def test_folders_that_were_one_dataset_together_are_named_one_by_one_again(bucket: Bucket) -> None:
    end_job(bucket, {f"{GROUP}/inputs/": "boot"})
    folders = [f"{GROUP}/inputs/one/", f"{GROUP}/inputs/two/"]
    found = _resumed(bucket, folders="one", dataname=folders)
    assert (found["dataname"], found["folders"]) == (folders, "one")


def test_a_job_of_plain_datasets_is_resumed_without_any_of_it(bucket: Bucket) -> None:
    end_job(bucket, {f"{GROUP}/inputs/a.csv": "boot"})
    found = _resumed(bucket, folders="each", files=["*.csv"])
    assert not {"folders", "files", "resultpath", "spot"} & found.keys()


@pytest.mark.parametrize("said", ["{", "{]}", '{"spot": 5, "files": 7, "configname": 1}'])
def test_a_line_that_cannot_be_read_keeps_no_job_from_being_resumed(bucket: Bucket, said: str) -> None:
    end_job(bucket, {f"{GROUP}/inputs/a.csv": "boot"})
    _say(bucket, f"ASKED: {said}")
    history = read_history(bucket.objects, REF, now=LATER)
    plan = plan_resume(bucket.objects, history, config=None, version=None, instance_type=None)
    assert (plan.asked.spot, plan.asked.files, plan.config.key) == (None, (), CONFIG)


def test_results_are_fetched_from_where_the_certificate_says(bucket: Bucket, tmp_path: Path) -> None:
    end_job(bucket, {f"{GROUP}/inputs/a.csv": None})
    place = f"there/{JOB}/process_results"
    bucket.s3.create_bucket(Bucket=ARCHIVE)
    for name in ("a.npy", "x/b.npy", ".neurocaas"):
        bucket.s3.put_object(Bucket=ARCHIVE, Key=f"{place}/{name}", Body=b"" if name == ".neurocaas" else b"1")
    _say(bucket, f"RESULTS: s3://{ARCHIVE}/{place}")
    status = JobReader(bucket.objects, REF).status()
    assert status.results_url == f"s3://{ARCHIVE}/{place}"
    fetched = download_elsewhere(status.results_url, bucket.objects, tmp_path, report=progress.silent)
    assert relative_names(fetched) == ["a.npy", "x/b.npy"]
