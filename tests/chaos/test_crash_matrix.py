"""The crash matrix: a handler may die before or after any single AWS call; redelivery and sweeps finish its work."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobmanager.sweeping import sweep
from tests.chaos.books import check, check_all_over
from tests.chaos.world import THREE, World

JOB = "job__kalman-lds_three"
LIMITS = {("demo", "kalman-lds"): 300_000_000}
MOST_CALLS = 60

Act = Callable[[], object]
Stage = Callable[[World], Act]


def _event(world: World) -> dict[str, object]:
    world.upload(["x.csv", "y.csv", "z.csv"])
    return world.submission("three", dataname=THREE)


def _submit(world: World) -> Act:
    event = _event(world)
    return lambda: world.platform.deliver(event)


def _submit_without_capacity_in_the_first_zone(world: World) -> Act:
    world.platform.subnets = ("subnet-a", "subnet-b")
    world.platform.session.capacity = dict.fromkeys((("m7i.large", f"subnet-{zone}") for zone in "ab"), 1)
    return _submit(world)


def _refuse(world: World) -> Act:
    event = world.submission("three", dataname=[])
    return lambda: world.platform.deliver(event)


def _monitor_first(world: World) -> Act:
    world.platform.deliver(_event(world))
    return lambda: world.platform.change(world.platform.instances[0], "running")


def _monitor_last(world: World) -> Act:
    platform = world.platform
    platform.deliver(_event(world))
    for instance in platform.instances:
        world.finish(instance)
    for instance in platform.instances[:2]:
        platform.change(instance, "shutting-down")
    return lambda: platform.change(platform.instances[2], "shutting-down")


def _monitor_lost(world: World) -> Act:
    platform = world.platform
    platform.deliver(_event(world))
    platform.clock.advance(minutes=3)
    platform.vanish(platform.instances[0])
    return lambda: platform.change(platform.instances[0], "terminated")


def _resume(world: World) -> Act:
    _monitor_lost(world)()
    return lambda: world.platform.resume_all()


def _cancel(world: World) -> Act:
    platform = world.platform
    platform.session.grants = [2]
    platform.deliver(_event(world))
    event = world.submission("c-", cancel=JOB)
    return lambda: platform.deliver(event)


def _sweep_of_ended(world: World) -> Act:
    platform = world.platform
    platform.deliver(_event(world))
    for instance in platform.instances:
        world.finish(instance)
    platform.clock.advance(minutes=1)
    return lambda: sweep(platform.services)


def _sweep_of_late(world: World) -> Act:
    world.platform.deliver(_event(world))
    world.platform.clock.advance(minutes=90)
    return lambda: sweep(world.platform.services)


def _sweep_of_stopped(world: World) -> Act:
    _cancel(world)()
    world.platform.clock.advance(minutes=1)
    return lambda: sweep(world.platform.services)


STAGES: dict[str, Stage] = {
    "submit": _submit,
    "submit over two zones": _submit_without_capacity_in_the_first_zone,
    "refuse": _refuse,
    "cancel": _cancel,
    "monitor of a start": _monitor_first,
    "monitor of the last end": _monitor_last,
    "monitor of a lost instance": _monitor_lost,
    "resume after a loss": _resume,
    "sweep of ended instances": _sweep_of_ended,
    "sweep of late instances": _sweep_of_late,
    "sweep of a cancelled job": _sweep_of_stopped,
}


def _one_point(stage: Stage, call: int, *, after: bool) -> bool:
    """Die at one point and come to the end; False when the handler makes fewer calls."""
    world = World()
    act = stage(world)
    asked = list(world.platform.session.invoked)
    world.strike(call, after=after)
    if world.attempt(act):
        return False
    check(world.platform, [*world.user_keys, *_results(world)], LIMITS)
    world.platform.session.invoked += [it for it in asked if it not in world.platform.session.invoked]
    world.attempt(act)  # delivered again, as Lambda does
    world.platform.sweep(minutes=1)
    world.run_to_the_end()
    _assert_one_clean_job(world)
    check(world.platform, [*world.user_keys, *_results(world)], LIMITS)
    return True


def _results(world: World) -> list[str]:
    return [key for key in world.platform.all_keys() if "/process_results/" in key]


def _assert_one_clean_job(world: World) -> None:
    books = check_all_over(world.platform)
    (job,) = books.jobs.values()
    if job.state == "REJECTED":
        assert world.platform.instances == []
        return
    attempts = [it for own in books.attempts.values() for it in own]
    assert len({it.index for it in attempts}) == 3
    assert len(world.platform.instances) == sum(it.instance is not None for it in attempts)
    if job.state == "SUCCEEDED":
        results = {key.rpartition("/")[2] for key in _results(world)}
        assert {"x.csv.out", "y.csv.out", "z.csv.out", "end.txt"} <= results


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_dying_at_any_call_leaves_one_clean_job(stage: str, after: bool) -> None:
    points = 0
    while _one_point(STAGES[stage], points + 1, after=after):
        points += 1
        assert points < MOST_CALLS
    assert points >= 3, "the stage makes calls at which to die"


@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_a_busy_service_at_any_call_leaves_one_clean_job(stage: str) -> None:
    for call in range(1, MOST_CALLS):
        world = World()
        act = STAGES[stage](world)
        world.strike(call, after=bool(call % 2), code="busy")
        before = len(world.platform.session.calls)
        came_to_its_end = world.attempt(act)
        check(world.platform, [*world.user_keys, *_results(world)], LIMITS)
        if not came_to_its_end:
            world.attempt(act)
        world.run_to_the_end()
        _assert_one_clean_job(world)
        if call > len(world.platform.session.calls) - before:
            return
