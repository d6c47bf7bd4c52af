"""An analysis in two versions: each can be run, the one served by default changes, and no job notices."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.stories.laboratory import Laboratory, wait_for_end

pytestmark = pytest.mark.cloud

SLOW_S = 20
"""How long a job runs beside an update: longer than the update takes."""


@dataclass(frozen=True)
class Analysis:
    """The analysis `faulty`, whose documents change, seen by a member."""

    laboratory: Laboratory
    folder: Path
    data: Path

    @property
    def blueprint(self) -> Path:
        return self.folder / "stack_config_template.json"

    @property
    def workflow(self) -> Path:
        return self.folder / "environment" / "workflow.py"

    def deploy(self) -> str:
        """Deploy the documents as they are; the version."""
        self.laboratory.ncap("environment", "pin", "faulty")
        version: str = self.laboratory.ncap("blueprint", "deploy", "faulty", "--yes", "--output", "json").data[
            "versionId"
        ]
        return version

    def environment(self) -> str:
        """What the blueprint names, with the recipe's digest."""
        ami: str = json.loads(self.blueprint.read_text())["Lambda"]["LambdaConfig"]["AMI"]
        return ami

    def submit(self, *words: str, seconds: float = 0) -> str:
        """Submit as a member; the job."""
        config = self.data.parent / f"config-{seconds:g}.json"
        config.write_text(json.dumps({"mode": "copy", "seconds": seconds}))
        asked = ("job", "submit", "faulty", "--data", str(self.data), "--config", str(config), "--as", "demo-member")
        job: str = self.laboratory.ncap(*asked, *words, "--output", "json").data["job"]
        return job

    def outcome(self, job: str) -> dict[str, Any]:
        """How a job ended, and what of it is in the bucket."""
        s3 = self.laboratory.client("s3")
        end = wait_for_end(s3, "faulty", "demo", job, patience_s=120)
        prefix = f"demo/results/{job}/"
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="faulty", Prefix=prefix)["Contents"]]
        results = sorted(key.rpartition("/")[2] for key in keys if "/process_results/" in key)

        def text(key: str) -> str:
            body: bytes = s3.get_object(Bucket="faulty", Key=key)["Body"].read()
            return body.decode()

        status = json.loads(text(next(key for key in keys if key.endswith("_STATUS.txt"))))
        record = json.loads(text(f"logs/demo/{status['instance']}.json"))
        return {
            "end": end.splitlines()[0],
            "results": [name for name in results if name.startswith(self.data.stem)],
            "environment": status["environment"],
            "certificate": text(f"{prefix}logs/certificate.txt"),
            "record": record,
        }

    def during(self, job: str, update: Callable[[], object]) -> None:
        """Do something while a job runs, and make sure that it did."""
        self.wait_until_running(job)
        update()
        assert self.laboratory.ncap("job", "status", job, "--group", "demo", "--output", "json").data["outcome"] == (
            "RUNNING"
        ), "the update took longer than the job: this proves nothing"

    def wait_until_running(self, job: str) -> None:
        s3 = self.laboratory.client("s3")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = s3.list_objects_v2(Bucket="faulty", Prefix=f"demo/results/{job}/logs/DATASET_NAME")
            if found["KeyCount"]:
                return
            time.sleep(0.2)
        raise AssertionError(f"{job} does not start")


@pytest.fixture
def analysis(laboratory: Laboratory, tmp_path: Path) -> Iterator[Analysis]:
    """The analysis as it is deployed; its documents are brought back afterwards, and deployed."""
    found = Analysis(laboratory, laboratory.project / "ncap_blueprints" / "faulty", tmp_path / "sample.txt")
    found.data.write_text("data")
    before = {path: path.read_text() for path in (found.blueprint, found.workflow)}
    try:
        yield found
    finally:
        for path, text in before.items():
            path.write_text(text)
        found.deploy()


def make_second(analysis: Analysis) -> None:
    """Other documents: another environment, other machines, a larger disk, a shorter limit."""
    script = analysis.workflow.read_text()
    analysis.workflow.write_text(script.replace("{data.stem}_copy", "{data.stem}_second"))
    assert analysis.workflow.read_text() != script
    document = json.loads(analysis.blueprint.read_text())
    document["Lambda"]["LambdaConfig"].update(INSTANCE_TYPE="c7i.large", VOLUME_SIZE=9, MAX_DURATION=30)
    analysis.blueprint.write_text(json.dumps(document, indent=2))


def test_two_versions_live_side_by_side_and_the_default_goes_back_and_forth(analysis: Analysis) -> None:
    laboratory = analysis.laboratory
    s3 = laboratory.client("s3")
    s3.put_object(Bucket="faulty", Key="demo/inputs/kept.txt", Body=b"kept")
    first, first_environment = analysis.deploy(), analysis.environment()

    running_first = analysis.submit(seconds=SLOW_S)
    make_second(analysis)
    versions: list[str] = []
    analysis.during(running_first, lambda: versions.append(analysis.deploy()))
    (second,), second_environment = versions, analysis.environment()
    assert (first == second, first_environment == second_environment) == (False, False)

    named = analysis.submit("--analysis-version", first, "--timestamp", "named-first")
    default = analysis.submit("--timestamp", "default-second")
    check(analysis.outcome(named), first, first_environment, "sample_copy.txt", "m7i.large")
    check(analysis.outcome(default), second, second_environment, "sample_second.txt", "c7i.large")
    check(analysis.outcome(running_first), first, first_environment, "sample_copy.txt", "m7i.large")

    running_second = analysis.submit("--timestamp", "running-second", seconds=SLOW_S)
    rollback = ("blueprint", "rollback", "faulty", "--to", first[:10], "--yes", "--output", "json")
    analysis.during(running_second, lambda: laboratory.ncap(*rollback))
    listed = laboratory.ncap("blueprint", "versions", "faulty", "--output", "json").data
    assert (listed["default"], listed["documents"]) == (first, second)
    back = analysis.submit("--timestamp", "default-first")
    still = analysis.submit("--analysis-version", second, "--timestamp", "named-second")
    check(analysis.outcome(back), first, first_environment, "sample_copy.txt", "m7i.large")
    check(analysis.outcome(still), second, second_environment, "sample_second.txt", "c7i.large")
    check(analysis.outcome(running_second), second, second_environment, "sample_second.txt", "c7i.large")

    running_back = analysis.submit("--timestamp", "running-first", seconds=SLOW_S)
    analysis.during(running_back, lambda: versions.append(analysis.deploy()))
    assert versions[-1] == second
    again = analysis.submit("--timestamp", "default-second-again")
    check(analysis.outcome(again), second, second_environment, "sample_second.txt", "c7i.large")
    check(analysis.outcome(running_back), first, first_environment, "sample_copy.txt", "m7i.large")

    assert s3.get_object(Bucket="faulty", Key="demo/inputs/kept.txt")["Body"].read() == b"kept"
    shown = laboratory.ncap("job", "status", named, "--group", "demo", "--output", "json").data
    assert shown["versionId"] == first
    difference = laboratory.ncap("blueprint", "show", "faulty", first, second, "--output", "json").data["differences"]
    assert {"environment", "instanceTypes", "volumeGib", "maxDurationMinutes"} <= {it["field"] for it in difference}


def check(outcome: dict[str, Any], version: str, environment: str, result: str, machine: str) -> None:
    """A job that ended well, in this version and environment, on this machine."""
    assert outcome["end"] == "SUCCEEDED"
    assert outcome["results"] == [result]
    assert outcome["environment"] == environment
    assert f"ANALYSIS VERSION ID: {version}" in outcome["certificate"]
    assert (outcome["record"]["version"], outcome["record"]["instance-type"]) == (version, machine)


def test_an_unknown_version_is_refused_with_the_nearest(analysis: Analysis) -> None:
    version = analysis.deploy()
    wrong = version[:-1] + ("0" if version[-1] != "0" else "1")
    asked = analysis.laboratory.ncap(
        *("job", "submit", "faulty", "--data", str(analysis.data), "--config", str(analysis.data)),
        *("--group", "demo", "--analysis-version", wrong),
        check=False,
    )
    job = analysis.submit("--analysis-version", wrong, "--timestamp", "unknown-version")
    end = wait_for_end(analysis.laboratory.client("s3"), "faulty", "demo", job)

    assert asked.code == 4
    assert f"Did you mean {version}?" in asked.err
    assert end.startswith("REJECTED")
    assert f"did you mean '{version}'?" in end
