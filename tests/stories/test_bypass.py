"""A group keeps data in a bucket of its own: the four combinations of here and there, and what nobody gave it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stories.laboratory import Laboratory, wait_for_end

pytestmark = pytest.mark.cloud
BUCKET, ARCHIVE, FOREIGN = "faulty", "lab-archive", "other-archive"


def patch_storage(laboratory: Laboratory, storage: list[dict[str, str]]) -> None:
    """What an operator does: the profile names the places, and is deployed."""
    profile = laboratory.project / "user_profiles" / "demo" / "user_config_template.json"
    document = json.loads(profile.read_text())
    document["UXData"]["Affiliates"][0]["Storage"] = storage
    profile.write_text(json.dumps(document, indent=2))
    laboratory.ncap("profile", "deploy", "demo", "--yes")


@pytest.fixture(scope="module")
def s3(laboratory: Laboratory) -> Iterator[Any]:
    client = laboratory.client("s3")
    for bucket in (ARCHIVE, FOREIGN):
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="raw/there.txt", Body=b"there")
    client.put_object(Bucket=ARCHIVE, Key="raw/there.json", Body=json.dumps({"mode": "copy"}).encode())
    client.put_object(Bucket=BUCKET, Key="demo/inputs/here.txt", Body=b"here")
    client.put_object(Bucket=BUCKET, Key="demo/configs/here.json", Body=json.dumps({"mode": "copy"}).encode())
    client.put_object(Bucket=BUCKET, Key="neighbours/inputs/theirs.txt", Body=b"theirs")
    patch_storage(
        laboratory,
        [
            {"Bucket": ARCHIVE, "Prefix": "raw", "Access": "read"},
            {"Bucket": ARCHIVE, "Prefix": "out", "Access": "write"},
        ],
    )
    yield client
    patch_storage(laboratory, [])


def submit(laboratory: Laboratory, name: str, **fields: Any) -> str:
    """A member's own submission; the job's name."""
    s3 = laboratory.client("s3", laboratory.member_key("demo-member"))
    document = {"dataname": "demo/inputs/here.txt", "configname": "demo/configs/here.json", "timestamp": name} | fields
    s3.put_object(Bucket=BUCKET, Key=f"demo/submissions/{name}_submit.json", Body=json.dumps(document).encode())
    return f"job__{BUCKET}_{name}"


def read(s3: Any, bucket: str, key: str) -> str:
    text: str = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    return text


def names(s3: Any, bucket: str, prefix: str) -> set[str]:
    return {
        item["Key"].removeprefix(prefix)
        for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    }


@pytest.mark.parametrize("data", ["here", "there"])
@pytest.mark.parametrize("results", ["here", "there"])
def test_data_and_results_here_or_there(laboratory: Laboratory, s3: Any, data: str, results: str) -> None:
    named = (
        {}
        if data == "here"
        else {"dataname": f"s3://{ARCHIVE}/raw/there.txt", "configname": f"s3://{ARCHIVE}/raw/there.json"}
    )
    kept = {} if results == "here" else {"resultpath": f"s3://{ARCHIVE}/out"}
    job = submit(laboratory, f"{data}-{results}", **named, **kept)
    end = wait_for_end(s3, BUCKET, "demo", job)
    assert end.splitlines()[0] == "SUCCEEDED", end
    own = f"demo/results/{job}/process_results/"
    there = f"out/{job}/process_results/"
    bucket, prefix = (BUCKET, own) if results == "here" else (ARCHIVE, there)
    assert read(s3, bucket, f"{prefix}{data}_copy.txt") == data
    assert {"update.txt", f"{data}.json"} <= names(s3, bucket, prefix)
    if results == "there":
        assert names(s3, BUCKET, own) == {"end.txt"}
        assert f"Results are in s3://{ARCHIVE}/out/{job}/process_results/" in end
    certificate = read(s3, BUCKET, f"demo/results/{job}/logs/certificate.txt")
    assert "STATUS: SUCCESS" in certificate


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dataname": f"s3://{FOREIGN}/raw/there.txt"}, "may not be read by group 'demo'"),
        ({"dataname": f"s3://{FOREIGN}/raw/"}, "may not be read by group 'demo'"),
        ({"dataname": f"s3://{ARCHIVE}/private.txt"}, "may not be read by group 'demo'"),
        ({"dataname": f"s3://{ARCHIVE}/raw/nothing.txt"}, "does not exist"),
        ({"dataname": "s3://kalman-lds/neighbours/inputs/theirs.txt"}, "belongs to another group"),
        ({"dataname": f"s3://{BUCKET}/neighbours/inputs/theirs.txt"}, "belongs to another group"),
        ({"configname": f"s3://{FOREIGN}/raw/there.json"}, "may not be read by group 'demo'"),
        ({"resultpath": f"s3://{BUCKET}/neighbours/results"}, "go to demo/results/ only"),
        ({"resultpath": "s3://kalman-lds/neighbours/results"}, "belongs to another group"),
        ({"resultpath": f"s3://{ARCHIVE}/raw"}, "may not be written to"),
        ({"resultpath": f"s3://{FOREIGN}"}, "may not be written to"),
    ],
)
def test_what_nobody_gave_the_group_is_refused_and_nothing_is_launched(
    laboratory: Laboratory, s3: Any, fields: dict[str, str], words: str, request: pytest.FixtureRequest
) -> None:
    number = request.node.callspec.indices["fields"]
    job = submit(laboratory, f"refused-{number}", **fields)
    end = wait_for_end(s3, BUCKET, "demo", job)
    assert end.splitlines()[0] == "REJECTED"
    assert words in end
    tags = [{"Name": "tag:job", "Values": [job]}]
    assert laboratory.client("ec2").describe_instances(Filters=tags)["Reservations"] == []


def test_rights_taken_away_meanwhile_end_the_dataset_as_input_with_a_sentence(laboratory: Laboratory, s3: Any) -> None:
    """The job manager could write there; when the instance wants to, the right is gone."""
    iam, role = laboratory.client("iam"), "neurocaas-instance-demo"
    (policy,) = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    s3.put_object(Bucket=BUCKET, Key="demo/configs/slow.json", Body=json.dumps({"mode": "copy", "seconds": 5}).encode())
    job = submit(laboratory, "taken-away", configname="demo/configs/slow.json", resultpath=f"s3://{ARCHIVE}/out")
    wait_for_key(s3, f"demo/results/{job}/logs/DATASET_NAME:here.txt_STATUS.txt")
    iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
    try:
        end = wait_for_end(s3, BUCKET, "demo", job)
    finally:
        iam.attach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
    assert "here.txt: input: 1 result files could not be stored: Could not write" in end
    assert "The group had this right when the job was accepted" in end


def wait_for_key(s3: Any, key: str) -> None:
    deadline = time.monotonic() + 60
    while not names(s3, BUCKET, key) and time.monotonic() < deadline:
        time.sleep(0.1)


def test_a_whole_folder_comes_as_a_folder(laboratory: Laboratory, s3: Any) -> None:
    for name in ("one.txt", "deep/two.txt"):
        s3.put_object(Bucket=ARCHIVE, Key=f"raw/session/{name}", Body=name.encode())
    job = submit(laboratory, "whole", dataname=f"s3://{ARCHIVE}/raw/session/", folders="whole")
    end = wait_for_end(s3, BUCKET, "demo", job)
    assert end.splitlines()[0] == "SUCCEEDED", end
    listing = read(s3, BUCKET, f"demo/results/{job}/process_results/session_copy.txt")
    assert listing == "deep/two.txt\none.txt\n"
