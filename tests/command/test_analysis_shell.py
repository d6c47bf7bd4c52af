"""A shell inside an environment: its command line, and a terminal of its own."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time

import pytest

from ncap_iac.cli import build_parser
from ncap_iac.errors import UsageError

PATIENCE_S = 20.0
PROGRAM = """
import os
from ncap_iac.analysis.terminal import control_terminal, run_on_terminal
def become():
    control_terminal()
    os.execvp("sh", ["sh", "-c", "test -t 0 && echo has a terminal; read word; echo said $word; exit 5"])
raise SystemExit(run_on_terminal(become))
"""


def test_options_go_before_the_dashes_and_the_command_behind_them() -> None:
    words = ["analysis", "shell", "spectra", "--results", "out", "-v", "--", "sh", "-c", "exit --verbose"]
    found = build_parser(words).parse_args(words)
    assert (found.name, found.results, found.verbose) == ("spectra", "out", True)
    assert found.command == ["sh", "-c", "exit --verbose"]


def test_without_a_command_there_is_none() -> None:
    words = ["analysis", "shell", "--results", "out", "spectra"]
    found = build_parser(words).parse_args(words)
    assert (found.results, found.command) == ("out", [])


@pytest.mark.parametrize("dashes", [["--"], []])
def test_a_command_may_follow_the_name_at_once(dashes: list[str]) -> None:
    words = ["analysis", "shell", "spectra", *dashes, "sh", "-c", "exit 3", "--", "-v"]
    assert build_parser(words).parse_args(words).command == ["sh", "-c", "exit 3", "--", "-v"]


def test_an_option_that_does_not_exist_is_refused() -> None:
    words = ["analysis", "shell", "spectra", "--nonsense", "--", "ls"]
    with pytest.raises(UsageError, match="--nonsense"):
        build_parser(words).parse_args(words)


def test_what_runs_on_a_terminal_reads_what_is_typed_and_ends_with_its_own_status() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen, typed, deadline = b"", False, time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        ready, _, _ = select.select([ours], [], [], 0.1)
        try:
            seen += os.read(ours, 4096) if ready else b""
        except OSError:
            break
        if not typed and b"has a terminal" in seen:
            os.write(ours, b"hello\r")
            typed = True
    assert process.wait(PATIENCE_S) == 5
    os.close(ours)
    assert b"said hello" in seen
