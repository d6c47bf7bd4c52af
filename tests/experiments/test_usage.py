"""Usage records: each flaw of the original figure, shown and mended."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiments.errors import InputError
from experiments.inputs import runaway_jobs
from experiments.usage import Usage, original_hours, parallelism_bins, read_usage, sample_usage, used_jobs

BEGIN = datetime(2020, 6, 1, tzinfo=UTC)


def usage(job: str, number: int, hours: float | None, *, price: float = 1.0, datasets: int | None = None) -> Usage:
    end = BEGIN + timedelta(hours=hours if hours is not None else 1)
    return Usage(f"i-{job}-{number}", "a", "lab", job, price, BEGIN if hours is not None else None, end, datasets)


def test_a_job_of_a_power_of_two_is_counted_once() -> None:
    jobs = used_jobs([usage("two", 0, 1.0), usage("two", 1, 1.0), usage("one", 0, 5.0)])
    bins = parallelism_bins(jobs)

    assert [(found.label, found.jobs, found.known_hours) for found in bins] == [("1", 1, 5.0), ("2", 1, 2.0)]
    assert sum(original_hours(used_jobs([usage("two", n, 1.0) for n in range(2)]), (1, 2, 4))) == 4.0


def test_lost_events_are_estimated_from_the_job_then_from_the_analysis() -> None:
    (some,) = used_jobs([usage("some", 0, 2.0), usage("some", 1, 4.0), usage("some", 2, None)])
    _, none = used_jobs([usage("other", 0, 6.0), usage("none", 0, None)])

    assert (some.known_hours, some.estimated_hours) == (6.0, 3.0)
    assert (none.known_hours, none.estimated_hours) == (0, 6.0)


def test_a_run_of_49_hours_has_49_and_costs_49() -> None:
    (found,) = used_jobs([usage("long", 0, 49.0, price=2.0)])

    assert found.hours == 49.0
    assert found.cost == 98.0


def test_an_end_before_its_start_counts_as_lost() -> None:
    (found,) = used_jobs([usage("odd", 0, -3.0), usage("odd", 1, 2.0)])

    assert (found.known_hours, found.estimated_hours) == (2.0, 2.0)


def test_a_thousand_instances_have_a_bin() -> None:
    bins = parallelism_bins(used_jobs([usage("wide", n, 1.0) for n in range(1000)]))

    assert bins[-1].label == "513-1024"
    assert bins[-1].jobs == 1


def test_datasets_can_be_counted_instead_of_instances() -> None:
    jobs = used_jobs([usage("twice", n, 1.0, datasets=2) for n in range(4)])

    assert [found.jobs for found in parallelism_bins(jobs, count_datasets=True)] == [0, 1]
    assert [found.jobs for found in parallelism_bins(jobs)] == [0, 0, 1]


def test_the_sample_has_its_jobs_in_exactly_one_bin_each() -> None:
    jobs = used_jobs(sample_usage(), without=runaway_jobs())
    bins = parallelism_bins(jobs)

    assert len(jobs) == 59
    assert sum(found.jobs for found in bins) == 59
    assert sum(found.known_hours + found.estimated_hours for found in bins) == pytest.approx(sum(j.hours for j in jobs))


def test_the_records_of_this_platform_can_be_read(tmp_path: Path) -> None:
    record = {
        "instance-id": "i-1", "instance-type": "m7i.large", "spot": False, "price": 0.1, "databucket": "kalman-lds",
        "datapath": "demo/inputs/a.csv", "configpath": "demo/configs/c.json", "jobpath": "demo/results/job__x_1",
        "start": "2026-11-22T12:00:00Z", "end": "2026-11-22T12:30:00Z", "group": "demo", "attempt": 1, "cost": 0.05,
        "outcome": "SUCCEEDED",
    }  # fmt: skip
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "i-1.json").write_text(json.dumps(record))

    (found,) = read_usage(tmp_path)

    assert (found.hours, found.group, found.job, found.analysis) == (0.5, "demo", "demo/results/job__x_1", "kalman-lds")


@pytest.mark.parametrize("text", ["{", "[]", '{"instance-id": "i-1"}', '"x"'])
def test_what_is_no_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)

    with pytest.raises(InputError, match=r"bad\.json: not a usage record"):
        read_usage(tmp_path)


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="download `logs/`"):
        read_usage(tmp_path)
