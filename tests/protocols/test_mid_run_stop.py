"""A budget that is reached while jobs run: they stop, keep what they wrote, and cost what they ran."""

from __future__ import annotations

import json

import pytest

from jobmanager.budget import Rate, cost_micro
from tests.fakes.platform import FakePlatform

JOB = "job__kalman-lds_1"


def _run(platform: FakePlatform, timestamp: str = "1") -> str:
    platform.upload()
    platform.submit(timestamp=timestamp)
    instance = platform.instances[-1]
    platform.change(instance, "running")
    return instance


def test_a_running_job_goes_on_while_its_budget_lasts(memory: FakePlatform) -> None:
    instance = _run(memory)
    memory.set_budget("300")
    memory.sweep(minutes=30)
    assert memory.living() == [instance]


@pytest.mark.parametrize("name", ["kalman-lds", "total"])
def test_a_budget_lowered_below_what_has_run_stops_the_job_and_refunds_the_rest(
    memory: FakePlatform, name: str
) -> None:
    instance = _run(memory)
    memory.set_budget("0.001", analysis=name)
    memory.sweep(minutes=30)
    assert memory.living() == []
    memory.sweep(minutes=1)
    end = memory.result(JOB, "end")
    assert end.startswith("FAILED\n\nThe budget of $0.0010 of your group")
    assert "results written before are kept" in end
    assert "budget: " in end
    record = json.loads(memory.text(f"logs/demo/{instance}.json"))
    assert record["outcome"] == "budget"
    committed, spent = memory.budget()
    assert committed == spent == round(record["cost"] * 1_000_000)
    assert 0 < spent < cost_micro(Rate(200_000, 100), 3600)
    assert memory.in_flight() == 0


def test_another_groups_job_is_left_alone(memory: FakePlatform) -> None:
    instance = _run(memory)
    memory.set_budget("0", group="neighbours")
    memory.sweep(minutes=30)
    assert memory.living() == [instance]


def test_a_budget_that_is_no_amount_stops_nothing(memory: FakePlatform) -> None:
    instance = _run(memory)
    memory.set_budget("ten")
    memory.sweep(minutes=30)
    assert memory.living() == [instance]


def test_a_stopped_job_is_not_tried_again(memory: FakePlatform) -> None:
    _run(memory)
    memory.set_budget("0.001")
    for _ in range(4):
        memory.sweep(minutes=10)
    assert len(memory.instances) == 1
    assert memory.resume_all() == 0
