"""Everything there is to say about documents before they are used: problems and notices, of all files at once.

Reads files, asks no cloud, runs no code. Whether a problem stops something is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ncap_iac.documents import PARAMETERS_FILE, check_handler
from ncap_iac.errors import UsageError
from ncap_iac.neighbours import step_problems
from ncap_iac.project import Kind, read_bytes
from ncap_iac.review.collisions import collisions

if TYPE_CHECKING:
    from ncap_compiler import Blueprint, Problem
    from ncap_compiler.errors import Finding, Notice


@dataclass(frozen=True)
class Findings:
    """What is wrong with documents, and what is worth knowing about them; in the order of the files."""

    problems: tuple[Problem, ...]
    notices: tuple[Notice, ...]


COLUMNS = ("id", "place", "pointer", "message", "what to do")


def table_row(found: Finding) -> tuple[str, ...]:
    """A finding for people, under `COLUMNS`."""
    place = found.file if found.line is None else f"{found.file}:{found.line}"
    return (found.id, place, found.pointer, found.message, found.hint or "")


def as_data(found: Finding) -> dict[str, object]:
    """A finding for scripts."""
    return {
        "id": found.id,
        "file": found.file,
        "line": found.line,
        "pointer": found.pointer,
        "message": found.message,
        "hint": found.hint,
    }


def findings_of(paths: Iterable[Path], kind: Kind) -> Findings:
    """Findings of documents, of the parameter schemas beside blueprints, and of what two documents both claim."""
    from ncap_compiler import DocumentError, load_blueprint, load_parameters_schema, load_profile
    from ncap_compiler.document import decode_text

    problems: list[Problem] = []
    notices: list[Notice] = []
    texts: dict[str, str] = {}
    for path in paths:
        file, beside = str(path), path.parent / PARAMETERS_FILE
        try:
            text = decode_text(read_bytes(path), file)
            if kind is Kind.BLUEPRINT:
                blueprint = load_blueprint(text, file=file)
                problems += _code_problems(blueprint, path, text)
                problems += step_problems(text, path)
                notices += blueprint.notices
            else:
                notices += load_profile(text, file=file).notices
            texts[file] = text
        except DocumentError as error:
            problems += error.problems
        try:
            if kind is Kind.BLUEPRINT and beside.is_file():
                load_parameters_schema(decode_text(read_bytes(beside), str(beside)), file=str(beside))
        except DocumentError as error:
            problems += error.problems
    problems += collisions(texts, dict.fromkeys(texts, kind))
    return Findings(tuple(problems), tuple(notices))


def _code_problems(blueprint: Blueprint, path: Path, text: str) -> Iterator[Problem]:
    """Functions the blueprint names and its code folder has not, where that folder is there to look into."""
    from ncap_compiler.document import read_document

    code = (path.parent / blueprint.code_uri).resolve()
    handlers = {"/Lambda/Handler": blueprint.handler, "/Lambda/PostHandler": blueprint.post_handler}
    for pointer, handler in handlers.items() if code.is_dir() else ():
        module = f"{(handler or '').partition('.')[0]}.py"
        sources = {module: read_bytes(code / module)} if (code / module).is_file() else {}
        try:
            if handler:
                check_handler(handler, sources, code, path)
        except UsageError as error:
            yield read_document(text, str(path)).problem("B203", pointer, error.what, error.hint)
