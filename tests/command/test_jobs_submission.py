"""Submitting: what is uploaded where, what is refused early, and that nothing is written twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ncap_iac import progress
from ncap_iac.errors import NotFoundError, UsageError
from ncap_iac.job.submission import (
    LocalFile,
    Request,
    StoredInput,
    Submitted,
    cancel,
    checked_timestamp,
    choose_sources,
    submit,
    timestamp_of,
)
from tests.command.bucket import BUCKET, GROUP, JOB, REF, Bucket

NOW = datetime(2025, 11, 22, 10, 13, 5, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.csv", "b.csv", "config.json"):
        (tmp_path / name).write_text(f'{{"name": "{name}"}}')
    return tmp_path


def choose(bucket: Bucket, *said: str | Path, folder: str = "inputs") -> list[str]:
    texts = [str(text) for text in said]
    return [source.key for source in choose_sources(texts, bucket.objects, bucket=BUCKET, group=GROUP, folder=folder)]


def request(folder: Path, timestamp: str | None = None) -> Request:
    datasets = tuple(LocalFile(folder / name, f"{GROUP}/inputs/{name}") for name in ("a.csv", "b.csv"))
    config = LocalFile(folder / "config.json", f"{GROUP}/configs/config.json")
    return Request(BUCKET, GROUP, datasets, config, timestamp=timestamp)


def send(bucket: Bucket, request: Request) -> Submitted:
    return submit(request, bucket.objects, now=lambda: NOW, report=progress.silent)


def test_a_submission_uploads_and_then_asks(bucket: Bucket, folder: Path) -> None:
    submitted = send(bucket, request(folder))
    assert submitted.ref == REF
    assert bucket.text(f"{GROUP}/inputs/a.csv") == '{"name": "a.csv"}'
    key = f"{GROUP}/submissions/2025-11-22T10-13-05Z_submit.json"
    assert submitted.key == key
    assert json.loads(bucket.text(key)) == {
        "dataname": [f"{GROUP}/inputs/a.csv", f"{GROUP}/inputs/b.csv"],
        "configname": f"{GROUP}/configs/config.json",
        "timestamp": "2025-11-22T10-13-05Z",
    }


def test_one_dataset_is_a_string_as_the_contract_has_it_and_options_are_passed_on(bucket: Bucket) -> None:
    one = Request(
        BUCKET,
        GROUP,
        (StoredInput("demo/inputs/a.csv"),),
        StoredInput("demo/configs/c.yaml"),
        timestamp="mine",
        instance_type="m7i.xlarge",
        version="v-0123456789abcdef",
    )
    assert json.loads(bucket.text(send(bucket, one).key)) == {
        "dataname": "demo/inputs/a.csv",
        "configname": "demo/configs/c.yaml",
        "timestamp": "mine",
        "instance_type": "m7i.xlarge",
        "version": "v-0123456789abcdef",
    }


def test_two_submissions_of_one_second_are_two_jobs(bucket: Bucket, folder: Path) -> None:
    jobs = {send(bucket, request(folder)).ref.job for _ in range(3)}
    assert jobs == {JOB, f"{JOB}-2", f"{JOB}-3"}


def test_a_timestamp_of_ones_own_is_never_changed_and_never_used_twice(bucket: Bucket, folder: Path) -> None:
    send(bucket, request(folder, "mine"))
    with pytest.raises(UsageError, match="already"):
        send(bucket, request(folder, "mine"))
    assert len([key for key in bucket.listing() if key.endswith("submit.json")]) == 1


def test_a_file_that_is_there_already_is_not_sent_again(bucket: Bucket, folder: Path) -> None:
    assert send(bucket, request(folder)).uploaded_bytes > 0
    assert send(bucket, request(folder)).uploaded_bytes == 0
    (folder / "a.csv").write_text("changed")
    assert send(bucket, request(folder)).uploaded_bytes == len("changed")
    assert bucket.text(f"{GROUP}/inputs/a.csv") == "changed"


def test_progress_ends_at_the_files_size(bucket: Bucket, folder: Path) -> None:
    events: list[progress.Event] = []
    submit(request(folder), bucket.objects, now=lambda: NOW, report=events.append)
    done = {event.name: (event.done, event.total) for event in events if isinstance(event, progress.Transferred)}
    assert done["a.csv"] == (17, 17)


def test_files_globs_and_keys_are_told_apart(bucket: Bucket, folder: Path) -> None:
    bucket.put("demo/inputs/there.csv", "x")
    assert choose(bucket, folder / "*.csv") == ["demo/inputs/a.csv", "demo/inputs/b.csv"]
    assert choose(bucket, "demo/inputs/there.csv") == ["demo/inputs/there.csv"]
    assert choose(bucket, "inputs/there.csv") == ["demo/inputs/there.csv"]
    assert choose(bucket, f"s3://{BUCKET}/demo/inputs/there.csv") == ["demo/inputs/there.csv"]
    assert choose(bucket, "demo/inputs/") == ["demo/inputs/"]
    assert choose(bucket, folder / "config.json", folder="configs") == ["demo/configs/config.json"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("x")
    assert choose(bucket, tmp_path / "a[1].csv") == ["demo/inputs/a[1].csv"]


def test_what_cannot_be_meant_is_refused_early(bucket: Bucket, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.csv").write_text("x")
    (tmp_path / "bad\x1bname.csv").write_text("x")
    refused: dict[str, list[str | Path]] = {
        "no file matches": [folder / "*.tif"],
        "is a folder": [folder],
        "no such file": ["missing.csv"],
        "both become": [folder / "a.csv", tmp_path / "other" / "a.csv"],
        "cannot be used": [tmp_path / "bad\x1bname.csv"],
        "names no object": ["s3://elsewhere/"],
        "no key of group": ["neighbours/inputs/a.csv"],
    }
    for words, said in refused.items():
        with pytest.raises(UsageError, match=words):
            choose(bucket, *said)
    with pytest.raises(NotFoundError):
        choose(bucket, "demo/inputs/missing.csv")
    assert bucket.listing() == []


@pytest.mark.parametrize(
    "timestamp", ["2025-11-22T10:13:05Z", "run 1 (+a@b=c_d.e)".replace("(", "").replace(")", ""), "größe"]
)
def test_timestamps_the_job_manager_accepts(timestamp: str) -> None:
    assert checked_timestamp(timestamp) == timestamp


@pytest.mark.parametrize("timestamp", ["a/b", "a'b", "a;b", "a\nb", " ", "x" * 129])
def test_timestamps_the_job_manager_refuses_are_refused_before(timestamp: str) -> None:
    with pytest.raises(UsageError):
        checked_timestamp(timestamp)


def test_a_moment_as_timestamp_is_utc_and_accepted() -> None:
    assert checked_timestamp(timestamp_of(NOW)) == "2025-11-22T10-13-05Z"


def test_cancelling_writes_the_request_the_job_manager_knows(bucket: Bucket) -> None:
    key = cancel(REF, bucket.objects)
    assert key.startswith(f"{GROUP}/submissions/")
    assert key.endswith("submit.json")
    assert json.loads(bucket.text(key)) == {"cancel": JOB}
    assert cancel(REF, bucket.objects) == key
