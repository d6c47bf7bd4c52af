"""How a run ends: results, errors, defects and Ctrl-C, each with its exit code and without a traceback."""

from __future__ import annotations

import argparse
import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from ncap_iac.answer import Answer, Output
from ncap_iac.cli import _run
from ncap_iac.cli.context import Context
from ncap_iac.console import Console, Manner
from ncap_iac.errors import (
    AccessError,
    ApplyError,
    CloudError,
    ExitCode,
    LimitError,
    NcapError,
    NotFoundError,
    UsageError,
    WaitTimeoutError,
)


def ended(run: Callable[[Context], Answer], manner: Manner | None = None) -> tuple[int, str]:
    err = io.StringIO()
    console = Console(io.StringIO(), err, manner=manner or Manner(), clock=lambda: 0.0)
    return _run(argparse.Namespace(run=run), console), err.getvalue()


def raising(error: BaseException) -> Callable[[Context], Answer]:
    def run(_context: Context) -> Answer:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ApplyError("x"), 1),
        (UsageError("x"), 2),
        (AccessError("x"), 3),
        (NotFoundError("x"), 4),
        (LimitError("x"), 5),
        (WaitTimeoutError("x"), 6),
        (CloudError("x"), 7),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("a defect"), 1),
    ],
)
def test_every_error_has_its_exit_code_and_no_traceback(error: BaseException, code: int) -> None:
    got, said = ended(raising(error))
    assert got == code
    assert said.startswith("Error: ")
    assert "Traceback" not in said


def test_a_traceback_is_shown_to_those_who_ask() -> None:
    _, said = ended(raising(UsageError("x")), Manner(verbose=True))
    assert "Traceback" in said


def test_an_error_says_where_what_and_what_to_do() -> None:
    _, said = ended(raising(NcapError("it broke", where="stack a", hint="Mend it.")))
    assert said == "Error: stack a: it broke\nWhat to do: Mend it.\n"


def test_an_error_in_json_is_one_document() -> None:
    _, said = ended(raising(AccessError("no", where="s3", hint="ask")), Manner(output=Output.JSON))
    expected = {"type": "AccessError", "exitCode": 3, "where": "s3", "what": "no", "hint": "ask"}
    assert json.loads(said) == {"schemaVersion": 1, "error": expected}


def test_a_result_brings_its_own_exit_code() -> None:
    code, _ = ended(lambda _context: Answer(kind="X", data={}, exit_code=ExitCode.FAILED))
    assert code == 1


def test_ctrl_c_ends_a_real_process_with_130() -> None:
    script = (
        "import argparse, io, sys, time\n"
        "from ncap_iac.cli import _console, _run\n"
        "def run(context):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "sys.exit(_run(argparse.Namespace(run=run), _console([])))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
