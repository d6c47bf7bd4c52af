"""`ncap budget`: what groups may spend, have spent and have reserved; and setting a limit at once. For operators."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.options import SubParsers, add_noun, add_stage_option, add_verb
from ncap_iac.errors import AccessError, NcapError, NotFoundError, UsageError
from ncap_iac.project import Kind

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway
    from ncap_iac.money.budgets import Standing
    from ncap_iac.people.profile_editing import ProfileText

EXAMPLES = (
    "ncap budget show",
    "ncap budget show demo kalman-lds",
    "ncap budget set demo kalman-lds 40",
)
COLUMNS = ("group", "analysis", "limit", "spent", "reserved", "left", "limit from")
NONE = "none"
"""Said instead of an amount: take a budget away that was made by hand."""


def add_to(nouns: SubParsers) -> None:
    """Add the noun and its verbs."""
    verbs = add_noun(nouns, "budget", EXAMPLES)
    show = add_verb(
        verbs,
        "show",
        "Show limits, and what is spent, reserved and left of them, in USD.",
        [
            "ncap budget show",
            "ncap budget show demo",
            "ncap budget show demo kalman-lds --output json",
            "ncap budget show --plot budgets.svg",
        ],
        run=run_show,
        detail="Reads the ledger, so it needs an operator's rights. Spent: jobs that ended. Reserved: what running\n"
        "and waiting datasets may still cost at most. Without a budget of its own a group has the blueprint's MAXCOST.",
    )
    show.add_argument("group", nargs="?", metavar="GROUP", help="one group (all)")
    show.add_argument("analysis", nargs="?", metavar="ANALYSIS", help="one analysis of it, and the total (all)")
    show.add_argument("--plot", metavar="FILE", help="draw it too: FILE.png or FILE.svg")
    show.add_argument("--as", dest="member", metavar="MEMBER", help="act with this member's own keys")
    add_stage_option(show)
    change = add_verb(
        verbs,
        "set",
        "Set what a group may spend, at once.",
        [
            "ncap budget set demo kalman-lds 40",
            "ncap budget set demo total 100 --yes",
            "ncap budget set demo kalman-lds none",
        ],
        run=run_set,
        detail="Counts for jobs submitted from now on; running jobs are never stopped. The profile stays the truth:\n"
        "its next deploy that changes this budget writes the profile's amount. The answer says what makes yours last.",
    )
    change.add_argument("group", metavar="GROUP", help="a group")
    change.add_argument("analysis", metavar="ANALYSIS|total", help="an analysis, or total for all together")
    change.add_argument("amount", metavar="USD", help="for example 25 or 12.50; none takes away what `set` has made")
    add_stage_option(change)


# --- show ---


def run_show(context: Context) -> Answer:
    """Every budget asked for."""
    from ncap_iac.money.budgets import read_known, read_standings

    picture = _picture(context)
    gateway = _gateway(context)
    group, analysis = (_staged(context, context.get(name) or "") for name in ("group", "analysis"))
    try:
        known = read_known(gateway.analyses, gateway.parameters, gateway.objects, group=group)
        found = read_standings(
            known, gateway.ledger, group=group, analysis=analysis, profile=dict(_said(context, context.stage.suffix))
        )
    except AccessError as error:
        raise _not_yours(error) from error
    except NotFoundError as error:
        raise _nothing_there(error, gateway) from error
    notes = [f"{name}: {problem}" for name, problem in sorted(known.problems.items())]
    notes += [note for standing in found for note in _notes(standing)]
    if picture is not None:
        from ncap_iac.money.pictures import draw_budgets

        draw_budgets(found, picture)
        notes.append(f"Drawn: {picture}")
    return Answer(
        kind="Budgets",
        data={"budgets": [standing.document() for standing in found], "picture": picture and str(picture)},
        blocks=(Table(COLUMNS, tuple(_row(standing) for standing in found), empty="No analysis is deployed."),),
        notes=tuple(notes),
    )


def _gateway(context: Context) -> Gateway:
    """With the member's own keys if one is named."""
    name = context.get("member")
    return context.member(name).gateway if name else context.gateway


def _picture(context: Context) -> Path | None:
    from ncap_iac.money.pictures import picture_path

    said = context.get("plot")
    return picture_path(said, context.world.folder) if said else None


def _staged(context: Context, name: str) -> str:
    """A name as it is deployed in the stage: with its suffix, if it was said without."""
    from ncap_compiler.names import TOTAL_BUDGET

    suffix = context.stage.suffix
    return name if name in ("", TOTAL_BUDGET) or name.endswith(suffix) else name + suffix


def _not_yours(error: AccessError) -> AccessError:
    return AccessError(
        "what a group has spent and reserved is in the ledger, which only operators may read",
        where=error.where,
        hint="Ask an operator for `ncap budget show`. What was reserved for a job of yours, and of which budget, is in "
        "its certificate: `ncap job logs JOB`.",
    )


def _nothing_there(error: NotFoundError, gateway: Gateway) -> NotFoundError:
    """A missing ledger says how to make one; a missing name has its own hint."""
    if error.hint:
        return error
    return NotFoundError(
        f"there is no ledger at {gateway.target.name}: {error.what}",
        where=error.where,
        hint="Deploy the account stack: `ncap account deploy`.",
    )


def _row(standing: Standing) -> tuple[str, ...]:
    from ncap_iac.money.amounts import usd_text

    limit = "none" if standing.limit is None else usd_text(standing.limit)
    left = "" if standing.left is None else usd_text(standing.left)
    sums = standing.sums
    money = (limit, usd_text(sums.spent), usd_text(sums.reserved), left)
    return (standing.group, standing.analysis, *money, standing.where_from())


def _notes(standing: Standing) -> Iterator[str]:
    name = f"{standing.group} {standing.analysis}"
    if standing.is_exceeded:
        yield f"{name}: more is spent and reserved than the limit; no job is accepted until it is raised or jobs end."
    if standing.said is not None and standing.said != standing.limit:
        yield f"{name}: the profile of this project says otherwise; deploy it, or `ncap profile budget` it."


# --- profiles ---


def _profiles(context: Context) -> Iterator[ProfileText]:
    """The project's profiles that have no problem; none outside a project."""
    from ncap_iac.people.profile_editing import read_profile

    for path in context.project.documents(Kind.PROFILE) if context.has_project() else ():
        try:
            yield read_profile(path)
        except NcapError:
            continue


def _said(context: Context, suffix: str) -> Iterator[tuple[tuple[str, str], int]]:
    """What the profiles allow, by group and analysis as they are deployed in the stage."""
    from ncap_compiler.names import TOTAL_BUDGET
    from ncap_iac.money.amounts import micro_of

    for file in _profiles(context):
        for group in file.profile.groups:
            for budget in group.budgets:
                name = budget.analysis if budget.analysis == TOTAL_BUDGET else budget.analysis + suffix
                yield (group.name + suffix, name), micro_of(budget.usd)


def _lasting(context: Context, group: str, analysis: str, amount: str) -> str:
    """The command that writes an amount into the profile, as a person would type it."""
    from ncap_compiler.names import TOTAL_BUDGET

    suffix = context.stage.suffix
    name = group.removesuffix(suffix)
    profile = next((it.name for it in _profiles(context) if name in {found.name for found in it.profile.groups}), None)
    which = () if analysis == TOTAL_BUDGET else ("--analysis", analysis.removesuffix(suffix))
    words = ("ncap", "profile", "budget", profile or "PROFILE", name, amount, *which, "--deploy")
    return shlex.join([*words, *context.place_options()])


# --- set ---


def run_set(context: Context) -> Answer:
    """Another limit, or none."""
    from ncap_iac.money.amounts import parse_amount
    from ncap_iac.money.budgets import read_known, read_standings

    group, analysis = (
        _staged(context, str(context.arguments.group)),
        _staged(context, str(context.arguments.analysis)),
    )
    text = str(context.arguments.amount)
    amount = None if text == NONE else parse_amount(text)
    gateway = context.gateway
    try:
        known = read_known(gateway.analyses, gateway.parameters, gateway.objects, group=group)
        found = read_standings(known, gateway.ledger, group=group, analysis=analysis)
    except AccessError as error:
        raise _not_yours(error) from error
    except NotFoundError as error:
        raise _nothing_there(error, gateway) from error
    before = next(standing for standing in found if standing.analysis == analysis)
    has_parameter = (group, analysis) in known.parameters
    owner = gateway.parameters.owner(group, analysis) if has_parameter else None
    if amount is None:
        return _take_away(context, before, has_parameter=has_parameter, owner=owner)
    return _write(context, before, amount, has_parameter=has_parameter, owner=owner)


def _write(context: Context, before: Standing, amount: int, *, has_parameter: bool, owner: str | None) -> Answer:
    from dataclasses import replace

    from ncap_iac.money.amounts import plain, usd_text
    from ncap_iac.money.budgets import Source

    after = replace(before, limit=amount, source=Source.PARAMETER, version_id="", problem="")
    name = f"{before.group} {before.analysis}"
    is_same = has_parameter and not before.problem and before.limit == amount
    if after.is_exceeded and not is_same:
        sums = before.sums
        context.require_consent(
            f"{name}: {usd_text(sums.spent)} are spent and {usd_text(sums.reserved)} reserved already, more than "
            f"{usd_text(amount)}. Running jobs go on, but no other is accepted. Set it?"
        )
    if not is_same:
        context.say_target()
        context.gateway.parameters.put(before.group, before.analysis, plain(amount))
    lasting = _lasting(context, before.group, before.analysis, plain(amount))
    by_hand = owner is None
    return Answer(
        kind="BudgetSet",
        data={
            "changed": not is_same,
            "before": before.document(),
            "after": after.document(),
            "ownedBy": owner,
            "lasting": lasting,
        },
        blocks=(Table(COLUMNS, (_row(after),)),),
        notes=tuple(_words_of(before, is_same=is_same, by_hand=by_hand)),
        next_commands=(_none_command(context, before), lasting) if by_hand else (lasting,),
    )


def _words_of(before: Standing, *, is_same: bool, by_hand: bool) -> Iterator[str]:
    from ncap_iac.money.amounts import usd_text

    limit = "none" if before.limit is None else usd_text(before.limit)
    yield (
        "It was so already." if is_same else f"It was {limit} ({before.where_from()}). Counts from the next submission."
    )
    if by_hand:
        yield (
            "No profile has deployed this budget. To put it into the profile, take this one away first: two of one "
            "name cannot be."
        )
    else:
        yield "The profile stays the truth: its next deploy that changes this budget brings back what the profile says."


def _none_command(context: Context, standing: Standing) -> str:
    words = ("ncap", "budget", "set", standing.group, standing.analysis, NONE)
    return shlex.join([*words, *context.place_options()])


def _take_away(context: Context, before: Standing, *, has_parameter: bool, owner: str | None) -> Answer:
    from ncap_compiler.names import TOTAL_BUDGET

    name = f"{before.group} {before.analysis}"
    if owner is not None:
        raise UsageError(
            f"the budget of {name} belongs to stack {owner}",
            where=f"budget {name}",
            hint=f"Take it out of the profile: {_lasting(context, before.group, before.analysis, NONE)}",
        )
    if has_parameter:
        rest = "nothing limits all analyses together" if before.analysis == TOTAL_BUDGET else "MAXCOST counts"
        context.require_consent(f"{name}: without this budget {rest}. Take it away?")
        context.say_target()
        context.gateway.parameters.delete(before.group, before.analysis)
    return Answer(
        kind="BudgetSet",
        data={"changed": has_parameter, "before": before.document(), "after": None, "ownedBy": None, "lasting": None},
        notes=("Taken away." if has_parameter else "There is no such budget.",),
        next_commands=(shlex.join(["ncap", "budget", "show", before.group, *context.place_options()]),),
    )
