"""Event delivery: patterns, order, patience, what happens when things fail. Targets are small fakes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ncap_iac.local.event_patterns import PatternError, covers, parse_pattern
from ncap_iac.local.event_rules import Target, may_invoke, payload
from ncap_iac.local.events import EventDelivery
from ncap_iac.local.store import Store
from tests.local.cloud_rig import until

EVENT = {
    "source": "aws.ec2",
    "detail": {"state": "running", "count": 3, "flag": True, "none": None, "tags": ["a", "b"], "ip": "10.1.2.3"},
    "resources": ["arn:1"],
}
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
RULE = "arn:aws:events:us-east-1:000000000000:rule/r"

PATTERNS: list[tuple[dict[str, Any], bool]] = [
    ({"source": ["aws.ec2"]}, True),
    ({"source": ["aws.s3"]}, False),
    ({"source": ["aws.s3", "aws.ec2"]}, True),
    ({"absent": ["x"]}, False),
    ({"detail": {"state": ["running"]}, "source": ["aws.ec2"]}, True),
    ({"detail": {"state": ["running"]}, "source": ["x"]}, False),
    ({"source": {"deeper": ["x"]}}, False),
    ({"detail": {"state": [{"prefix": "run"}]}}, True),
    ({"detail": {"state": [{"prefix": {"equals-ignore-case": "RUN"}}]}}, True),
    ({"detail": {"state": [{"suffix": "ning"}]}}, True),
    ({"detail": {"state": [{"suffix": "ed"}]}}, False),
    ({"detail": {"state": [{"anything-but": "running"}]}}, False),
    ({"detail": {"state": [{"anything-but": ["pending", "stopped"]}]}}, True),
    ({"detail": {"state": [{"anything-but": {"prefix": "run"}}]}}, False),
    ({"detail": {"absent": [{"anything-but": "x"}]}}, False),
    ({"detail": {"state": [{"equals-ignore-case": "RUNNING"}]}}, True),
    ({"detail": {"state": [{"wildcard": "r*n*g"}]}}, True),
    ({"detail": {"state": [{"exists": True}]}}, True),
    ({"detail": {"state": [{"exists": False}]}}, False),
    ({"detail": {"absent": [{"exists": False}]}}, True),
    ({"detail": {"count": [{"numeric": [">", 2, "<=", 3]}]}}, True),
    ({"detail": {"count": [{"numeric": ["=", 4]}]}}, False),
    ({"detail": {"state": [{"numeric": ["=", 4]}]}}, False),
    ({"detail": {"count": [3]}}, True),
    ({"detail": {"count": ["3"]}}, False),
    ({"detail": {"flag": [True]}}, True),
    ({"detail": {"flag": [1]}}, False),
    ({"detail": {"none": [None]}}, True),
    ({"detail": {"tags": ["b"]}}, True),
    ({"detail": {"tags": ["c"]}}, False),
    ({"detail": {"ip": [{"cidr": "10.0.0.0/8"}]}}, True),
    ({"$or": [{"source": ["x"]}, {"detail": {"count": [3]}}]}, True),
    ({"$or": [{"source": ["x"]}, {"detail": {"count": [4]}}]}, False),
    ({"resources": [{"prefix": "arn:"}]}, True),
]


@pytest.mark.parametrize(("pattern", "expected"), PATTERNS, ids=[json.dumps(pattern) for pattern, _ in PATTERNS])
def test_patterns_cover_events_as_documented(pattern: dict[str, Any], expected: bool) -> None:
    assert covers(pattern, EVENT) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        {"source": "aws.ec2"},
        {"source": [{"sounds-like": "x"}]},
        {"source": [{"prefix": "a", "suffix": "b"}]},
        {"detail": {"count": [{"numeric": [">"]}]}},
        {"detail": {"count": [{"numeric": ["~", 1]}]}},
        {"$or": {"source": ["x"]}},
        {"source": [{"anything-but": {"numeric": ["=", 1]}}]},
    ],
)
def test_a_pattern_that_is_not_understood_is_an_error(pattern: dict[str, Any]) -> None:
    with pytest.raises(PatternError):
        covers(pattern, EVENT)


@pytest.mark.parametrize("text", ["", "[]", "no"])
def test_a_pattern_that_is_no_object_is_an_error(text: str) -> None:
    with pytest.raises(PatternError):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(RULE, "t", QUEUE), EVENT),
        (Target(RULE, "t", QUEUE, input='{"a": 1}'), {"a": 1}),
        (Target(RULE, "t", QUEUE, input_path="$.detail.state"), "running"),
    ],
)
def test_a_target_gets_the_event_a_part_of_it_or_a_constant(target: Target, expected: Any) -> None:
    assert json.loads(payload(target, EVENT)) == expected


def function_policy(**changed: Any) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": "arn:aws:lambda:us-east-1:000000000000:function:f",
        "Condition": {"ArnLike": {"AWS:SourceArn": RULE}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **changed}]})


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (function_policy(), True),
        (function_policy(Condition={}), True),
        (function_policy(Condition={"ArnLike": {"AWS:SourceArn": RULE + "-other"}}), False),
        (function_policy(Principal={"Service": "s3.amazonaws.com"}), False),
        (function_policy(Action="lambda:GetFunction"), False),
        ('{"Statement": []}', False),
    ],
)
def test_a_functions_policy_decides_whether_a_rule_may_call_it(policy: str, expected: bool) -> None:
    assert may_invoke(policy, RULE, "arn:aws:lambda:us-east-1:000000000000:function:f") is expected


class FakeAws:
    """Rules, one queue; what it is told to refuse it refuses."""

    def __init__(self) -> None:
        self.pattern: Mapping[str, Any] = {"source": ["toy"]}
        self.targets = [{"Id": "q", "Arn": QUEUE}]
        self.sent: list[dict[str, Any]] = []
        self.rule_reads = 0
        self.failures: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()
        self.before_send: Callable[[dict[str, Any]], None] = lambda event: None

    def __call__(self, service: str) -> FakeAws:
        return self

    def list_rules(self, **token: str) -> dict[str, Any]:
        self.rule_reads += 1
        rule = {"Name": "r", "Arn": RULE, "State": "ENABLED", "EventPattern": json.dumps(self.pattern)}
        off = {**rule, "Name": "off", "Arn": RULE + "-off", "State": "DISABLED"}
        broken = {**rule, "Name": "broken", "Arn": RULE + "-broken", "EventPattern": '{"source": [{"nonsense": 1}]}'}
        return {"Rules": [rule]} if token else {"Rules": [off, broken], "NextToken": "more"}

    def list_targets_by_rule(self, Rule: str) -> dict[str, Any]:  # noqa: N803
        return {"Targets": self.targets}

    def get_queue_url(self, QueueName: str) -> dict[str, str]:  # noqa: N803
        return {"QueueUrl": QueueName}

    def send_message(self, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803
        event = json.loads(MessageBody)
        self.before_send(event)
        self.gate.wait(5)
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append({**event, "queue": QueueUrl})


def refused(code: str, status: int) -> ClientError:
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "SendMessage")


class World:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.aws = FakeAws()
        self.now = 1_800_000_000.0
        self.reopen()

    def reopen(self) -> None:
        self.store = Store(self.file)
        self.delivery = EventDelivery(
            self.store, self.aws, region="us-east-1", account_id="000000000000", clock=lambda: self.now
        )

    def emit(self, number: int, resource: str = "i-1") -> None:
        self.delivery.emit({"source": "toy", "detail-type": "t", "resources": [resource], "detail": {"n": number}})

    def close(self) -> None:
        self.aws.gate.set()
        self.delivery.stop()
        self.store.close()

    def numbers(self, resource: str | None = None) -> list[int]:
        return [event["detail"]["n"] for event in self.aws.sent if resource in (None, event["resources"][0])]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "edge.db")
    yield world
    world.close()


def test_events_about_one_resource_keep_their_order(world: World) -> None:
    world.delivery.start()
    for number in range(60):
        world.emit(number, f"i-{number % 3}")
    assert until(lambda: len(world.aws.sent) == 60)
    for resource in range(3):
        assert world.numbers(f"i-{resource}") == list(range(resource, 60, 3))


def test_a_slow_delivery_keeps_only_its_own_resource_waiting(world: World) -> None:
    blocked = threading.Event()

    def wait(event: dict[str, Any]) -> None:
        if event["resources"] == ["slow"]:
            blocked.wait(5)

    world.aws.before_send = wait
    world.delivery.start()
    world.emit(1, "slow")
    world.emit(2, "slow")
    world.emit(3, "quick")
    assert until(lambda: world.numbers() == [3])
    blocked.set()
    assert until(lambda: world.numbers() == [3, 1, 2])


def test_what_is_missing_of_an_event_is_added(world: World) -> None:
    world.delivery.start()
    world.delivery.emit({"source": "toy", "detail-type": "t", "detail": {}, "id": "given"})
    assert until(lambda: world.aws.sent)
    event = world.aws.sent[0]
    assert (event["version"], event["account"], event["region"]) == ("0", "000000000000", "us-east-1")
    assert (event["id"], event["time"], event["resources"]) == ("given", "2027-01-15T08:00:00Z", [])


def test_a_failure_that_may_pass_is_tried_again(world: World) -> None:
    world.aws.failures = [refused("ServiceUnavailable", 503), ConnectionError("gone"), refused("Throttling", 429)]
    world.delivery.start()
    world.emit(1)
    world.emit(2)
    assert until(lambda: world.numbers() == [1, 2])
    assert until(lambda: not world.store.items("events"))


def test_a_refusal_goes_to_the_dead_letter_queue_and_does_not_stop_what_follows(world: World) -> None:
    dead = {"DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:000000000000:dead"}}
    world.aws.targets = [{"Id": "q", "Arn": QUEUE, **dead}]  # type: ignore[dict-item]
    world.aws.failures = [refused("AccessDenied", 403)]
    world.delivery.start()
    world.emit(1)
    world.emit(2)
    assert until(lambda: world.numbers() == [1, 2])
    assert [event["queue"] for event in world.aws.sent] == ["dead", "q"]


def test_a_target_of_an_unknown_kind_does_not_keep_the_others_from_the_event(world: World) -> None:
    world.aws.targets = [{"Id": "k", "Arn": "arn:aws:kinesis:us-east-1:000000000000:s"}, {"Id": "q", "Arn": QUEUE}]
    world.delivery.start()
    world.emit(1)
    assert until(lambda: world.numbers() == [1])


def test_what_was_not_delivered_is_delivered_in_the_next_life(world: World) -> None:
    world.emit(1)  # Before the start: queued.
    world.aws.failures = [ConnectionError("gone")] * 3
    world.delivery.start()
    assert until(lambda: len(world.aws.failures) < 3)
    world.delivery.stop()
    assert len(world.store.items("events")) == 1
    world.emit(2)
    world.store.close()
    world.aws.failures = []
    world.reopen()
    world.emit(3)
    world.delivery.start()
    assert until(lambda: world.numbers() == [1, 2, 3])
    assert until(lambda: not world.store.items("events"))


def test_an_event_no_rule_wants_is_gone(world: World) -> None:
    world.aws.pattern = {"source": ["another"]}
    world.delivery.start()
    world.emit(1)
    assert until(lambda: not world.store.items("events"))
    assert not world.aws.sent


def test_rules_are_read_once_for_a_while_and_again_after_a_change(world: World) -> None:
    world.delivery.start()
    world.emit(1)
    assert until(lambda: world.numbers() == [1])
    reads = world.aws.rule_reads
    world.emit(2)
    assert until(lambda: world.numbers() == [1, 2])
    assert world.aws.rule_reads == reads
    world.aws.pattern = {"source": ["another"]}
    world.delivery.forget_rules()
    world.emit(3)
    assert until(lambda: not world.store.items("events"))
    assert world.numbers() == [1, 2]
    world.aws.pattern = {"source": ["toy"]}
    world.now += 3
    world.emit(4)
    assert until(lambda: world.numbers() == [1, 2, 4])
