"""Events twice, at once, late, swapped or never, and functions that die: one job, one reservation, one end."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable

import pytest

from tests.fakes.aws_session import CrashError
from tests.fakes.platform import FakePlatform, deployed_platform

JOB = "job__kalman-lds_1"
THREE = ["demo/inputs/x.csv", "demo/inputs/y.csv", "demo/inputs/z.csv"]


def _three(platform: FakePlatform) -> dict[str, object]:
    platform.upload(["x.csv", "y.csv", "z.csv"])
    return platform.submission(dataname=THREE)


def _finish_all(platform: FakePlatform) -> None:
    for instance, key in zip(platform.instances, THREE, strict=True):
        platform.end(instance, job=JOB, label=key.rpartition("/")[2])


def _assert_one_job_of_three(platform: FakePlatform) -> None:
    assert len(platform.instances) == 3
    assert len(platform.rows("JOB#")) == 1 + 3 + 1
    assert platform.result(JOB, "end").startswith("SUCCEEDED\n")
    assert platform.end_markers() == [f"demo/results/{JOB}/process_results/end.txt"]
    records = [json.loads(platform.text(f"logs/demo/{it}.json"))["cost"] for it in platform.instances]
    assert platform.budget() == (round(sum(records) * 1e6), round(sum(records) * 1e6))
    assert platform.in_flight() == 0
    assert platform.living() == []
    assert all("open_pk" not in row for row in platform.rows(""))


def test_the_same_event_again_and_again_is_one_job(platform: FakePlatform) -> None:
    event = _three(platform)
    for _ in range(3):
        platform.deliver(event)
    _finish_all(platform)
    platform.deliver(event)
    _assert_one_job_of_three(platform)


def _at_once(*acts: Callable[[], None]) -> list[BaseException]:
    """Run acts in threads; the errors Lambda would see."""
    errors: list[BaseException] = []

    def run(act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_the_same_event_in_four_functions_at_once_is_one_job(platform: FakePlatform) -> None:
    event = _three(platform)
    errors = _at_once(*[lambda: platform.deliver(event)] * 4)
    for _ in errors:
        platform.deliver(event)
    _finish_all(platform)
    _assert_one_job_of_three(platform)


def test_a_function_may_die_after_any_call_and_the_next_delivery_finishes_its_work() -> None:
    calls = _calls_of_one_delivery()
    assert calls > 8
    for k in range(1, calls + 1):
        with deployed_platform() as platform:
            event = _three(platform)
            platform.session.calls.clear()
            platform.session.after = _dies_after(k)
            with pytest.raises(CrashError):
                platform.deliver(event)
            platform.session.after = None
            platform.services = platform.fresh_services()
            platform.deliver(event)
            _finish_all(platform)
            _assert_one_job_of_three(platform)


def _calls_of_one_delivery() -> int:
    with deployed_platform() as platform:
        event = _three(platform)
        platform.session.calls.clear()
        platform.deliver(event)
        return len(platform.session.calls)


def _dies_after(k: int) -> Callable[[int, str, str], None]:
    def after(number: int, service: str, operation: str) -> None:
        if number == k:
            raise CrashError(f"{service}.{operation}")

    return after


@pytest.mark.chaos
def test_the_monitor_may_die_after_any_call_and_events_and_sweeps_finish_its_work() -> None:
    for k in range(1, 30):
        with deployed_platform() as platform:
            platform.deliver(_three(platform))
            first, second, last = platform.instances
            platform.end(first, job=JOB, label="x.csv")
            platform.end(second, job=JOB, label="y.csv")
            platform.session.calls.clear()
            platform.session.after = _dies_after(k)
            try:
                platform.end(last, job=JOB, label="z.csv")
            except CrashError:
                crashed = True
            else:
                crashed = False
            platform.session.after = None
            platform.services = platform.fresh_services()
            platform.change(last, "terminated")
            platform.sweep(minutes=1)
            _assert_one_job_of_three(platform)
            if not crashed:
                assert k > 6
                return
    pytest.fail("the monitor made more calls than this test foresaw")


def test_a_launch_that_died_unseen_is_finished_by_the_sweeper_alone(platform: FakePlatform) -> None:
    event = _three(platform)
    platform.session.after = lambda _, __, operation: _crash_if(operation == "run_instances")
    with pytest.raises(CrashError):
        platform.deliver(event)
    platform.session.after = None
    platform.sweep(minutes=3)
    assert platform.resume_all() == 1
    _finish_all(platform)
    _assert_one_job_of_three(platform)


def _crash_if(wanted: bool) -> None:
    if wanted:
        raise CrashError


def test_events_before_the_launch_is_written_down_are_not_lost(platform: FakePlatform) -> None:
    event = _three(platform)
    platform.session.after = lambda _, __, operation: _crash_if(operation == "run_instances")
    with pytest.raises(CrashError):
        platform.deliver(event)
    platform.session.after = None
    first = platform.instances[0]
    platform.change(first, "running")
    assert f"logs/active/{first}.json" in platform.stored()
    platform.end(first, job=JOB, label="x.csv")
    platform.deliver(event)
    for instance, label in zip(platform.instances[1:], ("y.csv", "z.csv"), strict=True):
        platform.end(instance, job=JOB, label=label)
    _assert_one_job_of_three(platform)


@pytest.mark.parametrize("order", list(itertools.permutations(["running", "shutting-down", "terminated"])))
def test_state_changes_in_any_order_and_twice_come_to_one_end(platform: FakePlatform, order: tuple[str, ...]) -> None:
    platform.upload()
    platform.submit()
    (instance,) = platform.instances
    platform.clock.advance(minutes=10)
    platform.report(instance, job=JOB)
    platform.vanish(instance)
    for state in (*order, *order):
        platform.change(instance, state)
    assert platform.result(JOB, "end").startswith("SUCCEEDED")
    assert len(platform.end_markers()) == 1
    assert platform.stored("logs/active/") == []
    assert json.loads(platform.text(f"logs/demo/{instance}.json"))["start"] == "2026-11-22T10:00:00Z"
    assert platform.in_flight() == 0


def test_two_ends_at_once_are_one_end(platform: FakePlatform) -> None:
    platform.deliver(_three(platform))
    for instance, key in zip(platform.instances, THREE, strict=True):
        platform.report(instance, job=JOB, label=key.rpartition("/")[2])
        platform.vanish(instance)
    ends = [
        lambda it=it, state=state: platform.change(it, state)
        for it in platform.instances
        for state in ("shutting-down", "terminated")
    ]
    assert _at_once(*ends) == []
    _assert_one_job_of_three(platform)


def test_without_any_event_the_sweeper_comes_to_the_same_end(platform: FakePlatform) -> None:
    platform.deliver(_three(platform))
    platform.sweep(minutes=2)
    assert len(platform.stored("logs/active/")) == 3
    for instance, key in zip(platform.instances, THREE, strict=True):
        platform.report(instance, job=JOB, label=key.rpartition("/")[2])
        platform.vanish(instance)
    platform.sweep(minutes=1)
    platform.sweep(minutes=1)
    _assert_one_job_of_three(platform)
    end = json.loads(platform.text(f"logs/demo/{platform.instances[0]}.json"))["end"]
    assert end == "2026-11-22T10:02:00Z"


def test_two_submissions_never_both_get_the_last_dollar(platform: FakePlatform) -> None:
    platform.set_budget("0.11")
    platform.upload()
    events = [platform.submission(timestamp=str(k), key=f"demo/submissions/{k}submit.json") for k in range(6)]
    assert _at_once(*[lambda event=event: platform.deliver(event) for event in events]) == []
    assert len(platform.instances) == 1
    assert platform.budget()[0] <= 110_000
    outcomes = [row["state"] for row in platform.rows("JOB#") if row["sk"] == "JOB"]
    assert sorted(outcomes) == ["REJECTED"] * 5 + ["RUNNING"]


def test_two_submissions_of_one_event_are_two_jobs_even_if_one_cannot_be_handled(platform: FakePlatform) -> None:
    platform.upload()
    good = platform.submission(timestamp="2", key="demo/submissions/b-submit.json")
    bad = platform.submission(version="v-00000000000000bb")
    platform.put("versions/v-00000000000000bb.json", {"broken": True})
    with pytest.raises(Exception, match="version document"):
        platform.deliver({"Records": [*bad["Records"], *good["Records"]]})
    assert len(platform.instances) == 1


def test_a_submission_we_cannot_handle_is_answered_by_the_sweeper(platform: FakePlatform) -> None:
    platform.upload()
    platform.put("versions/v-00000000000000bb.json", {"broken": True})
    event = platform.submission(version="v-00000000000000bb")
    for _ in range(3):
        with pytest.raises(Exception, match="version document"):
            platform.deliver(event)
    platform.sweep(minutes=10)
    assert platform.end_markers() == []
    platform.sweep(minutes=21)
    platform.sweep(minutes=1)
    (marker,) = platform.end_markers()
    assert "through no fault of yours" in platform.text(marker)
    assert all("open_pk" not in row for row in platform.rows(""))


def test_a_submission_that_works_the_second_time_leaves_no_trace_of_the_first(platform: FakePlatform) -> None:
    platform.upload()
    event = platform.submission(version="v-00000000000000bb")
    platform.put("versions/v-00000000000000bb.json", {"broken": True})
    with pytest.raises(Exception, match="version document"):
        platform.deliver(event)
    platform.deploy(versionId="v-00000000000000bb")
    platform.deliver(event)
    assert len(platform.instances) == 1
    assert [row for row in platform.rows("SUBMISSION#") if row["sk"] == "PENDING"] == []


def test_a_submission_deleted_before_it_is_read_is_nothing(platform: FakePlatform) -> None:
    platform.deliver(platform.event_for("demo/submissions/gone-submit.json", "no-such-version"))
    assert platform.rows("JOB#") == []
