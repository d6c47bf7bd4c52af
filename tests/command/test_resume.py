"""Resuming a job: which datasets are left, with what they run again, and that nobody runs them twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ncap_iac import progress
from ncap_iac.aws import Content, Listing, Objects, StoredObject
from ncap_iac.errors import AccessError, NotFoundError, UsageError
from ncap_iac.job.jobs import JobRef
from ncap_iac.job.resume import Plan, ask, find_origin, plan_resume, read_history
from ncap_iac.job.submission import StoredInput, Submitted
from tests.command.bucket import BUCKET, GROUP, JOB, REF, Bucket
from tests.command.ended_job import CONFIG, VERSION, end_job

LATER = datetime.now(UTC) + timedelta(minutes=1)
A, B, C = (f"{GROUP}/inputs/{name}.csv" for name in "abc")


@pytest.fixture
def partial(bucket: Bucket) -> Bucket:
    """Of three datasets one failed, one succeeded, one never reported."""
    end_job(bucket, {A: "user-code", B: None, C: "lost-instance"}, silent=(C,))
    return bucket


def planned(objects: Any, ref: JobRef = REF, **options: Any) -> Plan:
    history = read_history(objects, find_origin(objects, ref), now=LATER)
    named = {"config": None, "version": None, "instance_type": None, **options}
    return plan_resume(objects, history, **named)


def asked(plan: Plan, objects: Any) -> Submitted:
    return ask(plan, objects, now=lambda: LATER, report=progress.silent)


def test_what_did_not_succeed_is_submitted_as_it_was(partial: Bucket) -> None:
    submitted = asked(planned(partial.objects), partial.objects)
    assert submitted.ref.job == f"{JOB}-resume-1"
    assert json.loads(partial.text(f"{GROUP}/submissions/2025-11-22T10-13-05Z-resume-1_submit.json")) == {
        "dataname": [A, C],
        "configname": CONFIG,
        "instance_type": "m7i.large",
        "version": VERSION,
        "timestamp": "2025-11-22T10-13-05Z-resume-1",
    }


def test_why_each_is_left_and_what_to_do_is_told_from_the_end(partial: Bucket) -> None:
    failed, lost = planned(partial.objects).history.unfinished
    assert (failed.failure, failed.message, failed.remedy) == ("user-code", "It ended so.", "do this about user-code.")
    assert lost.failure == "lost-instance"


def test_a_dataset_whose_status_is_gone_counts_as_not_run(bucket: Bucket) -> None:
    end_job(bucket, {A: None, B: None, C: "boot"}, silent=(B,))
    left = planned(bucket.objects).history.unfinished
    assert [(item.dataset, item.failure) for item in left] == [(B, "not-run"), (C, "boot")]


def test_a_job_that_succeeded_is_done_whatever_was_tidied_away(bucket: Bucket) -> None:
    end_job(bucket, {A: None, B: None}, silent=(A, B), rows=False)
    assert read_history(bucket.objects, REF, now=LATER).unfinished == ()
    bucket.empty()
    bucket.end("SUCCEEDED\n")
    assert read_history(bucket.objects, REF, now=LATER).unfinished == ()


def test_a_job_whose_queue_never_moved_is_told_by_its_end(bucket: Bucket) -> None:
    end_job(bucket, {A: "capacity", B: "capacity"}, silent=(A, B), rows=False)
    plan = planned(bucket.objects, config=StoredInput(CONFIG))
    assert plan.datasets == (A, B)


def test_datasets_of_one_name_in_two_folders_are_kept_apart(bucket: Bucket) -> None:
    other = f"{GROUP}/inputs/other/a.csv"
    end_job(bucket, {A: None, other: "boot"}, silent=(other,))
    assert planned(bucket.objects).datasets == (other,)


@pytest.mark.parametrize(
    "key", [f"{GROUP}/inputs/a | STATUS: SUCCESS | TIME: x", f"{GROUP}/inputs/größe: succeeded.", f"{GROUP}/inputs/a b"]
)
def test_odd_keys_are_read_whole(bucket: Bucket, key: str) -> None:
    end_job(bucket, {key: "user-code", B: None})
    assert planned(bucket.objects).datasets == (key,)


def test_what_a_dataset_printed_cannot_pass_for_a_success(bucket: Bucket) -> None:
    end_job(bucket, {A: "user-code"}, last=f"DATANAME: {A} ¦ STATUS: SUCCESS ¦ TIME: now")
    assert planned(bucket.objects).datasets == (A,)


# --- once ---


def test_of_two_who_resume_at_once_the_second_is_told_the_firsts_job(partial: Bucket) -> None:
    first, second = planned(partial.objects), planned(partial.objects)
    asked(first, partial.objects)
    with pytest.raises(UsageError) as refused:
        asked(second, partial.objects)
    assert f"as {JOB}-resume-1" in refused.value.what
    assert len([key for key in partial.listing() if "-resume-" in key]) == 1


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_job_that_is_being_resumed_is_not_resumed_again(partial: Bucket, has_begun: bool) -> None:
    submitted = asked(planned(partial.objects), partial.objects)
    if has_begun:
        partial.dataset("a.csv", job=submitted.ref.job)
    with pytest.raises(UsageError, match=f"already: {JOB}-resume-1 is {'RUNNING' if has_begun else 'SUBMITTED'}"):
        planned(partial.objects)


def test_what_a_resumed_job_finished_is_not_run_again(partial: Bucket) -> None:
    end_job(partial, {A: None, C: "spot"}, job=f"{JOB}-resume-1")
    plan = planned(partial.objects)
    assert plan.datasets == (C,)
    assert plan.history.next.job == f"{JOB}-resume-2"
    assert plan.history.unfinished[0].failure == "spot"
    end_job(partial, {C: None}, job=f"{JOB}-resume-2")
    assert read_history(partial.objects, REF, now=LATER).unfinished == ()


def test_resuming_a_resumed_job_goes_on_with_the_first(partial: Bucket) -> None:
    end_job(partial, {A: "user-code", C: None}, job=f"{JOB}-resume-1")
    plan = planned(partial.objects, JobRef(BUCKET, GROUP, f"{JOB}-resume-1"))
    assert (plan.history.origin.ref, plan.history.next.job, plan.datasets) == (REF, f"{JOB}-resume-2", (A,))


def test_a_job_somebody_named_so_is_a_job_of_its_own(bucket: Bucket) -> None:
    own = f"job__{BUCKET}_trial-resume-7"
    end_job(bucket, {A: "boot"}, job=own)
    assert planned(bucket.objects, JobRef(BUCKET, GROUP, own)).history.next.job == f"{own}-resume-1"


def test_a_refused_attempt_takes_up_a_number_and_nothing_else(partial: Bucket) -> None:
    asked(planned(partial.objects), partial.objects)
    partial.end("REJECTED\n\nToo dear.\n", job=f"{JOB}-resume-1")
    plan = planned(partial.objects)
    assert (plan.history.next.job, plan.datasets, plan.config.key) == (f"{JOB}-resume-2", (A, C), CONFIG)


def test_a_resumed_job_whose_traces_were_deleted_does_not_stand_in_the_way(partial: Bucket) -> None:
    asked(planned(partial.objects), partial.objects)
    history = read_history(partial.objects, REF, now=LATER + timedelta(hours=2))
    assert history.number == 2


# --- with what ---


def test_several_types_are_left_to_the_version_and_one_is_kept(bucket: Bucket) -> None:
    end_job(bucket, {A: "boot"}, types="m7i.large or m7a.large")
    assert planned(bucket.objects).instance_type is None


def test_what_is_named_replaces_what_was(partial: Bucket) -> None:
    plan = planned(partial.objects, config=StoredInput("demo/configs/d.json"), version="", instance_type="m7i.xlarge")
    assert (plan.config.key, plan.version, plan.instance_type) == ("demo/configs/d.json", None, "m7i.xlarge")


def test_settings_chosen_for_a_resumed_job_hold_for_the_next_one(partial: Bucket) -> None:
    config = f"{GROUP}/configs/better.json"
    end_job(partial, {A: "spot", C: "spot"}, job=f"{JOB}-resume-1", types="m7i.xlarge", config=config)
    plan = planned(partial.objects)
    assert (plan.config.key, plan.instance_type) == (config, "m7i.xlarge")


def test_a_config_written_over_since_is_noticed(partial: Bucket) -> None:
    assert not planned(partial.objects).has_changed_config
    partial.put(CONFIG, '{"gain": 2}')
    assert planned(partial.objects).has_changed_config


def test_the_same_config_under_another_folder_serves_as_well(partial: Bucket) -> None:
    partial.put(CONFIG, '{"gain": 2}')
    partial.put(f"{GROUP}/configs/kept/c.json", '{"gain": 1}')
    plan = planned(partial.objects)
    assert (plan.config.key, plan.has_changed_config) == (f"{GROUP}/configs/kept/c.json", False)


def test_a_result_of_a_configs_name_is_not_taken_for_the_config(partial: Bucket) -> None:
    partial.put(f"{GROUP}/configs/summary.json", "{}")
    partial.job("process_results/summary.json", '{"spikes": 7}')
    assert planned(partial.objects).config.key == CONFIG


@pytest.mark.parametrize("remove", ["config", "copy"])
def test_a_config_that_cannot_be_told_is_asked_for(partial: Bucket, remove: str) -> None:
    key = CONFIG if remove == "config" else f"{GROUP}/results/{JOB}/process_results/c.json"
    partial.s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(UsageError) as refused:
        planned(partial.objects)
    assert "--config" in refused.value.hint


def test_the_config_of_a_resumed_job_that_kept_no_copy_is_asked_for(partial: Bucket) -> None:
    end_job(partial, {A: "capacity", C: "capacity"}, job=f"{JOB}-resume-1", silent=(A, C), rows=False)
    with pytest.raises(UsageError, match="-resume-1: which config"):
        planned(partial.objects)


def test_a_config_that_could_be_either_of_two_is_asked_for(partial: Bucket) -> None:
    partial.put(CONFIG, '{"gain": 2}')
    partial.put(f"{GROUP}/configs/summary.json", "{}")
    partial.job("process_results/summary.json", '{"spikes": 7}')
    with pytest.raises(UsageError, match="may be one of"):
        planned(partial.objects)


def test_a_version_the_certificate_does_not_tell_is_asked_for(bucket: Bucket) -> None:
    end_job(bucket, {A: "boot"}, version="none")
    with pytest.raises(UsageError) as refused:
        planned(bucket.objects)
    assert "--analysis-version" in refused.value.hint
    assert planned(bucket.objects, version="").version is None


def test_more_memory_is_suggested_where_the_remedy_names_a_type(bucket: Bucket) -> None:
    remedy = "7.9 of 8 GiB used; try instance_type 'm7i.xlarge', which has 16 GiB."
    end_job(bucket, {A: "out-of-memory", B: None}, remedy=remedy)
    assert planned(bucket.objects).larger_type == "m7i.xlarge"
    assert planned(bucket.objects, instance_type="r7i.large").larger_type is None


# --- refused ---


@pytest.mark.parametrize("count", [2, 101])
def test_deleted_datasets_are_named(bucket: Bucket, count: int) -> None:
    keys = [f"{GROUP}/inputs/{number:03}.csv" for number in range(count)]
    end_job(bucket, dict.fromkeys(keys, "spot"), silent=keys)
    bucket.s3.delete_object(Bucket=BUCKET, Key=keys[1])
    with pytest.raises(NotFoundError, match=f"deleted since: {keys[1]}"):
        planned(bucket.objects)


def test_datasets_written_over_since_are_taken_and_told(bucket: Bucket) -> None:
    end_job(bucket, {A: "input", B: "input"}, began="2025-11-22 10:13:05")
    assert planned(bucket.objects).changed == (A, B)
    end_job(bucket, {A: "input"}, began="2999-01-01 00:00:00")
    assert planned(bucket.objects).changed == ()


def test_a_running_job_is_refused_with_what_to_do(bucket: Bucket) -> None:
    bucket.dataset("a.csv")
    with pytest.raises(UsageError, match="it is RUNNING") as refused:
        planned(bucket.objects)
    assert f"ncap job status {JOB} --watch" in refused.value.hint


def test_a_refused_job_has_nothing_to_resume(bucket: Bucket) -> None:
    bucket.end("REJECTED\n\nIt is too dear.\n")
    with pytest.raises(UsageError, match="it was refused"):
        planned(bucket.objects)


def test_a_job_that_tells_nothing_of_its_datasets_is_refused(bucket: Bucket) -> None:
    bucket.end("FAILED\n\nNobody knows.\n")
    with pytest.raises(UsageError, match="cannot be told"):
        planned(bucket.objects)


@pytest.mark.parametrize("job", ["widefield", f"job__{BUCKET}_{'x' * 125}"])
def test_a_name_that_leaves_no_room_for_another_is_refused(bucket: Bucket, job: str) -> None:
    end_job(bucket, {A: "boot"}, job=job)
    with pytest.raises(UsageError) as refused:
        planned(bucket.objects, JobRef(BUCKET, GROUP, job))
    assert "ncap job submit" in refused.value.hint


# --- a member's rights ---


class MemberObjects(Objects):
    """What the policy of group `demo` allows: inputs and submissions are written and listed, never read."""

    def __init__(self, inner: Objects) -> None:
        self.inner = inner

    def list(self, bucket: str, prefix: str = "", *, delimiter: str = "") -> Listing:
        self._require(prefix, ("inputs/", "configs/", "submissions/", "results/"))
        return self.inner.list(bucket, prefix, delimiter=delimiter)

    def find(self, bucket: str, key: str) -> StoredObject | None:
        self._require(key, ("inputs/", "configs/", "submissions/", "results/"))
        return self.inner.find(bucket, key)

    def read(self, bucket: str, key: str) -> Content:
        self._require(key, ("configs/", "results/"))
        return self.inner.read(bucket, key)

    def put(self, bucket: str, key: str, body: bytes, *, content_type: str = "", only_if_absent: bool = False) -> None:
        self._require(key, ("configs/", "submissions/"))
        self.inner.put(bucket, key, body, content_type=content_type, only_if_absent=only_if_absent)

    @staticmethod
    def _require(key: str, folders: Sequence[str]) -> None:
        if not key.startswith(tuple(f"{GROUP}/{folder}" for folder in folders)):
            raise AccessError(f"AccessDenied: {key}")


@pytest.fixture
def member(partial: Bucket) -> MemberObjects:
    return MemberObjects(partial.objects)


def test_a_members_rights_are_enough(partial: Bucket, member: MemberObjects) -> None:
    assert asked(planned(member), member).ref.job == f"{JOB}-resume-1"
    end_job(partial, {A: None, C: "spot"}, job=f"{JOB}-resume-1")
    assert asked(planned(member), member).ref.job == f"{JOB}-resume-2"
