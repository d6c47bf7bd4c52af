"""The steps of a blueprint against the other blueprints of its project: who there is, and who hands over to whom.

Reads files, asks no cloud. What is a problem, the compiler decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncap_compiler.recipe import PARAMETERS_FILE
from ncap_iac.errors import UsageError
from ncap_iac.project import Kind, Project, read_bytes

if TYPE_CHECKING:
    from ncap_compiler.document import Document
    from ncap_compiler.errors import Problem
    from ncap_compiler.step_checks import Neighbour

_GROUPS = "/UXData/Affiliates"


def step_problems(text: str, path: Path) -> tuple[Problem, ...]:
    """What its parameters and its neighbours say against the steps of a blueprint without other problems."""
    from ncap_compiler.document import read_document
    from ncap_compiler.step_checks import check_neighbours
    from ncap_compiler.steps import STEPS

    document = read_document(text, str(path))
    if not document.get(STEPS):
        return ()
    own = path.resolve()
    around = own.parents[1]
    if around.name != Kind.BLUEPRINT.folder:
        return check_neighbours(document, _parameters(own), None)
    others = {
        name: neighbour
        for other in Project(around.parent).documents(Kind.BLUEPRINT)
        if other != own and (found := _read(other)) is not None
        for name, neighbour in [_neighbour(found, other)]
    }
    return check_neighbours(document, _parameters(own), others)


def handing_to(project: Project, analysis: str) -> tuple[str, ...]:
    """The analyses of a project whose steps hand over to `analysis`, by the names their blueprints give."""
    found = [_neighbour(read, path) for path in project.documents(Kind.BLUEPRINT) if (read := _read(path)) is not None]
    return tuple(sorted(name for name, neighbour in found if analysis in neighbour.next_analyses))


def _neighbour(document: Document, path: Path) -> tuple[str, Neighbour]:
    from ncap_compiler.step_checks import Neighbour
    from ncap_compiler.steps import STEPS

    groups = tuple(str(entry.get("AffiliateName")) for entry in _entries(document, _GROUPS))
    following = tuple(str(entry["Analysis"]) for entry in _entries(document, STEPS) if "Analysis" in entry)
    name = str(document.get("/PipelineName"))
    return name, Neighbour(groups=groups, parameters=_parameters(path), next_analyses=following)


def _read(path: Path) -> Document | None:
    """A blueprint that may have problems; None if it is no JSON object at all."""
    from ncap_compiler import DocumentError
    from ncap_compiler.document import decode_text, read_document

    try:
        return read_document(decode_text(read_bytes(path), str(path)), str(path))
    except (DocumentError, UsageError):
        return None


def _entries(document: Document, pointer: str) -> list[dict[str, Any]]:
    listed = document.get(pointer)
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _parameters(path: Path) -> Mapping[str, Any] | None:
    """The parameters schema beside a blueprint; one with problems says nothing here."""
    beside = path.parent / PARAMETERS_FILE
    try:
        found = json.loads(read_bytes(beside)) if beside.is_file() else None
    except (ValueError, RecursionError, UsageError):
        return None
    return found if isinstance(found, dict) else None
