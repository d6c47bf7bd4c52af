"""The command line as a surface: help is quick and has examples, options go anywhere, complaints have exit codes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncap_iac.cli import build_parser, main
from ncap_iac.cli.options import SUMMARIES
from ncap_iac.errors import MEANINGS, ExitCode

HEAVY = ("boto3", "botocore", "rich", "jsonschema", "troposphere", "yaml", "ncap_compiler", "ncap_iac.local")


def parsers(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    yield words, parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield from parsers(child, (*words, name))


ALL = dict(parsers(build_parser()))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_help_text_shows_examples_of_its_own_command(words: tuple[str, ...]) -> None:
    examples = ALL[words].partition("examples:\n")[2].splitlines()
    assert any(" ".join(("ncap", *words)) in line for line in examples), words


def test_the_verbs_the_guide_names_are_all_there() -> None:
    stack = {"compile", "plan", "deploy", "diff", "drift", "outputs", "destroy"}
    document = stack | {"validate", "list", "migrate", "schema"}
    people = {"list", "add", "remove", "move", "suspend", "resume", "rotate", "handover", "accept", "whoami"}
    named = {
        "local": {"up", "down", "status", "env", "fault"},
        "blueprint": document | {"versions", "show", "rollback"},
        "profile": document | {"import", "budget"},
        "member": people,
        "account": stack | {"leftovers"},
        "budget": {"show", "set"},
        "usage": set(),
        "job": {"quote", "submit", "list", "status", "logs", "results", "cancel", "resume"},
        "environment": {"build", "list", "lock", "verify", "pin", "gc"},
        "analysis": {"new", "run", "test", "shell", "report", "publish"},
        "instance": {"launch", "list", "connect", "run", "stop", "start", "extend", "end", "save"},
        "demo": set(),
        "check": set(),
        "preflight": set(),
    }
    found = {noun: {words[1] for words in ALL if len(words) == 2 and words[0] == noun} for noun in SUMMARIES}
    assert found == named


@pytest.mark.parametrize("words", [["--help"], ["job", "--help"], ["job", "submit", "--help"], ["demo", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys; from ncap_iac.cli import main; code = main(sys.argv[1:])\n"
        f"print([name for name in sys.modules if name.startswith({HEAVY!r})], file=sys.stderr); sys.exit(code)"
    )
    answer = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert answer.returncode == 0
    assert answer.stderr.strip() == "[]"


def test_the_short_help_imports_no_noun() -> None:
    script = "import sys; from ncap_iac.cli import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "ncap_iac.cli.job" not in answer.stderr
    assert "ncap_iac.console" not in answer.stderr


def test_the_help_has_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert set(MEANINGS) == set(ExitCode)
    for code, meaning in MEANINGS.items():
        assert f"{int(code):<4} {meaning}" in text


@pytest.mark.parametrize(
    "words",
    [
        ["--cloud", "c", "--output", "json", "job", "status", "x"],
        ["job", "--cloud", "c", "status", "x", "--output", "json"],
        ["job", "status", "x", "--cloud", "c", "--output", "json"],
    ],
)
def test_global_options_go_before_or_after_the_verb(words: list[str]) -> None:
    arguments = build_parser().parse_args(words)
    assert (arguments.cloud, arguments.output, arguments.job) == ("c", "json", "x")


@pytest.mark.parametrize(
    "words", [[], ["job"], ["nonsense"], ["job", "submit"], ["job", "status", "x", "--timeout", "0"]]
)
def test_wrong_usage_ends_with_2_and_points_to_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "--help" in shown.err
    assert "Traceback" not in shown.err


def test_wrong_usage_is_json_when_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["job", "submit", "--output", "json"]) == 2
    error = json.loads(capsys.readouterr().err)
    assert error["schemaVersion"] == 1
    assert error["error"]["exitCode"] == 2
    assert error["error"]["where"] == "ncap job submit"


def test_without_a_local_cloud_the_answer_is_7_and_how_to_start_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEUROCAAS_HOME", str(tmp_path))
    assert main(["job", "list", "kalman-lds"]) == 7
    assert "ncap local up --background" in capsys.readouterr().err
    assert main(["local", "env", "--name", "second"]) == 7
    assert "--name second" in capsys.readouterr().err


def test_a_name_no_cloud_can_have_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEUROCAAS_HOME", str(tmp_path))
    assert main(["job", "list", "kalman-lds", "--cloud", "../other"]) == 2
    assert "../other" in capsys.readouterr().err


def test_a_cloud_and_aws_at_once_is_a_contradiction(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["job", "list", "kalman-lds", "--cloud", "a", "--aws"]) == 2
    assert "--cloud" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m ncap_iac blueprint compile kalman-lds; echo $? >&2"
    root = Path(__file__).resolve().parents[2]
    answer = subprocess.run(
        ["sh", "-c", f"({command}) | head -1"],
        capture_output=True,
        text=True,
        cwd=root,
        env={"PYTHONPATH": f"{root}:{root / 'utils'}", "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert answer.stdout == "{\n"
    assert answer.stderr.strip() == "0"
