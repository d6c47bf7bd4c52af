"""The widefield client on a cloud: it uploads twice, waits for two names, takes everything and deletes it at once."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.stories.laboratory import HERE, Laboratory, wait_for_end

pytestmark = pytest.mark.cloud
BUCKET, FOLDER = "field-preprocess", "session"
PLACE = f"demo/results/{FOLDER}/"
SENTINELS = {"reduced_spatial.npy", "reduced_temporal.npy"}
WORKFLOW = """
import sys
from pathlib import Path

data, results = Path(sys.argv[1]), Path(sys.argv[3])
for name in ("SVTcorr.npy", "motion.png", "reduced_spatial.npy", "reduced_temporal.npy"):
    (results / name).write_bytes(data.read_bytes() * 1000)
"""


@pytest.fixture(scope="module")
def member(laboratory: Laboratory) -> Any:
    """The analysis deployed for the group; its member's S3."""
    folder = laboratory.project / "ncap_blueprints" / "field"
    shutil.copytree(HERE / "faulty", folder)
    (folder / "environment" / "workflow.py").write_text(WORKFLOW)
    (folder / "parameters.schema.json").unlink()
    change(folder / "environment" / "recipe.json", name="field")
    path = folder / "stack_config_template.json"
    document = json.loads(path.read_text())
    document["PipelineName"] = BUCKET
    document["Lambda"]["Handler"] = "submit_start_legacy_wfield_preprocess.handler"
    environment = "iae:field@sha256:" + "0" * 64
    document["Lambda"]["LambdaConfig"]["AMI"] = environment
    path.write_text(json.dumps(document, indent=2))
    profile = laboratory.project / "user_profiles" / "demo" / "user_config_template.json"
    users = json.loads(profile.read_text())
    users["UXData"]["Affiliates"][0]["Pipelines"].append(BUCKET)
    profile.write_text(json.dumps(users, indent=2))
    laboratory.ncap("environment", "pin", "field")
    laboratory.ncap("profile", "deploy", "demo", "--yes")
    laboratory.ncap("blueprint", "deploy", "field", "--yes")
    return laboratory.client("s3", laboratory.member_key("demo-member"))


def change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields, indent=2))


def below(s3: Any, prefix: str) -> list[str]:
    """What the client sees below a prefix that it may list."""
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def test_that_client_gets_its_results_once_and_may_delete_everything(laboratory: Laboratory, member: Any) -> None:
    request = json.dumps({"dataname": f"demo/inputs/{FOLDER}/", "instance_type": "p3.2xlarge"}).encode()
    for key, body in (
        (f"demo/inputs/{FOLDER}/{FOLDER}.zip", b"frames"),
        (f"demo/inputs/{FOLDER}/config.yaml", b"max_components: 5\nanalysis_selection: [motion]\n"),
        (f"demo/inputs/{FOLDER}/submit.json", request),
        (f"demo/configs/{FOLDER}/submit.json", request),
    ):
        member.put_object(Bucket=BUCKET, Key=key, Body=body)

    first_seen: list[str] = []
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        found = below(member, PLACE)
        first_seen = first_seen or found
        if {key.rpartition("/")[2] for key in found} >= SENTINELS:
            break
        time.sleep(0.1)
    taken = {key: member.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in found}
    for prefix in (PLACE, f"demo/inputs/{FOLDER}/", f"demo/configs/{FOLDER}/"):
        for key in below(member, prefix):
            member.delete_object(Bucket=BUCKET, Key=key)

    assert [key.rpartition("/")[2] for key in first_seen] == ["certificate.txt"]
    names = {key.removeprefix(PLACE) for key in taken if "certificate" not in key}
    assert names == SENTINELS | {"SVTcorr.npy", "motion.png"}
    assert taken[f"{PLACE}reduced_spatial.npy"] == b"frames" * 1000
    root = laboratory.client("s3")
    (prefix,) = root.list_objects_v2(Bucket=BUCKET, Prefix="demo/results/job__", Delimiter="/")["CommonPrefixes"]
    job = prefix["Prefix"].split("/")[2]
    end = wait_for_end(root, BUCKET, "demo", job)
    assert end.splitlines()[0] == "SUCCEEDED", end
    assert below(root, PLACE) == below(root, f"demo/inputs/{FOLDER}/") == []
    tags = [{"Name": "tag:analysis", "Values": [BUCKET]}]
    reservations = laboratory.client("ec2").describe_instances(Filters=tags)["Reservations"]
    assert len([one for found in reservations for one in found["Instances"]]) == 1
