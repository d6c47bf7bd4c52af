"""Where a launch goes: through the subnets of one instance type, then to the next type, then into the queue."""

from __future__ import annotations

import itertools
import json

import pytest

from jobmanager.launch import client_token, next_place
from jobmanager.rows import JobRow, LaunchRow, value_of
from jobmanager.settings import Settings, parse_subnets
from tests.fakes.aws_session import CrashError, refuse
from tests.fakes.platform import FakePlatform

JOB = "job__kalman-lds_1"
ZONES = ("subnet-a", "subnet-b", "subnet-c")
TYPES = ("m7i.large", "m6i.large")


@pytest.mark.parametrize(
    ("text", "subnets"),
    [
        ("default", ()),
        ("", ()),
        ("subnet-a", ("subnet-a",)),
        ("subnet-a, subnet-b,,subnet-a", ("subnet-a", "subnet-b")),
    ],
)
def test_the_environment_names_the_subnets(text: str, subnets: tuple[str, ...]) -> None:
    environ = {"LEDGER_TABLE": "t", "ANALYSIS_BUCKET": "b", "VERSION_ID": "v"}
    assert parse_subnets(text) == subnets
    assert Settings.from_environ(environ | {"SUBNET_IDS": text}, submit=True).subnets == subnets
    assert Settings.from_environ(environ, submit=True).subnets == ()


def test_without_subnets_a_launch_names_none(memory: FakePlatform) -> None:
    memory.upload()
    memory.submit()
    assert "SubnetId" not in memory.session.launches[0]


def test_jobs_begin_in_different_subnets(memory: FakePlatform) -> None:
    memory.subnets = ZONES
    memory.upload()
    for number in range(12):
        memory.submit(timestamp=str(number), key=f"demo/submissions/{number}submit.json")
    assert {launch["SubnetId"] for launch in memory.session.launches} == set(ZONES)


def _tried(memory: FakePlatform) -> list[tuple[str, str]]:
    """Submit with no capacity anywhere; the places asked, in order."""
    memory.subnets = ZONES
    memory.session.capacity = dict.fromkeys(itertools.product(TYPES, ZONES), 0)
    asked: list[tuple[str, str]] = []

    def spy(number: int, service: str, operation: str) -> None:
        if operation == "run_instances":
            row = next(row for row in memory.rows("JOB#") if str(row["sk"]).startswith("LAUNCH#"))
            asked.append((TYPES[row["type_index"]], row["subnets"][row["subnet_index"]]))

    memory.session.before = spy
    memory.submit(dataname=memory.upload(["x.csv", "y.csv"]))
    memory.session.before = None
    return asked


def test_without_capacity_every_zone_of_a_type_is_tried_before_the_next_type(memory: FakePlatform) -> None:
    asked = _tried(memory)
    assert [name for name, _ in asked] == [TYPES[0]] * 3 + [TYPES[1]] * 3
    assert {zone for _, zone in asked[:3]} == {zone for _, zone in asked[3:]} == set(ZONES)
    assert "AWS has no free instance" in memory.result(JOB, "certificate")
    assert memory.in_flight() == 0


def test_after_the_queue_the_next_launch_begins_in_another_zone(memory: FakePlatform) -> None:
    first = _tried(memory)[0][1]
    memory.session.capacity = {}
    memory.sweep(minutes=3)
    memory.resume_all()
    (launch,) = memory.session.launches
    assert launch["InstanceType"] == TYPES[0]
    assert launch["SubnetId"] != first


def test_a_launch_goes_where_there_is_room(memory: FakePlatform) -> None:
    memory.subnets = ZONES
    memory.session.capacity = dict.fromkeys(itertools.product(TYPES, ZONES), 0)
    memory.session.capacity[TYPES[1], "subnet-b"] = 5
    memory.submit(dataname=memory.upload(["x.csv", "y.csv"]))
    (launch,) = memory.session.launches
    assert (launch["InstanceType"], launch["SubnetId"]) == (TYPES[1], "subnet-b")
    assert len(memory.instances) == 2


def test_every_place_has_a_token_of_its_own(memory: FakePlatform) -> None:
    memory.subnets = ZONES
    memory.submit(dataname=memory.upload(["x.csv"]))
    (job,) = (value_of(JobRow, row) for row in memory.rows("JOB#") if row["sk"] == "JOB")
    launch: LaunchRow | None = LaunchRow(1, ("ATTEMPT#00000#01",), 60, "2026-11-22T10:00:00Z", subnets=ZONES)
    tokens = []
    while launch:
        tokens.append(client_token(job, launch))
        launch = next_place(launch, types=len(job.types))
    assert len(tokens) == len(set(tokens)) == 6


def test_a_function_that_dies_in_the_second_zone_goes_on_there(memory: FakePlatform) -> None:
    memory.subnets = ZONES
    memory.session.capacity = {(TYPES[0], zone): 0 for zone in ZONES} | {(TYPES[0], "subnet-c"): 2}
    event = memory.submission(dataname=memory.upload(["x.csv", "y.csv"]))

    def dies(number: int, service: str, operation: str) -> None:
        if operation == "run_instances" and memory.instances:
            raise CrashError

    memory.session.after = dies
    with pytest.raises(CrashError):
        memory.deliver(event)
    memory.session.after = None
    memory.services = memory.fresh_services()
    memory.deliver(event)
    assert len(memory.instances) == 2
    assert {launch["SubnetId"] for launch in memory.session.launches} == {"subnet-c"}


def test_the_zones_of_a_launch_stay_when_the_network_of_the_function_changes(memory: FakePlatform) -> None:
    memory.subnets = ZONES
    event = memory.submission(dataname=memory.upload(["x.csv"]))

    def dies(number: int, service: str, operation: str) -> None:
        if operation == "run_instances":
            raise refuse("RunInstances", "InternalError")

    memory.session.after = dies
    memory.deliver(event)
    memory.session.after, memory.subnets = None, ("subnet-x",)
    memory.deliver(event)
    assert len(memory.instances) == 1
    assert len(memory.session.tokens) == 1
    assert json.loads(memory.text(f"demo/jobs/{JOB}/launch-1.json"))["job"] == JOB
