"""What an image is built from: a blueprint's `environment/` folder and the in-instance tool; and the digest of both.

Reads files, changes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ncap_compiler.recipe import PARAMETERS_FILE, Recipe, load_recipe, recipe_digest

RECIPE = "recipe.json"
TOOL_LOCK = "workflow/requirements.lock"
SHARED = "shared"
"""The folder of files several analyses use, beside their folders."""


@dataclass(frozen=True)
class Source:
    """Everything that goes into an image, read."""

    recipe: Recipe
    digest: str
    """64 hex digits."""
    recipe_text: bytes
    files: Mapping[str, bytes]
    """The lock and the recipe's files, by path in the image."""
    executables: frozenset[str]
    """Those of `files` that may be executed."""
    tool: Mapping[str, bytes]
    """The in-instance tool, by path below `protocols/`: `workflow/boot.py`, `workflow/requirements.lock`."""

    @property
    def environment(self) -> str:
        """As a blueprint names it: `iae:<name>@sha256:<digest>`."""
        return f"iae:{self.recipe.name}@sha256:{self.digest}"


def read_tool(protocols: Path) -> dict[str, bytes]:
    """The in-instance tool: `workflow/**.py` and its lock, by path below `protocols`. Raises OSError."""
    paths = [*sorted((protocols / "workflow").rglob("*.py")), protocols / TOOL_LOCK]
    return {path.relative_to(protocols).as_posix(): path.read_bytes() for path in paths}


def read_source(environment: Path, protocols: Path) -> Source:
    """Read a blueprint's `environment/` folder and the tool of `protocols/`.

    Raises DocumentError for a bad recipe or a file it names that is missing, OSError for a folder that is.
    """
    recipe_path = environment / RECIPE
    text = recipe_path.read_bytes()
    recipe = load_recipe(text.decode(), file=str(recipe_path))
    named = {name: environment / name for name in (recipe.requirements, *recipe.files)}
    named |= {name: environment.parent.parent / SHARED / name for name in recipe.shared}
    if recipe.parameters:
        named[PARAMETERS_FILE] = environment.parent / PARAMETERS_FILE
    files = {name: path.read_bytes() for name, path in named.items() if path.is_file()}
    executables = frozenset(name for name in files if named[name].stat().st_mode & 0o100)
    tool = read_tool(protocols)
    return Source(recipe, recipe_digest(recipe, files, tool), text, files, executables, tool)
