"""Upgrades documents where they are kept: reads files, shows what would become different, writes only when told.

What becomes different is `ncap_compiler.migration`'s; it is written as a whole or not at all. Asks no cloud.
"""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.errors import ProjectError, UsageError
from ncap_iac.project import Kind, find_project, read_bytes

if TYPE_CHECKING:
    from ncap_compiler.errors import Problem
    from ncap_compiler.migration import Migration

SCHEMA_FOLDER = Path("utils/ncap_compiler/schemas")
"""Where a project has the published schemas."""


@dataclass(frozen=True)
class Migrated:
    """One document and what its migration came to."""

    path: Path
    before: str
    migration: Migration

    @property
    def is_changed(self) -> bool:
        """Whether anything becomes different."""
        return self.migration.text != self.before

    def diff(self) -> str:
        """The change of the file's text, for people; empty if there is none."""
        return "".join(_diff_lines(self.before, self.migration.text, str(self.path)))


def migrate_documents(paths: Iterable[Path], kind: Kind) -> tuple[Migrated, ...]:
    """What migrating these documents comes to. Writes nothing. Raises UsageError for a file that cannot be read."""
    return tuple(_migrated(path, kind) for path in paths)


def write_document(path: Path, text: str) -> None:
    """Put a document's text in its place, whole or not at all, with the file's permissions. Raises UsageError."""
    place = path.resolve()
    part: str | None = None
    try:
        descriptor, part = tempfile.mkstemp(prefix=f".{place.name}-", dir=place.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(part).chmod(place.stat().st_mode & 0o7777)
        Path(part).replace(place)
    except OSError as error:
        if part is not None:
            Path(part).unlink(missing_ok=True)
        hint = "Check the permissions of the file and its folder; nothing of it was changed."
        raise UsageError(error.strerror or "cannot be written", where=str(path), hint=hint) from error


def remaining_problems(migrated: Migrated, kind: Kind) -> tuple[Problem, ...]:
    """The problems of a document once it is written, with their lines in the text it has then."""
    from ncap_compiler import DocumentError, load_blueprint, load_profile

    load = load_blueprint if kind is Kind.BLUEPRINT else load_profile
    try:
        load(migrated.migration.text, file=str(migrated.path))
    except DocumentError as error:
        return error.problems
    return ()


def _migrated(path: Path, kind: Kind) -> Migrated:
    from ncap_compiler import DocumentError
    from ncap_compiler.document import decode_text
    from ncap_compiler.migration import Migration, migrate_blueprint, migrate_profile

    migrate = migrate_blueprint if kind is Kind.BLUEPRINT else migrate_profile
    try:
        text = decode_text(read_bytes(path), str(path))
    except DocumentError as error:
        return Migrated(path, "", Migration("", None, (), error.problems))
    schema = _schema_reference(path, kind)
    migration = migrate(text, file=str(path), schema=schema) if schema else migrate(text, file=str(path))
    return Migrated(path, text, migration)


def _schema_reference(path: Path, kind: Kind) -> str | None:
    """How the document refers to its schema in the project around it; None without one."""
    folder = path.resolve().parent
    try:
        schema = find_project(folder).root / SCHEMA_FOLDER / f"{kind.noun}.json"
    except ProjectError:
        return None
    return Path(os.path.relpath(schema, folder)).as_posix() if schema.is_file() else None


def _diff_lines(before: str, after: str, file: str) -> Iterator[str]:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    for line in difflib.unified_diff(old, new, file, f"{file} (migrated)"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
