"""Usage adds up records of any quality: by group, analysis, day and type; as a table, JSON, CSV and picture."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from ncap_iac.money.usage import By, lines_of, parse_record
from tests.command.money_rig import Money, a_member, deployed_analysis, tidied
from tests.fakes.platform import BUCKET, GROUP, FakePlatform

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OTHER = "second-analysis"


@pytest.fixture(scope="module")
def analysis(no_developer_credentials: None) -> Iterator[FakePlatform]:
    with deployed_analysis() as found:
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=OTHER)
        yield found


@pytest.fixture
def money(
    analysis: FakePlatform, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Money:
    monkeypatch.chdir(tmp_path)
    boto3.resource("s3", region_name="us-east-1").Bucket(OTHER).objects.all().delete()
    return Money(tidied(analysis), capsys, tmp_path)


def line(found: dict[str, Any], name: str) -> dict[str, Any]:
    (wanted,) = [it for it in found["lines"] if it["name"] == name]
    assert isinstance(wanted, dict)
    return wanted


def test_hours_jobs_datasets_cost_and_failures_add_up(money: Money) -> None:
    money.record("i-1")
    money.record("i-2", outcome="timeout", cost=0.4)
    money.record("i-3", datapath=f"{GROUP}/inputs/i-2.csv", end="2026-11-20T10:30:00Z", cost=0.05)
    money.record("i-4", jobpath=f"{GROUP}/results/job__{BUCKET}_2")
    found = money.ncap("usage", BUCKET)
    assert line(found, BUCKET) == {
        "name": BUCKET,
        "jobs": 2,
        "datasets": 3,
        "instances": 4,
        "running": 0,
        "failures": 1,
        "hours": 6.5,
        "cost": "0.87",
        "estimated": "0.00",
    }
    assert found["total"] == line(found, BUCKET) | {"name": "total"}
    assert found["damaged"] == []


def test_a_run_of_49_hours_has_49(money: Money) -> None:
    money.record("i-1", end="2026-11-22T11:00:00Z")
    assert money.ncap("usage", BUCKET)["total"]["hours"] == 49


def test_records_are_grouped_by_what_is_asked_for(money: Money) -> None:
    money.record("i-1", start="2026-11-19T23:59:00-02:00")
    money.record("i-2", folder="lab2", cost=5)
    money.record("i-3", bucket=OTHER, cost=9, **{"instance-type": "g5.xlarge"})
    names = {
        by: [it["name"] for it in money.ncap("usage", BUCKET, OTHER, "--by", by)["lines"]]
        for by in ("group", "analysis", "day", "instance-type")
    }
    assert names == {
        "group": [GROUP, "lab2"],
        "analysis": [OTHER, BUCKET],
        "day": ["2026-11-20"],
        "instance-type": ["g5.xlarge", "m7i.large"],
    }


def test_one_group_and_the_time_since_a_day_can_be_chosen(money: Money) -> None:
    money.record("i-1", start="2026-11-18T10:00:00Z", end="2026-11-18T11:00:00Z")
    money.record("i-2")
    money.record("i-3", folder="lab2")
    assert money.ncap("usage", BUCKET, "--group", GROUP)["total"]["instances"] == 2
    assert money.ncap("usage", BUCKET, "--group", GROUP, "--since", "2026-11-20")["total"]["instances"] == 1
    assert money.ncap("usage", BUCKET, "--since", "yesterday", code=2)["error"]["exitCode"] == 2


def test_running_instances_count_until_now_and_never_twice(money: Money) -> None:
    money.record("i-1", folder="active", end=None, cost=None, outcome="RUNNING")
    money.record("i-2", folder="active", end=None, cost=None, outcome="RUNNING")
    money.record("i-2")
    total = money.ncap("usage", BUCKET)["total"]
    assert (total["instances"], total["running"], total["failures"]) == (2, 1, 0)
    assert float(total["estimated"]) > 0


def test_damaged_records_are_counted_and_named_and_hide_no_other(money: Money) -> None:
    money.record("i-1")
    money.record("i-2", start=None)
    money.record("i-3", end="2026-11-19T10:00:00Z")
    money.record("i-4", start="some day")
    money.record("i-5", price="NaN")
    money.record("i-6", end=None, cost=None)
    for name, body in (
        ("a", "[1]"),
        ("b", "{"),
        ("c", "null"),
        ("d", "[" * 100_000),
        ("e", '"\udcff'.encode("utf-8", "surrogateescape")),
    ):
        money.put(f"logs/{GROUP}/{name}.json", body)
    found = money.ncap("usage", BUCKET)
    named = {it["record"].rpartition("/")[2].removesuffix(".json"): it["reason"] for it in found["damaged"]}
    assert set(named) == {"i-2", "i-3", "i-4", "i-5", "i-6", "a", "b", "c", "d", "e"}
    assert "start was lost" in named["i-2"]
    assert (found["total"]["instances"], found["total"]["hours"], found["total"]["cost"]) == (4, 2.0, "0.63")
    _, err = money.table("usage", BUCKET)
    assert "10 records cannot be used, or not wholly" in err


def test_records_of_the_first_platform_are_read(money: Money) -> None:
    money.put(
        f"logs/{GROUP}/i-1.json",
        json.dumps(
            {
                "instance-id": "i-1",
                "instance-type": "p2.xlarge",
                "spot": False,
                "price": 0.9,
                "databucket": BUCKET,
                "datapath": [f"{GROUP}/inputs/a.avi", f"{GROUP}/inputs/b.avi"],
                "configpath": "c",
                "jobpath": f"{GROUP}/results/job__{BUCKET}_7/",
                "start": "2020-11-20T10:00:00Z",
                "end": "2020-11-20T12:00:00Z",
            }
        ),
    )
    total = money.ncap("usage", BUCKET)["total"]
    assert (total["datasets"], total["cost"], total["estimated"]) == (2, "1.80", "1.80")


def test_other_objects_below_logs_are_no_records(money: Money) -> None:
    for key in ("logs/readme.txt", "logs/deep/er/i-1.json", "logs/x.json"):
        money.put(key, "no record")
    found = money.ncap("usage", BUCKET)
    assert (found["total"]["instances"], found["damaged"]) == (0, [])


def test_all_deployed_analyses_are_meant_when_none_is_named(money: Money) -> None:
    money.record("i-1")
    assert money.ncap("usage")["analyses"] == [BUCKET]
    error = money.ncap("usage", "kalman-lsd", code=4)["error"]
    assert BUCKET in error["hint"]


def test_a_real_job_is_in_the_usage_and_in_the_budget_alike(money: Money) -> None:
    money.budget("25")
    money.platform.upload()
    money.platform.submit()
    (instance,) = money.platform.living()
    money.platform.change(instance, "running")
    assert money.ncap("usage", BUCKET)["total"]["running"] == 1
    money.platform.clock.advance(minutes=30)
    money.platform.end(instance, job=f"job__{BUCKET}_1")
    total = money.ncap("usage", BUCKET)["total"]
    own = money.ncap("budget", "show", GROUP, BUCKET)["budgets"][0]
    assert total["hours"] == 0.5
    assert total["cost"] == own["spent"] != "0.00"
    assert own["reserved"] == "0.00"


def test_a_spreadsheet_gets_a_row_a_record_and_no_formula(money: Money) -> None:
    money.record("i-1")
    money.record("i-2", datapath='=cmd|"/c calc"!A1')
    found = money.ncap("usage", BUCKET, "--csv", "u.csv")
    with (money.folder / "u.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert found["csv"] == str(money.folder / "u.csv")
    assert [row["instance"] for row in rows] == ["i-1", "i-2"]
    assert rows[0]["hours"] == "2.0000"
    assert rows[1]["dataset"].startswith("'=")
    assert money.ncap("usage", BUCKET, "--csv", "no/u.csv", code=2)["error"]["exitCode"] == 2


@pytest.mark.parametrize("by", ["group", "day"])
def test_a_picture_is_drawn(money: Money, by: str) -> None:
    pytest.importorskip("matplotlib")
    money.record("i-1")
    money.record("i-2", folder="lab2", cost=5, start="2026-11-19T10:00:00Z", group="$x_$")
    money.ncap("usage", BUCKET, "--by", by, "--plot", "u.svg")
    text = (money.folder / "u.svg").read_text()
    assert "$5.00" in text
    assert f"Usage by {by}" in text


def test_a_picture_of_nothing_is_a_picture(money: Money) -> None:
    pytest.importorskip("matplotlib")
    money.ncap("usage", BUCKET, "--plot", "u.png")
    assert (money.folder / "u.png").stat().st_size > 1000


def test_without_matplotlib_the_extra_is_named_before_anything_is_read(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "sys.modules['matplotlib'] = None  # what Python takes for a package that is not there\n"
        "import ncap_iac.money.pictures, ncap_iac.cli.usage\n"
        "from ncap_iac.cli import main\n"
        "sys.exit(main(['usage', '--plot', 'u.png', '--aws', '--region', 'us-east-1']))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert ran.returncode == 2, ran.stderr
    assert "neurocaas[plots]" in ran.stderr


def test_days_are_in_order_and_lines_else_the_dearest_first() -> None:
    def record(day: int, cost: float, group: str) -> bytes:
        times = {"start": f"2026-11-{day:02}T10:00:00Z", "end": f"2026-11-{day:02}T11:00:00Z"}
        told = {"instance-id": f"i-{day}", "instance-type": "t", "price": 1, "datapath": "d", "jobpath": "j"}
        return json.dumps({**told, **times, "group": group, "cost": cost, "outcome": "SUCCEEDED"}).encode()

    records = [
        parse_record(record(day, cost, group), f"logs/{group}/i-{day}.json", analysis="a", now=NOW)
        for day, cost, group in ((9, 1, "x"), (1, 2, "y"), (5, 9, "z"))
    ]
    assert [it.name for it in lines_of(records, By.DAY)] == ["2026-11-01", "2026-11-05", "2026-11-09"]
    assert [it.name for it in lines_of(records, By.GROUP)] == ["z", "y", "x"]


def test_a_member_is_told_that_usage_is_for_operators(money: Money) -> None:
    money.record("i-1")
    with a_member():
        for words in (("usage",), ("usage", BUCKET)):
            error = money.ncap(*words, code=3)["error"]
            assert "for operators" in error["what"]
            assert "ncap job status" in error["hint"]
