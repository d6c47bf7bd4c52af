"""The price list: fetched once a day, read by everybody, and no job waits for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import instance_sweeper
from jobmanager.pricing import PricePlace, Prices, newer_prices, parse_prices, shipped_prices
from jobmanager.settings import price_place
from tests.fakes.aws_session import ZONE, refuse
from tests.fakes.platform import FakePlatform

PLACE = PricePlace("neurocaas-artifacts-123456789012-us-east-1", "us-east-1")


def product(kind: str, usd: str, *, memory: str = "8 GiB", unit: str = "Hrs") -> str:
    """A product as GetProducts gives it."""
    dimensions = {"S.J.6": {"unit": unit, "pricePerUnit": {"USD": usd}}}
    terms = {"OnDemand": {"S.J": {"priceDimensions": dimensions}}}
    return json.dumps({"product": {"attributes": {"instanceType": kind, "memory": memory}}, "terms": terms})


@pytest.fixture
def priced(memory: FakePlatform) -> FakePlatform:
    memory.price_place = PLACE
    memory.services = memory.fresh_services()
    memory.session.backend("s3").create_bucket(Bucket=PLACE.bucket)
    memory.session.products = [
        product("m7i.large", "0.2000000000"),
        product("x9z.huge", "10.5", memory="1,024 GiB"),
        product("t9.nano", "0.01", memory="0.5 GiB"),
        product("free.large", "0.0000000000"),
        product("odd.large", "0.3", unit="Quantity"),
        "{not json",
    ]
    memory.session.spot_prices = {("m7i.large", ZONE): "0.06", ("m7i.large", "us-east-1b"): "0.07", ("u.x", ZONE): "1"}
    return memory


def _table(platform: FakePlatform) -> dict[str, Any]:
    body = platform.session.backend("s3").get_object(Bucket=PLACE.bucket, Key=PLACE.key)["Body"].read()
    found: dict[str, Any] = json.loads(body)
    return found


def test_the_sweeper_keeps_a_list_in_the_artifact_bucket(priced: FakePlatform) -> None:
    instance_sweeper.run(priced.services)
    table = _table(priced)
    assert table["fetched_at"] == priced.clock.text
    assert table["region"] == "us-east-1"
    assert list(table["types"]) == ["m7i.large", "t9.nano", "x9z.huge"]
    assert table["types"]["m7i.large"]["spot"] == {ZONE: "0.06", "us-east-1b": "0.07"}
    assert table["types"]["x9z.huge"]["memory_gib"] == 1024


def test_it_is_fetched_once_a_day(priced: FakePlatform) -> None:
    for hour in range(49):
        instance_sweeper.run(priced.services)
        assert priced.session.calls.count(("s3", "put_object")) == 1 + hour // 24
        priced.clock.advance(hours=1)


def test_a_new_container_does_not_fetch_a_fresh_list_again(priced: FakePlatform) -> None:
    instance_sweeper.run(priced.services)
    priced.session.calls.clear()
    instance_sweeper.run(priced.fresh_services())
    assert ("pricing", "get_products") not in priced.session.calls


@pytest.mark.parametrize("service", ["pricing", "ec2", "s3"])
def test_a_list_that_cannot_be_fetched_harms_nothing_and_is_tried_each_hour(
    priced: FakePlatform, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(number: int, called: str, operation: str) -> None:
        if called == service and operation in ("get_products", "describe_spot_price_history", "put_object"):
            raise refuse(operation, "AccessDeniedException")

    priced.session.before = fails
    for _ in range(60):
        instance_sweeper.run(priced.services)
        priced.clock.advance(minutes=2)
    assert caplog.text.count("no new prices of us-east-1") == 2
    assert priced.services.prices is shipped_prices()


def test_an_empty_price_list_is_not_kept(priced: FakePlatform) -> None:
    priced.session.products = []
    instance_sweeper.run(priced.services)
    with pytest.raises(Exception, match="NoSuchKey"):
        _table(priced)


def test_the_sweep_comes_first_and_its_error_is_told(priced: FakePlatform) -> None:
    def fails(number: int, called: str, operation: str) -> None:
        if operation == "query":
            raise refuse(operation, "InternalServerError")

    priced.session.before = fails
    with pytest.raises(Exception, match="InternalServerError"):
        instance_sweeper.run(priced.services)
    assert _table(priced)["fetched_at"]


def test_jobs_are_reserved_and_settled_by_the_fetched_prices(priced: FakePlatform) -> None:
    instance_sweeper.run(priced.services)
    priced.services = priced.fresh_services()
    priced.upload()
    priced.submit()
    priced.clock.advance(minutes=60)
    priced.end(priced.instances[0], job="job__kalman-lds_1")
    record = json.loads(priced.text(f"logs/demo/{priced.instances[0]}.json"))
    assert record["price"] == 0.2


def test_spot_falls_back_to_the_price_of_the_day(priced: FakePlatform) -> None:
    instance_sweeper.run(priced.services)
    priced.services = priced.fresh_services()
    priced.deploy(spot="always")

    def fails(number: int, called: str, operation: str) -> None:
        if operation == "describe_spot_price_history":
            raise refuse(operation, "RequestLimitExceeded")

    priced.session.before = fails
    priced.upload()
    priced.submit()
    priced.end(priced.instances[0], job="job__kalman-lds_1")
    record = json.loads(priced.text(f"logs/demo/{priced.instances[0]}.json"))
    assert (record["spot"], record["price"]) == (True, 0.06)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"types": {"m7i.large": {}}}', b'{"types": {"a": {"usd_per_hour": "x"}}}']
)
def test_a_damaged_table_is_passed_over(priced: FakePlatform, body: bytes) -> None:
    priced.session.backend("s3").put_object(Bucket=PLACE.bucket, Key=PLACE.key, Body=body)
    assert priced.fresh_services().prices is shipped_prices()


def test_the_newer_table_counts_and_the_shipped_one_fills_its_gaps() -> None:
    shipped = Prices({"a": 1, "b": 2}, {"a": 8}, fetched_at="2026-02-01T00:00:00Z")
    fetched = Prices({"b": 3}, {"b": 4}, {"b": {"z": 1}}, fetched_at="2026-03-01T00:00:00Z")
    assert newer_prices(shipped, fetched).micro_per_hour == {"a": 1, "b": 3}
    assert newer_prices(fetched, shipped) is fetched
    assert newer_prices(shipped, Prices({"b": 3})) is shipped


def test_prices_are_looked_up_once_an_hour(priced: FakePlatform) -> None:
    for _ in range(10):
        assert priced.services.prices.of("m7i.large") == 100_800
    assert len(priced.session.calls) == 1
    priced.clock.advance(minutes=61)
    assert priced.services.prices
    assert len(priced.session.calls) == 2


def test_a_spot_price_is_never_above_on_demand_and_never_missing() -> None:
    prices = Prices({"a": 100}, spot_micro={"a": {"z1": 40, "z2": 200}})
    assert prices.of_spot("a", "z1") == 40
    assert prices.of_spot("a", "z2") == 100
    assert prices.of_spot("a", "z3") == 100
    assert Prices({"a": 100}).of_spot("a") == 100


def test_where_the_table_is_follows_from_the_functions_own_name() -> None:
    class Context:
        invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:neurocaas-instance-sweeper"
        function_name = "neurocaas-instance-sweeper"

    place = price_place(Context())
    assert place == PricePlace("neurocaas-artifacts-123456789012-eu-west-1", "eu-west-1")
    assert place.key == "prices/eu-west-1.json"


def test_the_shipped_table_has_the_form_of_a_fetched_one(priced: FakePlatform) -> None:
    instance_sweeper.run(priced.services)
    found = parse_prices(json.dumps(_table(priced)).encode())
    assert found.fetched_at == priced.clock.text
    assert set(found.memory_gib) == set(found.micro_per_hour)
