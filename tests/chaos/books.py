"""What must hold after every step, whatever went wrong: invariants over ledger, EC2 and bucket. Only reads."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from jobmanager.rows import AttemptRow, InstanceRow, JobRow, LaunchRow, value_of
from jobmanager.states import AttemptState, JobState, LaunchState, is_attempt_open, is_job_open
from jobmanager.times import later
from tests.fakes.platform import BUCKET, FakePlatform

SWEEP_MINUTES = 1
OWN_KEYS = re.compile(
    r"(?P<group>[^/]+)/(results|jobs)/(?P<job>job__[^/]+)/.+|logs/(active|(?P<record>[^/]+))/i-[0-9a-f]+\.json"
)


@dataclass(frozen=True)
class Books:
    """The ledger, read whole."""

    jobs: dict[str, JobRow]
    attempts: dict[str, list[AttemptRow]]
    launches: dict[str, list[LaunchRow]]
    instances: list[InstanceRow]
    budgets: dict[tuple[str, str], tuple[int, int]]
    in_flight: int
    by_group: dict[str, int]


def read_books(platform: FakePlatform) -> Books:
    """All rows, as values."""
    books = Books({}, {}, {}, [], {}, platform.in_flight(), {})
    for row in platform.rows(""):
        pk, kind = str(row["pk"]), str(row["sk"]).partition("#")[0]
        if kind == "JOB":
            books.jobs[pk] = value_of(JobRow, row)
        elif kind == "ATTEMPT":
            books.attempts.setdefault(pk, []).append(value_of(AttemptRow, row))
        elif kind == "LAUNCH":
            books.launches.setdefault(pk, []).append(value_of(LaunchRow, row))
        elif kind == "INSTANCE":
            books.instances.append(value_of(InstanceRow, row))
        elif kind == "BUDGET":
            _, group, analysis = pk.split("#")
            books.budgets[group, analysis] = int(row.get("committed_micro", 0)), int(row.get("spent_micro", 0))
        elif kind == "FLIGHT":
            books.by_group.update((k.removeprefix("group:"), int(v)) for k, v in row.items() if k.startswith("group:"))
    return books


def check(platform: FakePlatform, user_keys: Iterable[str], limits: dict[tuple[str, str], int]) -> Books:
    """Every invariant that holds at any moment; the books that were checked."""
    books = read_books(platform)
    check_one_instance_an_attempt(platform, books)
    check_money(books, limits)
    check_flight(books)
    check_places(platform, books, set(user_keys))
    check_counts(books)
    return books


def check_one_instance_an_attempt(platform: FakePlatform, books: Books) -> None:
    """(i) A dataset has at most two attempts beside those taken back, each at most one instance, a token one launch."""
    taken: Counter[tuple[str, str]] = Counter()
    described = platform.session.backend("ec2").describe_instances()
    for item in (it for group in described["Reservations"] for it in group["Instances"]):
        tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
        pk = f"JOB#{tags['analysis']}/{tags['group']}/{tags['job']}"
        launch = next(it for it in books.launches[pk] if str(it.number) == tags["launch"])
        taken[pk, launch.attempts[item["AmiLaunchIndex"]]] += 1
    assert [name for name, count in taken.items() if count > 1] == [], "an attempt has two instances"
    for attempts in books.attempts.values():
        assert all(it.attempt - it.spot_losses <= 2 and it.spot_losses <= 2 for it in attempts)


def check_money(books: Books, limits: dict[tuple[str, str], int]) -> None:
    """(ii) What is committed is what is held and spent, to the micro-dollar, and no admission went beyond a limit."""
    expected: Counter[tuple[str, str]] = Counter()
    spent: Counter[tuple[str, str]] = Counter()
    overrun: Counter[str] = Counter()
    for pk, job in books.jobs.items():
        attempts = books.attempts.get(pk, [])
        cost = sum(it.cost_micro for it in attempts)
        assert job.cost_micro == cost, f"{job.job}: the job's cost is not that of its attempts"
        held = sum(it.held_micro for it in attempts if is_attempt_open(it.state))
        for name in (job.analysis, "total"):
            expected[job.group, name] += held + cost
            spent[job.group, name] += cost
        if attempts:
            overrun[job.group] += max(0, held + cost - job.reserved_micro)
    for key, (committed, paid) in books.budgets.items():
        assert committed == expected[key], f"{key}: {committed} committed, {expected[key]} held and spent"
        assert paid == spent[key]
        assert key not in limits or committed - overrun[key[0]] <= limits[key], f"{key} went beyond its budget"


def check_flight(books: Books) -> None:
    """The count of instances is that of the rows: what open launches promise, and what lives of the others."""
    expected: Counter[str] = Counter()
    rows: dict[tuple[str, int], list[InstanceRow]] = {}
    for row in books.instances:
        rows.setdefault((row.paths.ledger_key, row.launch), []).append(row)
    for pk, launches in books.launches.items():
        for launch in launches:
            own = rows.get((pk, launch.number), [])
            closed = sum(not is_attempt_open(it.state) for it in own)
            if launch.state is LaunchState.OPEN:
                expected[books.jobs[pk].group] += len(launch.attempts) - closed
            else:
                expected[books.jobs[pk].group] += len(own) - closed
    assert books.in_flight == sum(expected.values()), "instances in flight are miscounted"
    assert all(books.by_group.get(group, 0) == count for group, count in expected.items())


def check_places(platform: FakePlatform, books: Books, user_keys: set[str]) -> None:
    """(vi) Every object that no user wrote lies in the folder of a job of its group."""
    jobs = {(job.group, job.job) for job in books.jobs.values()}
    for key in platform.all_keys():
        if key in user_keys or key.startswith("versions/"):
            continue
        found = OWN_KEYS.fullmatch(key)
        assert found, f"an object out of place: {key}"
        assert found["job"] is None or (found["group"], found["job"]) in jobs, f"an object of no job: {key}"


def check_counts(books: Books) -> None:
    """Counters of a job are those of its rows."""
    for pk, job in books.jobs.items():
        attempts = books.attempts.get(pk, [])
        assert job.open_attempts == sum(is_attempt_open(it.state) for it in attempts)
        assert job.queued == sum(it.state is AttemptState.QUEUED for it in attempts)


def check_deadlines(platform: FakePlatform, books: Books) -> None:
    """(iv) After a sweep nothing lives beyond its deadline, and (iii) no job stays open beyond its own."""
    living, now = set(platform.living()), platform.clock.text
    for row in books.instances:
        late = later(row.deadline, minutes=2 * SWEEP_MINUTES)
        assert row.instance not in living or now <= late, f"{row.instance} outlives its deadline"


def check_all_over(platform: FakePlatform) -> Books:
    """At the very end: every job final with one end marker, nothing running, nothing held, a record an instance."""
    books = read_books(platform)
    assert platform.living() == []
    assert [row for row in platform.rows("") if "open_pk" in row] == []
    markers = Counter(platform.end_markers())
    assert all(count == 1 for count in markers.values()), "an end marker was written twice"
    for pk, job in books.jobs.items():
        assert not is_job_open(job.state)
        assert job.paths.end_marker in markers
        text = platform.text(job.paths.end_marker)
        assert text.splitlines()[0] == job.state
        assert len(text.splitlines()) >= 3, "an end without words"
        latest = {it.index: it for it in books.attempts.get(pk, [])}.values()
        if job.state is JobState.SUCCEEDED:
            assert all(it.state is AttemptState.SUCCEEDED for it in latest)
        if job.state is not JobState.REJECTED:
            assert len(latest) == job.dataset_count
            assert all(it.failure and it.message for it in latest if it.state is AttemptState.FAILED)
    assert len(markers) == len(books.jobs)
    assert books.in_flight == 0
    assert all(committed == spent for committed, spent in books.budgets.values())
    assert platform.stored("logs/active/") == []
    records = [json.loads(platform.text(f"logs/{row.group}/{row.instance}.json")) for row in books.instances]
    assert all(record["end"] and record["cost"] is not None and record["databucket"] == BUCKET for record in records)
    assert sorted(record["instance-id"] for record in records) == sorted(platform.instances)
    return books
