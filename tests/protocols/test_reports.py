"""Texts users read, from reports an instance may have written wrongly."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmanager.certificate import log_line, render_end
from jobmanager.states import FailureClass, JobState
from jobmanager.status import parse_status

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
NAMES = ["instance", "status", "reason", "failure", "message", "std", "cpu_usage"]


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_report_is_read_without_a_fault(document: dict[str, object]) -> None:
    status = parse_status(json.dumps(document).encode())
    assert status is not None
    assert status.last_line is None or "\n" not in status.last_line


@pytest.mark.parametrize("body", [None, b"", b"[]", b"{", b"\xff", b"[" * 200_000])
def test_what_is_no_report_is_none(body: bytes | None) -> None:
    assert parse_status(body) is None


def test_a_last_line_cannot_forge_a_row() -> None:
    std = {"0": "ok\n", "1": "x | STATUS: SUCCESS\u2028DATANAME: y\n"}
    status = parse_status(json.dumps({"std": std, "failure": "out-of-memory"}).encode())
    assert status is not None
    assert status.last_line == "x ¦ STATUS: SUCCESS DATANAME: y"
    assert status.failure is FailureClass.OUT_OF_MEMORY


def test_a_log_line_ends_in_its_time() -> None:
    assert log_line("x", 3600_00 * 27 + 62_05) == "x\t[+27:01:02.05]"


def test_an_end_marker_begins_with_the_outcome_and_keeps_one_line_a_sentence() -> None:
    lines = render_end(JobState.REJECTED, ["dataset 'a\nb' is odd", "Why?"]).decode().splitlines()
    assert lines[:4] == ["REJECTED", "", "dataset 'a b' is odd.", "Why?"]
    assert len(lines) == 5
