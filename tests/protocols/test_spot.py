"""Spot instances: who gets them, where a launch goes, what a loss leads to, what it costs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jobmanager.answers import Job
from jobmanager.launch import client_token, plan_launch
from jobmanager.rows import AttemptRow, JobRow, LaunchRow, value_of
from jobmanager.spot import SpotPolicy, choose_spot
from tests.fakes.aws_session import ZONE, refuse
from tests.fakes.platform import FakePlatform

JOB = "job__kalman-lds_1"
TYPES = ("m7i.large", "m6i.large")
ON_DEMAND = 100_800
"""Micro-dollars an hour of m7i.large, as shipped."""


@pytest.fixture
def spot(memory: FakePlatform) -> FakePlatform:
    """An analysis that always runs on spot; two datasets; AWS's spot price of the first type."""
    memory.deploy(spot="always")
    memory.upload(["x.csv", "y.csv"])
    memory.session.spot_prices = {("m7i.large", ZONE): "0.030000"}
    return memory


def _attempts(platform: FakePlatform) -> list[AttemptRow]:
    return [value_of(AttemptRow, row) for row in platform.rows("JOB#") if str(row["sk"]).startswith("ATTEMPT#")]


def _launches(platform: FakePlatform) -> list[LaunchRow]:
    return [value_of(LaunchRow, row) for row in platform.rows("JOB#") if str(row["sk"]).startswith("LAUNCH#")]


def _job(platform: FakePlatform) -> JobRow:
    return next(value_of(JobRow, row) for row in platform.rows("JOB#") if row["sk"] == "JOB")


def _markets(platform: FakePlatform) -> list[str]:
    return ["spot" if "InstanceMarketOptions" in it else "on-demand" for it in platform.session.launches]


def _lose(platform: FakePlatform, *, minutes: float = 10, told: bool = True) -> None:
    """AWS takes back the latest instance, and the job manager goes on."""
    instance = platform.instances[-1]
    platform.clock.advance(minutes=minutes)
    if told:
        platform.warn(instance)
        platform.report(instance, job=JOB, status="FAILED", reason=143, failure="spot", message="taken back")
    platform.take_back(instance)
    platform.change(instance, "shutting-down")
    platform.change(instance, "terminated")
    platform.resume_all()


@pytest.mark.parametrize(
    ("policy", "asked", "has_duration", "expected"),
    [
        ("never", None, True, False),
        ("never", False, True, False),
        ("never", True, True, "does not run on spot"),
        ("save", None, True, True),
        ("save", None, False, False),
        ("save", False, True, False),
        ("save", True, True, True),
        ("save", True, False, "__duration__"),
        ("always", None, False, True),
        ("always", False, False, False),
        ("always", True, True, True),
    ],
)
def test_analysis_submission_and_duration_decide_together(
    policy: str, asked: bool | None, has_duration: bool, expected: bool | str
) -> None:
    chosen, why_not = choose_spot(SpotPolicy(policy), asked, has_duration=has_duration)
    if isinstance(expected, str):
        assert why_not is not None
        assert expected in why_not
    else:
        assert (chosen, why_not) == (expected, None)


def test_with_save_a_duration_brings_spot_and_none_does_not(memory: FakePlatform) -> None:
    memory.deploy(spot="save")
    memory.upload(config={"latents": 3})
    memory.submit()
    memory.upload(config={"latents": 3, "__duration__": 30})
    memory.submit(timestamp="2", key="demo/submissions/2submit.json")
    assert _markets(memory) == ["on-demand", "spot"]
    asked = memory.session.launches[1]["InstanceMarketOptions"]
    behaviour = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    assert asked == {"MarketType": "spot", "SpotOptions": behaviour}


def test_a_version_without_the_field_never_runs_on_spot(memory: FakePlatform) -> None:
    memory.upload(config={"latents": 3, "__duration__": 30})
    memory.submit()
    memory.submit(timestamp="2", key="demo/submissions/2submit.json", spot=True)
    assert _markets(memory) == ["on-demand"]
    assert "does not run on spot instances" in memory.result("job__kalman-lds_2", "end")


@pytest.mark.parametrize("value", ["true", 1, []])
def test_spot_must_be_true_or_false(spot: FakePlatform, value: object) -> None:
    spot.submit(spot=value)
    assert "'spot' must be true or false" in spot.result(JOB, "end")


def test_a_spot_dataset_costs_its_spot_price_and_says_so(spot: FakePlatform) -> None:
    spot.submit()
    certificate = spot.result(JOB, "certificate")
    assert "m7i.large or m6i.large on spot instances" in certificate
    assert "launch 1: 1 of 1 instances, m7i.large on spot at $0.0300 an hour" in certificate
    reserved, _ = spot.budget()
    assert reserved > ON_DEMAND  # an hour on demand, and the disk
    spot.clock.advance(minutes=30)
    instance = spot.instances[0]
    spot.end(instance, job=JOB)
    record = json.loads(spot.text(f"logs/demo/{instance}.json"))
    assert (record["spot"], record["price"]) == (True, 0.03)
    disk_micro = 20 * 80_000 / 730 / 2
    assert record["cost"] * 1e6 == pytest.approx(15_000 + disk_micro, abs=2)
    assert spot.budget()[0] == spot.budget()[1] == round(record["cost"] * 1e6)
    assert (_attempts(spot)[0].spot, _attempts(spot)[0].price_micro) == (True, 30_000)


@pytest.mark.parametrize(
    ("prices", "paid"),
    [
        ({}, ON_DEMAND),
        ({("m7i.large", ZONE): "0.5"}, ON_DEMAND),
        ({("m7i.large", "us-east-1b"): "0.04", ("m7i.large", "us-east-1c"): "0.05"}, 50_000),
        ({("m7i.large", "us-east-1b"): "0.09", ("m7i.large", ZONE): "0.02", ("m6i.large", ZONE): "0.01"}, 20_000),
    ],
)
def test_the_price_is_that_of_the_zone_and_never_above_on_demand(
    spot: FakePlatform, prices: dict[tuple[str, str], str], paid: int
) -> None:
    spot.session.spot_prices = prices
    spot.submit()
    assert _attempts(spot)[0].price_micro == paid


def test_a_launch_does_not_fail_for_its_price(spot: FakePlatform) -> None:
    def fails(number: int, service: str, operation: str) -> None:
        if operation == "describe_spot_price_history":
            raise refuse("DescribeSpotPriceHistory", "RequestLimitExceeded")

    spot.session.before = fails
    spot.submit()
    assert _attempts(spot)[0].price_micro == ON_DEMAND


def test_without_spot_capacity_all_places_are_tried_and_then_on_demand_at_once(spot: FakePlatform) -> None:
    spot.subnets = ("subnet-a", "subnet-b")
    spot.session.capacity = {(kind, f"spot subnet-{zone}"): 0 for kind in TYPES for zone in "ab"}
    spot.submit()
    calls = [name for _, name in spot.session.calls]
    assert calls.count("run_instances") == 5
    assert _markets(spot) == ["on-demand"]
    assert (_launches(spot)[0].spot, _launches(spot)[0].type_index) == (False, 0)
    assert "no spot instance was to be had" in spot.result(JOB, "certificate")
    assert _attempts(spot)[0].price_micro == ON_DEMAND


@pytest.mark.parametrize(
    "code",
    [
        "MaxSpotInstanceCountExceeded",
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
        "VcpuLimitExceeded",
        "UnauthorizedOperation",
    ],
)
def test_what_forbids_spot_leads_on_demand_with_one_call_more(spot: FakePlatform, code: str) -> None:
    spot.session.spot_refusal = code
    spot.submit()
    assert [name for _, name in spot.session.calls].count("run_instances") == 2
    assert _markets(spot) == ["on-demand"]


def test_a_busy_aws_is_asked_the_very_same_again(spot: FakePlatform) -> None:
    spot.session.spot_refusal = "RequestLimitExceeded"
    spot.submit()
    assert spot.instances == []
    spot.session.spot_refusal = None
    spot.sweep(minutes=2)
    spot.resume_all()
    assert _markets(spot) == ["spot"]
    assert [it.number for it in _launches(spot)] == [1]


def test_a_spot_launch_that_is_half_granted_goes_on_at_once(spot: FakePlatform) -> None:
    spot.session.capacity = {("m7i.large", "spot"): 1, ("m6i.large", "spot"): 0}
    spot.submit(dataname=["demo/inputs/x.csv", "demo/inputs/y.csv"])
    assert _markets(spot) == ["spot", "on-demand"]
    assert len(spot.instances) == 2


def test_tokens_differ_by_market_and_are_those_of_the_row(spot: FakePlatform) -> None:
    spot.submit()
    job, launch = _job(spot), _launches(spot)[0]
    tokens = {
        client_token(job, LaunchRow(1, launch.attempts, 60, "", type_index=index, spot=is_spot))
        for index in (0, 1)
        for is_spot in (True, False)
    }
    assert len(tokens) == 4
    assert spot.session.launches[0]["ClientToken"] == client_token(job, launch)


def test_two_losses_lead_on_demand_and_all_is_paid_from_the_reservation(spot: FakePlatform) -> None:
    spot.submit()
    reserved, _ = spot.budget()
    _lose(spot)
    _lose(spot)
    assert _markets(spot) == ["spot", "spot", "on-demand"]
    assert spot.budget()[0] == reserved
    third = _attempts(spot)[2]
    assert (third.attempt, third.spot_losses, third.spot) == (3, 2, False)
    assert "no spot instance was to be had" not in spot.result(JOB, "certificate")
    spot.clock.advance(minutes=10)
    spot.end(spot.instances[2], job=JOB)
    assert spot.result(JOB, "end").startswith("SUCCEEDED\n")
    assert "attempt 2 ended (spot: taken back)" in spot.result(JOB, "certificate")
    assert spot.budget()[0] == spot.budget()[1] < reserved


def test_after_two_losses_other_failures_still_have_their_one_retry(spot: FakePlatform) -> None:
    spot.submit()
    _lose(spot, minutes=1)
    _lose(spot, minutes=1)
    for _ in range(2):
        spot.end(spot.instances[-1], job=JOB, status="FAILED", reason=1, failure="boot")
        spot.resume_all()
    assert len(spot.instances) == 4
    assert spot.result(JOB, "end").startswith("FAILED\n")


def test_a_dataset_that_was_taken_back_too_late_to_be_paid_again_fails_in_words(spot: FakePlatform) -> None:
    spot.session.spot_prices = {("m7i.large", ZONE): "0.1"}
    spot.submit()
    _lose(spot, minutes=50)
    end = spot.result(JOB, "end")
    assert end.startswith("FAILED\n")
    assert "its reservation is nearly spent" in end


def test_a_warning_alone_relaunches_nothing(spot: FakePlatform) -> None:
    spot.submit()
    for _ in range(2):
        spot.warn(spot.instances[0])
    spot.change(spot.instances[0], "shutting-down")  # it may still be storing what there is
    assert spot.session.invoked == []
    assert len(_attempts(spot)) == 1
    spot.take_back(spot.instances[0])
    spot.change(spot.instances[0], "terminated")
    assert [it.attempt for it in _attempts(spot)] == [1, 2]


def test_a_report_written_while_shutting_down_counts(spot: FakePlatform) -> None:
    spot.submit()
    instance = spot.instances[0]
    spot.warn(instance)
    spot.change(instance, "shutting-down")
    spot.report(instance, job=JOB)
    spot.take_back(instance)
    spot.change(instance, "terminated")
    assert spot.result(JOB, "end").startswith("SUCCEEDED\n")


@pytest.mark.parametrize(("warned", "explained"), [(True, False), (False, True), (True, True)])
def test_a_loss_without_a_report_is_known_by_the_warning_or_by_ec2s_reason(
    spot: FakePlatform, warned: bool, explained: bool
) -> None:
    spot.submit()
    instance = spot.instances[0]
    if warned:
        spot.warn(instance)
    (spot.take_back if explained else spot.vanish)(instance)
    spot.change(instance, "terminated")
    first, second = _attempts(spot)
    assert (first.failure, second.spot_losses) == ("spot", 1)


def test_a_spot_instance_that_just_vanishes_is_lost_and_tried_again(spot: FakePlatform) -> None:
    spot.submit()
    spot.vanish(spot.instances[0])
    spot.change(spot.instances[0], "terminated")
    first, second = _attempts(spot)
    assert (first.failure, second.spot_losses) == ("lost-instance", 0)


def test_a_late_warning_changes_nothing(spot: FakePlatform) -> None:
    spot.submit()
    instance = spot.instances[0]
    spot.end(instance, job=JOB)
    before = spot.rows("")
    spot.warn(instance)
    assert spot.rows("") == before


def test_a_warning_of_an_instance_nobody_wrote_down_yet_is_kept(spot: FakePlatform) -> None:
    def dies(number: int, service: str, operation: str) -> None:
        if spot.instances and operation == "transact_write_items":
            raise RuntimeError("the launcher died")

    event = spot.submission()
    spot.session.before = dies
    with pytest.raises(RuntimeError):
        spot.deliver(event)
    spot.session.before = None
    spot.warn(spot.instances[0])
    row = next(iter(spot.rows("INSTANCE#")))
    assert row["warned_at"]
    assert row["spot"] is True


def test_of_another_accounts_instance_a_warning_is_ignored(spot: FakePlatform) -> None:
    spot.warn("i-0fffffffffffffff0")
    assert spot.rows("INSTANCE#") == []


def test_the_sweep_finds_a_loss_no_event_told_of(spot: FakePlatform) -> None:
    spot.submit()
    spot.take_back(spot.instances[0])
    spot.sweep(minutes=1)
    assert spot.resume_all() == 1
    assert _markets(spot) == ["spot", "spot"]
    assert _attempts(spot)[0].failure == "spot"


def test_a_cancelled_job_does_not_come_back_when_its_instance_is_taken(spot: FakePlatform) -> None:
    spot.submit()
    instance = spot.instances[0]
    spot.deliver(spot.submission(key="demo/submissions/c-submit.json", cancel=JOB))
    spot.take_back(instance)
    spot.change(instance, "terminated")
    assert spot.result(JOB, "end").startswith("CANCELLED\n")
    assert len(spot.instances) == 1


def test_an_on_demand_instance_that_says_spot_is_tried_once_more_only(memory: FakePlatform) -> None:
    memory.upload()
    memory.submit()
    for _ in range(3):
        if memory.living():
            memory.end(memory.instances[-1], job=JOB, status="FAILED", reason=1, failure="spot")
            memory.resume_all()
    assert len(memory.instances) == 2
    assert memory.result(JOB, "end").startswith("FAILED\n")


def test_datasets_for_spot_and_on_demand_are_never_one_launch(spot: FakePlatform) -> None:
    spot.session.refusals = dict.fromkeys(TYPES, "RequestLimitExceeded")
    spot.session.spot_refusal = "InsufficientInstanceCapacity"
    spot.submit()
    waiting = [
        AttemptRow(index, losses + 1, f"demo/inputs/{index}.csv", "e", f"{index}.csv", 60, 1, spot_losses=losses)
        for index, losses in enumerate((0, 2, 1, 2))
    ]
    job = Job(_job(spot), tuple(waiting), ())
    first = plan_launch(job, room=100, now="2026-11-22T10:00:00Z")
    assert first is not None
    assert (first.spot, first.attempts) == (True, ("ATTEMPT#00000#01", "ATTEMPT#00002#02"))
    rest = plan_launch(replace(job, launches=(first,)), room=100, now="2026-11-22T10:00:00Z")
    assert rest is not None
    assert (rest.spot, rest.attempts) == (False, ("ATTEMPT#00001#03", "ATTEMPT#00003#03"))
