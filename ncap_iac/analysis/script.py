"""An existing script as an analysis: how it is called, which files it has, which packages it wants. Only reads."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ncap_iac.errors import UsageError
from ncap_iac.project import read_bytes

PLACES = ("{data}", "{config}", "{results}", "{stem}")
TAKEN = frozenset({"workflow.py", "recipe.json", "requirements.in", "requirements.lock", "parameters.schema.json"})
PACKAGES = {
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "dateutil": "python-dateutil",
    "mpl_toolkits": "matplotlib",
}
"""Modules whose package has another name."""


@dataclass(frozen=True)
class Script:
    """A script, the files it needs beside it, its command line, and a sample to try it on."""

    path: Path
    files: tuple[Path, ...]
    command: tuple[str, ...]
    samples: tuple[Path, ...] = ()
    config: Path | None = None


def read_script(path: Path, line: str | None, *, files: Iterable[Path] = ()) -> Script:
    """The script and its command line. Raises UsageError."""
    text = read_bytes(path)
    beside = tuple(files)
    for file in (path, *beside):
        if file.name in TAKEN or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", file.name):
            raise UsageError("the analysis cannot have a file of this name", where=str(file), hint="Rename it.")
        read_bytes(file)
    return Script(path, beside, _command(path, line, is_python=path.suffix == ".py" or b"python" in text[:60]))


def _command(path: Path, line: str | None, *, is_python: bool) -> tuple[str, ...]:
    if line is None:
        program = ("python",) if is_python else ("sh",) if path.suffix in (".sh", ".bash") else None
        if program is None:
            raise UsageError(
                "how is it started?",
                where=str(path),
                hint=f"Say it: --command-line 'PROGRAM {path.name} {{data}} {{config}} {{results}}'.",
            )
        return (*program, path.name, *PLACES[:3])
    try:
        words = tuple(path.name if word == str(path) else word for word in shlex.split(line))
    except ValueError as error:
        raise UsageError(str(error), where="--command-line", hint="Check its quotes.") from error
    missing = [place for place in ("{data}", "{results}") if not any(place in word for word in words)]
    if path.name not in words:
        missing.append(path.name)
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} are not in it" if len(missing) > 1 else f"{missing[0]} is not in it",
            where=f"--command-line {line!r}",
            hint="{data} stands for the dataset, {config} for the config, {results} for the folder of results, {stem} "
            "for the dataset's name without its ending.",
        )
    return words


def wanted_packages(script: Script) -> frozenset[str]:
    """The packages that a Python script and the modules beside it import and Python does not bring."""
    python = [path for path in (script.path, *script.files) if path.suffix == ".py"]
    own = {path.stem for path in python}
    found: set[str] = set()
    for path in python:
        try:
            tree = ast.parse(read_bytes(path))
        except (SyntaxError, ValueError) as error:
            raise UsageError(f"it is not Python: {error}", where=str(path), hint="Mend the script.") from error
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
    outside = found - own - set(sys.stdlib_module_names)
    return frozenset(PACKAGES.get(name, name.replace("_", "-").lower()) for name in outside)
