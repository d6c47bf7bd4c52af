"""A profile: groups of users as values, read from and written to its document.

`load_profile` reports every problem at once or returns a complete value; `dump_profile` writes a document that loads
to the same value. What the document may hold is in `schemas/profile.json`. This module must not derive resources.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from ncap_compiler import names
from ncap_compiler.blueprint_checks import check_group_names
from ncap_compiler.document import Document, Json, did_you_mean, escape, read_document, render_json
from ncap_compiler.errors import DocumentError, Notice, Problem
from ncap_compiler.ignored import GROUPS, PROFILE_FIELDS, IgnoredField, ignored_fields
from ncap_compiler.notices import profile_notices
from ncap_compiler.shapes import check_shape
from ncap_compiler.storage_checks import check_storage, storage_entries
from ncap_compiler.values import dollars, put_at, text_or_none, texts, whole

_PARAMETER_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")

_REFUSED = {
    f"{GROUPS}/*/GroupCode": (
        "A joining code is a secret, and a profile is kept in a repository; list the members in UserNames."
    ),
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What a group may spend on an analysis, or over all of them (`names.TOTAL_BUDGET`); USD as a decimal text."""

    analysis: str
    usd: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A place of data outside the platform that a group's instances may read, or read and write.

    `folder` is empty for a whole bucket, else it ends in a slash.
    """

    bucket: str
    folder: str = ""
    is_writable: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A group: its members, the analyses it may use, and what it may spend where the profile says so.

    `suspended` are those of `members` whose keys must not work; `collaborators` are other groups, perhaps of another
    profile, that may read this group's results.
    """

    name: str
    members: tuple[str, ...]
    analyses: tuple[str, ...]
    key_serial: int
    budgets: tuple[Budget, ...]
    suspended: tuple[str, ...] = ()
    collaborators: tuple[str, ...] = ()
    storage: tuple[Storage, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """A set of groups. `notices` are about the document, not part of the groups."""

    groups: tuple[Group, ...]
    schema: str | None
    ignored: tuple[IgnoredField, ...]
    notices: tuple[Notice, ...] = field(default=(), compare=False)


def load_profile(text: str, *, file: str) -> Profile:
    """Read a profile. Raises DocumentError with all problems: of the text, the schema and the rules."""
    document = read_document(text, file)
    shape = check_shape(document, "profile", _REFUSED)
    known_bad = frozenset(problem.pointer for problem in shape)
    rules = (problem for problem in _check(document) if problem.pointer not in known_bad)
    problems = (*shape, *rules)
    if problems:
        raise DocumentError(problems)
    return _profile(document)


def dump_profile(profile: Profile) -> str:
    """A profile as a document; `load_profile` gives the same value."""
    root: dict[str, Json] = {}
    if profile.schema is not None:
        root["$schema"] = profile.schema
    groups: list[Json] = []
    for group in profile.groups:
        entry: dict[str, Json] = {
            "AffiliateName": group.name,
            "UserNames": list(group.members),
            "Pipelines": list(group.analyses),
            "KeySerialNumber": group.key_serial,
        }
        if group.suspended:
            entry["Suspended"] = list(group.suspended)
        if group.collaborators:
            entry["Collaborators"] = list(group.collaborators)
        if group.storage:
            entry["Storage"] = [_dump_storage(place) for place in group.storage]
        if group.budgets:
            entry["Budget"] = {budget.analysis: budget.usd for budget in group.budgets}
        groups.append(entry)
    root["UXData"] = {"Affiliates": groups}
    for unused in profile.ignored:
        put_at(root, unused.pointer, json.loads(unused.value))
    return render_json(root)


def _dump_storage(place: Storage) -> dict[str, Json]:
    prefix: dict[str, Json] = {"Prefix": place.folder} if place.folder else {}
    return {"Bucket": place.bucket, **prefix, "Access": "write" if place.is_writable else "read"}


def _profile(document: Document) -> Profile:
    listed = document.get(GROUPS)
    groups = [group for group in listed if isinstance(group, dict)] if isinstance(listed, list) else []
    ignored = ignored_fields(document, PROFILE_FIELDS)
    return Profile(
        groups=tuple(_group(group) for group in groups),
        schema=text_or_none(document.value.get("$schema")),
        ignored=ignored,
        notices=profile_notices(document, ignored),
    )


def _group(group: dict[str, Json]) -> Group:
    analyses = texts(group["Pipelines"])
    budget = group.get("Budget")
    amounts = budget if isinstance(budget, dict) else {names.TOTAL_BUDGET: budget} if budget is not None else {}
    return Group(
        name=str(group["AffiliateName"]),
        members=texts(group["UserNames"]),
        analyses=analyses,
        key_serial=whole(group.get("KeySerialNumber"), 1),
        budgets=tuple(Budget(analysis, dollars(amounts[analysis], "0")) for analysis in sorted(amounts)),
        suspended=texts(group.get("Suspended")),
        collaborators=texts(group.get("Collaborators")),
        storage=tuple(_storage(place) for _, place in storage_entries(group.get("Storage"))),
    )


def _storage(place: dict[str, Json]) -> Storage:
    prefix = str(place.get("Prefix") or "").removesuffix("/")
    return Storage(str(place["Bucket"]), f"{prefix}/" if prefix else "", place.get("Access") == "write")


def _check(document: Document) -> Iterator[Problem]:
    listed = document.get(GROUPS)
    yield from check_group_names(document, listed, "P201", "P202")
    yield from _check_members(document, listed)
    for index, group in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(group, dict):
            yield from _check_analyses(document, index, group)
            yield from _check_budget(document, index, group)
            yield from _check_suspended(document, index, group)
            yield from _check_collaborators(document, index, group)
            yield from check_storage(document, f"{GROUPS}/{index}/Storage", group.get("Storage"), _analyses(listed))


def _entries(base: str, value: Json) -> Iterator[tuple[str, str]]:
    """Pointer and text of each entry of a list, or of the one text that stands for a list."""
    for position, entry in enumerate(texts(value)):
        yield base if isinstance(value, str) else f"{base}/{position}", entry


def _analyses(listed: Json) -> frozenset[str]:
    """The analyses any group of the profile uses."""
    groups = [group for group in listed if isinstance(group, dict)] if isinstance(listed, list) else []
    return frozenset(analysis for group in groups for analysis in texts(group.get("Pipelines")))


def _check_members(document: Document, listed: Json) -> Iterator[Problem]:
    first: dict[str, tuple[str, int | None]] = {}
    for index, group in enumerate(listed if isinstance(listed, list) else []):
        value = group.get("UserNames") if isinstance(group, dict) else None
        for pointer, member in _entries(f"{GROUPS}/{index}/UserNames", value):
            if reason := names.why_not_a_member(member):
                message = f"member `{member}` cannot be used: {reason}"
                yield document.problem("P206", pointer, message, "Choose another name.")
            if member.casefold() in first:
                other, line = first[member.casefold()]
                message = f"member `{member}` is already `{other}` on line {line}; a key works for one group"
                yield document.problem("P203", pointer, message, "Give the person a second name for the second group.")
            first.setdefault(member.casefold(), (member, document.line(pointer)))


def _check_analyses(document: Document, index: int, group: dict[str, Json]) -> Iterator[Problem]:
    for pointer, analysis in _entries(f"{GROUPS}/{index}/Pipelines", group.get("Pipelines")):
        if reason := names.why_not_an_analysis(analysis):
            message = f"`{analysis}` cannot be the name of an analysis: {reason}"
            yield document.problem("P204", pointer, message, "Write the PipelineName of its blueprint.")


def _check_budget(document: Document, index: int, group: dict[str, Json]) -> Iterator[Problem]:
    budget = group.get("Budget")
    if budget is None:
        return
    pointer = f"{GROUPS}/{index}/Budget"
    analyses = texts(group.get("Pipelines"))
    name = group.get("AffiliateName")
    if isinstance(name, str) and not set(name) <= _PARAMETER_NAME_CHARACTERS:
        message = f"the budget of `{name}` cannot be kept: Systems Manager takes only letters, digits and . _ -"
        yield document.problem("P205", pointer, message, "Rename the group, or leave Budget out.")
    if isinstance(budget, dict):
        for analysis in budget:
            if analysis != names.TOTAL_BUDGET and analysis not in analyses:
                message = f"there is a budget for `{analysis}`, which the group does not use"
                yield document.problem(
                    "P205", f"{pointer}/{escape(analysis)}", message, "Add it to Pipelines or remove it."
                )


def _check_suspended(document: Document, index: int, group: dict[str, Json]) -> Iterator[Problem]:
    members = texts(group.get("UserNames"))
    for pointer, member in _entries(f"{GROUPS}/{index}/Suspended", group.get("Suspended")):
        if member not in members:
            hint = did_you_mean(member, members) or "Only members listed in UserNames can be suspended."
            yield document.problem("P207", pointer, f"`{member}` is not a member of this group", hint)


def _check_collaborators(document: Document, index: int, group: dict[str, Json]) -> Iterator[Problem]:
    for pointer, name in _entries(f"{GROUPS}/{index}/Collaborators", group.get("Collaborators")):
        if reason := names.why_not_a_group(name):
            message = f"`{name}` cannot be the name of a group: {reason}"
            yield document.problem("P208", pointer, message, "Write the AffiliateName of a group.")
        elif name == group.get("AffiliateName"):
            message = f"`{name}` is the group itself, which reads its own results anyway"
            yield document.problem("P208", pointer, message, "Name other groups only.")
