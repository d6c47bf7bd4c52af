"""Random schedules: hundreds of jobs among faults, with the books checked after each step. One seed, one story."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote_plus

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobmanager.states import is_job_open
from jobmanager.sweeping import sweep
from tests.chaos.books import check, check_all_over, check_deadlines
from tests.chaos.world import World, interleave
from tests.fakes.aws_session import ZONE
from tests.fakes.platform import FakePlatform

GROUPS = ("demo", "lab2")
ZONES = ("", "subnet-a", "subnet-b")
TYPES = ("m7i.large", "m6i.large")
LIMITS = {("demo", "kalman-lds"): 700_000, ("demo", "total"): 600_000, ("lab2", "total"): 400_000}
NAMES = ("x.csv", "y.csv", "z.csv", "w w+é.csv")
ENDS: tuple[dict[str, Any], ...] = (
    {},
    {"status": "FAILED", "reason": 3, "failure": "user-code"},
    {"status": "FAILED", "reason": 137, "failure": "out-of-memory"},
    {"status": "FAILED", "reason": 1, "failure": "spot"},
    {"status": "FAILED", "reason": 1, "failure": "boot"},
    {"status": "IN PROGRESS", "reason": None},
)
HOSTILE: tuple[dict[str, Any], ...] = (
    {"dataname": []},
    {"dataname": "../../etc/passwd"},
    {"dataname": "demo/inputs/$(reboot).csv"},
    {"dataname": "lab3/inputs/x.csv"},
    {"configname": "demo/configs/none.json"},
    {"timestamp": "'; shutdown -h now; '"},
    {"instance_type": "p5.48xlarge"},
    {"dataname": {"deep": [[[[]]]]}},
)
SPOT_REFUSALS = (None, "MaxSpotInstanceCountExceeded", "SpotMaxPriceTooLow")
Act = Callable[[], object]


class Schedule(RuleBasedStateMachine):
    """The rules; each may be struck by a crash or a refusal at any AWS call it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.events: list[dict[str, Any]] = []
        self.lambda_events: list[dict[str, Any]] = []
        self.jobs = 0

    @property
    def platform(self) -> FakePlatform:
        return self.world.platform

    def _pick(self, data: Any, choices: Any) -> Any:
        return data.draw(st.sampled_from(choices))

    @initialize(zones=st.booleans(), limit=st.sampled_from([2, 4, 1000]), spot=st.sampled_from(["never", "always"]))
    def deploy(self, zones: bool, limit: int, spot: str) -> None:
        self.platform.subnets = ZONES[1:] if zones else ()
        self.platform.deploy(deployLimit=limit, spot=spot)
        self.platform.session.spot_prices = {("m7i.large", ZONE): "0.03"}
        for (group, analysis), micro in LIMITS.items():
            self.platform.set_budget(str(micro / 1e6), group, analysis)
        for group in GROUPS:
            self.world.upload(NAMES, group)

    def _run(self, act: Act, strike: tuple[int, bool, str | None] | None) -> None:
        """Carry out a handler, struck or not; what it asked of Lambda waits for its delivery."""
        if strike:
            self.world.strike(strike[0], after=strike[1], code=strike[2])
        self.world.attempt(act)
        self._collect()

    def _collect(self) -> None:
        self.lambda_events += [json.loads(call["Payload"]) for call in self.platform.session.invoked]
        self.platform.session.invoked.clear()

    strikes = st.none() | st.tuples(
        st.integers(1, 25), st.booleans(), st.sampled_from([None, None, "busy", "InternalError", "conflict"])
    )

    @rule(
        group=st.sampled_from(GROUPS),
        count=st.integers(1, 4),
        hostile=st.none() | st.none() | st.sampled_from(HOSTILE),
        same=st.booleans(),
        strike=strikes,
        arrives=st.booleans(),
    )
    def submit(
        self, group: str, count: int, hostile: dict[str, Any] | None, same: bool, strike: Any, arrives: bool
    ) -> None:
        """A submission, ordinary or not, perhaps under a name another has, whose event comes now or later."""
        self.jobs += 1
        fields: dict[str, Any] = {"dataname": [f"{group}/inputs/{name}" for name in NAMES[:count]]}
        name = "same" if same else f"t{self.jobs}"
        event = self.world.submission(f"{self.jobs}-", group=group, **(fields | {"timestamp": name} | (hostile or {})))
        self.events.append(event)
        if arrives:
            self._run(lambda: self.platform.deliver(event), strike)

    @precondition(lambda self: self.events)
    @rule(data=st.data(), strike=strikes)
    def event_comes(self, data: Any, strike: Any) -> None:
        """Any submission's event, late or once more."""
        event = self._pick(data, self.events)
        self._run(lambda: self.platform.deliver(event), strike)

    @precondition(lambda self: self.lambda_events)
    @rule(data=st.data(), strike=strikes, twice=st.booleans())
    def resume_comes(self, data: Any, strike: Any, twice: bool) -> None:
        """A resume somebody asked for, perhaps to come again."""
        event = self._pick(data, self.lambda_events)
        if not twice:
            self.lambda_events.remove(event)
        self._run(lambda: self.platform.deliver(event), strike)

    @precondition(lambda self: self.lambda_events)
    @rule()
    def resumes_are_lost(self) -> None:
        self.lambda_events.clear()

    @precondition(lambda self: self.platform.instances)
    @rule(data=st.data(), state=st.sampled_from(["running", "shutting-down", "terminated", "stopped"]), strike=strikes)
    def instance_event_comes(self, data: Any, state: str, strike: Any) -> None:
        """A state change of any instance in any order, true or out of date, but an end only of what ended."""
        instance = self._pick(data, self.platform.instances)
        if state in ("running", "stopped") or instance not in self.platform.living():
            self._run(lambda: self.platform.change(instance, state), strike)

    @precondition(lambda self: self.platform.living())
    @rule(data=st.data(), end=st.sampled_from(ENDS), hangs=st.booleans())
    def instance_reports(self, data: Any, end: dict[str, Any], hangs: bool) -> None:
        """An instance writes its report, and ends or hangs."""
        instance = self._pick(data, self.platform.living())
        self.world.report(instance, **end)
        if not hangs:
            self.platform.vanish(instance)

    @precondition(lambda self: self.platform.instances)
    @rule(data=st.data(), strike=strikes)
    def spot_is_warned(self, data: Any, strike: Any) -> None:
        """A warning comes, of any instance: in time, late, twice, or of one that is not on spot."""
        instance = self._pick(data, self.platform.instances)
        self._run(lambda: self.platform.warn(instance), strike)

    @precondition(lambda self: self._on_spot())
    @rule(data=st.data(), reports=st.booleans(), told=st.booleans(), strike=strikes)
    def spot_is_taken_back(self, data: Any, reports: bool, told: bool, strike: Any) -> None:
        """AWS takes an instance back, with time to report or without; its events come, or are lost."""
        instance = self._pick(data, self._on_spot())
        if reports:
            self.world.report(instance, **ENDS[3])
        self.platform.take_back(instance)
        for state in ("shutting-down", "terminated") if told else ():
            self._run(partial(self.platform.change, instance, state), strike)

    def _on_spot(self) -> list[str]:
        return [it for it in self.platform.living() if it in self.platform.session.spot]

    @rule(data=st.data(), is_gone=st.booleans())
    def spot_capacity_changes(self, data: Any, is_gone: bool) -> None:
        """There is no spot instance of a type in a zone, or AWS sells none at all, or again."""
        place = self._pick(data, TYPES), f"spot {self._pick(data, ZONES)}".strip()
        self.platform.session.capacity |= {place: 0} if is_gone else {}
        self.platform.session.spot_refusal = self._pick(data, SPOT_REFUSALS) if is_gone else None

    @rule(data=st.data(), share=st.sampled_from([0, 0.05, 0.5, 1]))
    def an_operator_changes_a_budget(self, data: Any, share: float) -> None:
        """A budget is lowered while jobs run, or put back: the sweeper stops what has spent more."""
        group, analysis = self._pick(data, sorted(LIMITS))
        self.platform.set_budget(f"{LIMITS[group, analysis] * share / 1e6:.6f}", group, analysis)

    @precondition(lambda self: self.platform.living())
    @rule(data=st.data())
    def instance_is_lost(self, data: Any) -> None:
        self.platform.vanish(self._pick(data, self.platform.living()))

    @rule(minutes=st.sampled_from([0, 1, 2, 6, 30, 90]), strike=strikes)
    def sweeps(self, minutes: int, strike: Any) -> None:
        """Time passes, a minute's sweep after the other; the last may be struck."""
        for _ in range(min(minutes, 2)):
            self.platform.clock.advance(minutes=minutes / 2)
            self._run(lambda: sweep(self.platform.services), None)
        self._run(lambda: sweep(self.platform.services), strike)
        if strike is None:
            check_deadlines(self.platform, self.books)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), strike=strikes)
    def cancel(self, data: Any, strike: Any) -> None:
        """A group cancels a job, its own or another's."""
        rows = [row for row in self.platform.rows("JOB#") if row["sk"] == "JOB"]
        if rows:
            self.jobs += 1
            job = self._pick(data, [str(row["job"]) for row in rows])
            event = self.world.submission(
                f"{self.jobs}-", group=self._pick(data, GROUPS), cancel=job, timestamp=f"c{self.jobs}"
            )
            self.events.append(event)
            self._run(lambda: self.platform.deliver(event), strike)

    @rule(data=st.data(), free=st.sampled_from([0, 1, 3, None]))
    def capacity_changes(self, data: Any, free: int | None) -> None:
        """AWS has few instances of a type in a zone, none, or plenty again."""
        place = self._pick(data, TYPES), self._pick(data, ZONES)
        if free is None:
            self.platform.session.capacity.clear()
        else:
            self.platform.session.capacity[place] = free

    @rule(behind=st.booleans())
    def the_index_falls_behind(self, behind: bool) -> None:
        """The sweeper's index shows what was, or what is."""
        if behind:
            self.world.ledger.fall_behind()
        else:
            self.world.ledger.catch_up()

    @rule(code=st.sampled_from(["VcpuLimitExceeded", "RequestLimitExceeded", "InsufficientInstanceCapacity", ""]))
    def launches_are_refused(self, code: str) -> None:
        self.platform.session.refusals = {"m7i.large": code, "m6i.large": code} if code else {}

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def handlers_race(self, data: Any) -> None:
        """Two handlers side by side, one AWS call at a time."""
        acts: list[Act] = [lambda: sweep(self.platform.services)]
        ended = sorted(set(self.platform.instances) - set(self.platform.living()))
        for event in (*self.events[-3:], *self.lambda_events[:2]):
            acts.append(partial(self.platform.deliver, event))
        for instance in ended[-2:]:
            acts.append(partial(self.platform.change, instance, "terminated"))
        pair = [self._pick(data, acts), self._pick(data, acts)]
        order = data.draw(st.lists(st.integers(0, 1), max_size=40))
        interleave(self.platform.session, pair, lambda waiting: order.pop() % waiting if order else 0)
        self.world.restart()
        self._collect()

    @invariant()
    def the_books_balance(self) -> None:
        results = [key for key in self.platform.all_keys() if "/process_results/" in key]
        self.books = check(self.platform, [*self.world.user_keys, *results], LIMITS)

    def teardown(self) -> None:
        """All faults cease: every submission is answered, every job ends, and replaying everything changes nothing."""
        self.world.restart()
        self.world.ledger.catch_up()
        self.platform.session.refusals = {}
        self.platform.session.capacity.clear()
        self.platform.session.spot_refusal = None
        for event in self.events:
            self.platform.deliver(event)
        self.world.run_to_the_end(rounds=80 + 4 * self.jobs)
        books = check_all_over(self.platform)
        assert not any(is_job_open(job.state) for job in books.jobs.values())
        answered = {job.request_key for job in books.jobs.values()}
        asked = {unquote_plus(event["Records"][0]["s3"]["object"]["key"]) for event in self.events}
        assert {key for key in asked if not _is_cancel(self.platform, key)} <= answered, (
            "a submission without an answer"
        )
        assert answered <= asked, "an answer to nothing"  # a cancel is answered only where it could not be carried out
        before = self.platform.rows("")
        for event in (*self.events, *self.lambda_events):
            self.platform.deliver(event)
        self.world.tell_all()
        self.platform.sweep()
        assert self.platform.rows("") == before, "replaying the whole history changed the ledger"
        check_all_over(self.platform)


def _is_cancel(platform: FakePlatform, key: str) -> bool:
    return "cancel" in json.loads(platform.text(key))
