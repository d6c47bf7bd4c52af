"""Finds the project a command is run in, and the documents in it.

A project is a folder with `ncap_blueprints/`, `user_profiles/` and `protocols/`. Reads files, writes only where a
function says so; knows no AWS and does not understand documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ncap_iac.errors import ProjectError, UsageError

SKIPPED_FOLDERS = {"__pycache__", "tests", "workflow"}
SKIPPED_SUFFIXES = {".md", ".pyc"}
"""Below `protocols/`: not part of the Lambda bundle."""


class Kind(Enum):
    """A kind of document: its folder in the project and its file's name."""

    BLUEPRINT = ("ncap_blueprints", "stack_config_template.json")
    PROFILE = ("user_profiles", "user_config_template.json")

    @property
    def folder(self) -> str:
        """Where documents of this kind are, below the project's root."""
        return self.value[0]

    @property
    def file(self) -> str:
        """The document's name in its folder."""
        return self.value[1]

    @property
    def noun(self) -> str:
        """What people call it."""
        return self.name.lower()


@dataclass(frozen=True)
class Project:
    """A project's folders."""

    root: Path

    @property
    def protocols(self) -> Path:
        """The source of the Lambda bundle and the in-instance tool."""
        return self.root / "protocols"

    def documents(self, kind: Kind) -> tuple[Path, ...]:
        """All documents of a kind, by folder name."""
        return tuple(sorted((self.root / kind.folder).glob(f"*/{kind.file}")))

    def document(self, kind: Kind, name: str) -> Path:
        """The document called `name`: a folder of the project, or a path to a folder or file.

        Raises ProjectError, naming the nearest known one.
        """
        named = self.root / kind.folder / name / kind.file
        if _is_plain(name) and named.is_file():
            return named
        path = Path(name)
        if path.is_dir():
            path = path / kind.file
        if path.is_file():
            return path
        import difflib

        known = [document.parent.name for document in self.documents(kind)]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(known) or 'none'}."
        raise ProjectError(f"there is no {kind.noun} {name!r}", where=str(self.root / kind.folder), hint=hint)

    def commit(self) -> str | None:
        """The git commit of what would be deployed; None without git, or when something shipped differs from it."""
        commit = self._git("rev-parse", "HEAD")
        changed = self._git("status", "--porcelain", "--", "ncap_blueprints", "protocols")
        return commit if commit and len(commit) == 40 and changed == "" else None

    def _git(self, *words: str) -> str | None:
        """What git answers, None if there is none or it fails."""
        import subprocess

        command = ["git", "-C", str(self.root), *words]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None


def _is_plain(name: str) -> bool:
    return bool(name) and "/" not in name and name not in (".", "..")


def find_project(start: Path) -> Project:
    """The project around `start`: this folder or the nearest one above it. Raises ProjectError."""
    for folder in (start, *start.parents):
        if (folder / "ncap_blueprints").is_dir() and (folder / "protocols").is_dir():
            return Project(folder)
    raise ProjectError(
        "no NeuroCAAS project here or above (a folder with ncap_blueprints/ and protocols/)",
        where=str(start),
        hint="Change to your checkout of the project, or name it with --project FOLDER.",
    )


def read_bytes(path: Path) -> bytes:
    """A file's contents. Raises UsageError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(error.strerror or "cannot be read", where=str(path), hint="Check the path.") from error


def read_text(path: Path) -> str:
    """A document's text. Raises UsageError if it cannot be read as UTF-8."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"is not UTF-8 text (byte {error.start})", where=str(path), hint="Save the document as UTF-8."
        ) from error


def bundle_sources(protocols: Path) -> dict[str, bytes]:
    """What runs in Lambda: the files of `protocols`, and PyYAML's pure-Python part, by name in the bundle."""
    if not protocols.is_dir():
        raise ProjectError("there is no such folder", where=str(protocols), hint="Check CodeUri in the blueprint.")
    files = {path.relative_to(protocols).as_posix(): path.read_bytes() for path in _shipped(protocols)}
    files.update(_yaml_sources())
    return dict(sorted(files.items()))


def _shipped(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        is_wanted = path.is_file() and path.suffix not in SKIPPED_SUFFIXES
        if is_wanted and not SKIPPED_FOLDERS.intersection(parts[:-1]) and not any(p.startswith(".") for p in parts):
            yield path


def _yaml_sources() -> dict[str, bytes]:
    import yaml

    folder = Path(yaml.__file__).parent
    return {f"yaml/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}
