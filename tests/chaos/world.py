"""A world around the fake platform: instances that do what the real ones do, events that wait, faults that strike."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.aws_session import CrashError, FakeSession, refuse
from tests.fakes.memory import MemoryAws
from tests.fakes.memory_tables import Table, failure
from tests.fakes.platform import GROUP, TABLE, FakePlatform, memory_platform

THREE = ["demo/inputs/x.csv", "demo/inputs/y.csv", "demo/inputs/z.csv"]
BUSY = {
    "s3": "SlowDown",
    "dynamodb": "ProvisionedThroughputExceededException",
    "ec2": "RequestLimitExceeded",
    "ssm": "ThrottlingException",
    "lambda": "TooManyRequestsException",
    "sns": "Throttling",
}
"""How each service says that it is too busy."""


@dataclass(frozen=True)
class Assignment:
    """What an instance reads in its launch manifest."""

    group: str
    job: str
    dataset: str
    label: str
    attempt: int
    prefix: str


@dataclass
class World:
    """The platform, the user's own keys, and what instances and EventBridge have not told yet."""

    aws: MemoryAws = field(default_factory=MemoryAws)
    user_keys: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.platform: FakePlatform = memory_platform(self.aws)

    @property
    def ledger(self) -> Table:
        """The ledger table."""
        return self.aws.tables.tables[TABLE]

    # Users

    def put(self, key: str, body: Any = b"1,2\n") -> str:
        """A user writes an object; its version."""
        self.user_keys.add(key)
        return self.platform.put(key, body)

    def upload(self, names: Sequence[str], group: str = GROUP, config: Mapping[str, Any] | None = None) -> list[str]:
        """Datasets and a config of a group; the datasets' keys."""
        self.put(f"{group}/configs/c.json", config or {"latents": 3})
        keys = [f"{group}/inputs/{name}" for name in names]
        for key in keys:
            self.put(key)
        return keys

    def submission(self, name: str, *, group: str = GROUP, **fields: Any) -> dict[str, Any]:
        """A submission that is uploaded; its event, not delivered."""
        key = f"{group}/submissions/{name}submit.json"
        body = {"dataname": f"{group}/inputs/x.csv", "configname": f"{group}/configs/c.json", "timestamp": name}
        return self.platform.event_for(key, self.put(key, body | fields))

    # Instances

    def assignment(self, instance: str) -> Assignment:
        """What the instance finds when it boots."""
        described = self.platform.session.backend("ec2").describe_instances(InstanceIds=[instance])
        item = described["Reservations"][0]["Instances"][0]
        tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
        place = f"{tags['group']}/jobs/{tags['job']}/launch-{tags['launch']}.json"
        manifest = json.loads(self.platform.text(place))
        own = manifest["attempts"][item["AmiLaunchIndex"]]
        return Assignment(
            tags["group"], tags["job"], own["dataset"], own["label"], own["attempt"], manifest["resultPrefix"]
        )

    def report(self, instance: str, **fields: Any) -> Assignment:
        """The instance writes its STATUS and, with success, a result."""
        own = self.assignment(instance)
        self.platform.report(instance, job=own.job, label=own.label, group=own.group, **fields)
        if fields.get("status", "SUCCESS") == "SUCCESS":
            self.platform.put(f"{own.prefix}/process_results/{own.label}.out", own.dataset)
        return own

    def finish(self, instance: str, **fields: Any) -> None:
        """The instance reports and ends. No event yet."""
        self.report(instance, **fields)
        self.platform.vanish(instance)

    def tell_all(self) -> None:
        """Deliver the end of every instance that is gone."""
        living = set(self.platform.living())
        for instance in self.platform.instances:
            if instance not in living:
                self.platform.change(instance, "terminated")

    # Faults

    def restart(self) -> None:
        """The next invocation runs in a fresh process, and nothing strikes any more."""
        session = self.platform.session
        session.before = session.after = None
        self.platform.services = self.platform.fresh_services()

    def strike(self, call: int, *, after: bool, code: str | None = None) -> None:
        """Let the `call`-th call from now die, or with a code be refused; before or after it took effect."""
        session = self.platform.session
        wanted = len(session.calls) + call

        def fault(number: int, service: str, operation: str) -> None:
            if number != wanted:
                return
            if code is None:
                raise CrashError(f"{service}.{operation}")
            if code == "conflict":
                return conflict(service, operation)
            raise refuse(operation, BUSY[service] if code == "busy" else code)

        if after:
            session.after = fault
        else:
            session.before = fault

    def attempt(self, act: Callable[[], object]) -> bool:
        """Run a handler as Lambda does; whether it came to its end."""
        try:
            act()
        except (CrashError, Exception):
            self.restart()
            return False
        self.restart()
        return True

    # The end of the story

    def run_to_the_end(self, *, rounds: int = 60) -> None:
        """No more faults: events and sweeps come, instances work, until nothing is open."""
        self.restart()
        platform = self.platform
        for _ in range(rounds):
            for instance in platform.living():
                self.finish(instance)
            self.tell_all()
            platform.resume_all()
            platform.sweep(minutes=2)
            if not platform.living() and not any("open_pk" in row for row in platform.rows("")):
                return
        left = [row for row in platform.rows("") if "open_pk" in row]
        raise AssertionError(f"the platform does not come to rest: {platform.living()} {left}")


def conflict(service: str, operation: str) -> None:
    """Fail as DynamoDB does while another transaction changes the same row."""
    if operation == "transact_write_items":
        raise failure(operation, "TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])
    if service == "dynamodb":
        raise failure(operation, "TransactionConflictException")


def interleave(session: FakeSession, acts: Sequence[Callable[[], object]], choose: Callable[[int], int]) -> list[bool]:
    """Run handlers side by side, one AWS call at a time: `choose` picks who of so many goes on. Who came to its end."""
    back = threading.Semaphore(0)
    turns = [threading.Semaphore(0) for _ in acts]
    here = threading.local()
    done: dict[int, bool] = {}

    def pause(number: int, service: str, operation: str) -> None:
        mine: int | None = getattr(here, "mine", None)
        if mine is not None:  # threads a handler starts go with it
            back.release()
            turns[mine].acquire()

    def run(mine: int, act: Callable[[], object]) -> None:
        here.mine = mine
        turns[mine].acquire()
        try:
            act()
            done[mine] = True
        except (CrashError, Exception):
            done[mine] = False
        back.release()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    session.before = pause
    for thread in threads:
        thread.start()
    while len(done) < len(acts):
        waiting = [mine for mine in range(len(acts)) if mine not in done]
        turns[waiting[choose(len(waiting))]].release()
        assert back.acquire(timeout=60), "the handlers wait for each other"
    for thread in threads:
        thread.join()
    session.before = None
    return [done[mine] for mine in range(len(acts))]
