"""The crash matrix of spot instances: dying at any AWS call of a launch, a loss or a relaunch leaves one clean job."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobmanager.sweeping import sweep
from tests.chaos.books import check, check_all_over
from tests.chaos.world import THREE, World
from tests.fakes.aws_session import CrashError

LIMITS = {("demo", "kalman-lds"): 300_000_000}
MOST_CALLS = 60
ON_DEMAND = 100_800
Act = Callable[[], object]
Stage = Callable[[World], Act]


def _event(world: World) -> dict[str, object]:
    world.platform.deploy(spot="always")
    world.platform.session.spot_prices = {("m7i.large", "us-east-1a"): "0.03"}
    world.upload(["x.csv", "y.csv", "z.csv"])
    return world.submission("three", dataname=THREE)


def _launch(world: World) -> Act:
    event = _event(world)
    return lambda: world.platform.deliver(event)


def _launch_without_spot_capacity(world: World) -> Act:
    world.platform.subnets = ("subnet-a", "subnet-b")
    world.platform.session.capacity = {
        (kind, f"spot subnet-{zone}"): 0 for kind in ("m7i.large", "m6i.large") for zone in "ab"
    }
    return _launch(world)


def _launch_half_on_spot(world: World) -> Act:
    world.platform.session.capacity = {("m7i.large", "spot"): 2, ("m6i.large", "spot"): 0}
    return _launch(world)


def _warning(world: World) -> Act:
    platform = world.platform
    platform.deliver(_event(world))
    return lambda: platform.warn(platform.instances[0])


def _warning_of_an_unknown_instance(world: World) -> Act:
    """The launcher died before it wrote its instances down; the warning comes before its second try."""
    event = _event(world)

    def dies(number: int, service: str, operation: str) -> None:
        if operation == "run_instances":
            raise CrashError(operation)

    world.platform.session.after = dies
    assert not world.attempt(lambda: world.platform.deliver(event))
    return lambda: world.platform.warn(world.platform.instances[0])


def _end_of_a_lost_one(world: World) -> Act:
    platform = world.platform
    platform.deliver(_event(world))
    platform.clock.advance(minutes=3)
    platform.warn(platform.instances[0])
    platform.take_back(platform.instances[0])
    return lambda: platform.change(platform.instances[0], "terminated")


def _relaunch(world: World) -> Act:
    _end_of_a_lost_one(world)()
    return lambda: world.platform.resume_all()


def _relaunch_on_demand(world: World) -> Act:
    platform = world.platform
    _relaunch(world)()
    platform.take_back(platform.instances[-1])
    platform.change(platform.instances[-1], "terminated")
    return lambda: platform.resume_all()


def _sweep_of_lost_ones(world: World) -> Act:
    platform = world.platform
    platform.deliver(_event(world))
    platform.clock.advance(minutes=3)
    for instance in platform.instances[:2]:
        platform.take_back(instance)
    return lambda: sweep(platform.services)


STAGES: dict[str, Stage] = {
    "launch": _launch,
    "launch without spot capacity": _launch_without_spot_capacity,
    "launch half on spot": _launch_half_on_spot,
    "warning": _warning,
    "warning of an instance not written down": _warning_of_an_unknown_instance,
    "end of a lost instance": _end_of_a_lost_one,
    "relaunch": _relaunch,
    "relaunch on demand": _relaunch_on_demand,
    "sweep of lost instances": _sweep_of_lost_ones,
}


def _results(world: World) -> list[str]:
    return [key for key in world.platform.all_keys() if "/process_results/" in key]


def _check(world: World) -> None:
    check(world.platform, [*world.user_keys, *_results(world)], LIMITS)


def _one_point(stage: Stage, call: int, *, after: bool, code: str | None = None) -> bool:
    """Die, or be refused, at one point and come to the end; False when the handler makes fewer calls."""
    world = World()
    act = stage(world)
    asked = list(world.platform.session.invoked)
    before = len(world.platform.session.calls)
    world.strike(call, after=after, code=code)
    came_to_its_end = world.attempt(act)
    if came_to_its_end and call > len(world.platform.session.calls) - before:
        return False
    _check(world)
    world.platform.session.invoked += [it for it in asked if it not in world.platform.session.invoked]
    if not came_to_its_end:
        world.attempt(act)  # delivered again, as Lambda does
    world.platform.sweep(minutes=1)
    world.run_to_the_end()
    _assert_one_clean_job(world)
    _check(world)
    return True


def _assert_one_clean_job(world: World) -> None:
    books = check_all_over(world.platform)
    (job,) = books.jobs.values()
    assert job.state == "SUCCEEDED"
    attempts = [it for own in books.attempts.values() for it in own]
    assert len(world.platform.instances) == sum(it.instance is not None for it in attempts)
    assert {row.instance for row in books.instances if row.spot} == world.platform.session.spot
    prices = {row.price_micro for row in books.instances if row.spot and row.instance_type == "m7i.large"}
    assert prices <= {30_000, ON_DEMAND}  # that, where AWS was too busy to tell the spot price
    results = {key.rpartition("/")[2] for key in _results(world)}
    assert {"x.csv.out", "y.csv.out", "z.csv.out", "end.txt"} <= results


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_dying_at_any_call_on_spot_leaves_one_clean_job(stage: str, after: bool) -> None:
    points = 0
    while _one_point(STAGES[stage], points + 1, after=after):
        points += 1
        assert points < MOST_CALLS
    assert points >= 2, "the stage makes calls at which to die"


@pytest.mark.parametrize("stage", ["launch without spot capacity", "relaunch"])
def test_a_busy_service_at_any_call_on_spot_leaves_one_clean_job(stage: str) -> None:
    call = 1
    while _one_point(STAGES[stage], call, after=bool(call % 2), code="busy"):
        call += 1
        assert call < MOST_CALLS
