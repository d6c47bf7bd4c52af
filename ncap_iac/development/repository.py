"""Commits of a project's blueprints: what git is asked, one method a thing. Never pushes, never touches other files."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.errors import UsageError

_TIMEOUT_S = 60


@dataclass(frozen=True)
class Checkout:
    """The git checkout a project is in."""

    root: Path
    """The project's folder."""
    environment: Mapping[str, str]

    def head(self) -> str:
        """The commit that is checked out. Raises UsageError outside a repository or before its first commit."""
        return self._git("rev-parse", "--verify", "HEAD")

    def changed(self) -> tuple[str, ...]:
        """Every path of the repository that differs from the commit checked out, relative to the project's folder."""
        listed = self._git("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", ":/")
        top = Path(self._git("rev-parse", "--show-toplevel"))
        paths = [top / entry[3:] for entry in listed.split("\0") if entry]
        return tuple(os.path.relpath(path, self.root.resolve()) for path in paths)

    def commit(self, paths: Sequence[Path], message: str) -> str:
        """Commit these paths and nothing else on the branch that is checked out; the commit."""
        names = [str(path) for path in paths]
        self._git("add", "--", *names)
        self._git("commit", "--quiet", "--only", "--message", message, "--", *names)
        return self.head()

    def has_branch(self, branch: str) -> bool:
        """Whether there is a local branch of this name."""
        return self._try("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")[0] == 0

    def commit_aside(self, folder: Path, message: str, branch: str) -> str:
        """A new branch with one commit: what is checked out, with this folder as it is now. Nothing else moves.

        The index and the working tree stay as they are. Raises UsageError if there is such a branch.
        """
        head = self.head()
        with tempfile.TemporaryDirectory(prefix="ncap-publish-") as place:
            index = {"GIT_INDEX_FILE": str(Path(place, "index"))}
            self._git("read-tree", head, further=index)
            self._git("add", "--all", "--", str(folder), further=index)
            tree = self._git("write-tree", further=index)
        commit = self._git("commit-tree", tree, "-p", head, "-m", message)
        self._git("branch", "--no-track", branch, commit)
        return commit

    def differs(self, folder: Path) -> bool:
        """Whether anything below a folder is not as committed."""
        return bool(self._git("status", "--porcelain=v1", "--untracked-files=all", "--", str(folder)))

    def remote(self) -> str:
        """The remote a branch would be pushed to: `origin` if there is one, else the first, else `origin`."""
        known = self._git("remote").split()
        return "origin" if "origin" in known or not known else known[0]

    def _git(self, *words: str, further: Mapping[str, str] | None = None) -> str:
        code, out, err = self._try(*words, further=further)
        if code:
            raise UsageError(
                f"git {words[0]}: {err.strip() or 'it failed'}",
                where=str(self.root),
                hint="Run this in a git checkout of the project, with a commit, and with your name set in git.",
            )
        return out.strip("\n")

    def _try(self, *words: str, further: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        command = ["git", "-c", "core.fsmonitor=false", "-C", str(self.root), *words]
        try:
            done = subprocess.run(
                command,
                env={**self.environment, **(further or {}), "LC_ALL": "C"},
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return 1, "", str(error)
        return done.returncode, done.stdout, done.stderr
