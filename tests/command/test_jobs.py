"""Jobs read from an analysis bucket: status, watching, finding by prefix, groups."""

from __future__ import annotations

import json

import pytest

from ncap_iac import progress
from ncap_iac.errors import ExitCode, NotFoundError, UsageError, WaitTimeoutError
from ncap_iac.job.jobs import (
    JobReader,
    JobRef,
    JobStatus,
    Outcome,
    Patience,
    bucket_of,
    find_group,
    find_job,
    list_jobs,
    parse_status,
    watch,
)
from tests.command.bucket import BUCKET, GROUP, JOB, REF, Bucket, status_object
from tests.command.fake_stacks import FakeTime


def test_a_job_that_is_not_taken_up_is_submitted(bucket: Bucket) -> None:
    status = JobReader(bucket.objects, REF).status()
    assert (status.outcome, status.datasets, status.certificate) == (Outcome.SUBMITTED, (), "")


def test_a_running_job_has_a_row_a_dataset_and_its_certificate(bucket: Bucket) -> None:
    bucket.job("logs/certificate.txt", "CERTIFICATE\n")
    bucket.dataset("a.csv", lines=3)
    bucket.dataset("b c.csv", "INITIALIZING", std={})
    status = JobReader(bucket.objects, REF).status()
    assert status.outcome is Outcome.RUNNING
    assert status.certificate == "CERTIFICATE\n"
    assert [dataset.row() for dataset in status.datasets] == [
        ("a.csv", "IN PROGRESS", "1", "97.5 %", "81 MB", "line 3"),
        ("b c.csv", "INITIALIZING", "1", "97.5 %", "81 MB", ""),
    ]


@pytest.mark.parametrize("word", ["SUCCEEDED", "FAILED", "PARTIAL", "REJECTED", "CANCELLED"])
def test_the_first_line_of_the_end_marker_is_the_outcome_and_decides_the_exit_code(bucket: Bucket, word: str) -> None:
    bucket.end(f"{word}\n\na.csv: as it went.\nWhat to do: this.\n")
    reader = JobReader(bucket.objects, REF)
    status = reader.status()
    assert status.outcome.value == word
    assert status.end_text == "a.csv: as it went.\nWhat to do: this."
    assert status.outcome.exit_code == (ExitCode.DONE if word == "SUCCEEDED" else ExitCode.FAILED)
    assert reader.outcome() is status.outcome


@pytest.mark.parametrize(
    ("datasets", "outcome"),
    [(("SUCCESS", "SUCCESS"), Outcome.SUCCEEDED), (("SUCCESS", "FAILED"), Outcome.PARTIAL), ((), Outcome.FAILED)],
)
def test_an_end_marker_of_the_predecessor_is_judged_by_the_datasets(
    bucket: Bucket, datasets: tuple[str, ...], outcome: Outcome
) -> None:
    for number, status in enumerate(datasets):
        bucket.dataset(f"{number}.csv", status)
    bucket.end("end of analysis\n")
    assert JobReader(bucket.objects, REF).status().outcome is outcome
    assert JobReader(bucket.objects, REF).outcome() is outcome


def test_an_empty_end_marker_is_an_end(bucket: Bucket) -> None:
    bucket.end("")
    assert JobReader(bucket.objects, REF).status().outcome is Outcome.FAILED


def test_an_object_that_has_not_changed_is_not_read_twice(bucket: Bucket) -> None:
    reads: list[str] = []
    client = bucket.gateway.session.client("s3")
    event = "provide-client-params.s3.GetObject"
    client.meta.events.register(event, lambda params, **_: reads.append(params["Key"]), unique_id="reads")
    bucket.dataset("a.csv")
    bucket.dataset("b.csv")
    reader = JobReader(bucket.objects, REF)
    reader.status()
    bucket.dataset("b.csv", "SUCCESS")
    assert [dataset.status for dataset in reader.status().datasets] == ["IN PROGRESS", "SUCCESS"]
    assert [key.rpartition(":")[2] for key in reads] == ["a.csv_STATUS.txt", "b.csv_STATUS.txt", "b.csv_STATUS.txt"]
    client.meta.events.unregister(event, unique_id="reads")


def test_the_older_status_format_is_understood() -> None:
    old = {
        "status": "IN_PROGRESS",
        "reason": ["ls -l"],
        "cpu_usage": ["12.5 %"],
        "stdout": {"1": "out\n"},
        "stderr": {"1": "err\n"},
        "input": "g/inputs/x",
    }
    status = parse_status("x", json.dumps(old).encode())
    assert (status.status, status.reason, status.cpu_usage) == ("IN PROGRESS", "ls -l", "12.5 %")
    assert status.lines == ((1, "out"), (1, "err"))


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"\xff\xfe", b'{"std": 3, "status": null}'])
def test_a_damaged_status_object_is_no_crash(body: bytes) -> None:
    assert parse_status("x", body).label == "x"


def test_lines_come_in_the_order_of_their_numbers() -> None:
    body = json.dumps({"std": {"10": "ten\n", "9": "nine\n", "x": "no number"}}).encode()
    assert parse_status("x", body).lines == ((9, "nine"), (10, "ten"))


def test_the_json_of_a_status_has_a_stable_shape(bucket: Bucket) -> None:
    bucket.dataset("a.csv", "FAILED", failure="out-of-memory", message="It needed more memory than it had.")
    document = json.loads(json.dumps(JobReader(bucket.objects, REF).status().document()))
    assert set(document) == {"job", "bucket", "group", "versionId", "outcome", "message", "datasets"}
    dataset = document["datasets"][0]
    assert dataset["failure"] == "out-of-memory"
    assert dataset["reason"] == 1
    assert "lines" not in dataset


class Story:
    """A clock whose sleeps let the next thing happen."""

    def __init__(self, *happenings: object) -> None:
        self.time = FakeTime()
        self.pauses: list[float] = []
        self.happenings = list(happenings)

    def sleep(self, seconds: float) -> None:
        self.time.sleep(seconds)
        self.pauses.append(seconds)
        if self.happenings:
            happening = self.happenings.pop(0)
            if callable(happening):
                happening()

    def patience(self, timeout_s: float | None = None) -> Patience:
        return Patience(self.time.clock, self.sleep, timeout_s=timeout_s)


def test_watching_reports_changed_rows_and_ends_with_the_job(bucket: Bucket) -> None:
    def ends() -> None:
        bucket.dataset("a.csv", "SUCCESS")
        bucket.end("SUCCEEDED\n\nWell.\n")

    story = Story(lambda: bucket.dataset("a.csv"), None, None, ends)
    events: list[progress.Event] = []
    seen: list[JobStatus] = []
    status = watch(JobReader(bucket.objects, REF), story.patience(), events.append, seen=seen.append)
    assert status.outcome is Outcome.SUCCEEDED
    rows = [event.rows for event in events if isinstance(event, progress.RowsChanged)]
    assert [[row[1] for row in table] for table in rows] == [[], ["IN PROGRESS"], ["SUCCESS"], []]
    assert [one.outcome for one in seen] == [Outcome.SUBMITTED, Outcome.RUNNING, Outcome.SUCCEEDED]
    assert story.pauses[2] > story.pauses[1]  # nothing changed: a longer pause
    assert story.pauses[1] == story.pauses[0]  # something changed: the short one again


def test_watching_ends_after_the_time_one_is_ready_to_wait(bucket: Bucket) -> None:
    bucket.dataset("a.csv")
    story = Story()
    with pytest.raises(WaitTimeoutError, match="RUNNING"):
        watch(JobReader(bucket.objects, REF), story.patience(timeout_s=10), lambda _: None)
    assert story.time.now <= 10


def add_jobs(bucket: Bucket, *timestamps: str) -> None:
    for timestamp in timestamps:
        bucket.job("logs/certificate.txt", "", f"job__{BUCKET}_{timestamp}")


@pytest.mark.parametrize(
    "said", ["2025-11-23", "2025-11-23T1", f"job__{BUCKET}_2025-11-23", f"job__{BUCKET}_2025-11-23T1/"]
)
def test_a_job_is_found_by_the_beginning_of_its_name_or_timestamp(bucket: Bucket, said: str) -> None:
    add_jobs(bucket, "2025-11-22T1", "2025-11-23T1")
    assert find_job(bucket.objects, BUCKET, GROUP, said).job == f"job__{BUCKET}_2025-11-23T1"


def test_a_whole_name_is_meant_even_if_others_begin_with_it(bucket: Bucket) -> None:
    add_jobs(bucket, "a", "a-2")
    assert find_job(bucket.objects, BUCKET, GROUP, "a").job == f"job__{BUCKET}_a"


def test_a_beginning_of_several_jobs_is_refused_with_their_names(bucket: Bucket) -> None:
    add_jobs(bucket, "a-1", "a-2")
    with pytest.raises(UsageError, match="2 jobs") as caught:
        find_job(bucket.objects, BUCKET, GROUP, "a")
    assert f"job__{BUCKET}_a-2" in caught.value.what


def test_an_unknown_job_is_not_found_but_a_submitted_one_is(bucket: Bucket) -> None:
    with pytest.raises(NotFoundError):
        find_job(bucket.objects, BUCKET, GROUP, "soon")
    bucket.put(f"{GROUP}/submissions/soon_submit.json", "{}")
    assert find_job(bucket.objects, BUCKET, GROUP, "soon") == JobRef(BUCKET, GROUP, f"job__{BUCKET}_soon")


def test_jobs_are_listed_the_last_first_and_no_more_than_asked_for(bucket: Bucket) -> None:
    add_jobs(bucket, "1", "2", "3")
    bucket.end("FAILED\n", f"job__{BUCKET}_2")
    bucket.put(f"{GROUP}/results/notes/x", "")
    jobs, total = list_jobs(bucket.objects, BUCKET, GROUP, limit=2)
    assert total == 3
    assert [(job.job, job.outcome) for job in jobs] == [
        (f"job__{BUCKET}_3", Outcome.RUNNING),
        (f"job__{BUCKET}_2", Outcome.FAILED),
    ]


def test_a_job_name_tells_its_analysis() -> None:
    assert bucket_of(JOB) == BUCKET
    assert bucket_of("job__other-analysis_2025_11_22") == "other-analysis"
    assert bucket_of("2025-11-22") is None


def test_the_only_group_is_found_and_several_are_named(bucket: Bucket) -> None:
    with pytest.raises(UsageError, match="no group"):
        find_group(bucket.objects, BUCKET)
    for key in ("demo/inputs/a", "logs/active/i-1.json", "versions/v-1.json"):
        bucket.put(key)
    assert find_group(bucket.objects, BUCKET) == "demo"
    bucket.put("neighbours/inputs/b")
    with pytest.raises(UsageError, match="demo, neighbours"):
        find_group(bucket.objects, BUCKET)


def test_a_missing_bucket_is_not_found(bucket: Bucket) -> None:
    with pytest.raises(NotFoundError):
        find_group(bucket.objects, "no-such-analysis")


def test_status_objects_may_be_large(bucket: Bucket) -> None:
    bucket.job("logs/DATASET_NAME:a.csv_STATUS.txt", status_object(lines=2000))
    assert len(JobReader(bucket.objects, REF).status().datasets[0].lines) == 2000
