"""Data in other buckets and results sent there, from the command line: passed on as they are said."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ncap_iac.errors import UsageError
from ncap_iac.job.submission import Request, StoredInput, choose_sources, submit
from ncap_iac.progress import silent
from tests.command.bucket import BUCKET, Bucket

WHERE = {"bucket": BUCKET, "group": "demo"}


def chosen(bucket: Bucket, *said: str) -> list[str]:
    return [source.key for source in choose_sources(said, bucket.objects, folder="inputs", **WHERE)]


def test_addresses_of_other_buckets_are_the_job_managers_to_judge(bucket: Bucket) -> None:
    said = ["s3://lab-archive/raw/a.csv", "s3://lab-archive/raw/*.csv", "s3://lab-archive/raw/"]
    assert chosen(bucket, *said) == said


def test_a_folder_of_the_own_bucket_and_results_are_named_by_key(bucket: Bucket) -> None:
    assert chosen(bucket, "demo/inputs/session/") == ["demo/inputs/session/"]
    bucket.put("demo/results/job/process_results/x")
    assert chosen(bucket, "results/job/process_results/x") == ["demo/results/job/process_results/x"]


def request(results_to: str) -> Request:
    data, config = StoredInput("s3://lab-archive/raw/"), StoredInput("s3://lab-archive/c.json")
    return Request(BUCKET, "demo", (data,), config, folders="whole", results_to=results_to)


def test_the_submission_says_where_results_go_and_what_a_folder_is(bucket: Bucket) -> None:
    done = submit(
        request("s3://lab-archive/out/"), bucket.objects, now=lambda: datetime(2026, 11, 22, tzinfo=UTC), report=silent
    )
    document = json.loads(bucket.text(done.key))
    assert document["dataname"] == "s3://lab-archive/raw/"
    assert document["resultpath"] == "s3://lab-archive/out"
    assert document["folders"] == "whole"


@pytest.mark.parametrize("address", ["lab-archive/out", "s3://", "s3:///x", "https://x/y"])
def test_a_place_for_results_that_is_no_address_is_refused_before_anything_is_written(
    bucket: Bucket,
    address: str,
) -> None:
    with pytest.raises(UsageError, match="no address of a bucket"):
        submit(request(address), bucket.objects, now=lambda: datetime(2026, 11, 22, tzinfo=UTC), report=silent)
    assert bucket.listing() == []
