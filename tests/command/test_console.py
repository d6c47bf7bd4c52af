"""What the terminal shows: data on stdout, talk on stderr, nothing that steers a terminal."""

from __future__ import annotations

import io
import json
import os

import pytest

from ncap_iac import progress
from ncap_iac.answer import Answer, Output, Table, Text
from ncap_iac.console import Console, Manner, printable


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


def make(
    manner: Manner | None = None, *, out: io.StringIO | None = None, err: io.StringIO | None = None
) -> tuple[Console, io.StringIO, io.StringIO]:
    out, err = out or io.StringIO(), err or io.StringIO()
    return Console(out, err, manner=manner or Manner(color=False), clock=lambda: 0.0), out, err


RESULT = Answer(
    kind="Things",
    data={"things": [{"name": "a"}]},
    blocks=(Table(("name", "state"), (("a", "RUNNING"), ("b\twith tab", "x"))), Text("last")),
    notes=("A note.",),
    next_commands=("ncap next",),
)


def test_a_pipe_gets_tab_separated_rows_and_talk_goes_to_stderr() -> None:
    console, out, err = make()
    console.show(RESULT)
    assert out.getvalue() == "name\tstate\na\tRUNNING\nb with tab\tx\nlast\n"
    assert err.getvalue() == "A note.\nNext: ncap next\n"


def test_next_commands_can_be_typed_where_the_command_is_not_on_the_path() -> None:
    console, _, err = make(Manner(program=".venv/bin/ncap"))
    console.show(Answer(kind="Things", data={}, next_commands=("ncap next", 'eval "$(ncap local env)" && aws s3 ls')))
    assert err.getvalue() == 'Next: .venv/bin/ncap next\n      eval "$(.venv/bin/ncap local env)" && aws s3 ls\n'


def test_json_is_one_document_with_version_and_kind_and_no_talk() -> None:
    console, out, err = make(Manner(output=Output.JSON))
    console.report(progress.Note("talk"))
    console.show(RESULT)
    assert json.loads(out.getvalue()) == {"schemaVersion": 1, "kind": "Things", "things": [{"name": "a"}]}
    assert err.getvalue() == ""


def test_quiet_leaves_data_and_warnings() -> None:
    console, out, err = make(Manner(quiet=True))
    console.report(progress.Note("talk"))
    console.report(progress.Warned("look out"))
    console.show(RESULT)
    assert "RUNNING" in out.getvalue()
    assert err.getvalue() == "Warning: look out\n"


def test_an_empty_table_says_so_on_stderr_only() -> None:
    console, out, err = make()
    console.show(Answer(kind="X", data={}, blocks=(Table(("a",), (), empty="None here."),)))
    assert (out.getvalue(), err.getvalue()) == ("", "None here.\n")


def test_a_terminal_gets_a_drawn_table_that_cuts_nothing_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    console, out, _ = make(out=Terminal())
    name = "job__kalman-lds_" + "x" * 60
    console.show(Answer(kind="X", data={}, blocks=(Table(("job", "outcome"), ((name, "[red]SUCCEEDED"),)),)))
    text = out.getvalue()
    assert text.replace("\n", "").replace(" ", "").count("x") == 60
    assert "[red]" in text.replace("\n", "").replace(" ", "")


def test_control_characters_never_reach_a_terminal() -> None:
    evil = "\x1b]0;owned\x07\x1b[2Jname\x9b31m"
    assert "\x1b" not in printable(evil)
    console, out, err = make(out=Terminal(), err=Terminal())
    console.show(Answer(kind="X", data={}, blocks=(Text(evil), Table(("a",), ((evil,),))), notes=(evil,)))
    console.report(progress.Line(evil))
    for text in (out.getvalue(), err.getvalue()):
        assert "\x1b]0" not in text
        assert "\x07" not in text
        assert "\x9b" not in text


def test_a_file_gets_text_byte_for_byte() -> None:
    console, out, _ = make()
    console.report(progress.Line("progress 10%\rprogress 20%\x1b[0m"))
    assert out.getvalue() == "progress 10%\rprogress 20%\x1b[0m\n"


def test_a_step_is_one_line_with_mark_and_seconds() -> None:
    console, _, err = make()
    times = iter([1.0, 3.5])
    with progress.step("deploy", console.report, lambda: next(times)) as step:
        step.text = "done well"
    assert err.getvalue() == "✓ deploy  2.5 s  done well\n"


def test_a_failed_step_says_so_and_the_error_goes_on() -> None:
    console, _, err = make()
    with pytest.raises(ValueError, match="x"), progress.step("deploy", console.report, lambda: 0.0):
        raise ValueError("x")
    assert err.getvalue() == "✗ deploy  0.0 s\n"


def test_rows_are_told_again_only_when_they_change() -> None:
    console, _, err = make()
    first = (("a.csv", "RUNNING", ""), ("b.csv", "QUEUED", ""))
    for rows in (first, first, (("a.csv", "SUCCESS", "done"), first[1]), ()):
        console.report(progress.RowsChanged("job", ("dataset", "status", "said"), rows))
    assert err.getvalue() == "  a.csv  RUNNING\n  b.csv  QUEUED\n  a.csv  SUCCESS  done\n"


def test_only_failed_resources_are_told_unless_more_is_asked_for() -> None:
    events = [
        progress.ResourceChanged("s", "Bucket", "AWS::S3::Bucket", "CREATE_COMPLETE"),
        progress.ResourceChanged("s", "Role", "AWS::IAM::Role", "CREATE_FAILED", "no"),
    ]
    console, _, err = make()
    verbose, _, more = make(Manner(verbose=True))
    for event in events:
        console.report(event)
        verbose.report(event)
    assert err.getvalue() == "  CREATE_FAILED  AWS::IAM::Role Role  no\n"
    assert more.getvalue().count("\n") == 2


def test_a_live_region_leaves_lasting_lines_and_restores_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console, _, err = make(err=Terminal())
    console.report(progress.StepStarted("work"))
    console.report(progress.Transferred("a.csv", 1, 10))
    console.report(progress.RowsChanged("job", ("dataset",), (("a.csv",),)))
    console.report(progress.StepEnded("work", 1.0))
    console.close()
    text = err.getvalue()
    assert "✓ work  1.0 s" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is shown again


def test_without_colour_nothing_is_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console, out, _ = make(Manner(color=False), out=Terminal())
    console.show(RESULT)
    assert "\x1b[3" not in out.getvalue()


def test_a_reader_that_has_gone_is_no_error_for_an_answer() -> None:
    console, _, _ = make(out=Gone())
    console.show(RESULT)


def test_a_reader_that_has_gone_ends_a_followed_log() -> None:
    console, _, _ = make(out=Gone())
    with pytest.raises(BrokenPipeError):
        console.report(progress.Line("x"))


def test_without_a_terminal_there_is_nobody_to_ask() -> None:
    console, _, _ = make()
    assert console.confirm("Sure?", io.StringIO("y\n")) is None


@pytest.mark.parametrize(("typed", "answer"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False)])
def test_an_answer_at_a_terminal(typed: str, answer: bool) -> None:
    console, _, err = make(err=Terminal())
    assert console.confirm("Sure?", Terminal(typed)) is answer
    assert "Sure? [y/N]" in err.getvalue()


def test_a_terminal_that_knows_no_tick_gets_words() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="ascii") as err, os.fdopen(reader) as told:
        console = Console(io.StringIO(), err, manner=Manner(), clock=lambda: 0.0)
        console.report(progress.StepEnded("work", 1.0))
        err.close()
        assert told.read() == "ok work  1.0 s\n"
