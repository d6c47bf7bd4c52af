"""Edges by themselves: which state may follow which, their names, and writes that meet a changed row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmanager.edges import next_timestamp, plan_edges, render_submission
from jobmanager.job import MAX_TIMESTAMP, is_usable_timestamp
from jobmanager.states import EDGE_CHANGES, EdgeState, JobState, edge_sources, is_edge_replayable
from jobmanager.steps import Step, StepType, enough, parse_steps
from tests.fakes.analyses import CHAIN, GATHER, SCATTER, Analyses
from tests.fakes.platform import BUCKET

ENDS = {EdgeState.SUCCEEDED, EdgeState.FAILED, EdgeState.PARTIAL, EdgeState.REJECTED, EdgeState.CANCELLED}


@given(st.lists(st.sampled_from(EdgeState), max_size=12))
def test_whatever_is_tried_an_edge_never_leaves_its_table(tried: list[EdgeState]) -> None:
    state = EdgeState.WAITING
    for wanted in tried:
        if state in edge_sources(wanted):
            assert wanted in EDGE_CHANGES[state]
            state = wanted
    assert state is not EdgeState.WAITING or EdgeState.READY not in tried


def test_every_state_can_be_reached_and_every_end_of_a_job_is_one() -> None:
    assert set(EDGE_CHANGES) == set(EdgeState)
    reached = {EdgeState.WAITING}
    for _ in EdgeState:
        reached |= {target for state in reached for target in EDGE_CHANGES[state]}
    assert reached == set(EdgeState)
    assert {state.value for state in ENDS} <= {state.value for state in JobState}


def test_what_went_well_is_never_carried_out_again() -> None:
    replayable = {state for state in EdgeState if is_edge_replayable(state)}
    assert replayable == {EdgeState.SKIPPED, EdgeState.FAILED, EdgeState.REJECTED, EdgeState.CANCELLED}


@given(st.from_regex(r"[A-Za-z0-9._:+=@ -]{1,180}", fullmatch=True), st.sampled_from(["", "-2", "-2-again-7"]))
def test_a_next_timestamp_is_usable_whatever_the_first_was(timestamp: str, ending: str) -> None:
    name = next_timestamp(f"job__{BUCKET}_{timestamp}", ending)
    assert is_usable_timestamp(name)
    assert len(name) <= MAX_TIMESTAMP
    assert name.endswith(ending)


def test_long_names_that_begin_alike_stay_apart() -> None:
    one, other = (next_timestamp(f"job__{BUCKET}_{'x' * 150}{end}", "") for end in "ab")
    assert one != other


@given(st.integers(0, 50), st.integers(1, 50), st.none() | st.integers(1, 50))
def test_a_gather_needs_all_or_as_many_as_it_says(succeeded: int, count: int, at_least: int | None) -> None:
    is_enough = enough(StepType.GATHER, at_least=at_least, succeeded=succeeded, count=count) is None
    assert is_enough is (succeeded >= (at_least or count))
    assert (enough(StepType.CHAIN, at_least=None, succeeded=succeeded, count=count) is None) is (succeeded > 0)


def test_steps_are_read_as_the_compiler_writes_them() -> None:
    steps = parse_steps([SCATTER, GATHER, CHAIN])
    assert steps.scatter is not None
    assert [(step.type, step.bucket, step.files) for step in steps.following] == [
        (StepType.GATHER, "ensemble-consensus", ("*.out",)),
        (StepType.CHAIN, "locanmf", ()),
    ]


@pytest.mark.parametrize("step", [{"type": "fork"}, {"type": "chain"}, {"type": "scatter", "copies": 3}])
def test_a_version_document_with_other_steps_is_not_taken(step: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError)):
        parse_steps([step])


def test_two_steps_to_one_analysis_have_names_of_their_own() -> None:
    many = Analyses()
    many.deploy(CHAIN, CHAIN)
    many.upload()
    many.submit()
    assert [edge.timestamp for edge in many.edges()] == ["kalman-lds_1", "kalman-lds_1-2"]
    many.run_to_the_end()
    assert [edge.state for edge in many.edges()] == [EdgeState.SUCCEEDED] * 2


def test_an_edge_that_changed_meanwhile_is_not_changed_again() -> None:
    many = Analyses()
    many.deploy(CHAIN)
    many.upload()
    many.submit()
    (edge,) = many.edges()
    ledger = many.platform.services.ledger
    assert ledger.move_edge(edge, replace(edge, state=EdgeState.CANCELLED))
    assert not ledger.move_edge(edge, replace(edge, state=EdgeState.READY))
    assert many.edges()[0].state is EdgeState.CANCELLED


def test_a_submission_holds_nothing_a_member_could_not_write() -> None:
    many = Analyses()
    many.deploy(CHAIN)
    many.upload()
    many.submit()
    job = many.jobs()[0]
    (edge,) = plan_edges(job, [Step(StepType.CHAIN, "locanmf", "locanmf")], depth=1)
    assert edge.config_key == f"{job.group}/configs/kalman-lds_1.json"
    assert edge.submission_key == f"{job.group}/submissions/kalman-lds_1_submit.json"
    assert b'"folders": "whole"' in render_submission(edge, ["s3://a/b/"])
