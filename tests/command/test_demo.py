"""The demo's own parts: its sample, its member, what it shows; the whole is run in the stories."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from ncap_iac import progress
from ncap_iac.cli import main
from ncap_iac.demo import (
    Outside,
    Shown,
    UsageRecord,
    find_sample,
    first_member,
    in_background,
    parse_record,
    usage_records,
)
from ncap_iac.errors import DocumentProblemsError, ProjectError
from ncap_iac.job.jobs import JobReader, JobStatus, Outcome
from ncap_iac.job.results import Downloaded
from ncap_iac.project import Project
from tests.command.bucket import GROUP, REF, Bucket
from tests.command.fake_stacks import FakeTime


@pytest.fixture
def project(project_root: Path, tmp_path: Path) -> Project:
    for name in ("ncap_blueprints", "user_profiles"):
        shutil.copytree(project_root / name, tmp_path / name)
    (tmp_path / "protocols").mkdir()
    return Project(tmp_path)


def outside(time: FakeTime) -> Outside:
    def refuse(*_: object) -> str:
        raise AssertionError("not part of this test")

    return Outside(
        report=progress.silent,
        clock=time.clock,
        began=0.0,
        sleep=time.sleep,
        now=refuse,  # type: ignore[arg-type]
        make_deployment=refuse,  # type: ignore[arg-type]
        make_image=refuse,
        open_member=refuse,  # type: ignore[arg-type]
    )


def test_the_sample_is_two_recordings_and_a_config(project: Project) -> None:
    sample = find_sample(project)
    assert len(sample.datasets) == 2
    assert sample.config.name == "config.json"


def test_a_sample_without_recordings_is_said(project: Project) -> None:
    for path in find_sample(project).datasets:
        path.unlink()
    with pytest.raises(ProjectError, match="recordings"):
        find_sample(project)


def test_the_member_is_one_who_may_use_the_analysis(project: Project) -> None:
    assert first_member(project) == ("demo", "demo-member")
    path = project.root / "user_profiles" / "demo" / "user_config_template.json"
    document = json.loads(path.read_text())
    for group in document["UXData"]["Affiliates"]:
        group.update(Pipelines=[], Budget={"kalman-lds": 25})
    path.write_text(json.dumps(document))
    with pytest.raises(DocumentProblemsError, match="budget"):
        first_member(project)
    for group in document["UXData"]["Affiliates"]:
        group["Budget"] = {}
    path.write_text(json.dumps(document))
    with pytest.raises(ProjectError):
        first_member(project)


def test_work_in_the_background_brings_its_result_or_its_error() -> None:
    assert in_background(lambda: 3).result(timeout=10) == 3
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 // 0).result(timeout=10)


RECORD = {
    "instance-id": "i-1",
    "instance-type": "m7i.large",
    "spot": False,
    "price": 0.1008,
    "datapath": f"{GROUP}/inputs/a.csv",
    "start": "2025-11-22T10:13:06Z",
    "end": "2025-11-22T10:14:06Z",
    "cost": 0.001717,
    "outcome": "SUCCEEDED",
}


def test_a_usage_record_without_a_cost_yet_is_understood(tmp_path: Path) -> None:
    record = parse_record({**RECORD, "cost": None, "end": None}, tmp_path)
    assert (record.cost_usd, record.end) == (None, "")


def test_usage_records_are_waited_for_and_kept(bucket: Bucket, tmp_path: Path) -> None:
    bucket.dataset("a.csv", "SUCCESS")
    status = JobReader(bucket.objects, REF).status()
    time = FakeTime()
    assert usage_records(bucket.gateway, REF, tmp_path, status, outside(time)) == ()
    assert time.now >= 15
    bucket.put(f"logs/{GROUP}/i-1.json", json.dumps(RECORD))
    records = usage_records(bucket.gateway, REF, tmp_path, status, outside(FakeTime()))
    assert [record.cost_usd for record in records] == [Decimal("0.001717")]
    assert json.loads(records[0].path.read_text()) == RECORD


def test_the_cost_of_the_demo_is_the_sum_of_what_is_known(tmp_path: Path) -> None:
    status = JobStatus(REF, Outcome.SUCCEEDED, ())
    records = [
        UsageRecord("i", "t", "d", "", "", cost, "", tmp_path) for cost in (Decimal("0.1"), None, Decimal("0.2"))
    ]
    results = Downloaded(tmp_path, (tmp_path / "a.PNG", tmp_path / "a.npy"), (), 0)
    shown = Shown(status, "m", tmp_path, results, None, tuple(records), 1.0)
    assert shown.cost_usd == Decimal("0.3")
    assert shown.pictures == (tmp_path / "a.PNG",)
    assert Shown(status, "m", tmp_path, results, None, (), 1.0).cost_usd is None


def test_the_demo_stays_on_this_computer(
    project_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project_root)
    assert main(["demo", "--aws"]) == 2
    assert "local cloud" in capsys.readouterr().err


def test_the_demo_needs_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 2
    assert "no NeuroCAAS project" in capsys.readouterr().err
