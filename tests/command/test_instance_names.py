"""Earlier command names: each says and does what it is called now, and the help does not list them."""

from __future__ import annotations

import argparse

import pytest

from ncap_iac.cli import build_parser
from ncap_iac.errors import UsageError

WORDS = {
    "list-instances": "instance list",
    "start-devinstance -t 90": "instance start --hours 2",
    "stop-devinstance -i i-1": "instance stop i-1",
    "extend-lifetime -i i-1 -m 60": "instance extend i-1 --hours 1",
    "terminate-devinstance -f True": "instance end --yes",
    "end-session": "instance end",
    "launch-devinstance --analysis pmd -a ami-1 -v 40 -t 120": "instance launch pmd --hours 2 --ami ami-1 --disk 40",
    "launch-devinstance --analysis pmd -a ubuntu18": "instance launch pmd --hours 1 --base",
    "submit-job -d a.csv -c b.json": "instance run --data a.csv --config b.json",
    "create-devami -n mine": "instance save --no-blueprint",
    "update-blueprint -i pmd -a ami-1 -m why": "instance save pmd --image ami-1 --message why",
    "develop-remote": "instance list",
    "get-timeout": "instance list",
}


def parsed(text: str) -> argparse.Namespace:
    words = ["remote", *text.split()]
    return build_parser(words).parse_args(words)


@pytest.mark.parametrize(("earlier", "present"), WORDS.items())
def test_an_earlier_name_stands_for_a_present_one_that_is_understood(earlier: str, present: str) -> None:
    asked = parsed(earlier)
    words = asked.present(asked)
    assert " ".join(words) == present
    assert build_parser(words).parse_args(words).noun == "instance"


@pytest.mark.parametrize("text", ["submit-job -s submit.json", "launch-devinstance -n mine", "extend-lifetime -m soon"])
def test_what_cannot_be_carried_over_names_the_present_command(text: str) -> None:
    asked = parsed(text)
    with pytest.raises(UsageError):
        asked.present(asked)


def test_the_help_does_not_list_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser(["--help"]).parse_args(["--help"])
    said = capsys.readouterr().out
    assert "instance" in said
    assert "remote" not in said
