"""From a table of people to edits of a profile: who joins, who is there already, which rows contradict.

All or nothing: with one refused row nothing is edited. Groups there are get members and keep everything else. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ncap_compiler.document import Json, render_json
from ncap_iac.errors import UsageError
from ncap_iac.people.membership import MEMBERS, Profiles
from ncap_iac.people.profile_editing import Edit, GroupEditor, ProfileText, parse_profile
from ncap_iac.people.table import People, Person, Refusal

MAX_IAM_USERS = 5000
"""Users an AWS account holds at most (IAM quotas)."""


@dataclass(frozen=True)
class Import:
    """What an import comes to. `edit` is None when nothing is to be changed, or something is refused."""

    joining: tuple[Person, ...]
    present: tuple[Person, ...]
    """Members of that group already, in the profile or by an earlier row."""
    refusals: tuple[Refusal, ...]
    added_groups: tuple[str, ...]
    edit: Edit | None


@dataclass(frozen=True)
class Destination:
    """The profile imported into (without text: to be made), the profiles a name must be free in, and the analyses
    that groups which are made may use.
    """

    profile: ProfileText
    everywhere: Profiles
    analyses: tuple[str, ...] = ()


def plan_import(people: People, destination: Destination) -> Import:
    """Sort the rows, and make the edit. Raises UsageError if groups are to be made and no analysis is named."""
    joining, present, refusals = _sorted(people.persons, destination)
    known = [group.name for group in destination.profile.profile.groups]
    added = tuple(dict.fromkeys(person.group for person in joining if person.group not in known))
    refusals = sorted([*people.refusals, *refusals], key=lambda refusal: refusal.row)
    edit = None
    if joining and not refusals:
        if added and not destination.analyses:
            raise UsageError(
                f"these groups would be made, and nothing says which analyses they may use: {_listed(added)}",
                where="--analyses",
                hint="Name them: --analyses kalman-lds,pmd.",
            )
        edit = _edit(joining, added, destination)
    return Import(tuple(joining), tuple(present), tuple(refusals), added, edit)


def _sorted(persons: Sequence[Person], destination: Destination) -> tuple[list[Person], list[Person], list[Refusal]]:
    members, groups = _taken(destination)
    joining: list[Person] = []
    present: list[Person] = []
    refusals: list[Refusal] = []
    for person in persons:
        clash = groups.get(person.group.casefold())
        if clash is not None and clash[0] != person.group:
            refusals.append(_two_spellings(person, clash))
            continue
        if clash is not None and clash[1] not in ("", destination.profile.name):
            reason = f"group {person.group} is in profile {clash[1]}"
            remedy = f"Import these rows with --into {clash[1]}, or choose another name."
            refusals.append(Refusal(person.row, "Group", reason, remedy))
            continue
        groups.setdefault(person.group.casefold(), (person.group, ""))
        there = members.get(person.member.casefold())
        if there is None:
            members[person.member.casefold()] = person
            joining.append(person)
        elif (refusal := _clash(person, there)) is None:
            present.append(person)
        else:
            refusals.append(refusal)
    return joining, present, refusals


def _taken(destination: Destination) -> tuple[dict[str, Person], dict[str, tuple[str, str]]]:
    """Members there are, as rows 0, and groups with their profile, both by name in one case."""
    members: dict[str, Person] = {}
    groups: dict[str, tuple[str, str]] = {}
    for place in destination.everywhere.places():
        groups[place.group.name.casefold()] = (place.group.name, place.file.name)
        for member in place.group.members:
            members[member.casefold()] = Person(0, member, place.group.name)
    return members, groups


def _two_spellings(person: Person, clash: tuple[str, str]) -> Refusal:
    reason = f"group {person.group} and group {clash[0]} differ in case only; IAM takes them for one"
    return Refusal(person.row, "Group", reason, f"Write `{clash[0]}` in every row.")


def _clash(person: Person, there: Person) -> Refusal | None:
    """Why a row's member cannot be the member there is; None when they are one person."""
    where = f"row {there.row}" if there.row else "the profiles"
    if there.member != person.member:
        reason = f"{person.member} and {there.member} ({where}) differ in case only; IAM takes them for one"
        return Refusal(person.row, "Name", reason, f"Write `{there.member}` if it is one person, else another name.")
    if there.row and (differing := _differing(person, there)):
        reason = f"{person.member} is another person in row {there.row}: the {differing} differ"
        return Refusal(person.row, "Name", reason, "Give one of them another name.")
    if there.group == person.group:
        return None
    reason = f"{person.member} is in group {there.group} ({where}); a key works for one group"
    remedy = (
        "Keep one of the rows, or give the person a second name."
        if there.row
        else f"Move the person first: `ncap member move {person.member} --to {person.group}`; or choose another name."
    )
    return Refusal(person.row, "Group", reason, remedy)


def _differing(person: Person, there: Person) -> str:
    """What shows that two rows of one member are two people; nothing when they are one."""
    if person.email and there.email:
        return "addresses" if person.email.casefold() != there.email.casefold() else ""
    return "names" if person.name != there.name else ""


def _edit(joining: Sequence[Person], added: Sequence[str], destination: Destination) -> Edit:
    """Members appended group by group, groups that are made at the end."""
    by_group: dict[str, list[str]] = {}
    for person in joining:
        by_group.setdefault(person.group, []).append(person.member)
    entries = [_group(name, by_group[name], destination.analyses) for name in added]
    if not destination.profile.text:
        text = render_json({"UXData": {"Affiliates": list[Json](entries)}})
        return Edit(destination.profile.path, "", parse_profile(destination.profile.path, text).text)
    editor = GroupEditor(destination.profile)
    for index, group in enumerate(destination.profile.profile.groups):
        if group.name in by_group:
            editor.add_texts(index, MEMBERS, by_group[group.name])
    editor.add_groups(entries)
    return editor.edit()


def _group(name: str, members: Sequence[str], analyses: Sequence[str]) -> dict[str, Json]:
    return {"AffiliateName": name, "UserNames": list(members), "Pipelines": list(analyses)}


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
