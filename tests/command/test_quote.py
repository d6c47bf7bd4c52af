"""A quote tells what the job manager will reserve, for whom, and what would refuse it, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.command.money_rig import Money, a_member, deployed_analysis, tidied
from tests.fakes.platform import BUCKET, GROUP, VERSION_ID, FakePlatform

INPUTS = f"{GROUP}/inputs"
CONFIG = f"{GROUP}/configs/c.json"
JOB = f"job__{BUCKET}_1"


@pytest.fixture(scope="module")
def analysis(no_developer_credentials: None) -> Iterator[FakePlatform]:
    with deployed_analysis() as found:
        yield found


@pytest.fixture
def money(
    analysis: FakePlatform, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Money:
    monkeypatch.chdir(tmp_path)
    return Money(tidied(analysis), capsys, tmp_path)


def quote(money: Money, *words: str, code: int = 0, data: tuple[str, ...] = (f"{INPUTS}/x.csv",)) -> dict[str, Any]:
    """Ask for a quote; its data, whatever the end."""
    asked = ("job", "quote", BUCKET, "--data", *data, "--group", GROUP, *words)
    return money.ncap(*asked, *(() if "--config" in words else ("--config", CONFIG)), code=code)


@pytest.mark.parametrize(
    ("names", "config", "fields"),
    [
        (("x.csv",), {}, {}),
        (("x.csv", "y.csv", "z.csv"), {"__duration__": 7}, {}),
        (("x.csv", "y.csv"), {"__duration__": 60, "__dataset_size__": 10}, {"instance_type": "m7i.xlarge"}),
        (("x.csv",), {"__duration__": 1}, {"instance_type": "m6i.large"}),
    ],
)
def test_what_is_quoted_is_what_the_job_manager_reserves(
    money: Money, names: tuple[str, ...], config: dict[str, Any], fields: dict[str, str]
) -> None:
    money.budget("25")
    keys = money.platform.upload(names, {"latents": 3, **config})
    words = ("--instance-type", fields["instance_type"]) if fields else ()
    found = quote(money, *words, data=tuple(keys))

    money.platform.submit(dataname=keys, **fields)

    assert found["admitted"] is True
    assert Decimal(found["reserved"]) * 1_000_000 == money.committed() > 0
    assert found["datasets"] == len(names)


def test_a_folder_is_counted_as_the_job_manager_expands_it(money: Money) -> None:
    money.platform.upload(("deep/x.csv", "deep/y.csv", "other.csv"))
    money.platform.put(f"{INPUTS}/deep/", b"")
    found = quote(money, data=(f"{INPUTS}/deep/", f"{INPUTS}/deep/x.csv"))
    money.platform.submit(dataname=[f"{INPUTS}/deep/", f"{INPUTS}/deep/x.csv"])
    assert found["datasets"] == 2
    assert Decimal(found["reserved"]) * 1_000_000 == money.committed()


def test_another_version_is_quoted_by_its_own_machines_and_todays_budget(money: Money) -> None:
    other = "v-00000000000000aa"
    money.platform.deploy(
        versionId=other, instanceTypes=["c7i.large"], maxDurationMinutes=30, volumeGib=9, maxCostUsd="1"
    )
    money.platform.deploy()
    money.platform.upload()
    found = quote(money, "--analysis-version", other)
    money.platform.submit(version=other)
    assert (found["versionId"], found["diskGib"], found["durationMinutes"]) == (other, 9, 30)
    assert found["budgets"][0]["limit"] == "300.00"
    assert Decimal(found["reserved"]) * 1_000_000 == money.committed()


def test_files_of_this_computer_are_quoted_and_nothing_goes_up(money: Money) -> None:
    money.file("a.csv", "1,2\n")
    money.file("b.csv", "1,2\n")
    money.file("c.yaml", "latents: 3\n__duration__: 10\n")
    before = money.platform.all_keys()
    found = quote(money, "--config", "c.yaml", data=("*.csv",))
    assert (found["datasets"], found["toUpload"], found["bytes"], found["durationMinutes"]) == (2, 2, 8, 10)
    assert money.platform.all_keys() == before
    assert money.committed() == 0


def test_a_person_reads_figures_their_source_and_the_next_command(money: Money) -> None:
    money.platform.upload()
    money.budget("25")
    out, err = money.table("job", "quote", BUCKET, "--data", f"{INPUTS}/x.csv", "--config", CONFIG, "--group", GROUP)
    for said in ("m7i.large, $0.1008 an hour", "deployed bundle 000000000000", "1 x ", "$25.00 of $25.00", "yes"):
        assert said in " ".join(out.split())
    assert f"ncap job submit {BUCKET} --data {INPUTS}/x.csv" in err


def test_a_budget_that_does_not_cover_it_ends_with_5_and_figures(money: Money) -> None:
    money.budget("0.05")
    money.platform.upload()
    found = quote(money, code=5)
    assert found["admitted"] is False
    assert "$0.05" in found["problems"][0]
    money.platform.submit()
    assert money.platform.result(JOB, "end").startswith("REJECTED")


def test_the_last_micro_dollar_decides_as_it_does_for_the_job_manager(money: Money) -> None:
    money.platform.upload()
    reserved = Decimal(quote(money)["reserved"])
    money.budget(str(reserved - Decimal("0.000001")))
    assert quote(money, code=5)["admitted"] is False
    boto3.client("ssm", region_name="us-east-1").delete_parameter(Name=f"/neurocaas/budgets/{GROUP}/{BUCKET}")
    money.budget(str(reserved))
    assert quote(money)["admitted"] is True
    money.platform.submit()
    assert money.committed() == reserved * 1_000_000
    assert quote(money, code=5)["admitted"] is False


def test_the_total_of_the_group_counts_too(money: Money) -> None:
    money.platform.upload()
    money.budget("25")
    money.budget("10", analysis="total")
    money.count(committed=9_990_000, spent=9_990_000, analysis="total")
    assert "total budget" in quote(money, code=5)["problems"][0]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"latents": 300}, "latents"),
        ({}, "latents"),
        ({"latents": 3, "unknown": 1}, "unknown"),
        ({"latents": 3, "__duration__": 61}, "__duration__"),
        ({"latents": 3, "__duration__": True}, "__duration__"),
        ({"latents": 3, "__dataset_size__": 1.5}, "__dataset_size__"),
    ],
)
def test_a_config_the_job_manager_refuses_is_refused_by_the_quote(
    money: Money, config: dict[str, Any], said: str
) -> None:
    money.platform.upload()
    money.put(CONFIG, json.dumps(config))
    found = quote(money, code=2)
    assert found["admitted"] is False
    assert said in " ".join(found["problems"])
    money.platform.submit()
    assert money.platform.result(JOB, "end").startswith("REJECTED")


def test_every_other_refusal_is_told_at_once(money: Money) -> None:
    money.platform.deploy(maxDatasetSizeGb=0)
    money.platform.upload(("x.csv",), {"latents": 3})
    found = quote(money, "--instance-type", "m7i.xlarg", code=2)
    said = " ".join(found["problems"])
    assert "m7i.xlarge" in said
    assert "larger than the 0 GB" in said
    other = money.ncap("job", "quote", BUCKET, "--data", "a.csv", "--config", "c.json", "--group", "strangers", code=2)
    assert "a.csv" in other["error"]["where"]


def test_a_type_without_a_price_is_refused(money: Money) -> None:
    money.platform.deploy(instanceTypes=["x99.mega"])
    money.platform.upload()
    assert "no price is known for instance type 'x99.mega'" in quote(money, code=2)["problems"][0]


def test_earlier_usage_tells_what_is_likely(money: Money) -> None:
    money.platform.upload()
    assert quote(money)["likely"] is None
    for name, end in (("i-1", "10:30"), ("i-2", "11:00"), ("i-3", "13:00")):
        money.record(name, end=f"2026-11-20T{end}:00Z")
    money.record("i-4", end="2026-11-21T10:00:00Z", outcome="timeout")
    money.record("i-5", **{"instance-type": "c7i.large", "end": "2026-11-21T10:00:00Z"})
    money.put("logs/demo/i-6.json", "[")
    found = quote(money)
    likely = found["likely"]
    assert (likely["samples"], likely["instanceType"], likely["overLimit"]) == (3, "m7i.large", 1)
    assert Decimal(likely["cost"]["high"]) <= Decimal(found["reserved"])
    assert likely["hours"] == {"low": 0.5, "median": 1.0, "high": 3.0}
    assert Decimal(likely["cost"]["median"]) == pytest.approx(Decimal("0.103"), abs=Decimal("0.001"))


def test_an_analysis_that_is_not_deployed_is_said_so(money: Money) -> None:
    money.file("a.csv", "1")
    money.file("c.json", "{}")
    error = money.ncap("job", "quote", "nothing", "--data", "a.csv", "--config", "c.json", "--group", GROUP, code=4)
    assert "ncap blueprint deploy nothing" in error["error"]["hint"]


def test_the_version_served_is_the_one_that_is_quoted(money: Money) -> None:
    money.platform.upload()
    found = quote(money)
    assert (found["versionId"], found["termsFrom"]) == (VERSION_ID, "the deployed version")


def test_the_projects_prices_count_where_the_bundle_cannot_be_read(money: Money) -> None:
    money.platform.deploy(bundle="f" * 64)
    money.platform.upload()
    error = money.ncap(
        "job", "quote", BUCKET, "--data", f"{INPUTS}/x.csv", "--config", CONFIG, "--group", GROUP, code=1
    )
    assert "no price table" in error["error"]["what"]
    for name in ("ncap_blueprints", "protocols/jobmanager"):
        (money.folder / name).mkdir(parents=True)
    money.file(
        "protocols/jobmanager/prices.json",
        json.dumps({"types": {"m7i.large": {"usd_per_hour": "1"}, "m6i.large": {"usd_per_hour": "2"}}}),
    )
    found = quote(money)
    assert found["pricesFrom"] == "the project's protocols/jobmanager/prices.json"
    assert found["reservedEach"].startswith("2.00")


def test_a_member_gets_a_quote_from_the_project_and_is_told_what_stays_unknown(money: Money) -> None:
    root = Path(__file__).resolve().parents[2]
    for name in ("ncap_blueprints", "protocols"):
        (money.folder / name).symlink_to(root / name)
    money.platform.upload()
    config = next((root / "ncap_blueprints" / BUCKET / "sample").glob("config.*"))
    money.file("config.yaml", config.read_text())
    with a_member():
        found = quote(money, "--config", "config.yaml")
        _, err = money.table(
            "job", "quote", BUCKET, "--data", f"{INPUTS}/x.csv", "--config", "config.yaml", "--group", GROUP
        )
    assert (found["termsFrom"], found["versionId"]) == ("the project's documents", None)
    assert Decimal(found["reserved"]) > 0
    assert (found["admitted"], found["budgets"], found["likely"]) == (None, None, None)
    assert "only an operator may read budgets" in err


def test_a_member_without_a_project_is_told_what_to_do(money: Money) -> None:
    money.platform.upload()
    with a_member():
        error = quote(money, code=3)["error"]
    assert "checkout of the project" in error["hint"]
