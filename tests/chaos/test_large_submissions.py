"""Ten thousand datasets, and submissions as large as they may be: taken in one go, in bounded time and memory."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from tests.chaos.books import check, check_all_over
from tests.chaos.world import World
from tests.fakes.memory import MemoryAws
from tests.fakes.platform import FakePlatform

COUNT = 10_000
JOB = "job__kalman-lds_large"


def _large(count: int) -> tuple[World, dict[str, object]]:
    world = World()
    world.platform.deploy(deployLimit=200, maxCostUsd="1000000")
    event = world.submission("large", dataname=world.upload([f"day1/recording_{k:05d}.csv" for k in range(count)]))
    return world, event


def _attempts(platform: FakePlatform) -> int:
    return sum(str(row["sk"]).startswith("ATTEMPT#") for row in platform.rows("JOB#"))


def test_ten_thousand_datasets_are_one_job_within_a_minute() -> None:
    world, event = _large(COUNT)
    calls = len(world.platform.session.calls)
    began = time.monotonic()
    world.platform.deliver(event)
    assert time.monotonic() - began < 60
    assert _attempts(world.platform) == COUNT
    assert len(world.platform.instances) == 200
    assert len(world.platform.session.calls) - calls < 300
    check(world.platform, world.user_keys, {})


@pytest.mark.chaos
def test_memory_grows_with_the_number_of_datasets_and_no_faster() -> None:
    def peak(count: int) -> int:
        world, event = _large(count)
        tracemalloc.start()
        world.platform.deliver(event)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    small, large = peak(1000), peak(COUNT)
    assert large < 15 * small
    assert large < 250 * 1024 * 1024  # the ledger itself, being in memory here, is most of it


@pytest.mark.chaos
def test_ten_thousand_datasets_run_to_their_end_two_thousand_launched_a_turn() -> None:
    world, event = _large(COUNT)
    world.platform.deploy(deployLimit=COUNT, maxCostUsd="1000000")
    world.platform.deliver(event)
    assert len(world.platform.instances) == 2100
    for _ in range(5):
        for instance in world.platform.instances:
            world.platform.change(instance, "running")
        world.platform.sweep(minutes=1)
        world.platform.resume_all()
    assert len(world.platform.instances) == COUNT
    world.run_to_the_end()
    check_all_over(world.platform)
    assert world.platform.result(JOB, "end").startswith("SUCCEEDED\n")


def test_a_job_of_many_small_launches_keeps_its_row_small() -> None:
    world, event = _large(130)
    platform = world.platform
    platform.deploy(deployLimit=1)
    platform.deliver(event)
    for number in range(130):
        world.finish(platform.instances[number])
        platform.change(platform.instances[number], "terminated")
        platform.resume_all()
    certificate = platform.result(JOB, "certificate")
    assert "launch 100: 1 of 1 instances" in certificate
    assert "launch 101: " not in certificate
    assert certificate.count("further launches are not listed") == 1
    assert platform.result(JOB, "end").startswith("SUCCEEDED\n")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"dataname": [f"demo/inputs/{k}.csv" for k in range(COUNT + 1)]}, "lists 10001 datasets; at most 10000"),
        ({"dataname": ["x" * 250] * 20_000}, "at most 10000"),
        ({"dataname": "x" * (5 * 1024 * 1024)}, "larger than 5 MB"),
        ({"dataname": [{"deep": [[[]]]}] * 9000}, "and 8990 more datasets have such a problem"),
        ({"note": "x" * (5 * 1024 * 1024 - 200)}, "'dataname' is missing"),
        ({f"field{k}": k for k in range(100_000)}, "'dataname' is missing"),
        ({"dataname": "demo/inputs/" + "x" * 4_000_000}, "it is no valid key of at most 1024 bytes"),
        ({"dataname": "demo/inputs/x.csv", "instance_type": "m7i." + "x" * 4_000_000}, "of at most 300"),
        ({"dataname": "demo/inputs/x.csv", "version": "v-" + "0" * 4_000_000}, "of at most 300"),
        ({"dataname": "demo/inputs/\ud800.csv", "\ud800" * 500_000: 1, "version": "\udfff"}, "no valid key"),
        ({"cancel": "job__" + "x" * 4_000_000}, "'cancel' must be the name of a job"),
        ({"cancel": "\ud800"}, "'cancel' must be the name of a job"),
    ],
    ids=[
        *("10001", "20000", "one of 5 MB", "9000 wrong", "note of 5 MB", "100000 fields", "long key", "long type"),
        *("long version", "no unicode", "long cancel", "no unicode in cancel"),
    ],
)
def test_what_is_too_large_or_no_text_is_refused_within_seconds(body: dict[str, object], words: str) -> None:
    world = World()
    key = "demo/submissions/submit.json"
    version = world.put(key, json.dumps({"timestamp": "1", "configname": "demo/configs/c.json"} | body))
    began = time.monotonic()
    world.platform.deliver(world.platform.event_for(key, version))
    assert time.monotonic() - began < 10
    (marker,) = world.platform.end_markers()
    end = world.platform.text(marker)
    assert end.startswith("REJECTED\n")
    assert words in end
    assert len(end) < 50_000
    assert len(json.dumps(world.platform.rows("JOB#"))) < 300_000
    assert len(world.platform.result(marker.split("/")[2], "certificate")) < 200_000


def test_the_bytes_written_grow_with_the_number_of_datasets_and_no_faster() -> None:
    def written(count: int) -> int:
        aws = MemoryAws()
        world, event = _large(count)
        assert aws.objects.bytes_written == 0
        before = sum(len(world.platform.text(key)) for key in world.platform.all_keys())
        world.platform.deliver(event)
        return sum(len(world.platform.text(key)) for key in world.platform.all_keys()) - before

    assert written(1000) < 12 * written(100)
