"""What may be done with people in profiles: join, leave, move, be suspended, get another key; and a group's budget.

Profiles in, edits of their texts out, with what each means for data, jobs and keys in words. Pure: reads and writes
no file, asks no cloud.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from ncap_compiler import names
from ncap_compiler.document import Json, did_you_mean
from ncap_compiler.profile import Group
from ncap_iac.errors import NotFoundError, UsageError
from ncap_iac.people.profile_editing import Edit, GroupEditor, ProfileText

MEMBERS = "UserNames"
SUSPENDED = "Suspended"
SERIAL = "KeySerialNumber"
BUDGET = "Budget"
CONTACT = "ContactEmail"
MAX_SERIAL = 1_000_000
MAX_BUDGET_USD = Decimal(10_000_000)
BUDGET_PLACES = 6
"""Decimal places of a budget at most."""

STAYS = "Nothing is deleted: what {name} uploaded belongs to group {group} and stays with it."
RUNS_ON = "Jobs that run go on: they work with the group's instance role, not with a member's key."


@dataclass(frozen=True)
class Place:
    """A group, and where it is written."""

    file: ProfileText
    index: int
    group: Group


@dataclass(frozen=True)
class Outcome:
    """What a verb comes to: edits in the order they are to be deployed, and what they mean.

    `said` is one sentence, fit for a commit. `affected` are the members whose keys the deployment replaces or deletes,
    `handed` those who have a key to be handed over after it, `leaving` those who must be gone after it.
    """

    said: str
    group: str
    edits: tuple[Edit, ...]
    notes: tuple[str, ...] = ()
    affected: tuple[str, ...] = ()
    handed: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profiles:
    """The profiles a name is looked for in."""

    files: tuple[ProfileText, ...]

    def places(self) -> Iterator[Place]:
        """Every group of every profile."""
        for file in self.files:
            for index, group in enumerate(file.profile.groups):
                yield Place(file, index, group)

    def group(self, name: str) -> Place:
        """The group of that name. Raises NotFoundError with the nearest one, UsageError if there are two."""
        found = [place for place in self.places() if place.group.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            files = ", ".join(place.file.name for place in found)
            raise UsageError(f"group {name!r} is in several profiles: {files}", hint="Say which with --in PROFILE.")
        known = [place.group.name for place in self.places()]
        hint = did_you_mean(name, known) or f"Known here: {', '.join(known) or 'none'}."
        raise NotFoundError(f"there is no group {name!r}", where=self._where(), hint=hint)

    def find_member(self, name: str) -> Place | None:
        """The group a member is in. IAM does not tell names apart that differ in case only; nor does this."""
        folded = name.casefold()
        return next((place for place in self.places() if folded in map(str.casefold, place.group.members)), None)

    def member(self, name: str) -> Place:
        """The group of the member of exactly that name. Raises NotFoundError with the nearest one."""
        place = self.find_member(name)
        if place is not None and name in place.group.members:
            return place
        known = [member for place in self.places() for member in place.group.members]
        hint = did_you_mean(name, known) or "See `ncap member list`."
        raise NotFoundError(f"there is no member {name!r}", where=self._where(), hint=hint)

    def _where(self) -> str:
        return f"profile {self.files[0].name}" if len(self.files) == 1 else "the project's profiles"


def add_member(profiles: Profiles, everywhere: Profiles, name: str, group: str) -> Outcome:
    """A person joins a group of `profiles`; the name must be free `everywhere`. Raises UsageError, NotFoundError."""
    place = profiles.group(group)
    if reason := names.why_not_a_member(name):
        raise UsageError(f"{name!r} cannot be a member's name: {reason}", where="NAME", hint="Choose another name.")
    there = everywhere.find_member(name)
    if there is not None:
        raise _taken(there, name, group)
    editor = GroupEditor(place.file)
    editor.add_texts(place.index, MEMBERS, [name])
    return Outcome(
        f"Add {name} to group {group}",
        group,
        (editor.edit(),),
        notes=(f"{name} will reach everything in the folder of group {group}, as its other members do.",),
        handed=(name,),
    )


def _taken(there: Place, name: str, group: str) -> UsageError:
    known = next(member for member in there.group.members if member.casefold() == name.casefold())
    where = f"profile {there.file.name}, group {there.group.name}"
    if known != name:
        what = f"{name!r} is taken: IAM does not tell it from {known!r}"
        return UsageError(what, where=where, hint="Choose another name.")
    if there.group.name == group:
        again = f" Their key is suspended: `ncap member resume {name}`." if name in there.group.suspended else ""
        return UsageError(f"{name!r} is a member of it already", where=where, hint=f"Nothing is to be done.{again}")
    return UsageError(
        f"{name!r} is a member of it; a key works for one group",
        where=where,
        hint=f"Move the person with `ncap member move {name} --to {group}`, or use a second name.",
    )


def remove_member(profiles: Profiles, name: str, *, blueprints_of: Callable[[str], tuple[str, ...]]) -> Outcome:
    """A person leaves; the key dies with the deployment. Raises NotFoundError."""
    place = profiles.member(name)
    editor = GroupEditor(place.file)
    _take_out(editor, place, name)
    notes = [
        f"The key of {name} stops working when the profile is deployed, and not before.",
        STAYS.format(name=name, group=place.group.name),
        RUNS_ON,
        *_if_last(place, blueprints_of),
    ]
    return Outcome(
        f"Remove {name} from group {place.group.name}",
        place.group.name,
        (editor.edit(),),
        notes=tuple(notes),
        affected=(name,),
        leaving=(name,),
    )


def _if_last(place: Place, blueprints_of: Callable[[str], tuple[str, ...]]) -> Iterator[str]:
    if len(place.group.members) > 1:
        return
    group = place.group.name
    yield f"Group {group} has no member left. Its folder, budget and roles stay; `ncap member add` can fill it again."
    named = blueprints_of(group)
    if named:
        yield (
            f"To end the group itself, take it out of the blueprints that name it ({', '.join(named)}), deploy those, "
            "then take it out of the profile. Its data stays in the buckets."
        )


def _take_out(editor: GroupEditor, place: Place, name: str) -> None:
    editor.remove_text(place.index, MEMBERS, name)
    editor.remove_text(place.index, SUSPENDED, name, drop_empty=True)
    editor.remove_entry(place.index, CONTACT, name)


def move_member(
    profiles: Profiles, everywhere: Profiles, name: str, group: str, *, blueprints_of: Callable[[str], tuple[str, ...]]
) -> Outcome:
    """A person changes groups, within a profile or across two. Raises NotFoundError, UsageError."""
    left, joined = profiles.member(name), everywhere.group(group)
    if left.group.name == group:
        raise UsageError(f"{name!r} is in group {group} already", hint="Nothing is to be done.")
    same_stack = left.file.path == joined.file.path
    if same_stack and joined.group.key_serial < left.group.key_serial:
        raise _serial_would_fall(left, joined)
    leaving = GroupEditor(left.file)
    joining = leaving if same_stack else GroupEditor(joined.file)
    address = leaving.field(left.index, CONTACT)
    _take_out(leaving, left, name)
    joining.add_texts(joined.index, MEMBERS, [name])
    if name in left.group.suspended:
        joining.add_texts(joined.index, SUSPENDED, [name], after=MEMBERS)
    if isinstance(address, dict) and name in address and isinstance(joining.field(joined.index, CONTACT), dict):
        joining.set_entry(joined.index, CONTACT, name, address[name])
    editors = (leaving,) if same_stack else (leaving, joining)
    keeps_key = same_stack and joined.group.key_serial == left.group.key_serial
    notes = [
        f"What {name} uploaded stays with group {left.group.name}; {name} no longer reaches it once this is deployed.",
        RUNS_ON,
        _key_after_move(name, left, joined, same_stack),
        *_if_last(left, blueprints_of),
    ]
    return Outcome(
        f"Move {name} from group {left.group.name} to {group}",
        group,
        tuple(editor.edit() for editor in editors),
        notes=tuple(notes),
        affected=() if keeps_key else (name,),
        handed=() if keeps_key else (name,),
    )


def _serial_would_fall(left: Place, joined: Place) -> UsageError:
    return UsageError(
        f"the keys of group {joined.group.name} have serial number {joined.group.key_serial}, those of "
        f"{left.group.name} have {left.group.key_serial}; the number of a key can only rise",
        where=f"profile {joined.file.name}",
        hint=(
            f"Raise {SERIAL} of group {joined.group.name} to {left.group.key_serial} with `ncap member rotate "
            f"{joined.group.name}` (its members get other keys), or remove the person, deploy, add, deploy again."
        ),
    )


def _key_after_move(name: str, left: Place, joined: Place, same_stack: bool) -> str:
    if not same_stack:
        return (
            f"The groups are in two profiles: deploy {left.file.name} first, then {joined.file.name}, or the second "
            f"finds the name taken. {name} gets another key, to be handed over."
        )
    if joined.group.key_serial == left.group.key_serial:
        return f"{name} keeps the key there is."
    return f"{name} gets another key, to be handed over, because the key serial numbers of the groups differ."


def suspend_member(profiles: Profiles, name: str, *, reason: str = "") -> Outcome:
    """A member's key stops working, everything else stays. Raises NotFoundError."""
    place = profiles.member(name)
    said = f"Suspend {name} of group {place.group.name}" + (f": {reason}" if reason else "")
    if name in place.group.suspended:
        return Outcome(said, place.group.name, (), notes=(f"{name} is suspended in the profile already.",))
    editor = GroupEditor(place.file)
    editor.add_texts(place.index, SUSPENDED, [name], after=MEMBERS)
    notes = (
        f"The key of {name} stops working when the profile is deployed, and not before; nobody else is touched.",
        STAYS.format(name=name, group=place.group.name),
        RUNS_ON,
        f"A link {name} made for somebody stops working too. Undo it with `ncap member resume {name}`: the same key.",
    )
    return Outcome(said, place.group.name, (editor.edit(),), notes=notes)


def resume_member(profiles: Profiles, name: str) -> Outcome:
    """A suspended member's key works again. Raises NotFoundError."""
    place = profiles.member(name)
    said = f"Resume {name} of group {place.group.name}"
    if name not in place.group.suspended:
        return Outcome(said, place.group.name, (), notes=(f"{name} is not suspended in the profile.",))
    editor = GroupEditor(place.file)
    editor.remove_text(place.index, SUSPENDED, name, drop_empty=True)
    notes = (f"The key {name} has works again when the profile is deployed.",)
    return Outcome(said, place.group.name, (editor.edit(),), notes=notes)


def rotate_keys(profiles: Profiles, name: str) -> Outcome:
    """Every member of a group, or of the group of a member, gets another key. Raises NotFoundError, UsageError."""
    groups = [place for place in profiles.places() if place.group.name == name]
    holder = profiles.find_member(name)
    if groups and holder is not None and name in holder.group.members and holder.group.name != name:
        raise UsageError(
            f"{name!r} is a group, and a member of group {holder.group.name}",
            hint=f"Name the group whose keys are meant: {name} with --in, or {holder.group.name}.",
        )
    place = profiles.member(name) if holder is not None and not groups else profiles.group(name)
    group = place.group
    if group.key_serial >= MAX_SERIAL:
        raise UsageError(f"{SERIAL} is {group.key_serial}, the highest", where=f"group {group.name}")
    editor = GroupEditor(place.file)
    serial = group.key_serial + 1
    is_text = isinstance(editor.field(place.index, SERIAL), str)
    editor.set_field(place.index, SERIAL, str(serial) if is_text else serial)
    who = ", ".join(group.members) or "nobody"
    notes = (
        f"{SERIAL} counts for the whole group: every member gets another key ({who}).",
        "Their present keys stop working when the profile is deployed; then hand over the others.",
        RUNS_ON,
    )
    said = f"Rotate the keys of group {group.name}"
    handed = tuple(member for member in group.members if member not in group.suspended)
    return Outcome(said, group.name, (editor.edit(),), notes=notes, affected=group.members, handed=handed)


def set_budget(profiles: Profiles, group: str, amount: str, *, analysis: str | None = None) -> Outcome:
    """What a group may spend, on one analysis or over all; `none` takes the amount away.

    Raises NotFoundError, UsageError.
    """
    place = profiles.group(group)
    if analysis is not None and analysis not in place.group.analyses:
        known = place.group.analyses
        hint = did_you_mean(analysis, known) or f"It uses: {', '.join(known) or 'none'}."
        raise NotFoundError(f"group {group} does not use analysis {analysis!r}", where="--analysis", hint=hint)
    key = analysis or names.TOTAL_BUDGET
    editor = GroupEditor(place.file)
    over = f"on {analysis}" if analysis else "over all its analyses"
    if amount == "none":
        said, changed = f"Take away the budget of group {group} {over}", _drop_budget(editor, place.index, key)
    else:
        said = f"Set the budget of group {group} {over} to {amount} USD"
        changed = _write_budget(editor, place.index, key, parse_dollars(amount))
    if not changed:
        return Outcome(said, group, (), notes=("The profile says so already.",))
    note = "The budget counts from the moment the profile is deployed, for jobs submitted after it."
    return Outcome(said, group, (editor.edit(),), notes=(note,))


def _amounts(editor: GroupEditor, index: int) -> dict[str, Json]:
    """A group's budgets by analysis; one amount alone is the total."""
    found = editor.field(index, BUDGET)
    return found if isinstance(found, dict) else {} if found is None else {names.TOTAL_BUDGET: found}


def _drop_budget(editor: GroupEditor, index: int, key: str) -> bool:
    amounts = _amounts(editor, index)
    if key not in amounts:
        return False
    if len(amounts) == 1:
        editor.remove_field(index, BUDGET)
    else:
        editor.remove_entry(index, BUDGET, key)
    return True


def _write_budget(editor: GroupEditor, index: int, key: str, usd: int | float) -> bool:
    amounts = _amounts(editor, index)
    if key in amounts and amounts[key] == usd:
        return False
    if isinstance(editor.field(index, BUDGET), dict):
        editor.set_entry(index, BUDGET, key, usd)
    else:
        editor.set_field(index, BUDGET, usd if key == names.TOTAL_BUDGET else {**amounts, key: usd})
    return True


def parse_dollars(amount: str) -> int | float:
    """An amount in USD as a profile holds it. Raises UsageError."""
    try:
        found = Decimal(amount)
    except InvalidOperation:
        found = Decimal(-1)
    exponent = found.as_tuple().exponent
    if not found.is_finite() or not 0 <= found <= MAX_BUDGET_USD or not isinstance(exponent, int):
        raise UsageError(f"{amount!r} is not an amount in USD", where="AMOUNT", hint="For example 25, 12.50, or none.")
    if -exponent > BUDGET_PLACES:
        raise UsageError(f"{amount} has more than {BUDGET_PLACES} decimal places", where="AMOUNT", hint="Round it.")
    value = json.loads(f"{found:f}")
    return int(value) if value == int(value) else float(value)
