"""What an image is built from: a blueprint's `environment/` folder and the in-instance tool; and the digest of both.

Reads files, changes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ncap_compiler.errors import DocumentError
from ncap_compiler.recipe import PARAMETERS_FILE, Recipe, check_requirements, load_recipe, recipe_digest
from ncap_iac.environments.contents import TOOL_LOCK, Contents

RECIPE = "recipe.json"
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

    @property
    def contents(self) -> Contents:
        """What goes into the image."""
        recipe = self.recipe
        return Contents(
            name=recipe.name,
            digest=self.digest,
            python=recipe.python,
            os_packages=recipe.os_packages,
            network=recipe.network,
            lock=self.files[recipe.requirements],
            analysis={RECIPE: self.recipe_text, **{name: self.files[name] for name in recipe.analysis_files}},
            executables=self.executables & set(recipe.analysis_files),
            tool=self.tool,
        )


def read_tool(protocols: Path) -> dict[str, bytes]:
    """The in-instance tool: `workflow/**.py` and its lock, by path below `protocols`. Raises OSError."""
    paths = [*sorted((protocols / "workflow").rglob("*.py")), protocols / TOOL_LOCK]
    return {path.relative_to(protocols).as_posix(): path.read_bytes() for path in paths}


def read_source(environment: Path, protocols: Path) -> Source:
    """Read a blueprint's `environment/` folder and the tool of `protocols/`.

    Raises DocumentError for a bad recipe, a file it names that is missing or a requirement that is another project
    than its name says, OSError for a folder that is missing.
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
    digest = recipe_digest(recipe, files, tool)
    if wrong := tuple(check_requirements(files[recipe.requirements].decode(), file=str(named[recipe.requirements]))):
        raise DocumentError(wrong)
    return Source(recipe, digest, text, files, executables, tool)
