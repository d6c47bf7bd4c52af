"""Names of jobs and datasets, and what is read from events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmanager.errors import SettingsError
from jobmanager.events import instance_event, resume_event, submission_events
from jobmanager.job import JobPaths, dataset_labels, is_usable_timestamp, job_name, own_timestamp
from jobmanager.settings import Settings, topic_arn
from tests.fakes.platform import event_file


class _Context:
    invoked_function_arn = "arn:aws-cn:lambda:cn-north-1:123456789012:function:neurocaas-instance-monitor"
    function_name = "neurocaas-instance-monitor"


def test_the_name_and_the_keys_of_a_job() -> None:
    paths = JobPaths("b", "demo", job_name("b", "t:1", 2))
    assert paths.job == "job__b_t:1-2"
    assert paths.status("x.csv") == "demo/results/job__b_t:1-2/logs/DATASET_NAME:x.csv_STATUS.txt"
    assert paths.end_marker == "demo/results/job__b_t:1-2/process_results/end.txt"
    assert paths.manifest(3) == "demo/jobs/job__b_t:1-2/launch-3.json"


@given(st.lists(st.text("ab./", min_size=1, max_size=6).filter(lambda key: not key.endswith("/")), max_size=12))
def test_no_two_datasets_share_a_label(keys: list[str]) -> None:
    labels = dataset_labels(keys)
    assert len(labels) == len(keys)
    assert len(set(labels)) == len(keys)


@pytest.mark.parametrize("timestamp", [0, 1669111111, "2026-11-22T10:00:00+01:00", "a b=c@d", "é漢字"])
def test_usable_timestamps(timestamp: object) -> None:
    assert is_usable_timestamp(timestamp)


def test_a_timestamp_of_our_own_is_usable_and_depends_on_the_object() -> None:
    one, other = (own_timestamp("2026-11-22T10:00:00.123Z", key, "v") for key in ("a", "b"))
    assert one.startswith("2026-11-22T10-00-00Z-")
    assert is_usable_timestamp(one)
    assert one != other


def test_keys_of_s3_events_are_decoded() -> None:
    (event,) = submission_events(event_file("s3_submission_encoded"))
    assert event.key == "demo/submissions/déjà vu 1+1:2submit.json"
    assert event.identity == "0123456789abcdef0123456789abcdef"
    assert event.group == "demo"


def test_several_records_are_several_submissions_and_other_events_none() -> None:
    assert [it.key for it in submission_events(event_file("s3_two_submissions"))] == [
        "demo/submissions/a-submit.json",
        "demo/submissions/b-submit.json",
    ]
    for name in ("s3_test", "s3_removed", "schedule", "ec2_running", "resume"):
        assert submission_events(event_file(name)) == ()
    assert {it.group for it in submission_events(event_file("s3_other_key"))} == {None}


def test_state_changes_and_resumes_are_read() -> None:
    change = instance_event(event_file("ec2_shutting_down"))
    assert change is not None
    assert (change.instance, change.state) == ("i-0123456789abcdef0", "shutting-down")
    assert instance_event(event_file("schedule")) is None
    resume = resume_event(event_file("resume"))
    assert resume is not None
    assert resume.job == "job__kalman-lds_1"
    assert resume_event(event_file("s3_submission")) is None


def test_the_environment_says_what_is_missing() -> None:
    with pytest.raises(SettingsError, match="ANALYSIS_BUCKET, VERSION_ID not set"):
        Settings.from_environ({"LEDGER_TABLE": "t"}, submit=True)
    assert Settings.from_environ({"LEDGER_TABLE": "t"}).ledger_table == "t"


def test_the_topic_is_beside_the_function() -> None:
    assert topic_arn(_Context()) == "arn:aws-cn:sns:cn-north-1:123456789012:neurocaas-notifications"
