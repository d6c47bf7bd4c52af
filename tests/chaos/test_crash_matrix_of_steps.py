"""The crash matrix of scatter, gather and chain: dying at any AWS call leaves one clean job a step."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from jobmanager.states import EdgeState, JobState, is_job_open
from jobmanager.sweeping import sweep
from tests.chaos.books import check_money, check_one_instance_an_attempt, read_books
from tests.chaos.world import World, interleave
from tests.fakes.analyses import CHAIN, CONSENSUS, GATHER, LOCANMF, SCATTER, Analyses
from tests.fakes.platform import BUCKET, GROUP

FIRST = "job__kalman-lds_1"
MOST_CALLS = 60
Act = Callable[[], object]
Stage = Callable[[Analyses], Act]


def _started(many: Analyses) -> Act:
    many.deploy(SCATTER, GATHER, CHAIN)
    many.upload()
    event = many.submission()
    return lambda: many.platform.deliver(event)


def _last_end(many: Analyses) -> Act:
    _started(many)()
    for instance in many.platform.instances:
        many.finish(instance)
    for instance in many.platform.instances[:2]:
        many.platform.change(instance, "terminated")
    return lambda: many.platform.change(many.platform.instances[2], "terminated")


def _wake_up(many: Analyses) -> Act:
    _last_end(many)()
    return many.resume_all


def _sweep_without_wake_up(many: Analyses) -> Act:
    _last_end(many)()
    many.platform.session.invoked.clear()
    many.platform.clock.advance(minutes=1)
    return lambda: sweep(many.platform.services)


def _next_arrives(many: Analyses) -> Act:
    _wake_up(many)()
    return many.deliver_pending


def _sweep_of_answers(many: Analyses) -> Act:
    _next_arrives(many)()
    many.platform.clock.advance(minutes=1)
    return lambda: sweep(many.platform.services)


def _end_of_next(many: Analyses) -> Act:
    _next_arrives(many)()
    (instance,) = [it for it in many.platform.living() if many.tags(it)["analysis"] == CONSENSUS]
    many.finish(instance)
    return lambda: many.platform.change(instance, "terminated")


def _cancel_of_next(many: Analyses) -> Act:
    _next_arrives(many)()
    event = many.platform.submission(key=f"{GROUP}/submissions/c_submit.json", cancel=FIRST)
    return lambda: many.platform.deliver(event)


def _refused_next(many: Analyses) -> Act:
    many.platform.set_budget("0", analysis=CONSENSUS)
    _wake_up(many)()
    return many.deliver_pending


def _replay(many: Analyses) -> Act:
    _refused_next(many)()
    many.run_to_the_end()
    many.platform.set_budget("300", analysis=CONSENSUS)
    event = many.platform.submission(key=f"{GROUP}/submissions/r_submit.json", replay=FIRST)
    return lambda: many.platform.deliver(event)


STAGES: dict[str, Stage] = {
    "submit": _started,
    "monitor of the last end": _last_end,
    "wake-up": _wake_up,
    "sweep without a wake-up": _sweep_without_wake_up,
    "next submissions": _next_arrives,
    "sweep of answers": _sweep_of_answers,
    "end of a next job": _end_of_next,
    "cancel of next jobs": _cancel_of_next,
    "refusal of a next job": _refused_next,
    "replay": _replay,
}


def _one_point(stage: Stage, call: int, *, after: bool) -> bool:
    """Die at one point and come to the end; False when the handler makes fewer calls."""
    many = Analyses()
    world = World(many.aws)
    world.platform = many.platform
    act = stage(many)
    world.strike(call, after=after)
    if world.attempt(act):
        return False
    check_money(read_books(many.platform), {})
    world.attempt(act)  # delivered again, as Lambda does
    many.run_to_the_end()
    _assert_clean(many)
    return True


def _assert_clean(many: Analyses) -> None:
    books = read_books(many.platform)
    check_money(books, {})
    check_one_instance_an_attempt(many.platform, books)
    assert all(committed == spent for committed, spent in books.budgets.values())
    assert all(row["in_flight"] == 0 for row in many.platform.rows("FLIGHT#"))
    jobs = many.jobs()
    assert not any(is_job_open(job.state) for job in jobs)
    ran = Counter(job.bucket for job in jobs if job.state is not JobState.REJECTED)
    assert all(count == 1 for count in ran.values()), f"more than one job a step: {ran}"
    markers = Counter(
        item["Key"]
        for bucket in (BUCKET, CONSENSUS, LOCANMF)
        for item in many.s3.list_object_versions(Bucket=bucket)["Versions"]
        if item["Key"].endswith("/end.txt")
    )
    assert markers == Counter(job.paths.end_marker for job in jobs), "one end marker a job"
    states = {(job.bucket, job.job): job.state for job in jobs}
    assert [edge.number for edge in many.edges()] == [1, 2]
    for edge in many.edges():
        assert edge.is_answered
        assert edge.state is not EdgeState.SUBMITTED
        assert edge.next_job is None or states[edge.next_bucket, edge.next_job].value == edge.state.value
        words = f"({edge.type}, {edge.analysis}): {'job ' + edge.next_job if edge.next_job else 'not started'}"
        assert words in many.certificate(BUCKET, FIRST)
        assert f"Next step {edge.number} ({edge.type}, {edge.analysis}): " in many.end(BUCKET, FIRST)
    assert many.jobs(BUCKET)[0].state is JobState.SUCCEEDED
    assert len(many.attempts(many.jobs(BUCKET)[0])) == 3


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_dying_at_any_call_leaves_one_clean_job_a_step(stage: str, after: bool) -> None:
    points = 0
    while _one_point(STAGES[stage], points + 1, after=after):
        points += 1
        assert points < MOST_CALLS
    assert points >= 3, "the stage makes calls at which to die"


@pytest.mark.parametrize("seed", range(6))
def test_two_versions_of_one_next_submission_that_race_make_one_job(seed: int) -> None:
    many = Analyses()
    _wake_up(many)()
    ((_, event),) = [it for it in many.pending() if it[0] == CONSENSUS]
    many.platform.sweep(minutes=6)
    many.resume_all()
    other = [it for it in many.pending() if it[0] == CONSENSUS][-1][1]
    assert other != event
    choose = random.Random(seed)
    acts = [lambda: many.deliver(CONSENSUS, event), lambda: many.deliver(CONSENSUS, other)]
    assert interleave(many.platform.session, acts, choose.randrange) == [True, True]
    many.run_to_the_end()
    _assert_clean(many)


@pytest.mark.parametrize("seed", range(6))
def test_a_cancel_that_races_with_the_next_job_s_admission_leaves_nothing_running(seed: int) -> None:
    many = Analyses()
    _wake_up(many)()
    cancel = many.platform.submission(key=f"{GROUP}/submissions/c_submit.json", cancel=FIRST)
    choose = random.Random(seed)
    acts = [lambda: many.platform.deliver(cancel), many.deliver_pending]
    assert interleave(many.platform.session, acts, choose.randrange) == [True, True]
    many.deliver_pending()  # a request to cancel that was written in the next bucket
    assert many.platform.living() == []
    many.run_to_the_end()
    _assert_clean(many)
    assert {edge.state for edge in many.edges()} == {EdgeState.CANCELLED}
