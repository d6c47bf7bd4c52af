"""The recipe of an immutable analysis environment, and the digest that names the environment.

Same digest = same environment: it covers the recipe, the lock, every listed file and the in-instance tool. Pure; who
reads the files and builds the image is elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ncap_compiler.bundle import is_inside
from ncap_compiler.document import Document, Json, canonical_json, read_document
from ncap_compiler.errors import DocumentError, Problem
from ncap_compiler.shapes import check_shape
from ncap_compiler.values import texts, whole

SCHEMA_VERSION = 1
BASES = ("ubuntu-24.04", "amazon-linux-2023")
"""Systems an AMI can be built on; the first is the default, as `osPackages` has its names."""

OTHER_PROJECTS = {
    "caiman": "a tool for MicroPython, not the calcium imaging analysis",
    "yass": "a generator of web sites, not the spike sorter",
}
"""Names of the package index that are other projects than an analysis means."""

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:[\[=<>!~;@(\\]|$)")
PARAMETERS_FILE = "parameters.schema.json"
"""A blueprint's parameter schema, beside its document."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one dataset needs."""

    cpu: int = 1
    memory_gib: float = 1
    disk_gib: float = 2
    gpu: int = 0
    """GPUs; more than none makes the AMI one with drivers."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """An environment's recipe; `requirements` and `files` are paths inside the environment folder.

    `shared` are files of `ncap_blueprints/shared/`, `parameters` says that the blueprint's parameter schema is part of
    the environment: both lie beside `files` in the image.
    """

    name: str
    python: str
    os_packages: tuple[str, ...]
    requirements: str
    workflow: tuple[str, ...]
    files: tuple[str, ...]
    shared: tuple[str, ...]
    parameters: bool
    resources: Resources
    network: bool
    deterministic: bool
    base: str = BASES[0]

    @property
    def analysis_files(self) -> tuple[str, ...]:
        """Everything that lies in the image's `analysis` folder beside the recipe, by its path there."""
        return (*self.files, *self.shared, *((PARAMETERS_FILE,) if self.parameters else ()))

    def document(self) -> dict[str, Json]:
        """The recipe with every field spelled out, as it counts in the digest."""
        resources = self.resources
        added: dict[str, Json] = {"shared": [*sorted(self.shared)]} if self.shared else {}
        if self.parameters:
            added["parameters"] = True
        if self.base != BASES[0]:
            added["base"] = self.base
        needed: dict[str, Json] = {"gpu": resources.gpu} if resources.gpu else {}
        return added | {
            "schemaVersion": SCHEMA_VERSION,
            "name": self.name,
            "python": self.python,
            "osPackages": [*sorted(self.os_packages)],
            "requirements": self.requirements,
            "workflow": list(self.workflow),
            "files": [*sorted(self.files)],
            "resources": needed
            | {
                "cpu": resources.cpu,
                "memoryGib": float(resources.memory_gib),
                "diskGib": float(resources.disk_gib),
            },
            "network": self.network,
            "deterministic": self.deterministic,
        }


def load_recipe(text: str, *, file: str) -> Recipe:
    """Read a `recipe.json`. Raises DocumentError with all problems."""
    document = read_document(text, file)
    shape = check_shape(document, "recipe")
    known_bad = frozenset(problem.pointer for problem in shape)
    problems = (*shape, *(problem for problem in _check_paths(document) if problem.pointer not in known_bad))
    if problems:
        raise DocumentError(problems)
    return _recipe(document.value)


def recipe_digest(recipe: Recipe, files: Mapping[str, bytes], tool_files: Mapping[str, bytes]) -> str:
    """SHA-256 (hex) over recipe, lock, listed files and in-instance tool: `docs/contracts.md`, section 6.

    `files` maps the lock and `analysis_files` to contents and may hold more than the recipe lists; `tool_files`
    are all files of the tool, by path. Raises DocumentError (R202) when a file the recipe names is missing.
    """
    counted = (recipe.requirements, *recipe.analysis_files)
    missing = [path for path in counted if path not in files]
    if missing:
        raise DocumentError(
            Problem(
                "R202", "recipe.json", "/files", None, f"`{path}` is not where the recipe looks for it", "Add the file."
            )
            for path in missing
        )
    return hashlib.sha256(
        canonical_json(
            {
                "recipe": recipe.document(),
                "files": {path: hashlib.sha256(files[path]).hexdigest() for path in counted},
                "tool": {path: hashlib.sha256(content).hexdigest() for path, content in tool_files.items()},
            }
        )
    ).hexdigest()


def check_requirements(text: str, *, file: str) -> Iterator[Problem]:
    """Problems of a requirements file: names of the package index that are other projects (R204). A look, no parse."""
    for number, line in enumerate(text.splitlines(), start=1):
        match = _REQUIREMENT.match(line)
        name = "" if match is None else re.sub("[-_.]+", "-", match[1]).lower()
        if name in OTHER_PROJECTS and "@" not in line:
            message = f"`{name}` on the package index is {OTHER_PROJECTS[name]}"
            yield Problem("R204", file, "", number, message, "Leave it out, or name the project's own archive by URL.")


def _recipe(value: dict[str, Json]) -> Recipe:
    resources = value.get("resources")
    needed = resources if isinstance(resources, dict) else {}
    return Recipe(
        name=str(value["name"]),
        python=str(value["python"]),
        os_packages=texts(value.get("osPackages")),
        requirements=str(value["requirements"]),
        workflow=texts(value["workflow"]),
        files=texts(value["files"]),
        shared=texts(value.get("shared")),
        parameters=bool(value.get("parameters", False)),
        resources=Resources(
            cpu=whole(needed.get("cpu"), 1),
            memory_gib=_number(needed.get("memoryGib"), 1),
            disk_gib=_number(needed.get("diskGib"), 2),
            gpu=whole(needed.get("gpu"), 0),
        ),
        network=bool(value.get("network", False)),
        deterministic=bool(value.get("deterministic", False)),
        base=str(value.get("base", BASES[0])),
    )


def _number(value: Json, default: float) -> float:
    return value if isinstance(value, int | float) else default


def _check_paths(document: Document) -> Iterator[Problem]:
    places = [("/requirements", document.get("/requirements"))]
    listed = document.get("/files")
    places += [(f"/files/{index}", path) for index, path in enumerate(listed if isinstance(listed, list) else [])]
    taken = {PARAMETERS_FILE} if document.get("/parameters") is True else set()
    taken.update(texts(document.get("/shared")))
    for pointer, path in places:
        if isinstance(path, str) and path in taken:
            message = f"`{path}` would lie in the image twice: once from here, once from elsewhere"
            yield document.problem("R203", pointer, message, "Give the file another name.")
        if isinstance(path, str) and not is_inside(path):
            message = f"`{path}` is not a plain path inside the environment folder"
            yield document.problem("R201", pointer, message, "Use relative paths with `/` and without `..`.")
