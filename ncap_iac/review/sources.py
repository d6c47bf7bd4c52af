"""Two states of a project as files: what a git commit holds, and what the working tree holds now.

Everything is read as data: no filter, hook or attribute of the repository is applied and no symbolic link followed.
Asks git and reads files; understands no document and changes nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ncap_iac.errors import NotFoundError, UsageError

FOLDERS = ("ncap_blueprints", "protocols", "user_profiles")
"""What stacks are made of."""
LARGEST_FILE_BYTES = 20_000_000
LARGEST_TREE_BYTES = 200_000_000
DEFAULT_BASES = ("origin/main", "main")
GIT_TIMEOUT_S = 60


@dataclass(frozen=True)
class Tree:
    """The files of one state, by path below the project's root; `links` are symbolic links, which are not followed."""

    files: Mapping[str, bytes] = field(repr=False)
    links: frozenset[str]

    def below(self, folder: str) -> dict[str, bytes]:
        """The files of one folder."""
        return {path: content for path, content in self.files.items() if path.startswith(f"{folder}/")}

    def write(self, root: Path) -> None:
        """Write the files below an empty folder."""
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        for path, content in self.files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


class Repository:
    """The git repository a project is in."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def prefix(self) -> str:
        """Where the project is in its repository: empty, or a folder with `/` at its end. Raises UsageError."""
        return self._ask("rev-parse", "--show-prefix").decode().strip()

    def base(self, named: str | None) -> str:
        """The commit to compare with: the named one, else where this branch left the main one.

        Raises NotFoundError if there is no such commit, UsageError outside a repository.
        """
        if named is not None:
            return self._commit(named)
        for candidate in DEFAULT_BASES:
            try:
                there = self._commit(candidate)
            except NotFoundError:
                continue
            found = self._try("merge-base", there, "HEAD")
            return found.decode().strip() if found else there
        raise NotFoundError(
            f"there is neither {' nor '.join(DEFAULT_BASES)} to compare with",
            where=str(self.root),
            hint="Name a commit or branch with --base REF.",
        )

    def committed(self, commit: str) -> Tree:
        """The files of a commit. Raises UsageError if they are too large to be documents."""
        listed = self._ask("ls-tree", "-r", "-z", "-l", commit, "--", *FOLDERS)
        entries = [_entry(line) for line in listed.decode("utf-8", "replace").split("\0") if line]
        links = frozenset(entry.path for entry in entries if entry.mode == "120000")
        wanted = [entry for entry in entries if entry.mode.startswith("100") and _is_wanted(entry.path)]
        _check_sizes((entry.path, entry.size) for entry in wanted)
        contents = self._contents([entry.sha for entry in wanted])
        return Tree({entry.path: content for entry, content in zip(wanted, contents, strict=True)}, links)

    def working(self) -> Tree:
        """The files of the working tree: those git tracks, and those it would. Raises UsageError."""
        listed = self._ask("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *FOLDERS)
        paths = sorted({path for path in listed.decode("utf-8", "replace").split("\0") if path})
        links = frozenset(path for path in paths if _leaves(self.root, path))
        wanted = [path for path in paths if path not in links and _is_wanted(path) and (self.root / path).is_file()]
        _check_sizes((path, (self.root / path).stat().st_size) for path in wanted)
        return Tree({path: (self.root / path).read_bytes() for path in wanted}, links)

    def _commit(self, named: str) -> str:
        found = self._try("rev-parse", "--verify", "--quiet", "--end-of-options", f"{named}^{{commit}}")
        if not found:
            self._ask("rev-parse", "--git-dir")
            raise NotFoundError(
                f"there is no commit {named!r}",
                where=str(self.root),
                hint="Fetch it first, or name another with --base REF.",
            )
        return found.decode().strip()

    def _contents(self, shas: Sequence[str]) -> Iterator[bytes]:
        """The contents of blobs, in order."""
        answer = self._ask("cat-file", "--batch", given="".join(f"{sha}\n" for sha in shas).encode())
        position = 0
        for _ in shas:
            end = answer.index(b"\n", position)
            size = int(answer[position:end].split()[2])
            yield answer[end + 1 : end + 1 + size]
            position = end + 1 + size + 1

    def _ask(self, *words: str, given: bytes = b"") -> bytes:
        found = self._try(*words, given=given)
        if found is None:
            raise UsageError(
                "git has no answer for this folder",
                where=str(self.root),
                hint="Run this in a git checkout of the project, with git installed.",
            )
        return found

    def _try(self, *words: str, given: bytes = b"") -> bytes | None:
        """What git answers, None if it refuses or is not there."""
        command = ["git", "--no-replace-objects", "-c", "core.fsmonitor=false", "-C", str(self.root), *words]
        try:
            done = subprocess.run(command, input=given, capture_output=True, timeout=GIT_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None


@dataclass(frozen=True)
class _Entry:
    mode: str
    sha: str
    size: int
    path: str


def _entry(line: str) -> _Entry:
    """`<mode> <type> <sha> <size>TAB<path>`, as `git ls-tree -l` writes it."""
    about, _, path = line.partition("\t")
    mode, _, sha, size = about.split()
    return _Entry(mode, sha, int(size) if size.isdigit() else 0, path)


def _is_wanted(path: str) -> bool:
    """Whether a stack can depend on a file: sample data does not count, and no path leaves the project."""
    parts = path.split("/")
    if any(part in ("", ".", "..", ".git") for part in parts):
        return False
    return not (parts[0] == "ncap_blueprints" and len(parts) > 3 and parts[2] == "sample")


def _leaves(root: Path, path: str) -> bool:
    """Whether a path goes through a symbolic link."""
    return (root / path).resolve() != root.resolve() / path


def _check_sizes(files: Iterator[tuple[str, int]]) -> None:
    total = 0
    for path, size in files:
        total += size
        if size > LARGEST_FILE_BYTES or total > LARGEST_TREE_BYTES:
            raise UsageError(
                f"{'the file has' if size > LARGEST_FILE_BYTES else 'the documents have together'} more bytes than "
                f"{LARGEST_FILE_BYTES if size > LARGEST_FILE_BYTES else LARGEST_TREE_BYTES:,}",
                where=path,
                hint="Keep data out of the project; environments download what they need when they are built.",
            )
