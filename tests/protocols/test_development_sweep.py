"""Machines people work on: the sweeper ends or stops those whose hours are over, and no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobmanager.development import Due, due
from jobmanager.observed import Instance
from jobmanager.sweeping import sweep
from tests.fakes.aws_session import real_client
from tests.fakes.platform import FakePlatform

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TAGS = {"PriceTracking": "On", "analysis": "spectra", "neurocaas:development": "On"}


def machine(state: str = "running", **tags: str) -> Instance:
    named = {f"neurocaas:{name.replace('_', '-')}": value for name, value in tags.items()}
    return Instance("i-1", state, "2026-11-22T10:00:00Z", "m7i.large", 0, {**TAGS, **named})


def at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (machine(expires_at=at(NOW)), Due.NOTHING),
        (machine(expires_at=at(NOW - timedelta(minutes=6))), Due.END),
        (machine("pending", expires_at=at(NOW - timedelta(minutes=6)), at_expiry="stop"), Due.END),
        (machine(expires_at=at(NOW - timedelta(minutes=6)), at_expiry="stop"), Due.STOP),
        (machine("stopped", expires_at=at(NOW - timedelta(days=13))), Due.NOTHING),
        (machine("stopped", expires_at=at(NOW - timedelta(days=14)), at_expiry="stop"), Due.END),
        (machine("terminated", expires_at=at(NOW - timedelta(days=14))), Due.NOTHING),
        (machine(), Due.END),
        (machine(expires_at="soon"), Due.END),
        (machine(expires_at="2026-11-22"), Due.END),
    ],
)
def test_what_is_due(found: Instance, expected: Due) -> None:
    assert due(found, NOW) is expected


def test_the_sweeper_ends_a_machine_past_its_hours_and_spares_the_others(platform: FakePlatform) -> None:
    ec2 = real_client("ec2")
    launched = {}
    for name, hours in (("over", 1), ("young", 3)):
        tags = {**TAGS, "neurocaas:expires-at": at(platform.clock() + timedelta(hours=hours))}
        answer = ec2.run_instances(
            ImageId="ami-12c6146b",
            InstanceType="m7i.large",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            ],
        )
        launched[answer["Instances"][0]["InstanceId"]] = name
    platform.clock.advance(minutes=66)
    sweep(platform.services)
    found = ec2.describe_instances(InstanceIds=list(launched))["Reservations"]
    states = {launched[it["Instances"][0]["InstanceId"]]: it["Instances"][0]["State"]["Name"] for it in found}
    assert states == {"over": "terminated", "young": "running"}
