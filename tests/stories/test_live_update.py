"""Stacks are updated while a job runs: the job goes on, nobody's data is lost, a removed group takes only its own."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stories.laboratory import Laboratory, wait_for_end

pytestmark = pytest.mark.cloud

SECONDS = 25
"""How long the job takes: longer than the updates beside it."""


def edit(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document, indent=2))


def group(name: str, *members: str) -> dict[str, Any]:
    return {"AffiliateName": name, "UserNames": list(members), "Pipelines": ["faulty"]}


@pytest.fixture
def two_labs(laboratory: Laboratory) -> Iterator[Path]:
    """A profile of `lab` and `lab2`, both admitted to the analysis, deployed; taken away afterwards."""
    profile = laboratory.project / "user_profiles" / "labs" / "user_config_template.json"
    blueprint = laboratory.project / "ncap_blueprints" / "faulty" / "stack_config_template.json"
    before = blueprint.read_text()
    profile.parent.mkdir()
    profile.write_text(json.dumps({"UXData": {"Affiliates": [group("lab", "lab-ann"), group("lab2", "lab2-bob")]}}))
    admitted: list[dict[str, Any]] = [
        {"AffiliateName": name, "UserNames": [], "UserInput": True} for name in ("lab", "lab2")
    ]
    edit(blueprint, lambda document: document["UXData"]["Affiliates"].extend(admitted))
    laboratory.ncap("profile", "deploy", "labs", "--yes")
    laboratory.ncap("blueprint", "deploy", "faulty", "--yes")
    yield profile
    laboratory.ncap("profile", "destroy", "labs", "--yes")
    shutil.rmtree(profile.parent)
    blueprint.write_text(before)
    laboratory.ncap("blueprint", "deploy", "faulty", "--yes")


def submit(laboratory: Laboratory, folder: Path, member: str) -> str:
    data, config = folder / "a.txt", folder / "slow.json"
    data.write_text("data")
    config.write_text(json.dumps({"mode": "copy", "seconds": SECONDS}))
    words = ("job", "submit", "faulty", "--data", str(data), "--config", str(config), "--as", member)
    job: str = laboratory.ncap(*words, "--output", "json").data["job"]
    return job


def test_updates_of_every_stack_do_not_disturb_a_running_job(
    laboratory: Laboratory, two_labs: Path, tmp_path: Path
) -> None:
    blueprint = laboratory.project / "ncap_blueprints" / "faulty" / "stack_config_template.json"
    keys = laboratory.member_key("lab2-bob")
    job = submit(laboratory, tmp_path, "lab-ann")
    began = time.monotonic()

    edit(two_labs, lambda document: document["UXData"]["Affiliates"][0]["UserNames"].append("lab-eve"))
    laboratory.ncap("profile", "deploy", "labs", "--yes")
    edit(
        blueprint,
        lambda document: document["Lambda"]["LambdaConfig"].update(INSTANCE_TYPE="m7i.xlarge", MAX_DURATION=30),
    )
    laboratory.ncap("blueprint", "deploy", "faulty", "--yes")
    laboratory.ncap("account", "deploy", "--yes", "--parameter", "MonthlyBudget=50")

    assert time.monotonic() - began < SECONDS, "the updates took longer than the job: this proves nothing"
    assert wait_for_end(laboratory.client("s3"), "faulty", "lab", job).startswith("SUCCEEDED")
    assert laboratory.member_key("lab-eve")["AccessKeyId"]
    assert laboratory.member_key("lab2-bob") == keys


def test_a_group_removed_takes_its_rights_and_nothing_of_another(
    laboratory: Laboratory, two_labs: Path, tmp_path: Path
) -> None:
    s3 = laboratory.client("s3")
    for name in ("lab", "lab2"):
        s3.put_object(Bucket="faulty", Key=f"{name}/inputs/kept.txt", Body=name.encode())
        s3.put_object(Bucket="faulty", Key=f"logs/{name}/i-kept.json", Body=b"{}")
    gone = laboratory.client("s3", laboratory.member_key("lab-ann"))
    stays = laboratory.client("s3", laboratory.member_key("lab2-bob"))

    edit(two_labs, lambda document: document["UXData"]["Affiliates"].pop(0))
    laboratory.ncap("profile", "deploy", "labs", "--yes")

    with pytest.raises(gone.exceptions.ClientError, match=r"InvalidAccessKeyId|InvalidClientTokenId|AccessDenied"):
        gone.list_objects_v2(Bucket="faulty", Prefix="lab/inputs/")
    assert stays.list_objects_v2(Bucket="faulty", Prefix="lab2/inputs/")["KeyCount"] >= 1
    kept = {
        name: s3.get_object(Bucket="faulty", Key=f"{name}/inputs/kept.txt")["Body"].read() for name in ("lab", "lab2")
    }
    assert kept == {"lab": b"lab", "lab2": b"lab2"}
    assert s3.get_object(Bucket="faulty", Key="logs/lab/i-kept.json")["Body"].read() == b"{}"
    submit(laboratory, tmp_path, "lab2-bob")


def test_a_collaborator_reads_results_and_nothing_else(laboratory: Laboratory, two_labs: Path) -> None:
    s3 = laboratory.client("s3")
    for key in ("lab/results/job/process_results/r.txt", "lab/inputs/i.txt", "lab2/results/job/process_results/r.txt"):
        s3.put_object(Bucket="faulty", Key=key, Body=b"x")
    ann = laboratory.client("s3", laboratory.member_key("lab-ann"))
    bob = laboratory.client("s3", laboratory.member_key("lab2-bob"))

    def answers(client: Any, group_name: str) -> dict[str, str]:
        found = {}
        for name, call, arguments in (
            ("result", "get_object", {"Key": f"{group_name}/results/job/process_results/r.txt"}),
            ("listing", "list_objects_v2", {"Prefix": f"{group_name}/results/"}),
            ("input", "get_object", {"Key": f"{group_name}/inputs/i.txt"}),
            ("writing", "put_object", {"Key": f"{group_name}/results/job/forged.txt", "Body": b"x"}),
            ("deleting", "delete_object", {"Key": f"{group_name}/results/job/process_results/r.txt"}),
        ):
            try:
                getattr(client, call)(Bucket="faulty", **arguments)
                found[name] = "allowed"
            except client.exceptions.ClientError as error:
                found[name] = error.response["Error"]["Code"]
        return found

    nothing = dict.fromkeys(("result", "listing", "input", "writing", "deleting"), "AccessDenied")
    assert answers(bob, "lab") == nothing

    edit(two_labs, lambda document: document["UXData"]["Affiliates"][0].update(Collaborators=["lab2"]))
    laboratory.ncap("profile", "deploy", "labs", "--yes")

    assert answers(bob, "lab") == nothing | {"result": "allowed", "listing": "allowed"}
    assert answers(ann, "lab2") == nothing

    edit(two_labs, lambda document: document["UXData"]["Affiliates"][0].pop("Collaborators"))
    laboratory.ncap("profile", "deploy", "labs", "--yes")
    assert answers(bob, "lab") == nothing
