"""Spot instances in the local cloud: bought, taken back with a warning, relaunched, priced; and without capacity."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stories.laboratory import Laboratory, wait_for_end

pytestmark = pytest.mark.cloud

ANALYSIS, GROUP = "spotty", "demo"


@pytest.fixture(scope="module")
def spotty(laboratory: Laboratory) -> Laboratory:
    """One more analysis in the environment of `faulty`, on spot where a job has a duration."""
    blueprints = laboratory.project / "ncap_blueprints"
    shutil.copytree(blueprints / "faulty", blueprints / ANALYSIS)
    path = blueprints / ANALYSIS / "stack_config_template.json"
    document = json.loads(path.read_text())
    document["PipelineName"] = ANALYSIS
    document["Lambda"]["LambdaConfig"]["SPOT"] = "save"
    path.write_text(json.dumps(document, indent=2))
    profile = laboratory.project / "user_profiles" / "demo" / "user_config_template.json"
    groups = json.loads(profile.read_text())
    for group in groups["UXData"]["Affiliates"]:
        group["Pipelines"].append(ANALYSIS)
    profile.write_text(json.dumps(groups, indent=2))
    laboratory.ncap("profile", "deploy", "demo", "--yes")
    laboratory.ncap("blueprint", "deploy", ANALYSIS, "--yes")
    return laboratory


def _submit(spotty: Laboratory, folder: Path, name: str, **config: Any) -> str:
    """Submit one dataset; the job's name."""
    data, settings = folder / f"{name}.txt", folder / f"{name}.json"
    data.write_text("data")
    settings.write_text(json.dumps({"mode": "copy", "__duration__": 20, **config}))
    words = ("job", "submit", ANALYSIS, "--data", str(data), "--config", str(settings), "--group", GROUP)
    spotty.ncap(*words, "--timestamp", name)
    return f"job__{ANALYSIS}_{name}"


def _until(found: Callable[[], Any], patience_s: float = 90) -> Any:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.3)
    raise AssertionError("it did not come")


def _running(spotty: Laboratory, job: str) -> list[dict[str, Any]]:
    filters = [{"Name": "tag:job", "Values": [job]}, {"Name": "instance-state-name", "Values": ["running"]}]
    found = spotty.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return [item for group in found for item in group["Instances"]]


def _status(spotty: Laboratory, job: str, name: str) -> dict[str, Any]:
    s3 = spotty.client("s3")
    key = f"{GROUP}/results/{job}/logs/DATASET_NAME:{name}.txt_STATUS.txt"
    try:
        found: dict[str, Any] = json.loads(s3.get_object(Bucket=ANALYSIS, Key=key)["Body"].read())
    except s3.exceptions.NoSuchKey:
        return {}
    return found


def _records(spotty: Laboratory, job: str) -> list[dict[str, Any]]:
    """The usage records of a job, its first attempt first."""
    s3 = spotty.client("s3")
    keys = [it["Key"] for it in s3.list_objects_v2(Bucket=ANALYSIS, Prefix=f"logs/{GROUP}/").get("Contents", ())]
    found = [json.loads(s3.get_object(Bucket=ANALYSIS, Key=key)["Body"].read()) for key in keys]
    own = [record for record in found if record["jobpath"].endswith(f"/{job}")]
    return sorted(own, key=lambda record: int(record["attempt"]))


def _certificate(spotty: Laboratory, job: str) -> str:
    key = f"{GROUP}/results/{job}/logs/certificate.txt"
    return str(spotty.client("s3").get_object(Bucket=ANALYSIS, Key=key)["Body"].read().decode())


def test_an_instance_taken_back_in_mid_run_is_replaced_and_the_job_succeeds(spotty: Laboratory, tmp_path: Path) -> None:
    job = _submit(spotty, tmp_path, "taken", seconds=12)
    (first,) = _until(lambda: _running(spotty, job))
    assert first["InstanceLifecycle"] == "spot"
    _until(lambda: _status(spotty, job, "taken").get("status") == "IN PROGRESS")
    spotty.ncap("local", "fault", "interrupt", first["InstanceId"], "--after", "10", "--name", spotty.cloud)
    told = _until(lambda: (it := _status(spotty, job, "taken")).get("failure") == "spot" and it)
    assert (told["spot"], told["status"], told["attempt"]) == (True, "FAILED", 1)

    end = wait_for_end(spotty.client("s3"), ANALYSIS, GROUP, job, patience_s=120)

    assert end.startswith("SUCCEEDED\n")
    lost, made = _records(spotty, job)
    assert (lost["instance-id"], lost["outcome"], made["outcome"]) == (first["InstanceId"], "spot", "SUCCEEDED")
    assert lost["spot"] is made["spot"] is True
    assert lost["end"] <= made["start"], "two never run at once"
    on_demand = json.loads((spotty.project / "protocols/jobmanager/prices.json").read_text())["types"]
    assert 0 < lost["price"] < float(on_demand[lost["instance-type"]]["usd_per_hour"]) / 2
    certificate = _certificate(spotty, job)
    assert "on spot at $" in certificate
    assert "attempt 1 ended (spot" in certificate


def test_without_spot_capacity_a_job_runs_on_demand_at_once(spotty: Laboratory, tmp_path: Path) -> None:
    spotty.ncap("local", "fault", "capacity", "--market", "spot", "--times", "20", "--name", spotty.cloud)
    try:
        job = _submit(spotty, tmp_path, "short", seconds=0)
        end = wait_for_end(spotty.client("s3"), ANALYSIS, GROUP, job, patience_s=120)
    finally:
        spotty.ncap("local", "fault", "clear", "--name", spotty.cloud)
    assert end.startswith("SUCCEEDED\n")
    (record,) = _records(spotty, job)
    assert record["spot"] is False
    assert "no spot instance was to be had" in _certificate(spotty, job)


def test_the_sweeper_keeps_the_price_list_and_the_quote_reads_it(spotty: Laboratory, tmp_path: Path) -> None:
    s3 = spotty.client("s3")
    record = spotty.record()
    bucket = f"neurocaas-artifacts-{record['account_id']}-{record['region']}"
    key = f"prices/{record['region']}.json"
    _until(lambda: s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents"), patience_s=150)
    table = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert table["types"]["m7i.large"]["spot"].keys() == {f"{record['region']}{zone}" for zone in "abc"}
    data, settings = tmp_path / "q.txt", tmp_path / "q.json"
    data.write_text("data")
    settings.write_text(json.dumps({"mode": "copy", "__duration__": 20}))
    words = ("job", "quote", ANALYSIS, "--data", str(data), "--config", str(settings), "--group", GROUP)
    quoted = spotty.ncap(*words, "--output", "json").data
    assert quoted["spot"] is True
    assert quoted["pricesFrom"] == f"s3://{bucket}/{key}"
    assert float(quoted["instanceTypes"][0]["spotUsdPerHour"]) < float(quoted["instanceTypes"][0]["usdPerHour"])
