"""The main job, as the README tells a newcomer to run it."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.stories.laboratory import Laboratory, Ran

pytestmark = pytest.mark.cloud

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def demo(laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    """`ncap demo`, run once, with its results."""
    folder = tmp_path_factory.mktemp("demo")
    ran = laboratory.ncap("demo", "--cloud", laboratory.cloud, "--output-dir", str(folder))
    (job,) = [path for path in folder.iterdir() if path.is_dir()]
    return ran, job


def test_the_demo_leaves_results_that_pass_the_analysis_own_check(
    laboratory: Laboratory, demo: tuple[Ran, Path]
) -> None:
    ran, results = demo
    assert ran.code == 0
    blueprint = json.loads((laboratory.project / "ncap_blueprints/kalman-lds/stack_config_template.json").read_text())
    digest = blueprint["Lambda"]["LambdaConfig"]["AMI"].rsplit(":", 1)[1]
    (image,) = (laboratory.home / "cache" / "images").glob(f"{digest}-*")

    # In the analysis's own environment, which has numpy; ours does not need it.
    checked = subprocess.run(
        [str(image / "env/bin/python"), str(ROOT / "ncap_blueprints/kalman-lds/sample/check.py"), str(results)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_demo_shows_a_picture_and_what_to_try_next(demo: tuple[Ran, Path]) -> None:
    ran, results = demo
    pictures = sorted(results.rglob("*.png"))
    assert len(pictures) == 2
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 20_000 for path in pictures)
    assert "ncap job" in ran.out + ran.err
    assert pictures[0].name in ran.out + ran.err or str(pictures[0].parent) in ran.out + ran.err


def test_the_certificate_and_the_end_tell_how_it_went(laboratory: Laboratory, demo: tuple[Ran, Path]) -> None:
    _, results = demo
    s3 = laboratory.client("s3")
    prefix = f"demo/results/{results.name}"

    certificate = s3.get_object(Bucket="kalman-lds", Key=f"{prefix}/logs/certificate.txt")["Body"].read().decode()
    end = s3.get_object(Bucket="kalman-lds", Key=f"{prefix}/process_results/end.txt")["Body"].read().decode()

    rows = [line for line in certificate.splitlines() if line.startswith("DATANAME: ")]
    assert certificate.splitlines().count("=" * 16) == 2
    assert len(rows) == 2
    assert all("| STATUS: SUCCESS |" in row and "(finished)" in row for row in rows)
    assert "ANALYSIS VERSION ID: v-" in certificate
    assert end.splitlines()[0] == "SUCCEEDED"


def usage_records(laboratory: Laboratory, job: str) -> list[dict[str, Any]]:
    s3 = laboratory.client("s3")
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket="kalman-lds", Prefix="logs/demo/").get("Contents", [])]
    records = [json.loads(s3.get_object(Bucket="kalman-lds", Key=key)["Body"].read()) for key in keys]
    return [record for record in records if record["jobpath"].endswith(job)]


def test_two_datasets_ran_side_by_side_and_were_paid_for(laboratory: Laboratory, demo: tuple[Ran, Path]) -> None:
    records = usage_records(laboratory, demo[1].name)

    assert len(records) == 2
    (first, second) = sorted(records, key=lambda record: record["start"])
    assert datetime.fromisoformat(second["start"]) <= datetime.fromisoformat(first["end"])
    assert {record["instance-type"] for record in records} == {"m7i.large"}
    assert all(0 < record["cost"] < 0.1 and record["price"] == pytest.approx(0.1008) for record in records)
    active = laboratory.client("s3").list_objects_v2(Bucket="kalman-lds", Prefix="logs/active/i-")
    assert active["KeyCount"] == 0


def test_nothing_is_left_running(laboratory: Laboratory, demo: tuple[Ran, Path]) -> None:
    reservations = laboratory.client("ec2").describe_instances(Filters=[{"Name": "tag:job", "Values": [demo[1].name]}])[
        "Reservations"
    ]
    states = [instance["State"]["Name"] for r in reservations for instance in r["Instances"]]
    assert states == ["terminated"] * 2


def test_the_member_can_ask_about_the_job_with_the_own_keys(laboratory: Laboratory, demo: tuple[Ran, Path]) -> None:
    status = laboratory.ncap(
        "job", "status", demo[1].name, "--analysis", "kalman-lds", "--as", "demo-member", "--output", "json"
    ).data
    assert status["outcome"] == "SUCCEEDED"
    listed = laboratory.ncap("job", "list", "kalman-lds", "--as", "demo-member", "--output", "json").data
    assert demo[1].name in json.dumps(listed)
    logs = laboratory.ncap("job", "logs", demo[1].name, "--analysis", "kalman-lds", "--as", "demo-member")
    assert "log-likelihood" in logs.out
