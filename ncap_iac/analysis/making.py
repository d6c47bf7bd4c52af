"""A folder for an analysis, from the templates of this package: complete, pinned, valid, and there only when all is.

Writes one folder of the project's `ncap_blueprints/`; asks the package index only if requirements were added.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.analysis.requirements import LOCK, REQUIREMENTS, locked_names, with_requirements
from ncap_iac.analysis.script import Script, wanted_packages
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind, Project

if TYPE_CHECKING:
    from collections.abc import Callable

TEMPLATES = Path(__file__).with_name("template")
SUFFIX = ".template"
"""Of files whose places are filled; the others are copied."""
PYTHON = ">=3.11,<3.15"
OWN_FILES = ("workflow.py", "spectrum.py", "figure.py")
_KIT = '    "shared": ["analysis_kit.py"],\n    "parameters": true,\n'
_LOWEST = re.compile(r"(?:>=|==|~=)\s*(\d+\.\d+)")


@dataclass(frozen=True)
class Group:
    """A group that may use the analysis."""

    name: str
    members: tuple[str, ...]
    email: str = "operators@example.org"


@dataclass(frozen=True)
class Wish:
    """What the analysis shall be."""

    name: str
    title: str
    groups: tuple[Group, ...]
    python: str = PYTHON
    requirements: tuple[str, ...] = ()
    script: Script | None = None


@dataclass(frozen=True)
class Made:
    """The folder, its files, its environment, and what its maker should know."""

    folder: Path
    files: tuple[Path, ...]
    environment: str
    warnings: tuple[str, ...]


def checked_name(name: str, project: Project) -> str:
    """A name an analysis can have and none has. Raises UsageError."""
    from ncap_compiler.names import ANALYSIS_NAME

    if not ANALYSIS_NAME.fullmatch(name):
        raise UsageError(
            "no analysis can be called so",
            where=repr(name),
            hint="Its name is its bucket's: 3 to 63 of a-z, 0-9 and '-', beginning with a letter, not ending in '-'.",
        )
    folder = project.root / Kind.BLUEPRINT.folder / name
    if folder.exists():
        raise UsageError("there is such a folder already", where=str(folder), hint="Choose another name.")
    return name


def checked_python(python: str) -> str:
    """A range of Pythons that holds the one ncap runs on. Raises UsageError."""
    from ncap_iac.environments.python_range import satisfies

    try:
        holds = satisfies(sys.version_info[:3], python)
    except ValueError as error:
        raise UsageError(str(error), where=f"--python {python}", hint=f"Write it like '{PYTHON}'.") from error
    if not holds or _LOWEST.search(python) is None:
        raise UsageError(
            f"the Python ncap runs on, {sys.version_info[0]}.{sys.version_info[1]}, is not in it, or it has no lowest",
            where=f"--python {python}",
            hint=f"Name a range from a lowest version on, such as '{PYTHON}', and run ncap on one of it.",
        )
    return python


def make_analysis(
    wish: Wish, project: Project, *, lock: Callable[[Path], object], environment_of: Callable[[Path], str]
) -> Made:
    """Write the folder. Raises NcapError.

    `lock` writes the lock of an analysis's folder, `environment_of` tells the environment its recipe has.
    """
    target = project.root / Kind.BLUEPRINT.folder / checked_name(wish.name, project)
    with tempfile.TemporaryDirectory(prefix="neurocaas-new-") as place:
        blueprints = Path(place) / Kind.BLUEPRINT.folder
        folder = blueprints / wish.name
        shared = project.root / Kind.BLUEPRINT.folder / "shared"
        folder.mkdir(parents=True)
        if shared.is_dir():
            (blueprints / "shared").symlink_to(shared.resolve())
        values = _values(wish)
        for template in ("common", "script" if wish.script else "own"):
            _fill(TEMPLATES / template, folder, values)
        if wish.script is not None:
            _add_script(wish.script, folder)
        warnings = _lock(wish, folder, lock)
        blueprint = folder / Kind.BLUEPRINT.file
        environment = environment_of(folder)
        blueprint.write_text(blueprint.read_text().replace("@ENVIRONMENT@", environment))
        try:
            shutil.copytree(folder, target)
        except OSError:
            shutil.rmtree(target, ignore_errors=True)
            raise
    files = tuple(sorted(path for path in target.rglob("*") if path.is_file()))
    return Made(target, files, environment, warnings)


def _values(wish: Wish) -> dict[str, str]:
    script = wish.script
    files = (*OWN_FILES,) if script is None else ("workflow.py", *(path.name for path in (script.path, *script.files)))
    groups = [
        {"AffiliateName": it.name, "UserNames": list(it.members), "UserInput": True, "ContactEmail": it.email}
        for it in wish.groups
    ]
    return {
        "NAME": wish.name,
        "TITLE": wish.title,
        "TITLE_JSON": json.dumps(wish.title, ensure_ascii=False),
        "PARAMETERS_TITLE_JSON": json.dumps(f"Parameters of {wish.title}", ensure_ascii=False),
        "PYTHON": wish.python,
        "FILES": json.dumps(files),
        "KIT": _KIT if script is None else "",
        "GROUPS": json.dumps(groups, indent=2, ensure_ascii=False).replace("\n", "\n    "),
        "SCRIPT": script.path.name if script else "",
        "COMMAND": json.dumps(list(script.command)) if script else "",
        "COMMAND_TEXT": shlex.join(script.command).replace("'", "") if script else "",
    }


def _fill(template: Path, folder: Path, values: Mapping[str, str]) -> None:
    places = re.compile("@(" + "|".join(values) + ")@")
    for source in sorted(path for path in template.rglob("*") if path.is_file()):
        target = folder / source.relative_to(template)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == SUFFIX:
            text = places.sub(lambda match: values[match[1]], source.read_text(encoding="utf-8"))
            target.with_suffix("").write_text(text, encoding="utf-8")
        else:
            shutil.copyfile(source, target)


def _add_script(script: Script, folder: Path) -> None:
    for path in (script.path, *script.files):
        shutil.copy(path, folder / "environment" / path.name)
    sample = folder / "sample"
    for path in script.samples:
        shutil.copyfile(path, sample / path.name)
    config = "config.json" if script.config is None else script.config.name
    if script.config is None:
        (sample / config).write_text("{}\n")
    else:
        shutil.copyfile(script.config, sample / config)
    about = {"datasets": [path.name for path in script.samples], "config": config}
    (sample / "sample.json").write_text(json.dumps(about) + "\n")
    (sample / "expected.json").write_text(json.dumps({"files": ["*"]}) + "\n")


def _lock(wish: Wish, folder: Path, lock: Callable[[Path], object]) -> tuple[str, ...]:
    """The template's lock, or, with other requirements, one of their own; what the script imports and no one brings."""
    from ncap_iac.environments.lock import lock_text

    locked, requirements = folder / "environment" / LOCK, folder / "environment" / REQUIREMENTS
    asked = requirements.read_bytes()
    locked.write_text(lock_text(asked, wish.python, locked.read_text(encoding="utf-8")), encoding="utf-8")
    if wish.requirements:
        requirements.write_text(with_requirements(asked.decode(), wish.requirements), encoding="utf-8")
        lock(folder)
    if wish.script is None:
        return ()
    missing = sorted(wanted_packages(wish.script) - locked_names(locked.read_text(encoding="utf-8")))
    return tuple(
        f"the script imports a package {name!r} that the environment has not. Name it: --requirement {name}"
        for name in missing
    )
