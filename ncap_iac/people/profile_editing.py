"""Profiles as texts to be edited: read together, changed in place, checked before they are written, written whole.

Knows where things stand in a profile; what an edit means is decided in `membership`. Writes only where
`write_edits` says so; knows no AWS.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ncap_compiler import DocumentError, Profile, load_profile
from ncap_compiler.document import Json, read_document
from ncap_compiler.editing import Change, JsonText
from ncap_iac.errors import DocumentProblemsError, UsageError
from ncap_iac.project import read_text

GROUPS = "/UXData/Affiliates"
"""Where a profile's groups are."""


@dataclass(frozen=True)
class ProfileText:
    """One valid profile: its text, and the value of it."""

    path: Path
    text: str
    profile: Profile

    @property
    def name(self) -> str:
        """The profile's folder, its name for people and for its stacks."""
        return self.path.resolve().parent.name


@dataclass(frozen=True)
class Edit:
    """One document's text before and after."""

    path: Path
    before: str
    after: str


def parse_profile(path: Path, text: str) -> ProfileText:
    """A profile's text as one to edit. Raises DocumentProblemsError."""
    try:
        return ProfileText(path, text, load_profile(text, file=str(path)))
    except DocumentError as error:
        raise DocumentProblemsError(tuple(str(problem) for problem in error.problems)) from error


def read_profile(path: Path) -> ProfileText:
    """A profile to edit. Raises DocumentProblemsError, UsageError."""
    return parse_profile(path, read_text(path))


class GroupEditor:
    """Collects changes of groups of one profile; `edit` makes one edit of them.

    Changes are made of the text as it was read, so no two may concern the same list.
    """

    def __init__(self, file: ProfileText) -> None:
        self.file = file
        self._json = JsonText(file.text)
        self._document = read_document(file.text, str(file.path))
        self._changes: list[Change] = []

    def field(self, group: int, name: str) -> Json:
        """A field of a group as it is written, None if it is not."""
        return self._document.get(f"{GROUPS}/{group}/{name}")

    def add_texts(self, group: int, field: str, texts: Sequence[str], *, after: str = "") -> None:
        """Put texts at the end of a list, which may be absent or written as one text."""
        pointer = f"{GROUPS}/{group}"
        found = self.field(group, field)
        if isinstance(found, list):
            change = self._json.append(f"{pointer}/{field}", list(texts))
        else:
            earlier = [found] if isinstance(found, str) and found else []
            change = self._json.set_field(pointer, field, [*earlier, *texts], after=after)
        self._changes.append(change)

    def remove_text(self, group: int, field: str, text: str, *, drop_empty: bool = False) -> None:
        """Take a text out of a list; with `drop_empty` the field goes with its last entry."""
        pointer = f"{GROUPS}/{group}"
        found = self.field(group, field)
        entries = found if isinstance(found, list) else [found]
        if drop_empty and entries == [text]:
            self._changes.append(self._json.remove_field(pointer, field))
        elif isinstance(found, list) and text in found:
            self._changes.append(self._json.remove(f"{pointer}/{field}", found.index(text)))
        elif found == text:
            self._changes.append(self._json.replace(f"{pointer}/{field}", []))

    def set_field(self, group: int, field: str, value: Json, *, after: str = "") -> None:
        """Write a field of a group."""
        self._changes.append(self._json.set_field(f"{GROUPS}/{group}", field, value, after=after))

    def remove_field(self, group: int, field: str) -> None:
        """Take a field of a group away, if it is there."""
        if self.field(group, field) is not None:
            self._changes.append(self._json.remove_field(f"{GROUPS}/{group}", field))

    def set_entry(self, group: int, field: str, name: str, value: Json) -> None:
        """Write an entry of a field that is an object."""
        self._changes.append(self._json.set_field(f"{GROUPS}/{group}/{field}", name, value))

    def remove_entry(self, group: int, field: str, name: str) -> None:
        """Take an entry of a field away, if the field is an object that has it."""
        found = self.field(group, field)
        if isinstance(found, dict) and name in found:
            self._changes.append(self._json.remove_field(f"{GROUPS}/{group}/{field}", name))

    def add_groups(self, groups: Iterable[dict[str, Json]]) -> None:
        """Put groups at the end."""
        entries: list[Json] = [dict(group) for group in groups]
        if entries:
            self._changes.append(self._json.append(GROUPS, entries))

    def edit(self) -> Edit:
        """All changes as one edit. Raises DocumentProblemsError if the profile would have problems."""
        after = self._json.apply(self._changes)
        parse_profile(self.file.path, after)
        return Edit(self.file.path, self.file.text, after)


def write_edits(edits: Sequence[Edit]) -> None:
    """Write all edits, or none. Raises UsageError if a file changed since it was read, or cannot be written."""
    for edit in edits:
        if edit.path.exists() and read_text(edit.path) != edit.before:
            raise UsageError(
                "the file was changed while the edit was made; nothing was written",
                where=str(edit.path),
                hint="Run the same command again.",
            )
    written: list[tuple[Path, Path]] = []
    try:
        for edit in edits:
            path = edit.path.resolve()
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append((_beside(path, edit.after), path))
        for beside, path in written:
            beside.replace(path)
    except OSError as error:
        for beside, _ in written:
            beside.unlink(missing_ok=True)
        raise UsageError(
            error.strerror or "cannot be written", where=str(error.filename), hint="Check the folder's permissions."
        ) from error


def _beside(path: Path, text: str) -> Path:
    """The text in a file beside `path`, on disk, with the mode `path` has."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(_mode(path))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777 if path.exists() else 0o644
