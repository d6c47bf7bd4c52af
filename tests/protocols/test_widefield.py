"""The widefield client's submission: uploaded twice, one job, results where that client looks; it may delete all."""

from __future__ import annotations

import json
from typing import Any

import pytest

import submit_start
from jobmanager.widefield import LAST_RESULTS, widefield_group
from jobmanager.widefield_manager import WidefieldManager
from tests.fakes.platform import BUCKET, FUNCTION, VERSION_ID, FakePlatform, memory_platform

FOLDER = "demo/inputs/s1/"
FIRST, SECOND = "demo/inputs/s1/submit.json", "demo/configs/s1/submit.json"
SENT = {"dataname": FOLDER, "instance_type": "m7i.large"}


class WidefieldPlatform(FakePlatform):
    """The fake platform with that protocol."""

    def deliver(self, event: Any) -> None:
        manager = WidefieldManager(self.services, version_id=VERSION_ID, function=FUNCTION, subnets=self.subnets)
        submit_start.carry_out(event, manager)

    def upload_session(self, folder: str = FOLDER, *names: str) -> None:
        for name in names or ("s1.zip",):
            self.put(f"{folder}{name}", name)
        self.put(f"{folder}config.yaml", "latents: 3\n")

    def send(self, *keys: str, **fields: Any) -> None:
        for key in keys:
            self.submission_at(key, SENT | fields)

    def submission_at(self, key: str, document: dict[str, Any]) -> None:
        self.deliver(self.event_for(key, self.put(key, document)))

    @property
    def jobs(self) -> list[str]:
        return sorted(str(row["job"]) for row in self.rows("JOB#") if row["sk"] == "JOB")


@pytest.fixture
def platform() -> WidefieldPlatform:
    plain = memory_platform()
    return WidefieldPlatform(plain.clock, plain.session, plain.image)


@pytest.mark.parametrize(
    ("key", "group"),
    [
        (FIRST, "demo"),
        (SECOND, "demo"),
        ("demo/inputs/a/b/submit.json", "demo"),
        ("demo/results/s1/submit.json", None),
        ("demo/inputs/submit.json", None),
        ("demo/inputs/s1/xsubmit.json", None),
        ("demo/submissions/submit.json", None),
        ("/inputs/s1/submit.json", None),
        ("submit.json", None),
    ],
)
def test_who_submits_is_known_from_the_key(key: str, group: str | None) -> None:
    assert widefield_group(key) == group


@pytest.mark.parametrize("order", [(FIRST, SECOND), (SECOND, FIRST), (FIRST, FIRST, SECOND, SECOND)])
def test_two_uploads_are_one_job(platform: WidefieldPlatform, order: tuple[str, ...]) -> None:
    platform.upload_session()
    platform.send(*order)
    assert len(platform.instances) == len(platform.jobs) == 1
    assert platform.rows("SUBMISSION#")[0]["sk"] == "CLAIM"


def test_changed_data_are_another_job_and_so_is_another_folder(platform: WidefieldPlatform) -> None:
    platform.upload_session()
    platform.send(FIRST, SECOND)
    platform.put(f"{FOLDER}s1.zip", "other bytes")
    platform.send(FIRST, SECOND)
    platform.upload_session("demo/inputs/s10/", "s10.zip")
    platform.send("demo/inputs/s10/submit.json", "demo/configs/s10/submit.json", dataname="demo/inputs/s10/")
    assert len(platform.instances) == len(platform.jobs) == 3


def manifest(platform: WidefieldPlatform) -> dict[str, Any]:
    (job,) = platform.jobs
    found: dict[str, Any] = json.loads(platform.text(f"demo/jobs/{job}/launch-1.json"))
    return found


def test_each_zip_is_a_dataset_and_the_config_lies_beside_it(platform: WidefieldPlatform) -> None:
    platform.upload_session(FOLDER, "a.zip", "b.ZIP", "notes.txt")
    platform.send(FIRST, SECOND)
    found = manifest(platform)
    assert [it["dataset"] for it in found["attempts"]] == [f"{FOLDER}a.zip", f"{FOLDER}b.ZIP"]
    assert found["config"]["key"] == f"{FOLDER}config.yaml"
    assert found["protocol"] == "widefield"
    assert found["resultAddress"] == {"bucket": BUCKET, "prefix": "demo/results/s1"}
    assert found["last"] == list(LAST_RESULTS)


def test_a_folder_without_zip_is_one_dataset_and_its_results_go_beside_it(platform: WidefieldPlatform) -> None:
    names = ("U_atlas.npy", "SVTcorr.npy", "labels.json", "brainmask.npy", "atlas.npy")
    folder = "demo/configs/s1_locanmf/inputs/"
    platform.upload_session(folder, *names)
    extra = {"params_filename": "config.yaml", "areanames_filename": "labels.json", "atlas_filename": "atlas.npy"}
    platform.send("demo/configs/s1_locanmf/submit.json", dataname=folder, **extra)
    found = manifest(platform)
    (entry,) = found["attempts"]
    parts = {it["key"] for it in json.loads(platform.text(entry["parts"]))}
    assert (entry["dataset"], parts) == (folder, {f"{folder}{name}" for name in (*names, "config.yaml")})
    assert found["resultAddress"]["prefix"] == "demo/configs/s1_locanmf/results"
    copies = platform.stored("demo/configs/s1_locanmf/results/")
    assert [key.rpartition("/")[2] for key in copies] == ["certificate.txt"]


def test_chosen_files_below_inputs_are_a_whole_folder_without_the_request(platform: WidefieldPlatform) -> None:
    platform.upload_session(FOLDER, "U_atlas.npy")
    platform.put(FIRST, {"dataname": FOLDER})
    platform.send(SECOND)
    parts = json.loads(platform.text(manifest(platform)["attempts"][0]["parts"]))
    assert [it["key"] for it in parts] == [f"{FOLDER}U_atlas.npy", f"{FOLDER}config.yaml"]


def test_the_certificate_is_there_before_any_result(platform: WidefieldPlatform) -> None:
    platform.upload_session()
    platform.send(FIRST)
    (copy,) = platform.stored("demo/results/s1/")
    assert copy.endswith("/logs/certificate.txt")
    assert "STEP 4/4" in platform.text(copy)


def test_when_that_client_has_taken_and_deleted_everything_the_job_still_ends_and_nothing_returns(
    platform: WidefieldPlatform,
) -> None:
    platform.upload_session()
    events = [platform.event_for(key, platform.put(key, SENT)) for key in (FIRST, SECOND)]
    for event in events:
        platform.deliver(event)
    (job,), (instance,) = platform.jobs, platform.instances
    platform.change(instance, "running")
    s3 = platform.session.backend("s3")
    for prefix in ("demo/results/s1/", FOLDER, "demo/configs/s1/"):
        for key in platform.stored(prefix):
            s3.delete_object(Bucket=BUCKET, Key=key)
    platform.end(instance, job=job, label="s1.zip")
    platform.sweep(minutes=2)
    assert platform.result(job, "end").startswith("SUCCEEDED")
    assert platform.stored("demo/results/s1/") == []
    assert platform.budget()[0] == platform.budget()[1] > 0
    for event in events:  # S3 may tell of an upload again, and old versions are kept
        platform.deliver(event)
    assert platform.jobs == [job]


def test_a_job_that_failed_tells_so_where_that_client_looks(platform: WidefieldPlatform) -> None:
    platform.upload_session()
    platform.send(FIRST)
    (job,), (instance,) = platform.jobs, platform.instances
    platform.end(instance, job=job, label="s1.zip", status="FAILED", reason=1, failure="user-code", message="no frames")
    (copy,) = platform.stored("demo/results/s1/")
    assert "user-code: no frames" in platform.text(copy)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dataname": "lab2/inputs/s1/"}, "it belongs to another group"),
        ({"dataname": "demo/results/s1/"}, "it does not lie in demo/inputs/ or demo/configs/"),
        ({"dataname": "demo/inputs/s1"}, "write demo/inputs/<folder>/"),
        ({"dataname": "demo/inputs/"}, "write demo/inputs/<folder>/"),
        ({"dataname": "s3://lab-archive/s1/"}, "it must lie in this bucket"),
        ({"dataname": "demo/inputs/../../lab2/inputs/s1/"}, "'..' between its slashes"),
        ({"dataname": None}, "a key must be a text"),
        ({"params_filename": "../../lab2/configs/c.yaml"}, "must be the name of a file in the folder"),
    ],
)
def test_what_may_not_be_named_is_refused_once_and_nothing_starts(
    platform: WidefieldPlatform, fields: dict[str, Any], words: str
) -> None:
    platform.upload_session()
    platform.send(FIRST, FIRST, **fields)
    (job,) = platform.jobs
    assert words in platform.result(job, "end")
    assert platform.instances == []


def test_a_missing_config_is_told_where_that_client_looks(platform: WidefieldPlatform) -> None:
    platform.put(f"{FOLDER}s1.zip")
    platform.send(FIRST, SECOND)
    (copy,) = platform.stored("demo/results/s1/")
    assert f"config '{FOLDER}config.yaml' does not exist" in platform.text(copy)
    assert len(platform.jobs) == 1


def test_hardware_that_is_no_longer_sold_is_replaced_and_told(platform: WidefieldPlatform) -> None:
    platform.upload_session()
    platform.send(FIRST, instance_type="p3.2xlarge")
    (job,) = platform.jobs
    assert platform.session.launches[0]["InstanceType"] == "m7i.large"
    assert "'p3.2xlarge' is not offered for this analysis; m7i.large is used" in platform.result(job, "certificate")


def test_todays_submissions_and_cancel_requests_are_taken_as_well(platform: WidefieldPlatform) -> None:
    platform.upload()
    platform.submit()
    platform.submission_at("demo/submissions/stop_submit.json", {"cancel": f"job__{BUCKET}_1"})
    assert platform.jobs == [f"job__{BUCKET}_1"]
    assert platform.living() == []


def test_a_submission_that_failed_through_our_fault_is_answered_once_it_works(platform: WidefieldPlatform) -> None:
    platform.upload_session()
    event = platform.event_for(FIRST, platform.put(FIRST, SENT))
    platform.session.before = _fail_first_listing()
    with pytest.raises(OSError, match="away"):
        platform.deliver(event)
    platform.session.before = None
    assert [row["sk"] for row in platform.rows("SUBMISSION#")] == ["PENDING"]
    platform.deliver(event)
    platform.sweep(minutes=40)
    assert len(platform.jobs) == 1
    assert [row["sk"] for row in platform.rows("SUBMISSION#")] == ["CLAIM"]


def _fail_first_listing() -> Any:
    def fault(_number: int, _service: str, operation: str) -> None:
        if operation == "list_objects_v2":
            raise OSError("S3 is away")

    return fault
