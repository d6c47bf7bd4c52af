"""How a finding of `check` is told: bounded, ordered, and safe whatever the documents say."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncap_compiler import Change, Problem
from ncap_compiler.compare import Verb
from ncap_iac.deploy.comparison import Outcome, StackPlan
from ncap_iac.deploy.idle_cost import IdleCost
from ncap_iac.review.check import Checked, CodeChange, Severity, StackCheck, by_severity, severity
from ncap_iac.review.report import LONGEST_TEXT, code, github_commands, markdown, summary

BUCKET, ROLE, SECRET = "AWS::S3::Bucket", "AWS::IAM::Role", "AWS::SecretsManager::Secret"


def problem(message: str, *, file: str = "a.json") -> Problem:
    return Problem("B102", file, "/X", 3, message, "Mend it.")


def stack(name: str, *changes: Change, outcome: Outcome = Outcome.CHANGED) -> StackCheck:
    plan = StackPlan(name, outcome, changes, (), (), (), (), IdleCost(), IdleCost(), "")
    return StackCheck(f"{name}.json", plan, "v-1", "v-2")


def finding(*, problems: tuple[Problem, ...] = (), stacks: tuple[StackCheck, ...] = ()) -> Checked:
    return Checked("0" * 40, (), problems, (), stacks, None)


@given(st.text(alphabet=st.sampled_from("`@<>[]()!#*_|\\ \n\r\t:/a\u202e\u200b\x1b"), max_size=60))
@settings(max_examples=300, deadline=None)
def test_a_code_span_holds_its_text_and_nothing_ends_it_early(text: str) -> None:
    span = code(text)
    assert "\n" not in span
    fence = span[: len(span) - len(span.lstrip("`"))]
    inner = span[len(fence) : -len(fence)]
    assert span.endswith(fence)
    assert max((len(run) for run in runs(inner)), default=0) < len(fence)
    assert not set(inner) & {"\u202e", "\u200b", "\x1b"}


def runs(text: str) -> list[str]:
    """The runs of backticks in a text."""
    return ["`" * len(part) for part in "".join(c if c == "`" else " " for c in text).split()]


def test_long_texts_are_cut() -> None:
    assert len(code("x" * 10_000)) == LONGEST_TEXT + 2


@pytest.mark.parametrize("limit", [800, 5_000, 60_000])
def test_a_report_is_never_longer_than_its_limit_and_says_that_it_was_cut(limit: int) -> None:
    text = markdown(finding(problems=tuple(problem(f"{number} " + "x" * 300) for number in range(1_000))), limit=limit)
    assert len(text) <= limit
    assert "The report is cut here" in text
    assert text.count("`") % 2 == 0


def test_a_short_report_is_whole() -> None:
    assert "cut here" not in markdown(finding(problems=(problem("no"),)))


def test_what_loses_data_comes_first_then_what_is_replaced() -> None:
    changes = (
        Change("Added", ROLE, Verb.ADDED),
        Change("Changed", ROLE, Verb.CHANGED),
        Change("Removed", ROLE, Verb.REMOVED),
        Change("Replaced", ROLE, Verb.CHANGED, replaces=True),
        Change("Lost", SECRET, Verb.REMOVED),
        Change("Kept", BUCKET, Verb.REMOVED, keeps=True),
    )
    assert [change.resource for change in by_severity(changes)] == [
        "Lost", "Replaced", "Kept", "Removed", "Changed", "Added",
    ]  # fmt: skip
    assert severity(Change("Replaced", BUCKET, Verb.CHANGED, replaces=True)) is Severity.LOSES_DATA
    text = markdown(finding(stacks=(stack("a", changes[0]), stack("z", *changes))))
    assert text.index("`z`") < text.index("`a`")
    assert "losses of data: 1" in summary(finding(stacks=(stack("z", *changes),)))


def test_permissions_are_told_in_words() -> None:
    change = Change("Role", ROLE, Verb.CHANGED, granted=("x may y",), revoked=("x may z",))
    text = markdown(finding(stacks=(stack("a", change),)))
    assert "granted in `Role`: `x may y`" in text
    assert "revoked in `Role`: `x may z`" in text


def test_a_change_of_code_names_some_stacks_and_counts_the_rest() -> None:
    names = tuple(f"analysis-{number:03}" for number in range(100))
    text = markdown(Checked("0" * 40, (), (), (), (), CodeChange(("protocols/x.py",), names)))
    assert "and 70 more" in text
    assert "analysis-099" not in text


@given(st.text(alphabet=string.printable + "\u2028\x85", max_size=80))
@settings(max_examples=200, deadline=None)
def test_an_annotation_is_one_command_of_ours(text: str) -> None:
    lines = github_commands(finding(problems=(problem(text, file=f"{text}.json"),))).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("::error file=")
    place, _, _ = lines[0].removeprefix("::error ").partition("::")
    assert [part.partition("=")[0] for part in place.split(",")] == ["file", "line", "title"]
