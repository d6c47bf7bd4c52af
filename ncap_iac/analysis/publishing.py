"""An analysis as a branch to ask for: its folder, committed beside the working tree. Never pushes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ncap_iac.analysis.trial import Trial
    from ncap_iac.development.repository import Checkout

SKIPPED = "not run (--skip-test)"


@dataclass(frozen=True)
class Published:
    """The branch."""

    branch: str
    commit: str
    push: str
    """The command that pushes it."""


def branch_name(analysis: str, version_id: str) -> str:
    """The branch of a version."""
    return f"publish/{analysis}-{version_id}"


def message_of(analysis: str, version_id: str, environment: str, tests: Sequence[str]) -> str:
    """The commit's message: what a reviewer wants to know first."""
    lines = [
        f"Publish {analysis} ({version_id})",
        "",
        f"Version: {version_id}",
        f"Environment: {environment}",
        *(f"Test: {line}" for line in tests),
    ]
    return "\n".join(lines) + "\n"


def tests_of(trial: Trial) -> list[str]:
    """A passed trial as lines of the message."""
    seconds = "" if trial.seconds is None else f" in {trial.seconds:.0f} s"
    memory = "" if trial.peak_memory_bytes is None else f", {trial.peak_memory_bytes / 1e6:.0f} MB"
    figures = [f"{it.dataset}: {it.name} {it.value:.4g} ({it.limits})" for it in trial.figures]
    return [f"sample passed{seconds}{memory}", *figures]


def publish(checkout: Checkout, folder: Path, branch: str, message: str) -> Published:
    """Make the branch. Raises UsageError if there is one of this name, or nothing to publish."""
    if checkout.has_branch(branch):
        raise UsageError(
            f"there is a branch {branch}",
            where=str(checkout.root),
            hint=f"This version is published already; push it, or remove it with `git branch -D {branch}`.",
        )
    commit = checkout.commit_aside(folder, message, branch)
    return Published(branch, commit, f"git push {checkout.remote()} {branch}")
