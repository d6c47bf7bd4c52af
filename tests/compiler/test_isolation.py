"""Who may do what, asked of the compiled templates: every row of the isolation table, and what would widen it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.compiler import compiled
from tests.compiler.iam import Statement, made, may, resource_statements
from tests.compiler.isolation import MEMBER, MONITOR, OPTIONS, PRINCIPALS, STRANGER, SWEEPER, Row, rows, statements_of

ANYTHING = "*"
NO_QUESTION = {47, 50}
"""Of the fifty questions those no policy of ours answers: docs/security.md says what does."""


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.principal}-{row.action}-{row.resource}")
def test_isolation(row: Row) -> None:
    policy = statements_of(row.principal, with_options=row.with_options)
    assert may(policy, row.action, row.resource, dict(row.context)) is row.wanted


def test_every_question_of_the_list_is_asked() -> None:
    assert {row.question for row in rows()} == set(range(51)) - NO_QUESTION


def test_no_question_is_asked_twice() -> None:
    asked = [(row.principal, row.action, row.resource, row.context, row.with_options) for row in rows()]
    assert len(asked) == len(set(asked))


def test_a_bucket_grants_nothing_to_anyone_else() -> None:
    (denied,) = resource_statements(made(compiled.analysis().template), "arn:aws:iam::123456789012:role/other")
    assert denied["Effect"] == "Deny"


def widened(statement: Statement) -> Iterator[tuple[str, Statement]]:
    """Every way to let a statement allow more: any resource, one condition less, more actions."""
    resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    for place, resource in enumerate(resources):
        if resource != ANYTHING:
            yield (
                f"any resource for {resource}",
                statement | {"Resource": [*resources[:place], ANYTHING, *resources[place + 1 :]]},
            )
    for operator, keys in statement.get("Condition", {}).items():
        for key in keys:
            conditions = copy.deepcopy(statement["Condition"])
            del conditions[operator][key]
            yield f"without {key}", statement | {"Condition": conditions}
    for service in {action.partition(":")[0] for action in actions}:
        yield f"{service}:*", statement | {"Action": [*actions, f"{service}:*"]}


def own(statement: Statement, with_options: bool) -> bool:
    """Whether a statement belongs to the options where they are asked about, or to the others where they are not."""
    return (statement["Sid"].startswith("OwnKey") or statement["Sid"] == "LaunchKeptImages") is with_options


def mutants() -> Iterator[Any]:
    for principal in PRINCIPALS:
        for with_options in (False, True):
            for place, statement in enumerate(statements_of(principal, with_options=with_options)):
                if statement["Effect"] == "Allow" and own(statement, with_options):
                    for what, other in widened(statement):
                        name = f"{principal}-{statement['Sid']}-{what}"
                        yield pytest.param(principal, with_options, place, other, id=name)


@pytest.mark.parametrize(("principal", "with_options", "place", "wider"), list(mutants()))
def test_widening_a_statement_turns_a_row(principal: str, with_options: bool, place: int, wider: Statement) -> None:
    policy = list(statements_of(principal, with_options=with_options))
    policy[place] = wider
    assert turned(principal, with_options, policy)


@pytest.mark.parametrize(
    "principal", [MONITOR, SWEEPER, *(name for name, (kind, _) in PRINCIPALS.items() if kind == "Service")]
)
def test_opening_a_statement_to_everybody_turns_a_row(principal: str) -> None:
    strangers = list(statements_of(STRANGER))
    for statement in statements_of(principal):
        if statement["Effect"] == "Allow" and "Principal" in statement:
            assert turned(STRANGER, False, [*strangers, statement]), statement


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_every_statement_is_needed_by_a_row(principal: str) -> None:
    """A statement nobody asks about could widen unseen, and one nobody needs should go."""
    for with_options in (False, True):
        policy = statements_of(principal, with_options=with_options)
        for statement in policy:
            if statement["Effect"] == "Allow" and own(statement, with_options):
                rest = [other for other in policy if other != statement]
                assert turned(principal, with_options, rest), statement["Sid"]


def test_without_the_denial_plain_http_would_pass() -> None:
    policy = [statement for statement in statements_of(MEMBER) if statement["Effect"] == "Allow"]
    assert {row.question for row in turned(MEMBER, False, policy)} == {43}


def turned(principal: str, with_options: bool, policy: list[Statement]) -> list[Row]:
    return [
        row
        for row in rows()
        if row.principal == principal
        and row.with_options is with_options
        and may(policy, row.action, row.resource, dict(row.context)) is not row.wanted
    ]


def test_options_only_add_statements() -> None:
    """With a key and kept images everybody keeps exactly the rights they have without."""
    assert OPTIONS
    for principal in PRINCIPALS:
        without, having = statements_of(principal), statements_of(principal, with_options=True)
        assert all(statement in having for statement in without)
        assert all(own(statement, True) for statement in having if statement not in without)
