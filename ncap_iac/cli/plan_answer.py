"""How a plan looks: resources, permissions, parameters, tags, what to be careful about, what it costs when idle."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table, Text
from ncap_iac.errors import ExitCode

if TYPE_CHECKING:
    from ncap_compiler import Change
    from ncap_iac.deploy.comparison import StackPlan
    from ncap_iac.deploy.plan import Plan

ABSENT = "-"


def plan_result(plan: Plan, *, next_command: str, fail_on_changes: bool = False) -> Answer:
    """A plan, as resources and words; with `fail_on_changes` the exit code tells whether there is something to do."""
    return Answer(
        kind="Plan",
        data=plan.document(),
        blocks=(Text("\n".join([*_heads(plan), _cost(plan)])), *_tables(plan)),
        notes=plan.notes,
        next_commands=(next_command,) if next_command and not plan.is_empty else (),
        exit_code=ExitCode.FAILED if fail_on_changes and not plan.is_empty else ExitCode.DONE,
    )


def _heads(plan: Plan) -> Iterator[str]:
    from ncap_iac.deploy.comparison import Outcome

    for stack in plan.stacks:
        said = stack.outcome.value if stack.outcome is Outcome.AS_WANTED else f"to be {stack.outcome.value}"
        version = f"; version {plan.version_id}" if plan.version_id else ""
        yield f"Stack {stack.stack}: {said}{version}"
        given = [f"{name}={value}" for name, value in stack.parameters if value]
        if given and stack.outcome is not Outcome.DELETED:
            yield "Parameters: " + ", ".join(given)


def _tables(plan: Plan) -> Iterator[Table]:
    """Each table that has rows; a column for the stack where there are several."""
    several = len(plan.stacks) > 1
    resources, permissions, values, careful = [], [], [], []
    for stack in plan.stacks:
        lead = (stack.stack,) if several else ()
        resources += [(*lead, *_change_row(change)) for change in stack.changes]
        permissions += [(*lead, *row) for row in _permission_rows(stack)]
        values += [(*lead, *row) for row in _value_rows(stack)]
        careful += [(*lead, care.text) for care in stack.careful]
    tables = (
        ("Resources", ("what", "type", "resource", "details"), resources),
        ("Permissions", ("resource", "", "permission"), permissions),
        ("Parameters and tags", ("what", "name", "before", "after"), values),
        ("Careful", ("what cannot be taken back",), careful),
    )
    for title, columns, rows in tables:
        if rows:
            yield Table((*(("stack",) if several else ()), *columns), tuple(rows), title=title)


def _change_row(change: Change) -> tuple[str, str, str, str]:
    details = ", ".join(change.properties)
    if change.replaces:
        details += " (another one is made in its place)"
    if change.keeps:
        details += " (stays, outside the stack)"
    return (change.verb.value, change.type.removeprefix("AWS::"), change.resource, details.strip())


def _permission_rows(stack: StackPlan) -> list[tuple[str, str, str]]:
    granted = [(change.resource, "+", words) for change in stack.changes for words in change.granted]
    revoked = [(change.resource, "-", words) for change in stack.changes for words in change.revoked]
    return sorted([*granted, *revoked])


def _value_rows(stack: StackPlan) -> Iterator[tuple[str, ...]]:
    """Of a stack that is made only the tags: its parameters are in the head."""
    from ncap_iac.deploy.comparison import Outcome

    changes = [] if stack.outcome is Outcome.CREATED else [("parameter", it) for it in stack.parameter_changes]
    for what, change in (*changes, *(("tag", it) for it in stack.tag_changes)):
        yield (what, change.name, *(ABSENT if side is None else side for side in (change.before, change.after)))


def _cost(plan: Plan) -> str:
    """The idle cost in a sentence: before, after, what it is made of, and what is billed by use."""
    before = sum((stack.idle_before.usd for stack in plan.stacks), Decimal(0))
    after = sum((stack.idle_after.usd for stack in plan.stacks), Decimal(0))
    counts: dict[str, tuple[int, Decimal]] = {}
    for line in (line for stack in plan.stacks for line in stack.idle_after.lines):
        count, usd = counts.get(line.what, (0, Decimal(0)))
        counts[line.what] = (count + line.count, usd + line.usd)
    made_of = "; ".join(f"{count} x {what}: {usd:.2f}" for what, (count, usd) in counts.items())
    by_use = dict.fromkeys(said for stack in plan.stacks for said in stack.idle_after.by_use)
    unknown = dict.fromkeys(kind for stack in plan.stacks for kind in stack.idle_after.unknown)
    sentences = [f"Cost when nothing runs: {before:.2f} -> {after:.2f} USD a month" + (f" ({made_of})" * bool(made_of))]
    sentences += [f"By use: {', '.join(said.partition(':')[0] for said in by_use)}"] if by_use else []
    sentences += [f"Not in the price table: {', '.join(unknown)}"] if unknown else []
    return ". ".join(sentences) + "."
