"""`ncap account leftovers`, and what `destroy --verify` answers: what is left, why, and what removes it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SubParsers, add_verb
from ncap_iac.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ncap_iac.deploy.leftovers import Leftover

COLUMNS = ("kind", "name", "", "why", "what removes it")


def add_verb_leftovers(verbs: SubParsers) -> None:
    """Add the verb."""
    add_verb(
        verbs,
        "leftovers",
        "List what the platform left behind: tagged things, identities and instances that no stack holds.",
        ["ncap account leftovers", "ncap account leftovers --profile lab --output json"],
        run=run_leftovers,
        detail="Finds also what is left of stacks that no longer exist. Exit code 1 if something is there that should\n"
        "not be; what is kept on purpose, such as users' data, does not count.",
    )


def run_leftovers(context: Context) -> Answer:
    """Look for everything."""
    from ncap_iac.deploy.leftovers_fetch import find_leftovers

    context.say_target()
    found = find_leftovers(context.gateway)
    return Answer(
        kind="Leftovers",
        data={"leftovers": documents(found)},
        blocks=(table(found),),
        exit_code=code(found),
    )


def proven(context: Context, stacks: Sequence[str], destroy: Callable[[], Answer]) -> Answer:
    """Destroy, then say what is left of these stacks; exit code 1 if that should not be there."""
    from ncap_iac.deploy.leftovers_fetch import stack_of, verify_destroyed

    before = [stack_of(context.gateway, stack) for stack in stacks]
    answer = destroy()
    found = verify_destroyed(context.gateway, before)
    exit_code = code(found) if answer.exit_code is ExitCode.DONE else answer.exit_code
    data = {**answer.data, "leftovers": documents(found)}
    return replace(answer, data=data, blocks=(*answer.blocks, table(found)), exit_code=exit_code)


def table(found: Iterable[Leftover]) -> Table:
    """Leftovers for people."""
    rows = tuple((item.thing.kind, item.thing.name, item.standing.value, item.why, item.command) for item in found)
    return Table(COLUMNS, rows, title="Left", empty="Nothing is left.")


def documents(found: Iterable[Leftover]) -> list[dict[str, object]]:
    """Leftovers for JSON."""
    return [
        {
            "kind": item.thing.kind,
            "name": item.thing.name,
            "arn": item.thing.arn,
            "stack": item.thing.stack,
            "standing": item.standing.value,
            "why": item.why,
            "command": item.command,
        }
        for item in found
    ]


def code(found: Iterable[Leftover]) -> ExitCode:
    """1 if something is there that should not be."""
    from ncap_iac.deploy.leftovers import Standing

    unexpected = any(item.standing is Standing.UNEXPECTED for item in found)
    return ExitCode.FAILED if unexpected else ExitCode.DONE
