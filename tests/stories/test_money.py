"""Money from the first question to the last cent: quoted, reserved, spent, seen by the operator, and limited."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.stories.laboratory import Laboratory, wait_for_end

pytestmark = pytest.mark.cloud

BUDGET = "/neurocaas/budgets/demo/faulty"


@pytest.fixture
def datasets(tmp_path: Path) -> list[str]:
    """Two files and a config on the user's computer."""
    for name in ("money-a.txt", "money-b.txt"):
        (tmp_path / name).write_text("data")
    (tmp_path / "money.json").write_text(json.dumps({"mode": "copy", "seconds": 15, "__duration__": 20}))
    data = [str(tmp_path / name) for name in ("money-a.txt", "money-b.txt")]
    return ["faulty", "--data", *data, "--config", str(tmp_path / "money.json")]


@pytest.fixture
def budget(laboratory: Laboratory) -> Iterator[None]:
    """The budget as it was is brought back."""
    ssm = laboratory.client("ssm")
    before = ssm.get_parameter(Name=BUDGET)["Parameter"]["Value"]
    yield
    ssm.put_parameter(Name=BUDGET, Value=before, Type="String", Overwrite=True)


def seen(laboratory: Laboratory, *words: str, code: int = 0) -> Any:
    """What a command says as JSON; that of its error where it fails."""
    ran = laboratory.ncap(*words, "--output", "json", check=False)
    assert ran.code == code, ran.out + ran.err
    return json.loads(ran.out or ran.err)


def own(laboratory: Laboratory) -> dict[str, Decimal]:
    """The group's budget for the analysis, in dollars."""
    rows = seen(laboratory, "budget", "show", "demo", "faulty")["budgets"]
    (row,) = [it for it in rows if it["analysis"] == "faulty"]
    return {name: Decimal(row[name]) for name in ("limit", "spent", "reserved", "left")}


def wait_until_reserved(laboratory: Laboratory, more_than: Decimal) -> Decimal:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        reserved = own(laboratory)["reserved"]
        if reserved > more_than:
            return reserved
        time.sleep(0.5)
    raise AssertionError("nothing is reserved")


def records(laboratory: Laboratory, job: str) -> list[dict[str, Any]]:
    s3 = laboratory.client("s3")
    keys = [it["Key"] for it in s3.list_objects_v2(Bucket="faulty", Prefix="logs/demo/").get("Contents", [])]
    found = [json.loads(s3.get_object(Bucket="faulty", Key=key)["Body"].read()) for key in keys]
    return [record for record in found if record["jobpath"].endswith(job)]


def test_a_job_reserves_what_was_quoted_and_costs_what_is_seen(laboratory: Laboratory, datasets: list[str]) -> None:
    before, used = own(laboratory), seen(laboratory, "usage", "faulty", "--group", "demo")["total"]
    quoted = seen(laboratory, "job", "quote", *datasets, "--group", "demo")
    assert quoted["admitted"] is True
    # The sweeper's first table of the day may be there already.
    assert quoted["pricesFrom"].startswith("deployed bundle") or quoted["pricesFrom"].endswith("/prices/us-east-1.json")

    job = seen(laboratory, "job", "submit", *datasets, "--as", "demo-member")["job"]
    assert wait_until_reserved(laboratory, before["reserved"]) - before["reserved"] == Decimal(quoted["reserved"])
    end = wait_for_end(laboratory.client("s3"), "faulty", "demo", job, patience_s=120)
    assert end.startswith("SUCCEEDED")

    cost = sum(Decimal(str(record["cost"])) for record in records(laboratory, job))
    after, total = own(laboratory), seen(laboratory, "usage", "faulty", "--group", "demo")["total"]
    assert cost > 0
    assert after["spent"] - before["spent"] == cost
    assert Decimal(total["cost"]) - Decimal(used["cost"]) == cost
    assert total["instances"] - used["instances"] == 2
    assert after["reserved"] == before["reserved"]
    assert after["left"] == before["left"] - cost
    assert seen(laboratory, "job", "quote", *datasets, "--group", "demo")["likely"]["samples"] >= 2


@pytest.mark.usefixtures("budget")
def test_a_budget_set_below_refuses_the_next_job_with_figures(laboratory: Laboratory, datasets: list[str]) -> None:
    asked = laboratory.ncap("budget", "set", "demo", "faulty", "0.02", "--yes")
    assert "ncap profile budget demo demo 0.02 --analysis faulty --deploy" in asked.err
    refused = seen(laboratory, "job", "quote", *datasets, "--group", "demo", code=5)
    assert "$0.02" in refused["problems"][0]

    job = seen(laboratory, "job", "submit", *datasets, "--as", "demo-member")["job"]
    end = wait_for_end(laboratory.client("s3"), "faulty", "demo", job)

    assert end.startswith("REJECTED")
    assert "$0.02" in end
    assert records(laboratory, job) == []


def test_a_budget_no_profile_has_is_set_and_taken_away(laboratory: Laboratory) -> None:
    laboratory.ncap("budget", "set", "demo", "total", "500")
    rows = seen(laboratory, "budget", "show", "demo")["budgets"]
    assert [it["limit"] for it in rows if it["analysis"] == "total"] == ["500.00"]
    laboratory.ncap("budget", "set", "demo", "total", "none", "--yes")
    rows = seen(laboratory, "budget", "show", "demo")["budgets"]
    assert [it["limit"] for it in rows if it["analysis"] == "total"] == [None]


def test_a_member_sees_no_money_but_gets_a_quote(laboratory: Laboratory, datasets: list[str]) -> None:
    for words in (("budget", "show", "demo"), ("usage", "faulty")):
        assert "operator" in seen(laboratory, *words, "--as", "demo-member", code=3)["error"]["what"]
    quoted = seen(laboratory, "job", "quote", *datasets, "--as", "demo-member")
    assert quoted["reserved"] == seen(laboratory, "job", "quote", *datasets, "--group", "demo")["reserved"]
    assert quoted["admitted"] is None


def test_pictures_and_tables_are_made_for_the_group_meeting(laboratory: Laboratory, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for words in (("budget", "show"), ("usage", "--by", "group", "--csv", str(tmp_path / "u.csv"))):
        laboratory.ncap(*words, "--plot", str(tmp_path / f"{words[0]}.png"))
    assert {path.name for path in tmp_path.iterdir()} >= {"budget.png", "usage.png", "u.csv"}
