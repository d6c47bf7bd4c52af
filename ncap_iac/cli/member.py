"""`ncap member`: everything done with people. Edits change the profile, which stays the truth; then it is deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncap_iac.answer import Answer, Table
from ncap_iac.cli.context import Context
from ncap_iac.cli.member_keys import add_key_verbs
from ncap_iac.cli.options import SubParsers, add_noun, add_stage_option, add_verb
from ncap_iac.cli.profile_edits import (
    STILL_THERE_HINT,
    add_edit_options,
    blueprints_of,
    load_profiles,
    run_edit,
)
from ncap_iac.errors import NcapError
from ncap_iac.progress import Warned

if TYPE_CHECKING:
    from ncap_iac.people.members import Deployed, Listed, Selection
    from ncap_iac.people.membership import Profiles

EXAMPLES = (
    "ncap member list",
    "ncap member add ada --group demo --deploy",
    "ncap member handover ada --file ada.key",
    "ncap member suspend ada --reason 'key lost' --deploy",
)
DETAIL = "Edits the profile, which is the truth, and nothing else of the file. Without --deploy nothing is deployed."


def add_to(nouns: SubParsers) -> None:
    """Add the noun and its verbs."""
    verbs = add_noun(nouns, "member", EXAMPLES)
    _add_list(verbs)
    _add_joining_verbs(verbs)
    _add_suspending_verbs(verbs)
    add_key_verbs(verbs)


def _add_list(verbs: SubParsers) -> None:
    parser = add_verb(
        verbs,
        "list",
        "List members: group, state, key and its age, and whether the key was handed over.",
        ["ncap member list", "ncap member list demo --group neighbours --output json", "ncap member list --offline"],
        run=run_list,
        detail="Says what the profiles say, and beside it what is deployed if the target can be asked.",
    )
    parser.add_argument("name", nargs="?", metavar="PROFILE", help="one profile (all of the project)")
    parser.add_argument("--group", metavar="GROUP", help="only this group")
    parser.add_argument("--offline", action="store_true", help="only what the profiles say")
    add_stage_option(parser)


def _add_joining_verbs(verbs: SubParsers) -> None:
    parser = add_verb(
        verbs,
        "add",
        "Add a person to a group.",
        ["ncap member add ada --group demo", "ncap member add ada --group demo --deploy --aws"],
        run=run_add,
        detail=DETAIL,
    )
    parser.add_argument("member", metavar="NAME", help="the person's name; a user of that name is made")
    parser.add_argument("--group", metavar="GROUP", required=True, help="a group of a profile")
    add_edit_options(parser)
    parser = add_verb(
        verbs,
        "remove",
        "Remove a person: the key dies, the group keeps all data.",
        ["ncap member remove ada", "ncap member remove ada --deploy --aws"],
        run=run_remove,
        detail=DETAIL,
    )
    parser.add_argument("member", metavar="NAME", help="a member")
    add_edit_options(parser)
    parser = add_verb(
        verbs,
        "move",
        "Move a person to another group; data stays where it is.",
        ["ncap member move ada --to neighbours", "ncap member move ada --to neighbours --deploy --aws"],
        run=run_move,
        detail=DETAIL,
    )
    parser.add_argument("member", metavar="NAME", help="a member")
    parser.add_argument("--to", metavar="GROUP", required=True, help="the group to join, of any profile")
    add_edit_options(parser)


def _add_suspending_verbs(verbs: SubParsers) -> None:
    parser = add_verb(
        verbs,
        "suspend",
        "Suspend a person: the key stops working, nothing else changes.",
        ["ncap member suspend ada --deploy", "ncap member suspend ada --reason 'key lost' --deploy --aws"],
        run=run_suspend,
        detail=DETAIL,
    )
    parser.add_argument("member", metavar="NAME", help="a member")
    parser.add_argument("--reason", metavar="TEXT", default="", help="for the commit; the profile has no place for it")
    add_edit_options(parser)
    parser = add_verb(
        verbs,
        "resume",
        "Undo a suspension: the same key works again.",
        ["ncap member resume ada --deploy"],
        run=run_resume,
        detail=DETAIL,
    )
    parser.add_argument("member", metavar="NAME", help="a suspended member")
    add_edit_options(parser)
    parser = add_verb(
        verbs,
        "rotate",
        "Give every member of a group another key.",
        ["ncap member rotate demo", "ncap member rotate demo --deploy --aws"],
        run=run_rotate,
        detail=f"{DETAIL}\nThe serial number of keys is the group's: a member cannot be rotated alone.",
    )
    parser.add_argument("member", metavar="GROUP|NAME", help="a group, or a member: the whole group is meant")
    add_edit_options(parser)


def run_add(context: Context) -> Answer:
    """A person joins."""
    from ncap_iac.people.membership import add_member

    name, group = str(context.arguments.member), str(context.arguments.group)
    data = {"verb": "add", "member": name}
    return run_edit(context, lambda found: add_member(found.editable, found.everywhere, name, group), data=data)


def run_remove(context: Context) -> Answer:
    """A person leaves."""
    from ncap_iac.people.membership import remove_member

    name = str(context.arguments.member)
    named = blueprints_of(context)
    data = {"verb": "remove", "member": name}
    return run_edit(context, lambda found: remove_member(found.editable, name, blueprints_of=named), data=data)


def run_move(context: Context) -> Answer:
    """A person changes groups."""
    from ncap_iac.people.membership import move_member

    name, group = str(context.arguments.member), str(context.arguments.to)
    named = blueprints_of(context)
    return run_edit(
        context,
        lambda found: move_member(found.editable, found.everywhere, name, group, blueprints_of=named),
        data={"verb": "move", "member": name},
    )


def run_suspend(context: Context) -> Answer:
    """A person is locked out for now."""
    from ncap_iac.people.membership import suspend_member

    name, reason = str(context.arguments.member), str(context.get("reason", ""))
    data = {"verb": "suspend", "member": name, "reason": reason}
    return run_edit(context, lambda found: suspend_member(found.editable, name, reason=reason), data=data)


def run_resume(context: Context) -> Answer:
    """A person is let in again."""
    from ncap_iac.people.membership import resume_member

    name = str(context.arguments.member)
    data = {"verb": "resume", "member": name}
    return run_edit(context, lambda found: resume_member(found.editable, name), data=data)


def run_rotate(context: Context) -> Answer:
    """Other keys for a group; asks first if one member was named and others are meant with them."""
    from ncap_iac.people.membership import rotate_keys

    name = str(context.arguments.member)
    found = load_profiles(context, context.get("within"))
    outcome = rotate_keys(found.editable, name)
    others = [member for member in outcome.affected if member != name]
    if name != outcome.group and others and not context.get("dry_run", False):
        context.require_consent(f"All of group {outcome.group} get other keys, {', '.join(others)} too. Do it?")
    data = {"verb": "rotate", "member": name, "members": list(outcome.affected)}
    return run_edit(context, lambda found: rotate_keys(found.editable, name), data=data)


def run_list(context: Context) -> Answer:
    """Who is a member of what, and how they stand."""
    from ncap_iac.people.members import Selection, list_members

    profiles = load_profiles(context, context.get("name")).editable
    selection = Selection(context.get("group"), context.stage.suffix)
    if selection.group is not None:
        profiles.group(selection.group)
    deployed, reason = _deployed(context, profiles, selection)
    rows = list_members(profiles, deployed, selection)
    columns = ("member", "group", "profile", "state", "key", "age", "handed over")
    return Answer(
        kind="MemberList",
        data={"deployment": "read" if deployed is not None else reason, "members": [_data(row) for row in rows]},
        blocks=(Table(columns, tuple(_row(context, row) for row in rows), empty="There are no members."),),
        notes=tuple(_list_notes(rows, deployed, reason)),
    )


def _deployed(context: Context, profiles: Profiles, selection: Selection) -> tuple[Deployed | None, str]:
    """What the target knows, or why it was not asked."""
    from ncap_iac.people.members import read_deployed

    if context.get("offline", False):
        return None, "not asked: --offline"
    places = [place for place in profiles.places() if selection.group in (None, place.group.name)]
    wanted = [member + selection.suffix for place in places for member in place.group.members]
    try:
        gateway = context.gateway
        return read_deployed(gateway, wanted, all_users=not context.get("name")), ""
    except NcapError as error:
        context.report(Warned(f"what is deployed is not known: {error}"))
        return None, f"not known: {error}"


def _data(row: Listed) -> dict[str, object]:
    return {
        "member": row.member,
        "group": row.group,
        "profile": row.profile,
        "state": row.state.name.lower().replace("_", "-"),
        "accessKeyId": row.access_key_id or None,
        "keyCreated": row.created.isoformat() if row.created else None,
        "handedOver": row.handed_over.isoformat() if row.handed_over else None,
        "furtherKeys": row.further_keys,
    }


def _row(context: Context, row: Listed) -> tuple[str, ...]:
    age = row.age_days(context.world.now())
    handed = f"{row.handed_over:%Y-%m-%d %H:%M}" if row.handed_over else "no" if row.access_key_id else ""
    key = row.access_key_id + (f" (+{row.further_keys})" if row.further_keys else "")
    return (row.member, row.group, row.profile, row.state.value, key, "" if age is None else f"{age} d", handed)


def _list_notes(rows: tuple[Listed, ...], deployed: Deployed | None, reason: str) -> list[str]:
    from ncap_iac.people.members import State

    notes = [] if deployed is not None else [f"What the profiles say; what is deployed is {reason}."]
    by_hand = [row.member for row in rows if row.further_keys]
    if by_hand:
        notes.append(
            f"Keys the profile did not make, of {', '.join(by_hand)}: delete them by hand, or the next rotation or "
            "removal fails."
        )
    left = [row.member for row in rows if row.state is State.TO_REMOVE]
    if left:
        notes.append(f"If {', '.join(left)} stay after deploying: {STILL_THERE_HINT}")
    return notes
