"""The stage a command is about: dev and prod by themselves, or as the project's `stages.json` says. Reads that file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.errors import DocumentProblemsError, UsageError
from ncap_iac.project import read_text

if TYPE_CHECKING:
    from ncap_compiler.stages import Stage

STAGES_FILE = "stages.json"
"""In the project's folder."""


def find_stage(name: str, root: Path | None) -> Stage:
    """The stage called `name` of the project at `root`. Raises UsageError, DocumentProblemsError."""
    from ncap_compiler import DocumentError
    from ncap_compiler.stages import DEVELOPMENT, PRODUCTION, load_stages

    path = None if root is None else root / STAGES_FILE
    stages: tuple[Stage, ...] = (DEVELOPMENT, PRODUCTION)
    if path is not None and path.is_file():
        try:
            stages = load_stages(read_text(path), file=str(path))
        except DocumentError as error:
            raise DocumentProblemsError(tuple(str(problem) for problem in error.problems)) from error
    known = {stage.name: stage for stage in stages}
    if name not in known:
        raise UsageError(
            f"there is no stage {name!r}",
            where=str(path or STAGES_FILE),
            hint=f"Known here: {', '.join(sorted(known))}. Add others to {STAGES_FILE}.",
        )
    return known[name]
