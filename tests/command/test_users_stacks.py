"""Several stacks of one profile: which belong together, what moves, and an order in which no name is there twice."""

from __future__ import annotations

from typing import Any

import pytest

from ncap_iac.deploy.users_stacks import Move, belongs, in_order, moves, moving_members, number_of

FIRST = "neurocaas-users-demo"


def holding(*members: str) -> dict[str, Any]:
    return {
        "Resources": {f"Member{name}": {"Type": "AWS::IAM::User", "Properties": {"UserName": name}} for name in members}
        | {"Members": {"Type": "AWS::IAM::UserToGroupAddition", "Properties": {"GroupName": "g"}}}
    }


@pytest.mark.parametrize(
    ("stack", "does"),
    [
        (FIRST, True),
        (f"{FIRST}--2", True),
        (f"{FIRST}--13", True),
        (f"{FIRST}-dev", False),
        (f"{FIRST}-dev--2", False),
        (f"{FIRST}stration", False),
        (f"{FIRST}--two", False),
    ],
)
def test_a_profiles_stacks_are_told_from_those_of_others(stack: str, does: bool) -> None:
    assert belongs(stack, FIRST) is does


def test_stacks_have_numbers() -> None:
    assert [number_of(name) for name in (FIRST, f"{FIRST}--2", "neurocaas-users-a-dev--12")] == [1, 2, 12]


def test_a_member_that_leaves_one_stack_for_another_moves() -> None:
    found = moves({"a": holding("ada", "bob"), "b": holding("eve")}, {"a": holding("bob"), "b": holding("eve", "ada")})
    assert found == (Move("AWS::IAM::User", "ada", "a", "b"),)
    assert moving_members(found) == ("ada",)


def test_whoever_stays_joins_or_leaves_does_not_move() -> None:
    assert moves({"a": holding("ada", "bob")}, {"a": holding("ada"), "b": holding("eve")}) == ()


def test_a_stack_is_changed_after_those_it_takes_from() -> None:
    assert in_order(["a", "b", "c"], [Move("", "x", "c", "a"), Move("", "y", "b", "c")]) == ("b", "c", "a")
    assert set(in_order(["a", "b"], []) or ()) == {"a", "b"}


def test_stacks_that_take_from_each_other_have_no_order() -> None:
    assert in_order(["a", "b"], [Move("", "x", "a", "b"), Move("", "y", "b", "a")]) is None
