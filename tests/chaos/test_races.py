"""Two handlers at once: one is held up before each of its AWS calls in turn while the other runs to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobmanager.sweeping import sweep
from tests.chaos.books import check, check_all_over, check_flight, check_money, read_books
from tests.chaos.world import THREE, World, interleave

Act = Callable[[], object]
Pair = tuple[Act, Act]
LIMITS = {("demo", "kalman-lds"): 300_000_000}
MOST_CALLS = 40


def _held_up(world: World, pair: Pair, call: int) -> bool:
    """Run a pair, the first held up before its `call`-th AWS call; False when it makes fewer."""
    turns = 0

    def choose(waiting: int) -> int:
        nonlocal turns
        turns += 1
        return 0 if turns <= call or waiting == 1 else 1

    session = world.platform.session
    before = len(session.calls)
    ends = interleave(session, pair, choose)
    world.restart()
    for act, came_to_its_end in zip(pair, ends, strict=True):
        if not came_to_its_end:
            assert world.attempt(act)
    return len(session.calls) - before >= call


def _deliver(world: World, name: str, **fields: Any) -> Act:
    event = world.submission(name, **fields)
    return lambda: world.platform.deliver(event)


def _two_for_the_last_dollar(world: World) -> Pair:
    world.platform.set_budget("0.15")
    return _deliver(world, "1"), _deliver(world, "2")


def _two_for_the_last_dollar_of_the_group(world: World) -> Pair:
    world.platform.set_budget("0.15", analysis="total")
    return _deliver(world, "1"), _deliver(world, "2")


def _two_for_the_last_slot(world: World) -> Pair:
    world.platform.deploy(deployLimit=1)
    return _deliver(world, "1"), _deliver(world, "2")


def _one_event_twice(world: World) -> Pair:
    event = world.submission("1", dataname=THREE)
    return lambda: world.platform.deliver(event), lambda: world.platform.deliver(event)


def _one_name_twice(world: World) -> Pair:
    return _deliver(world, "1"), _deliver(world, "1b", timestamp="1")


def _submission_and_sweep(world: World) -> Pair:
    return _deliver(world, "1", dataname=THREE), lambda: sweep(world.platform.services)


def _end_and_sweep(world: World) -> Pair:
    platform = world.platform
    _deliver(world, "1", dataname=THREE)()
    for instance in platform.instances:
        world.finish(instance)
    platform.change(platform.instances[0], "terminated")
    platform.change(platform.instances[1], "terminated")
    return lambda: platform.change(platform.instances[2], "terminated"), lambda: sweep(platform.services)


def _last_two_ends(world: World) -> Pair:
    platform = world.platform
    _deliver(world, "1", dataname=THREE[:2])()
    for instance in platform.instances:
        world.finish(instance)
    return tuple(lambda it=it: platform.change(it, "terminated") for it in platform.instances)  # type: ignore[return-value]


def _resume_and_cancel(world: World) -> Pair:
    platform = world.platform
    platform.session.grants = [1]
    _deliver(world, "1", dataname=THREE)()
    resume = {"resume": {"bucket": "kalman-lds", "group": "demo", "job": "job__kalman-lds_1"}}
    return lambda: platform.deliver(resume), _deliver(world, "c-", cancel="job__kalman-lds_1")


def _two_resumes(world: World) -> Pair:
    first, _ = _resume_and_cancel(world)
    return first, first


def _two_sweeps(world: World) -> Pair:
    platform = world.platform
    _deliver(world, "1", dataname=THREE)()
    world.finish(platform.instances[0])
    platform.vanish(platform.instances[1])
    platform.clock.advance(minutes=90)
    return lambda: sweep(platform.services), lambda: sweep(platform.services)


RACES: dict[str, Callable[[World], Pair]] = {
    "two for the last dollar": _two_for_the_last_dollar,
    "two for the last dollar of the group": _two_for_the_last_dollar_of_the_group,
    "two for the last slot": _two_for_the_last_slot,
    "one event twice": _one_event_twice,
    "one name twice": _one_name_twice,
    "submission and sweep": _submission_and_sweep,
    "end and sweep": _end_and_sweep,
    "the last two ends": _last_two_ends,
    "resume and cancel": _resume_and_cancel,
    "two resumes": _two_resumes,
    "two sweeps": _two_sweeps,
}


def _check(world: World) -> None:
    results = [key for key in world.platform.all_keys() if "/process_results/" in key]
    check(world.platform, [*world.user_keys, *results], LIMITS)


@pytest.mark.parametrize("race", RACES, ids=str)
def test_whoever_is_held_up_wherever_the_books_balance_and_every_job_ends_once(race: str) -> None:
    for call in range(MOST_CALLS):
        world = World()
        world.upload(["x.csv", "y.csv", "z.csv"])
        pair = RACES[race](world)
        held_up = _held_up(world, pair, call)
        _check(world)
        if "dollar" in race:
            assert sorted(job.state for job in read_books(world.platform).jobs.values()) == ["REJECTED", "RUNNING"]
            assert len(world.platform.instances) == 1
        if "slot" in race:
            assert len(world.platform.living()) == 1
        world.run_to_the_end()
        check_all_over(world.platform)
        _check(world)
        if not held_up:
            break
    assert call >= 3


def test_four_submissions_in_turns_of_one_call_never_overspend() -> None:
    world = World()
    world.upload(["x.csv"])
    world.platform.set_budget("0.25", analysis="total")
    acts = [_deliver(world, str(number)) for number in range(4)]
    turns = iter(range(10_000))
    assert all(interleave(world.platform.session, acts, lambda waiting: next(turns) % waiting))
    states = sorted(job.state for job in read_books(world.platform).jobs.values())
    assert states == ["REJECTED", "REJECTED", "RUNNING", "RUNNING"]
    _check(world)


@pytest.mark.parametrize("empty", ["subnet-a", "subnet-b"])
@pytest.mark.parametrize("free", [1, 3])
def test_two_functions_that_launch_in_two_places_at_once_leave_one_instance_a_dataset(empty: str, free: int) -> None:
    """One found no capacity in the first zone and went on; the other, held up until then, finds some there."""
    for call in range(MOST_CALLS):
        world = World()
        platform = world.platform
        platform.subnets = ("subnet-a", "subnet-b")
        world.upload(["x.csv", "y.csv", "z.csv"])
        event = world.submission("1", dataname=THREE)
        platform.session.capacity = {("m7i.large", zone): free for zone in platform.subnets}
        platform.session.capacity["m7i.large", empty] = 0

        def deliver_and_free(world: World = world, event: dict[str, Any] = event) -> None:
            world.platform.deliver(event)
            world.platform.session.capacity.clear()

        held_up = _held_up(world, (lambda: platform.deliver(event), deliver_and_free), call)  # noqa: B023
        books = read_books(platform)
        check_money(books, LIMITS)
        check_flight(books)
        accounted = {row.instance for row in books.instances}
        assert set(platform.living()) <= accounted, "an instance nobody accounts for lives on"
        world.run_to_the_end()
        assert platform.result("job__kalman-lds_1", "end").startswith("SUCCEEDED\n")
        if not held_up:
            break
    assert call >= 8
