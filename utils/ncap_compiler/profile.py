"""A profile: groups of users as values, read from and written to its document.

`load_profile` reports every problem at once or returns a complete value; `dump_profile` writes a document that loads
to the same value. What the document may hold is in `schemas/profile.json`. This module must not derive resources.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ncap_compiler import names
from ncap_compiler.blueprint_checks import check_group_names
from ncap_compiler.document import Document, Json, read_document, render_json
from ncap_compiler.errors import DocumentError, Problem
from ncap_compiler.shapes import check_shape
from ncap_compiler.values import (
    IgnoredField,
    dollars,
    ignored_fields,
    put_at,
    text_or_none,
    texts,
    whole,
)

_GROUPS = "/UXData/Affiliates"
_PARAMETER_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")

_REFUSED = {
    f"{_GROUPS}/*/Collaborators": "Sharing results between groups is not carried out yet; make one group of both.",
    f"{_GROUPS}/*/GroupCode": "Joining by code is not carried out yet; list the members.",
}
_TOP_IGNORED = {
    "STAGE": "every users stack has the same parts",
    "Lambda": "a users stack runs no functions",
}
_GROUP_IGNORED = {
    "ContactEmail": "no mail is sent",
    "PipelineDir": "nothing reads it",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What a group may spend on an analysis, USD as a decimal text."""

    analysis: str
    usd: str


@dataclass(frozen=True, slots=True)
class Group:
    """A group: its members, the analyses it may use, and what it may spend where the profile says so."""

    name: str
    members: tuple[str, ...]
    analyses: tuple[str, ...]
    key_serial: int
    budgets: tuple[Budget, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """A set of groups."""

    groups: tuple[Group, ...]
    schema: str | None
    ignored: tuple[IgnoredField, ...]


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
        if group.budgets:
            entry["Budget"] = {budget.analysis: budget.usd for budget in group.budgets}
        groups.append(entry)
    root["UXData"] = {"Affiliates": groups}
    for field in profile.ignored:
        put_at(root, field.pointer, json.loads(field.value))
    return render_json(root)


def _profile(document: Document) -> Profile:
    listed = document.get(_GROUPS)
    groups = [group for group in listed if isinstance(group, dict)] if isinstance(listed, list) else []
    return Profile(
        groups=tuple(_group(group) for group in groups),
        schema=text_or_none(document.value.get("$schema")),
        ignored=(
            *ignored_fields(document, "", _TOP_IGNORED),
            *(
                field
                for index in range(len(groups))
                for field in ignored_fields(document, f"{_GROUPS}/{index}", _GROUP_IGNORED)
            ),
        ),
    )


def _group(group: dict[str, Json]) -> Group:
    analyses = texts(group["Pipelines"])
    budget = group.get("Budget")
    amounts = budget if isinstance(budget, dict) else dict.fromkeys(analyses, budget) if budget is not None else {}
    return Group(
        name=str(group["AffiliateName"]),
        members=texts(group["UserNames"]),
        analyses=analyses,
        key_serial=whole(group.get("KeySerialNumber"), 1),
        budgets=tuple(Budget(analysis, dollars(amounts[analysis], "0")) for analysis in sorted(amounts)),
    )


def _check(document: Document) -> Iterator[Problem]:
    listed = document.get(_GROUPS)
    yield from check_group_names(document, listed, "P201", "P202")
    yield from _check_members(document, listed)
    for index, group in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(group, dict):
            yield from _check_analyses(document, index, group)
            yield from _check_budget(document, index, group)


def _check_members(document: Document, listed: Json) -> Iterator[Problem]:
    first: dict[str, tuple[str, int | None]] = {}
    for index, group in enumerate(listed if isinstance(listed, list) else []):
        value = group.get("UserNames") if isinstance(group, dict) else None
        for position, member in enumerate(texts(value)):
            base = f"{_GROUPS}/{index}/UserNames"
            pointer = base if isinstance(value, str) else f"{base}/{position}"
            if reason := names.why_not_a_member(member):
                message = f"member `{member}` cannot be used: {reason}"
                yield document.problem("P206", pointer, message, "Choose another name.")
            if member.casefold() in first:
                other, line = first[member.casefold()]
                message = f"member `{member}` is already `{other}` on line {line}; a key works for one group"
                yield document.problem("P203", pointer, message, "Give the person a second name for the second group.")
            first.setdefault(member.casefold(), (member, document.line(pointer)))


def _check_analyses(document: Document, index: int, group: dict[str, Json]) -> Iterator[Problem]:
    value = group.get("Pipelines")
    for position, analysis in enumerate(texts(value)):
        if reason := names.why_not_an_analysis(analysis):
            base = f"{_GROUPS}/{index}/Pipelines"
            pointer = base if isinstance(value, str) else f"{base}/{position}"
            message = f"`{analysis}` cannot be the name of an analysis: {reason}"
            yield document.problem("P204", pointer, message, "Write the PipelineName of its blueprint.")


def _check_budget(document: Document, index: int, group: dict[str, Json]) -> Iterator[Problem]:
    budget = group.get("Budget")
    if budget is None:
        return
    pointer = f"{_GROUPS}/{index}/Budget"
    analyses = texts(group.get("Pipelines"))
    name = group.get("AffiliateName")
    if isinstance(name, str) and not set(name) <= _PARAMETER_NAME_CHARACTERS:
        message = f"the budget of `{name}` cannot be kept: Systems Manager takes only letters, digits and . _ -"
        yield document.problem("P205", pointer, message, "Rename the group, or leave Budget out.")
    if isinstance(budget, dict):
        for analysis in budget:
            if analysis not in analyses:
                message = f"there is a budget for `{analysis}`, which the group does not use"
                yield document.problem("P205", f"{pointer}/{analysis}", message, "Add it to Pipelines or remove it.")
    elif len(analyses) != 1:
        message = f"one amount for {len(analyses)} analyses: a total over several is not enforced yet"
        yield document.problem("P205", pointer, message, 'Write an amount for each: `{"<analysis>": 25, …}`.')
