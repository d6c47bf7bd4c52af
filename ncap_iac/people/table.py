"""A table of people as comma-separated values: read row by row, each row accepted, skipped or refused with a reason.

Takes the header of the first NeuroCAAS (Email, FirstName, LastName, Affiliation, Verified, Loaded) as well as a plain
one (name, group, email). Pure: bytes in, rows out; what they mean for a profile is decided in `people_import`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ncap_compiler import names
from ncap_iac.errors import UsageError

COLUMNS: dict[str, str] = {
    "email": "email",
    "e-mail": "email",
    "mail": "email",
    "name": "name",
    "member": "name",
    "group": "group",
    "affiliation": "group",
    "verified": "verified",
}
"""Names a column may have, in lower case, and what it holds. Others are not read."""

ALONE = "website"
"""An affiliation that stands for a group of one person."""
YES = frozenset({"1", "true", "yes"})
NO = frozenset({"", "0", "false", "no"})
EMAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+\.[^@\s<>,;.]+")
MAX_EMAIL = 254
"""RFC 5321: the longest address mail can be sent to."""


@dataclass(frozen=True)
class Person:
    """One accepted row: who joins which group. `row` counts as spreadsheets do, the header being row 1."""

    row: int
    member: str
    group: str
    email: str = ""
    name: str = ""
    """As it was written."""


@dataclass(frozen=True)
class Refusal:
    """Why a row cannot be taken, and what to do about it."""

    row: int
    column: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class People:
    """A table as it was read."""

    persons: tuple[Person, ...]
    refusals: tuple[Refusal, ...]
    unverified: tuple[int, ...]
    """Rows that say the person is not verified: left out."""
    unread: tuple[str, ...]
    """Columns nothing is taken from."""


def read_people(data: bytes, *, file: str) -> People:
    """A table of people. Raises UsageError if it is no table, or has no column of persons or of groups."""
    text = _decoded(data, file)
    rows = _rows(text, file)
    header = next(rows, None)
    if header is None:
        raise UsageError("the file is empty", where=file, hint="Its first line names the columns: name,group,email.")
    columns, unread = _columns(header[1], file)
    persons: list[Person] = []
    refusals: list[Refusal] = []
    unverified: list[int] = []
    for number, cells in rows:
        if not any(cells):
            continue
        if len(cells) > len(header[1]) and any(cells[len(header[1]) :]):
            remedy = "Put quotes around cells that hold the separator."
            refusals.append(Refusal(number, "", f"{len(cells)} cells under {len(header[1])} columns", remedy))
            continue
        fields = {kind: cells[index] if index < len(cells) else "" for kind, index in columns.items()}
        found = _person(number, fields)
        if found is None:
            unverified.append(number)
        elif isinstance(found, Person):
            persons.append(found)
        else:
            refusals.append(found)
    return People(tuple(persons), tuple(refusals), tuple(unverified), unread)


def _decoded(data: bytes, file: str) -> str:
    """Text as spreadsheets save it: UTF-8 with or without a mark, or UTF-16 with one."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        hint = "Save the table as `CSV UTF-8`."
        raise UsageError(f"is not UTF-8 text (byte {error.start})", where=file, hint=hint) from error


def _rows(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with their numbers, cells trimmed and in one form of Unicode; empty rows before the header are left out."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    told = re.fullmatch(r"sep=(.)", first.strip(), re.IGNORECASE)
    separator = told.group(1) if told else max(",;\t", key=lambda mark: _outside_quotes(first).count(mark))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    began = False
    try:
        for number, cells in enumerate(reader, start=1):
            clean = [unicodedata.normalize("NFC", cell).strip() for cell in cells]
            is_told = told is not None and not began and "".join(clean).casefold().startswith("sep=")
            began = began or (any(clean) and not is_told)
            if began:
                yield number, clean
    except csv.Error as error:
        hint = "Quotes come in pairs, and a quote inside a cell is written twice."
        raise UsageError(f"line {reader.line_num}: {error}", where=file, hint=hint) from error


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _columns(header: Sequence[str], file: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """Where each kind of column is, and the names of those nothing is taken from."""
    found: dict[str, int] = {}
    unread: list[str] = []
    for index, name in enumerate(header):
        kind = COLUMNS.get(name.casefold())
        if kind is None:
            unread.append(name)
        elif kind in found:
            said = f"columns {header[found[kind]]!r} and {name!r} say the same"
            raise UsageError(said, where=f"{file}: header", hint="Keep one of them.")
        else:
            found[kind] = index
    if "group" not in found or not {"email", "name"} & found.keys():
        raise UsageError(
            f"the header names {', '.join(filter(None, header)) or 'nothing'}",
            where=f"{file}: header",
            hint="Wanted: a column group (or Affiliation), and one of name and email.",
        )
    return found, tuple(filter(None, unread))


def _person(row: int, fields: Mapping[str, str]) -> Person | Refusal | None:
    """One row as a person, why not, or None for a person who is not verified."""
    verified = fields.get("verified", "1").casefold()
    if verified in NO:
        return None
    if verified not in YES:
        return Refusal(row, "Verified", f"{fields['verified']!r} is neither yes nor no", "Write 1 or 0.")
    email = fields.get("email", "")
    if email and (not EMAIL.fullmatch(email) or len(email) > MAX_EMAIL):
        return Refusal(row, "Email", f"{_short(email)} is not an address", "Write it as person@example.org.")
    name = fields.get("name", "")
    member = member_of_name(name) or (member_of_email(email) if email else "")
    if not member:
        if name:
            remedy = "Write it in the letters a to z, or give an address."
            return Refusal(row, "Name", f"{_short(name)} has no letter a key's name may have", remedy)
        return Refusal(row, "Email", "there is neither a name nor an address", "Fill in one of them.")
    if reason := names.why_not_a_member(member):
        return Refusal(row, "Name", f"{_short(name or email)} cannot be a member's name: {reason}", "Write another.")
    group = fields["group"]
    if group.casefold() == ALONE:
        return Person(row, member, group_of_one(email or member), email, name)
    if not group:
        return Refusal(row, "Group", "the person has no group", "Fill it in.")
    if reason := names.why_not_a_group(group):
        remedy = f"Write `{_plain(group)[: names.MAX_GROUP_NAME] or 'another name'}`, in every row of the group."
        return Refusal(row, "Group", f"{_short(group)} cannot be a group's name: {reason}", remedy)
    return Person(row, member, group, email, name)


def member_of_name(name: str) -> str:
    """The member a name stands for: itself if it can be one, else its plain letters with hyphens between; or nothing.

    The same name always gives the same member.
    """
    return name if names.why_not_a_member(name) is None else names.limited(_plain(name))


def member_of_email(email: str) -> str:
    """The member an address stands for: the address in lower case, or where IAM takes no such name, a digest with it.

    The same address always gives the same member, two addresses never do.
    """
    plain = _plain(email.lower())
    if plain != email.lower():
        plain = f"{plain}-{_digest(email.lower())}"
    return names.limited(plain)


def group_of_one(email: str) -> str:
    """The group of one person: the name the first NeuroCAAS gave it, cut to fit."""
    wanted = f"{email}group"
    plain = _plain(wanted).replace("=", "-").strip("-")
    if plain != wanted:
        plain = f"{plain}-{_digest(wanted)}"
    return names.limited(plain, names.MAX_GROUP_NAME)


def _plain(text: str) -> str:
    """Letters without marks; a hyphen for what a name cannot hold."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_+=@.-]+", "-", folded).strip("-")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}…")
