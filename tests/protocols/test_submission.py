"""Reading submit.json: what is wrong with it is found without looking anything up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobmanager.submission import parse_submission

GOOD = {"dataname": "demo/inputs/x.csv", "configname": "demo/configs/c.json", "timestamp": "1"}


def _problems(fields: dict[str, Any]) -> str:
    return " / ".join(parse_submission(json.dumps(GOOD | fields).encode(), "demo").problems)


def test_a_plain_submission_is_read() -> None:
    found = parse_submission(json.dumps(GOOD | {"timestamp": 1669111111, "exitcode": 0}).encode(), "demo")
    assert found.problems == ()
    assert (found.datasets, found.config, found.timestamp) == (
        ("demo/inputs/x.csv",),
        "demo/configs/c.json",
        "1669111111",
    )
    assert found.notes == ("the field 'exitcode' is not known and was ignored",)


def test_a_cancel_request_is_read() -> None:
    assert parse_submission(b'{"cancel": "job__kalman-lds_1"}', "demo").cancel == "job__kalman-lds_1"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dataname": []}, "'dataname' is an empty list"),
        ({"dataname": 7}, "a key must be a text"),
        ({"dataname": ["demo/inputs/x.csv", None]}, "a key must be a text"),
        ({"dataname": {"a": 1}}, "a key must be a text"),
        ({"dataname": "lab2/inputs/x.csv"}, "it belongs to another group"),
        ({"dataname": "demo/inputs/../../lab2/inputs/x.csv"}, "'..' between its slashes"),
        ({"dataname": "demo/inputs//x.csv"}, "it has an empty part"),
        ({"dataname": "/demo/inputs/x.csv"}, "it has an empty part"),
        ({"dataname": "demo/inputs"}, "it does not lie in demo/inputs/"),
        ({"dataname": "demo/configs/x.csv"}, "it does not lie in demo/inputs/ or demo/results/"),
        ({"dataname": "demo2/inputs/x.csv"}, "it belongs to another group"),
        ({"dataname": "demo/inputs/x\n.csv"}, "control character"),
        ({"dataname": "demo/inputs/\ud800"}, "no valid key"),
        ({"dataname": ["demo/inputs/x.csv"] * 10_001}, "at most 10000 are accepted"),
        ({"configname": "lab2/configs/c.json"}, "it belongs to another group"),
        ({"configname": "demo/configs/"}, "it must be one file"),
        ({"configname": None}, "a key must be a text"),
        ({"instance_type": 3}, "'instance_type' must be a text"),
    ],
)
def test_what_a_submission_may_not_say(fields: dict[str, Any], words: str) -> None:
    assert words in _problems(fields)


@pytest.mark.parametrize("field", ["dataname", "configname", "timestamp"])
def test_a_missing_field_is_named(field: str) -> None:
    document = {name: value for name, value in GOOD.items() if name != field}
    assert any(f"'{field}' is missing" in it for it in parse_submission(json.dumps(document).encode(), "demo").problems)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"dataname": "demo/inp', "cannot be read as JSON: line 1"),
        (b"", "it is empty"),
        (b"\xef\xbb\xbf{}", "byte-order mark"),
        ('{"a": 1}'.encode("utf-16"), "byte-order mark"),
        (b'{"a": "\xff"}', "is not UTF-8"),
        (b'{"timestamp": NaN}', "NaN is not a JSON number"),
        (b'{"timestamp": 1, "timestamp": 2}', "'timestamp' is there twice"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[1]", "must be a JSON object"),
        (b'{"timestamp": ' + b"9" * 5000 + b"}", "too many digits"),
        (b" " * (5 * 1024 * 1024 + 1), "larger than 5 MB"),
        (b'{"cancel": 3}', "'cancel' must be the name of a job"),
    ],
)
def test_a_submission_that_cannot_be_read_says_why(body: bytes, words: str) -> None:
    (problem, *_) = parse_submission(body, "demo").problems
    assert words in problem


@pytest.mark.parametrize(
    "timestamp", ["", " ", "a/b", "it's", 'x"; rm -rf /; "', "a;b", "a\nb", "x" * 129, True, 1.5, None, [], "😀"]
)
def test_a_timestamp_that_could_do_harm_is_refused(timestamp: object) -> None:
    assert "'timestamp' must be a whole number or a text" in _problems({"timestamp": timestamp})
