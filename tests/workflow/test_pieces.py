"""The pure parts: log tail, status pace, command template, failure classes, manifest, file names."""

from __future__ import annotations

import json
import subprocess

import pytest

from workflow.command import CommandError, shell_program
from workflow.environment import file_name
from workflow.failure import Ending, Failure, judge
from workflow.manifest import ManifestError, parse_manifest
from workflow.status import Pace
from workflow.tail import MAX_CHARACTERS, MAX_LINE_CHARACTERS, MAX_LINES, Tail


def tail_of(*chunks: bytes) -> Tail:
    tail = Tail()
    for chunk in chunks:
        tail.feed(chunk)
    tail.feed(b"", final=True)
    return tail


def test_line_ends_of_all_kinds_count_once_wherever_the_reads_split_them() -> None:
    text = b"a\r\nb\rc\n\nd\r\r\n\re\r"
    whole = tail_of(text).numbered()
    assert list(whole.values()) == ["a\n", "c\n", "\n", "d\n", "e\n"]
    for cut in range(len(text) + 1):
        assert tail_of(text[:cut], text[cut:]).numbered() == whole


def test_a_progress_bar_is_one_line_with_its_last_state() -> None:
    states = b"".join(b"\r%3d%%|####" % percent for percent in range(101))
    tail = Tail()
    tail.feed(b"before\n" + states[:500])
    assert list(tail.numbered()) == ["0", "1"]
    assert list(tail_of(b"before\n", states, b"\nafter\n").numbered().values()) == [
        "before\n",
        "100%|####\n",
        "after\n",
    ]
    drawn_after = b"".join(b"%3d%%\r" % percent for percent in range(101))
    assert list(tail_of(drawn_after).numbered().values()) == ["100%\n"]


def test_a_character_split_between_two_reads_is_whole() -> None:
    assert tail_of("é".encode()[:1], "é\n".encode()[1:]).numbered() == {"0": "é\n"}


def test_a_line_being_written_is_shown() -> None:
    tail = Tail()
    tail.feed(b"one\ntw")
    assert tail.numbered() == {"0": "one\n", "1": "tw\n"}
    tail.feed(b"o\n")
    assert tail.numbered() == {"0": "one\n", "1": "two\n"}


def test_the_tail_stays_small_however_long_the_log() -> None:
    tail = tail_of(*[b"x" * 300 + b"\n"] * 10_000, b"y" * 10_000_000 + b"\nend")
    lines = tail.numbered()
    assert len(lines) <= MAX_LINES
    assert sum(map(len, lines.values())) <= MAX_CHARACTERS + MAX_LINE_CHARACTERS + 2
    assert max(map(len, lines.values())) == MAX_LINE_CHARACTERS + 2
    assert list(lines)[-1] == "10001"
    assert tail.last(1) == ["end"]


def test_status_is_due_at_a_turn_then_at_a_rising_interval_and_rarely_when_silent() -> None:
    pace = Pace(0.0)
    due = [second / 10 for second in range(100) if pace.is_due(second / 10, turn="run", mark=second)]
    assert due == [0, 2, 4, 6, 8]
    assert pace.is_due(9.9, turn="end", mark=100)
    pace = Pace(0.0)
    due = [second for second in range(3600, 3660) if pace.is_due(float(second), turn="run", mark=second)]
    assert due == [3600, 3610, 3620, 3630, 3640, 3650]
    pace = Pace(0.0)
    assert [second for second in range(200) if pace.is_due(float(second), turn="run", mark=0)] == [0, 60, 120, 180]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("run {} {} {} {}", ["a b", "k'1", 'r"$(x)', "c;d"]),
        ('run "{}" "x{}y" {} {}', ["a b", "xk'1y", 'r"$(x)', "c;d"]),
        ("run '{}' '{} {}' {}", ["a b", "k'1 r\"$(x)", "c;d"]),
        ("run {1} {0}", ["k'1", "a b"]),
        (r"run \"{} it\'s '\'{}", ['"a b', "it's", "\\k'1"]),
        ("run ${{HOME}}{}", ["/homea b"]),
        ("run", []),
    ],
)
def test_values_reach_the_command_as_they_are(template: str, expected: list[str]) -> None:
    program = shell_program(
        "run() { for a; do printf '%s\\0' \"$a\"; done; }; ".replace("{", "{{").replace("}", "}}") + template
    )
    values = ["a b", "k'1", 'r"$(x)', "c;d"]
    shown = subprocess.run(["sh", "-c", program, "sh", *values], capture_output=True, check=True, env={"HOME": "/home"})
    assert shown.stdout.decode().split("\0")[:-1] == expected


def test_a_fifth_value_is_refused() -> None:
    with pytest.raises(CommandError, match="value 5"):
        shell_program("run {} {} {} {} {}")


@pytest.mark.parametrize(
    ("code", "lines", "failure"),
    [
        (0, ["MemoryError"], None),
        (3, ["ValueError: x"], Failure.USER_CODE),
        (137, [], Failure.OUT_OF_MEMORY),
        (1, ["Traceback", "numpy._core._exceptions._ArrayMemoryError: Unable"], Failure.OUT_OF_MEMORY),
        (1, ["OSError: [Errno 28] No space left on device"], Failure.DISK_FULL),
        (139, [], Failure.USER_CODE),
    ],
)
def test_an_exit_is_classified(code: int, lines: list[str], failure: Failure | None) -> None:
    outcome = judge(Ending.EXITED, code, lines, limit_minutes=5)
    assert (outcome.exit_code, outcome.failure) == (code, failure)
    assert (outcome.message is None) == (failure is None)


def test_a_crash_names_its_signal() -> None:
    assert "SIGSEGV" in (judge(Ending.EXITED, 139, [], limit_minutes=5).message or "")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bucket": None}, "bucket"),
        ({"attempts": 3}, "attempts"),
        ({"durationMinutes": "60"}, "durationMinutes"),
        ({"config": {}}, "key"),
        ({"schemaVersion": 2}, "schemaVersion"),
        ({"attempts": [{"index": 0, "attempt": 1, "dataset": "d"}]}, "label"),
    ],
)
def test_a_manifest_that_lacks_something_is_refused_by_name(change: dict[str, object], field: str) -> None:
    document: dict[str, object] = {
        "schemaVersion": 1,
        "bucket": "b",
        "group": "g",
        "job": "j",
        "resultPrefix": "g/results/j",
        "environment": "ami-0",
        "config": {"key": "g/configs/c", "etag": "e"},
        "durationMinutes": 60,
        "attempts": [],
    }
    assert parse_manifest(json.dumps(document).encode()).command is None
    with pytest.raises(ManifestError, match=field):
        parse_manifest(json.dumps({**document, **change}).encode())


def test_a_manifest_that_is_not_json_is_refused() -> None:
    with pytest.raises(ManifestError, match="not JSON"):
        parse_manifest(b"<html>")


@pytest.mark.parametrize(
    ("label", "name"), [("x.csv", "x.csv"), ("a/b", "a_b"), ("..", "dataset"), ("ü x.npy", "ü x.npy")]
)
def test_a_label_becomes_a_file_name(label: str, name: str) -> None:
    assert file_name(label) == name


def test_a_long_label_keeps_its_suffix() -> None:
    name = file_name("ß" * 400 + ".csv")
    assert name.endswith("ß.csv")
    assert len(name.encode()) <= 200
