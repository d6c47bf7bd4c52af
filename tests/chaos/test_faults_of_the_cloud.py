"""Faults of baselines 5.2 that AWS and its instances bring: capacity, limits, losses, hangs, clocks."""

from __future__ import annotations

import pytest

import instance_monitor
from jobmanager.sweeping import sweep
from tests.chaos.books import check, check_all_over, read_books
from tests.chaos.world import THREE, World
from tests.fakes.aws_session import refuse

JOB = "job__kalman-lds_1"


@pytest.fixture
def world() -> World:
    made = World()
    made.upload(["x.csv", "y.csv", "z.csv"])
    return made


def _check(world: World) -> None:
    results = [key for key in world.platform.all_keys() if "/process_results/" in key]
    check(world.platform, [*world.user_keys, *results], {})


def test_no_capacity_goes_over_zones_and_types_then_waits_then_tells(world: World) -> None:
    platform = world.platform
    platform.subnets = ("subnet-a", "subnet-b")
    platform.session.capacity = {(kind, zone): 0 for kind in ("m7i.large", "m6i.large") for zone in platform.subnets}
    platform.deliver(world.submission("1", dataname=THREE))
    assert "AWS has no free instance" in platform.result(JOB, "certificate")
    for _ in range(5):
        platform.sweep(minutes=300)
        platform.resume_all()
        _check(world)
    end = platform.result(JOB, "end")
    assert end.startswith("FAILED\n")
    assert "capacity: no instance became free within 24 hours. Remedy: submit again later, or with" in end
    assert platform.instances == []


@pytest.mark.parametrize("code", ["VcpuLimitExceeded", "InstanceLimitExceeded"])
def test_a_quota_is_told_at_once_and_not_hammered(world: World, code: str) -> None:
    platform = world.platform
    platform.session.refusals = dict.fromkeys(("m7i.large", "m6i.large"), code)
    platform.deliver(world.submission("1", dataname=THREE))
    assert f"quota for such instances is used up ({code})" in platform.result(JOB, "certificate")
    platform.session.calls.clear()
    for _ in range(10):
        platform.sweep(minutes=1)
        platform.resume_all()
    assert [operation for _, operation in platform.session.calls].count("run_instances") == 2


def test_the_real_request_rate_of_run_instances_is_enough_for_a_thousand(world: World) -> None:
    """EC2 lets 1 000 instances through at once and 2 a second after that; whoever asks faster is refused."""
    platform = world.platform
    platform.deploy(deployLimit=5000)
    tokens, filled = 1000.0, platform.clock()

    def bucket(number: int, service: str, operation: str) -> None:
        nonlocal tokens, filled
        if operation == "run_instances":
            tokens = min(1000.0, tokens + 2 * (platform.clock() - filled).total_seconds())
            filled = platform.clock()
            if tokens < 100:
                raise refuse("RunInstances", "RequestLimitExceeded")
            tokens -= 100

    keys = world.upload([f"{k:04d}.csv" for k in range(1200)])
    event = world.submission("1", dataname=keys)
    platform.session.before = bucket
    platform.deliver(event)
    assert len(platform.instances) == 1000
    calls = len(platform.session.calls)
    for _ in range(4):
        platform.sweep(minutes=1)
        platform.resume_all()
    assert len(platform.instances) == 1200
    assert calls < 120
    _check(world)


def test_fewer_instances_than_asked_run_and_the_rest_waits(world: World) -> None:
    platform = world.platform
    platform.session.grants = [6]
    platform.deliver(world.submission("1", dataname=world.upload([f"{k}.csv" for k in range(10)])))
    assert len(platform.instances) == 6
    _check(world)
    world.run_to_the_end()
    assert platform.result(JOB, "end").startswith("SUCCEEDED\n")
    assert len(platform.instances) == 10


def test_one_of_five_that_cannot_boot_is_tried_again_while_the_others_run(world: World) -> None:
    platform = world.platform
    platform.deliver(world.submission("1", dataname=world.upload([f"{k}.csv" for k in range(5)])))
    world.finish(platform.instances[2], status="FAILED", reason=1, failure="boot")
    world.tell_all()
    assert len(platform.living()) == 4
    world.run_to_the_end()
    assert platform.result(JOB, "end").startswith("SUCCEEDED\n")
    assert len(platform.instances) == 6


def test_an_error_after_the_launch_leaves_nothing_running_for_ever(world: World) -> None:
    event = world.submission("1", dataname=THREE)
    calls = {"dynamodb.transact_write_items": 0}

    def fails(number: int, service: str, operation: str) -> None:
        name = f"{service}.{operation}"
        if name in calls:
            calls[name] += 1
            if calls[name] > 1:
                raise refuse(operation, "InternalServerError")

    world.platform.session.before = fails
    assert not world.attempt(lambda: world.platform.deliver(event))
    assert len(world.platform.instances) == 3
    world.platform.sweep(minutes=3)  # the event is never delivered again
    world.run_to_the_end()
    assert world.platform.result(JOB, "end").startswith("SUCCEEDED\n")
    assert len(world.platform.instances) == 3
    check_all_over(world.platform)


def test_results_written_by_an_instance_that_hangs_are_kept_and_count(world: World) -> None:
    platform = world.platform
    platform.deliver(world.submission("1"))
    world.report(platform.instances[0])
    for _ in range(10):
        platform.sweep(minutes=10)
    assert platform.living() == []
    assert platform.result(JOB, "end").startswith("SUCCEEDED\n")
    check_all_over(platform)


def test_a_frozen_instance_without_a_word_is_stopped_at_its_deadline(world: World) -> None:
    platform = world.platform
    platform.deliver(world.submission("1"))
    for _ in range(10):
        platform.sweep(minutes=10)
    assert platform.living() == []
    assert "timeout: stopped at its limit of 60 minutes" in platform.result(JOB, "end")


@pytest.mark.parametrize("told", [True, False], ids=["with notice", "without"])
def test_an_instance_taken_back_is_replaced_and_paid_from_the_reservation(world: World, told: bool) -> None:
    platform = world.platform
    platform.deliver(world.submission("1"))
    reserved = platform.budget()[0]
    platform.clock.advance(minutes=10)
    if told:
        world.report(platform.instances[0], status="FAILED", reason=1, failure="spot")
    platform.vanish(platform.instances[0])
    world.tell_all()
    assert platform.budget()[0] == reserved
    world.run_to_the_end()
    assert len(platform.instances) == 2
    assert platform.budget()[0] < reserved
    assert f"attempt 1 ended ({'spot' if told else 'lost-instance'}" in platform.result(JOB, "certificate")


def test_results_of_an_instance_taken_back_after_its_upload_count(world: World) -> None:
    platform = world.platform
    platform.deliver(world.submission("1"))
    world.finish(platform.instances[0])
    world.tell_all()
    assert len(platform.instances) == 1
    assert platform.result(JOB, "end").startswith("SUCCEEDED\n")


@pytest.mark.parametrize("kind", ["EC2 Instance Rebalance Recommendation", "EC2 Spot Instance Interruption Warning"])
def test_a_recommendation_alone_does_no_harm(world: World, kind: str) -> None:
    platform = world.platform
    platform.deliver(world.submission("1"))
    before = platform.rows("")
    detail = {"instance-id": platform.instances[0], "instance-action": "terminate"}
    event = {"source": "aws.ec2", "detail-type": kind, "time": platform.clock.text, "detail": detail}
    instance_monitor.run(event, platform.services)
    assert platform.rows("") == before
    assert len(platform.living()) == 1


@pytest.mark.parametrize("minutes", [-15, 15, 0])
def test_clocks_that_disagree_never_make_a_negative_bill(world: World, minutes: int) -> None:
    platform = world.platform
    platform.clock.moment = platform.clock.moment.replace(year=2028, month=2, day=28, hour=23, minute=50)
    platform.deliver(world.submission("1"))
    world.finish(platform.instances[0])
    platform.clock.advance(minutes=minutes)
    platform.change(platform.instances[0], "terminated")
    check_all_over(platform)
    (row,) = read_books(platform).instances
    assert row.ended_at
    assert row.ended_at >= row.launched_at
    assert platform.budget()[1] > 0


def test_a_job_over_the_end_of_a_year_costs_its_hours(world: World) -> None:
    platform = world.platform
    platform.clock.moment = platform.clock.moment.replace(month=12, day=31, hour=23, minute=40)
    platform.deliver(world.submission("1"))
    platform.clock.advance(minutes=30)
    world.finish(platform.instances[0])
    world.tell_all()
    assert read_books(platform).instances[0].ended_at == "2027-01-01T00:10:00Z"


def test_a_budget_lowered_in_mid_flight_stops_new_jobs_and_no_running_one(world: World) -> None:
    platform = world.platform
    platform.deliver(world.submission("1"))
    platform.set_budget("0.01")
    platform.deliver(world.submission("2"))
    assert len(platform.living()) == 1
    assert platform.result("job__kalman-lds_2", "end").startswith("REJECTED\n")
    world.run_to_the_end()
    assert platform.result(JOB, "end").startswith("SUCCEEDED\n")


def test_without_a_start_event_the_cost_counts_from_the_launch(world: World) -> None:
    platform = world.platform
    platform.deliver(world.submission("1"))
    platform.clock.advance(minutes=30)
    world.finish(platform.instances[0])
    world.tell_all()
    assert platform.budget()[1] == pytest.approx(0.5 * (100_800 + 20 * 80_000 / 730), rel=1e-3)


def test_without_an_end_event_the_sweeper_closes_the_job(world: World) -> None:
    platform = world.platform
    platform.deliver(world.submission("1"))
    world.finish(platform.instances[0])
    platform.sweep(minutes=1)
    check_all_over(platform)


def test_rows_of_an_earlier_release_are_still_read(world: World) -> None:
    """A job admitted and launched before there were subnets, totals and shares ends as any other."""
    platform = world.platform
    platform.deliver(world.submission("1", dataname=THREE))
    table = platform.session.backend("dynamodb")
    added = ("in_total", "total_limit_micro", "other_types", "moved_at", "subnets", "subnet_index", "group:demo")
    for row in platform.rows(""):
        for name in added:
            if name in row:
                table.update_item(
                    TableName="neurocaas-ledger",
                    Key={"pk": {"S": row["pk"]}, "sk": {"S": row["sk"]}},
                    UpdateExpression="REMOVE #n0",
                    ExpressionAttributeNames={"#n0": name},
                )
    platform.vanish(platform.instances[0])
    world.tell_all()
    for _ in range(6):
        platform.resume_all()
        for instance in platform.living():
            world.finish(instance)
        world.tell_all()
        platform.sweep(minutes=2)
    assert platform.result(JOB, "end").startswith("SUCCEEDED\n")
    committed, spent = platform.budget()
    assert committed == spent
    assert platform.in_flight() == 0


def test_a_record_that_always_fails_is_answered_and_the_others_proceed(world: World) -> None:
    platform = world.platform
    event = world.submission("1")

    def broken(number: int, service: str, operation: str) -> None:
        if operation == "get_parameters":
            raise refuse(operation, "InternalServerError")

    for _ in range(3):
        platform.session.before = broken
        assert not world.attempt(lambda: platform.deliver(event))
    other = world.submission("2")
    platform.deliver(other)
    assert len(platform.instances) == 1
    platform.sweep(minutes=31)
    (marker,) = (key for key in platform.end_markers() if "_2/" not in key)
    assert "through no fault of yours" in platform.text(marker)


def test_a_sweep_during_a_launch_kills_nothing(world: World) -> None:
    platform = world.platform
    event = world.submission("1", dataname=THREE)

    def swept(number: int, service: str, operation: str) -> None:
        if operation == "run_instances":
            platform.session.after = None
            sweep(platform.services)

    platform.session.after = swept
    platform.deliver(event)
    assert len(platform.living()) == 3
    _check(world)
    world.run_to_the_end()
    assert platform.result(JOB, "end").startswith("SUCCEEDED\n")
