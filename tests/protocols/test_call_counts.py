"""How many AWS calls a submission and an instance cost: the numbers of DESIGN section 9."""

from __future__ import annotations

import pytest

from tests.fakes.platform import FakePlatform

JOB = "job__kalman-lds_1"


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
