"""Every way to fail has its class, its words and its remedy, in end.txt and with figures where they are known."""

from __future__ import annotations

import json

import pytest

from jobmanager.errors import Value
from jobmanager.pricing import shipped_prices
from jobmanager.remedies import remedy
from jobmanager.rows import AttemptRow, JobRow, value_of
from jobmanager.states import AttemptState, FailureClass
from tests.fakes.platform import FakePlatform

JOB = "job__kalman-lds_1"


def _failed(failure: FailureClass, **fields: str) -> AttemptRow:
    row: dict[str, Value] = {
        "index": 0,
        "attempt": 1,
        "dataset": "d",
        "etag": "",
        "label": "d",
        "minutes": 60,
        "held_micro": 0,
    }
    return value_of(AttemptRow, row | {"state": AttemptState.FAILED, "failure": failure.value, **fields})


def _job(memory: FakePlatform) -> JobRow:
    memory.upload()
    memory.submit()
    (row,) = (value_of(JobRow, row) for row in memory.rows("JOB#") if row["sk"] == "JOB")
    return row


@pytest.mark.parametrize("failure", FailureClass, ids=str)
def test_every_class_has_a_remedy_of_one_line(memory: FakePlatform, failure: FailureClass) -> None:
    words = remedy(_job(memory), _failed(failure), shipped_prices().memory_gib)
    assert len(words) > 15
    assert "\n" not in words


def test_out_of_memory_names_the_smallest_larger_type_that_is_allowed(memory: FakePlatform) -> None:
    memory.deploy(allowedInstanceTypes=["r7i.2xlarge", "m7i.xlarge", "c7i.large"])
    memory.upload()
    memory.submit()
    memory.end(
        memory.instances[0],
        job=JOB,
        status="FAILED",
        reason=137,
        failure="out-of-memory",
        memory_usage="7936 MB",
        message="The analysis was killed",
    )
    end = memory.result(JOB, "end")
    assert end.startswith("FAILED\n\ndemo/inputs/x.csv: out-of-memory: The analysis was killed. Remedy: ")
    assert "7.8 of 8 GiB used; try instance_type 'm7i.xlarge', which has 16 GiB." in end


def test_out_of_memory_on_the_largest_type_says_so(memory: FakePlatform) -> None:
    memory.deploy(instanceTypes=["m7i.large"], allowedInstanceTypes=[])
    memory.upload()
    memory.submit()
    memory.end(memory.instances[0], job=JOB, status="FAILED", reason=137, failure="out-of-memory")
    assert "this analysis offers no type with more memory" in memory.result(JOB, "end")


def test_a_full_disk_names_both_sizes(memory: FakePlatform) -> None:
    memory.upload(config={"latents": 3, "__dataset_size__": 4})
    memory.submit()
    memory.end(
        memory.instances[0], job=JOB, status="FAILED", reason=28, failure="disk-full", disk_usage="24064 MB"
    )  # fmt: skip
    assert "23.5 GiB written to a disk of 24 GiB; set __dataset_size__ in the config" in memory.result(JOB, "end")


@pytest.mark.parametrize("usage", ["N/A", "", "9e99 MB", "1 2 MB", "-5 MB", "99999999999999999999 MB", None, 7])
def test_what_an_instance_claims_to_have_used_may_be_anything(memory: FakePlatform, usage: object) -> None:
    memory.upload()
    memory.submit()
    memory.end(memory.instances[0], job=JOB, status="FAILED", reason=1, failure="out-of-memory", memory_usage=usage)
    assert " GiB used" not in memory.result(JOB, "end")
    assert "try instance_type" in memory.result(JOB, "end")


def test_a_queue_full_for_a_day_names_the_limit_of_the_analysis(memory: FakePlatform) -> None:
    memory.deploy(deployLimit=0)
    memory.upload()
    memory.submit()
    memory.sweep(minutes=24 * 60 + 1)
    end = memory.result(JOB, "end")
    assert "quota: none of the instances this analysis may run at once became free within 24 hours." in end
    assert "Remedy: submit again later or fewer at once" in end


def test_a_long_queue_that_moves_has_all_the_time_it_needs(memory: FakePlatform) -> None:
    memory.deploy(deployLimit=1)
    memory.submit(dataname=memory.upload(["a.csv", "b.csv", "c.csv", "d.csv"]))
    for number, name in enumerate("abcd"):
        memory.clock.advance(hours=20)
        memory.end(memory.instances[number], job=JOB, label=f"{name}.csv")
        memory.resume_all()
        memory.sweep(minutes=1)
    assert memory.result(JOB, "end").startswith("SUCCEEDED\n")


def test_an_instance_lost_after_two_days_is_replaced_not_dropped(memory: FakePlatform) -> None:
    memory.deploy(maxDurationMinutes=60 * 120)
    memory.upload()
    memory.submit()
    memory.clock.advance(hours=48)
    memory.end(memory.instances[0])
    memory.sweep(minutes=1)
    memory.resume_all()
    assert len(memory.instances) == 2
    memory.end(memory.instances[1], job=JOB)
    assert memory.result(JOB, "end").startswith("SUCCEEDED\n")


def test_the_ledger_keeps_the_figures_of_an_end(memory: FakePlatform) -> None:
    memory.upload()
    memory.submit()
    memory.end(memory.instances[0], job=JOB, disk_usage="120 MB")
    (row,) = (row for row in memory.rows("JOB#") if str(row["sk"]).startswith("ATTEMPT#"))
    assert (row["memory"], row["disk"], row["instance_type"]) == ("812 MB", "120 MB", "m7i.large")
    assert json.loads(memory.text(f"logs/demo/{memory.instances[0]}.json"))["outcome"] == "SUCCEEDED"
