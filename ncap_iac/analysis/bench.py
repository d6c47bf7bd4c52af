"""A copy of the project in which analyses of the working tree can be deployed for their developer alone.

In the copy a blueprint names the environment its files are now, and one group, the developer's; the profile has that
group only. The working tree is read, never written.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.deploy.images import named_environment, pinned_text, recipe_folder
from ncap_iac.documents import PARAMETERS_FILE, checked
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind, Project, read_bytes

GROUP = "developer"
MEMBER = "developer-member"
BUDGET_USD = 1000
"""Of the developer's group and analysis in the local cloud, where nothing is charged."""
_COPIED = (Kind.BLUEPRINT.file, PARAMETERS_FILE)


@dataclass(frozen=True)
class Laid:
    """An analysis on the bench."""

    name: str
    """What its blueprint calls it: its bucket and stack."""
    source: Path
    """Its folder in the working tree."""
    path: Path
    """Its blueprint on the bench."""
    environment: str
    is_pinned: bool
    """Whether the working tree's blueprint names this environment, too."""


@dataclass(frozen=True)
class Bench:
    """The copy, below a folder that its owner removes."""

    project: Project
    profile: Path


def set_up(project: Project, place: Path) -> Bench:
    """An empty bench in a folder: the project's code, shared files and other analyses are links."""
    blueprints = place / Kind.BLUEPRINT.folder
    blueprints.mkdir(parents=True)
    (place / "protocols").symlink_to(project.protocols.resolve())
    for folder in sorted((project.root / Kind.BLUEPRINT.folder).iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            (blueprints / folder.name).symlink_to(folder.resolve())
    profile = place / Kind.PROFILE.folder / GROUP / Kind.PROFILE.file
    profile.parent.mkdir(parents=True)
    return Bench(Project(place), profile)


def lay(bench: Bench, source: Path, environment_of: Callable[[Path], str]) -> Laid:
    """Copy an analysis of the working tree (its blueprint) to the bench. Raises UsageError, DocumentProblemsError.

    `environment_of` tells the environment a folder's recipe has.
    """
    checked([source], Kind.BLUEPRINT)
    folder = source.parent.resolve()
    recipe = recipe_folder(folder)
    if not (recipe / "recipe.json").is_file():
        raise UsageError(
            "it has no environment/recipe.json, so there is nothing to build here",
            where=str(folder),
            hint="Write one (`ncap analysis new` shows how it looks); an AMI by its id runs on AWS only.",
        )
    target = bench.project.root / Kind.BLUEPRINT.folder / folder.name
    if target.is_symlink():
        target.unlink()
    target.mkdir()
    for name in _COPIED:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    shutil.copytree(recipe, target / "environment", ignore=shutil.ignore_patterns("__pycache__"))
    blueprint = target / Kind.BLUEPRINT.file
    text = read_bytes(blueprint)
    named = named_environment(text, where=str(source))
    environment = environment_of(target)
    document = json.loads(pinned_text(text, environment, where=str(source)))
    contact = {"AffiliateName": GROUP, "UserNames": [MEMBER], "UserInput": True}
    document["UXData"] = {"Affiliates": [contact]}
    blueprint.write_text(json.dumps(document, indent=2))
    return Laid(str(document["PipelineName"]), folder, blueprint, environment, named == environment)


def write_profile(bench: Bench, names: Iterable[str]) -> None:
    """The developer's group, with these analyses."""
    analyses = sorted(set(names))
    group = {
        "AffiliateName": GROUP,
        "UserNames": [MEMBER],
        "Pipelines": analyses,
        "Budget": dict.fromkeys(analyses, BUDGET_USD),
    }
    bench.profile.write_text(json.dumps({"UXData": {"Affiliates": [group]}}, indent=2))
