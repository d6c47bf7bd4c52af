"""What counts as a difference between what was declared and what a service has."""

from __future__ import annotations

from typing import Any

import pytest

from ncap_iac.local.cloudformation.readback import differences, same_value

STATEMENT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("30", 30),
        (30, "30"),
        (1, 1.0),
        (True, "true"),
        ("True", True),
        (["a", "b"], ["b", "a"]),
        (
            [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": 2}],
            [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}],
        ),
        ({"a": 1}, {"a": 1, "added by the service": 2}),
        ({"a": {}}, {}),
        ([], None),
        ('{"a": [1]}', {"a": [1]}),
        ({"a": [1]}, '{"a":[1]}'),
        ('{"a": 1}', '{"a":1}'),
        ({"Statement": [STATEMENT]}, {"Statement": [{**STATEMENT, "Action": ["s3:GetObject"]}]}),
        ({"Principal": {"Service": "a"}}, {"Principal": {"Service": ["a"]}}),
    ],
)
def test_these_mean_the_same(wanted: Any, found: Any) -> None:
    assert differences({"X": wanted}, {"X": found}) == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("30", 31),
        (True, False),
        ("a", None),
        ("a", "A"),
        (["a"], ["a", "b"]),
        (["a", "a"], ["a", "b"]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}),
        ({"a": {"b": 1}}, {"a": {}}),
        (0, None),
        (False, None),
    ],
)
def test_these_do_not(wanted: Any, found: Any) -> None:
    (said,) = differences({"X": wanted}, {"X": found})
    assert said.startswith("property X was not applied by the service: wanted ")


def test_documents_may_have_no_member_more() -> None:
    more = {"Document": {"Statement": [{**STATEMENT, "Condition": {"Bool": {"x": "true"}}}]}}
    wanted = {"Document": {"Statement": [STATEMENT]}}
    assert differences(wanted, more) == []
    assert len(differences(wanted, more, exact={"Document"})) == 1
    nested = {"Environment": {"Variables": {"A": "1"}}}
    stale = {"Environment": {"Variables": {"A": "1", "B": "2"}}}
    assert len(differences(nested, stale, exact={"Variables"})) == 1


def test_order_counts_where_it_means_something() -> None:
    wanted, found = {"X": {"Rules": [1, 2]}}, {"X": {"Rules": [2, 1]}}
    assert differences(wanted, found) == []
    assert len(differences(wanted, found, ordered={"Rules"})) == 1


def test_what_was_to_be_removed_must_be_gone() -> None:
    assert differences({}, {"X": "a"}, previous={"X": "a"}) == [
        'property X was not removed by the service: it still has "a"'
    ]
    assert differences({}, {"X": "default"}, previous={"X": "a"}) == []
    assert differences({}, {"X": 3}, previous={"X": "3"}, defaults={"X": 3}) == []
    assert len(differences({}, {"X": 4}, previous={"X": 4}, defaults={"X": 3})) == 1


def test_a_secret_is_not_shown() -> None:
    (said,) = differences({"Secret": "hush"}, {"Secret": "psst"}, secret={"Secret"})
    assert "hush" not in said
    assert "psst" not in said


def test_a_long_value_is_cut() -> None:
    (said,) = differences({"X": "y" * 5_000}, {})
    assert len(said) < 500


def test_sameness_is_strict_both_ways() -> None:
    assert same_value({"a": 1}, {"a": "1"})
    assert not same_value({"a": 1}, {"a": 1, "b": 2})
