"""The transition tables hold what DESIGN section 5 draws, whatever order things happen in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobmanager.states import (
    ATTEMPT_CHANGES,
    JOB_CHANGES,
    MAX_ATTEMPTS,
    AttemptState,
    FailureClass,
    JobState,
    attempt_sources,
    is_attempt_open,
    is_job_open,
    is_retried,
    job_outcome,
    job_sources,
)

ENDS = st.sampled_from([AttemptState.SUCCEEDED, AttemptState.FAILED])


def test_every_state_has_its_changes() -> None:
    assert set(JOB_CHANGES) == set(JobState)
    assert set(ATTEMPT_CHANGES) == set(AttemptState)


def test_a_refused_job_can_neither_begin_nor_be_reached() -> None:
    assert not is_job_open(JobState.REJECTED)
    assert job_sources(JobState.REJECTED) == ()


@given(st.lists(st.sampled_from(list(JobState)), max_size=12))
def test_a_job_that_ended_never_changes_again(targets: list[JobState]) -> None:
    state, ended = JobState.ACCEPTED, None
    for target in targets:
        if target in JOB_CHANGES[state]:
            assert ended is None
            state = target
        if not is_job_open(state):
            ended = state
    assert ended is None or state is ended


@given(st.lists(st.sampled_from(list(AttemptState)), max_size=12))
def test_an_attempt_never_goes_back(targets: list[AttemptState]) -> None:
    order = list(AttemptState)
    state = AttemptState.QUEUED
    for target in targets:
        if target in ATTEMPT_CHANGES[state]:
            assert order.index(target) > order.index(state)
            state = target


def test_sources_and_changes_are_each_others_mirror() -> None:
    for source, targets in ATTEMPT_CHANGES.items():
        assert all(source in attempt_sources(target) for target in targets)
        assert is_attempt_open(source) == bool(targets)


@given(st.lists(ENDS, min_size=1))
def test_a_job_succeeds_exactly_when_all_its_datasets_did(ends: list[AttemptState]) -> None:
    outcome = job_outcome(ends, cancelled=False)
    assert (outcome is JobState.SUCCEEDED) == all(end is AttemptState.SUCCEEDED for end in ends)
    assert (outcome is JobState.FAILED) == all(end is AttemptState.FAILED for end in ends)
    assert job_outcome(ends, cancelled=True) is JobState.CANCELLED


@given(st.sampled_from(list(FailureClass)), st.integers(1, 5))
def test_only_failures_that_are_nobodys_fault_are_tried_again_and_once(failure: FailureClass, attempt: int) -> None:
    again = is_retried(failure, attempt)
    assert again == (attempt < MAX_ATTEMPTS and failure in {"boot", "lost-instance", "spot", "capacity"})
