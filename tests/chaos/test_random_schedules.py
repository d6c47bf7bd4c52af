"""Random schedules in a short, fixed form by default, and in a long one that differs from day to day."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.machine import Schedule

QUIET = list(HealthCheck)


def test_a_few_fixed_schedules_keep_every_promise() -> None:
    run_state_machine_as_test(
        Schedule,
        settings=settings(
            max_examples=12, stateful_step_count=25, derandomize=True, deadline=None, database=None,
            suppress_health_check=QUIET, phases=[Phase.generate, Phase.shrink],
        ),
    )  # fmt: skip


@pytest.mark.chaos
def test_hundreds_of_jobs_in_random_schedules_keep_every_promise() -> None:
    run_state_machine_as_test(
        Schedule,
        settings=settings(
            max_examples=300, stateful_step_count=60, deadline=None, suppress_health_check=QUIET, print_blob=True
        ),
    )
