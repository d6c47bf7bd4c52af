"""How many AWS calls a submission and an instance cost: the numbers of DESIGN section 9."""

from __future__ import annotations

import pytest

from jobmanager.pricing import PricePlace
from tests.fakes.analyses import CHAIN, GATHER, SCATTER, Analyses
from tests.fakes.aws_session import ZONE
from tests.fakes.platform import FakePlatform

JOB = "job__kalman-lds_1"
PLACE = PricePlace("neurocaas-artifacts-123456789012-us-east-1", "us-east-1")
PRICES = b'{"fetched_at": "2026-11-22T09:00:00Z", "types": {"m7i.large": {"usd_per_hour": "0.1"}}}'


def _calls_of_submission(platform: FakePlatform, count: int) -> int:
    event = platform.submission(dataname=platform.upload([f"{k:04d}.csv" for k in range(count)]))
    platform.services = platform.fresh_services()
    platform.session.calls.clear()
    platform.deliver(event)
    assert len(platform.instances) == min(count, 1000)  # the analysis runs a thousand at once
    return len(platform.session.calls)


@pytest.mark.parametrize(("count", "limit"), [(1, 10), (10, 12), (100, 20), (1000, 100), (10_000, 300)])
def test_a_submission_costs_few_calls(memory: FakePlatform, count: int, limit: int) -> None:
    memory.set_budget("100000")
    assert _calls_of_submission(memory, count) <= limit


def test_a_submission_costs_the_same_after_any_history(platform: FakePlatform) -> None:
    first = _calls_of_submission(platform, 2)
    for k in range(2, 6):
        platform.submit(timestamp=str(k), dataname="demo/inputs/0000.csv")
        platform.end(platform.instances[-1], job=f"job__kalman-lds_{k}", label="0000.csv")
    event = platform.submission(dataname=["demo/inputs/0000.csv", "demo/inputs/0001.csv"], timestamp="last")
    platform.services = platform.fresh_services()
    platform.session.calls.clear()
    platform.deliver(event)
    assert len(platform.session.calls) == first


def test_an_instance_event_costs_three_calls_on_average(platform: FakePlatform) -> None:
    count = 12
    _calls_of_submission(platform, count)
    platform.session.calls.clear()
    for instance in platform.instances[1:]:
        platform.change(instance, "running")
    assert len(platform.session.calls) == 2 * (count - 1)
    for k in range(1, count):
        platform.report(platform.instances[k], job=JOB, label=f"{k:04d}.csv")
        platform.vanish(platform.instances[k])
        platform.change(platform.instances[k], "shutting-down")
        platform.change(platform.instances[k], "terminated")
    assert len(platform.session.calls) <= 3 * 3 * (count - 1)


def test_an_idle_sweep_costs_two_calls(platform: FakePlatform) -> None:
    platform.sweep()
    assert len(platform.session.calls) == 2


def test_the_price_table_costs_one_call_an_hour_and_the_version_one_in_five_minutes(memory: FakePlatform) -> None:
    memory.session.backend("s3").put_object(Bucket=PLACE.bucket, Key=PLACE.key, Body=PRICES)
    memory.price_place = PLACE
    assert _calls_of_submission(memory, 1) <= 10 + 1
    memory.session.calls.clear()
    memory.submit(timestamp="2", dataname="demo/inputs/0000.csv")
    assert len(memory.session.calls) <= 9
    memory.clock.advance(minutes=6)
    memory.session.calls.clear()
    memory.submit(timestamp="3", dataname="demo/inputs/0000.csv")
    assert len(memory.session.calls) <= 10


def test_a_submission_on_spot_costs_one_call_more_for_the_price_of_this_moment(memory: FakePlatform) -> None:
    memory.session.backend("s3").put_object(Bucket=PLACE.bucket, Key=PLACE.key, Body=PRICES)
    memory.price_place = PLACE
    memory.session.spot_prices = {("m7i.large", ZONE): "0.03"}
    memory.deploy(spot="always")
    _calls_of_submission(memory, 1)
    memory.session.calls.clear()
    memory.submit(timestamp="2", dataname="demo/inputs/0000.csv")
    assert len(memory.session.calls) <= 10


def test_next_steps_cost_two_calls_more_and_a_scatter_none() -> None:
    many = Analyses()
    many.deploy(SCATTER, GATHER, CHAIN)
    many.upload()
    event = many.submission()
    many.platform.services = many.platform.fresh_services()
    many.platform.session.calls.clear()
    many.platform.deliver(event)
    assert len(many.platform.session.calls) <= 10 + 1 + 2  # served versions in one call, a document an analysis


def test_an_instance_event_of_a_spot_job_costs_three_calls(memory: FakePlatform) -> None:
    memory.session.backend("s3").put_object(Bucket=PLACE.bucket, Key=PLACE.key, Body=PRICES)
    memory.price_place = PLACE
    memory.deploy(spot="always")
    _calls_of_submission(memory, 6)
    for instance in memory.instances[1:]:
        memory.services = memory.fresh_services()
        memory.session.calls.clear()
        memory.change(instance, "running")
        assert len(memory.session.calls) <= 3
        memory.session.calls.clear()
        memory.warn(instance)
        assert len(memory.session.calls) <= 3
    spent = 0
    for k in range(1, 5):
        memory.report(memory.instances[k], job=JOB, label=f"{k:04d}.csv")
        memory.vanish(memory.instances[k])
        memory.session.calls.clear()
        memory.change(memory.instances[k], "shutting-down")
        memory.change(memory.instances[k], "terminated")
        spent += len(memory.session.calls)
    assert spent <= 2 * 3 * 4
