"""A quote of a job on spot instances: decided as the job manager decides, reserved at the on-demand price."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

from ncap_iac.money.prices import PriceTable, parse_prices
from tests.command.money_rig import Money, deployed_analysis, tidied
from tests.fakes.platform import BUCKET, GROUP, FakePlatform

KEY = f"{GROUP}/inputs/x.csv"
ARTIFACTS = "neurocaas-artifacts-123456789012-us-east-1"
FETCHED = {
    "about": "x",
    "fetched_at": "2026-11-22T00:00:00Z",
    "types": {
        "m7i.large": {"usd_per_hour": "0.2", "seen": "fetched", "spot": {"us-east-1a": "0.06", "us-east-1b": "0.07"}}
    },
}


@pytest.fixture(scope="module")
def analysis(no_developer_credentials: None) -> Iterator[FakePlatform]:
    with deployed_analysis() as found:
        yield found


@pytest.fixture
def money(
    analysis: FakePlatform, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Money]:
    monkeypatch.chdir(tmp_path)
    yield Money(tidied(analysis), capsys, tmp_path)
    boto3.client("s3", region_name="us-east-1").delete_object(Bucket=ARTIFACTS, Key="prices/us-east-1.json")


def fetched(money: Money, table: object) -> None:
    money.put("prices/us-east-1.json", json.dumps(table), bucket=ARTIFACTS)


def quote(money: Money, *words: str, code: int = 0) -> dict[str, Any]:
    asked = ("job", "quote", BUCKET, "--data", KEY, "--config", f"{GROUP}/configs/c.json", "--group", GROUP)
    return money.ncap(*asked, *words, code=code)


@pytest.mark.parametrize(
    ("policy", "config", "words", "is_spot"),
    [
        ("never", {"__duration__": 10}, (), False),
        ("save", {"__duration__": 10}, (), True),
        ("save", {}, (), False),
        ("save", {"__duration__": 10}, ("--no-spot",), False),
        ("always", {}, (), True),
        ("always", {}, ("--spot",), True),
    ],
)
def test_the_market_is_the_one_the_job_manager_chooses(
    money: Money, policy: str, config: dict[str, int], words: tuple[str, ...], is_spot: bool
) -> None:
    money.platform.deploy(spot=policy)
    money.platform.upload(config={"latents": 3, **config})
    found = quote(money, *words)
    # A name of its own: the launches of all these jobs share one memory of client tokens.
    name = f"{policy}{len(config)}{len(words)}"
    money.platform.submit(timestamp=name, **({"spot": words == ("--spot",)} if words else {}))
    assert found["spot"] is is_spot
    assert ("InstanceMarketOptions" in money.platform.session.launches[-1]) is is_spot
    assert Decimal(found["reserved"]) * 1_000_000 == money.committed()


@pytest.mark.parametrize(("policy", "says"), [("never", "does not run on spot"), ("save", "needs a time limit")])
def test_what_would_be_refused_is_said_before(money: Money, policy: str, says: str) -> None:
    money.platform.deploy(spot=policy)
    money.platform.upload()
    assert says in " ".join(quote(money, "--spot", code=2)["problems"])


def test_the_table_of_the_day_gives_price_and_spot_price(money: Money) -> None:
    fetched(money, FETCHED)
    money.platform.deploy(spot="always")
    money.platform.upload()
    found = quote(money)
    first, second = found["instanceTypes"]
    assert (first["usdPerHour"], first["spotUsdPerHour"], first["seen"]) == ("0.20", "0.07", "fetched")
    assert (second["usdPerHour"], second["spotUsdPerHour"]) == ("0.096", None)
    assert found["pricesFrom"] == f"s3://{ARTIFACTS}/prices/us-east-1.json"
    out, _ = money.table(
        *("job", "quote", BUCKET, "--data", KEY, "--config", f"{GROUP}/configs/c.json", "--group", GROUP)
    )
    said = " ".join(out.split())
    assert "on spot about $0.07 an hour" in said
    assert "reserved at the on-demand price" in said


def test_without_a_table_of_the_day_the_bundles_serves(money: Money) -> None:
    money.platform.upload()
    assert quote(money)["pricesFrom"].startswith("deployed bundle")


def test_the_next_command_asks_for_the_same_market(money: Money) -> None:
    money.platform.deploy(spot="always")
    money.platform.upload()
    _, err = money.table(
        *("job", "quote", BUCKET, "--data", KEY, "--config", f"{GROUP}/configs/c.json", "--group", GROUP, "--no-spot")
    )
    assert "--no-spot" in err


def test_an_older_table_changes_nothing() -> None:
    newer = PriceTable({}, "newer", "2026-12-01T00:00:00Z")
    older = parse_prices(json.dumps(FETCHED).encode(), source="older")
    assert newer.beside(older) is newer
    assert newer.beside(None) is newer
    assert older.beside(newer).source == "newer"
