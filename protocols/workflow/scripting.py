"""Small tools for analysis scripts: a value of a config, the content of a zip. Prints nothing but the answer."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path, PurePosixPath

from workflow.problem import WorkflowError

IGNORED = "__MACOSX"


class ScriptingError(WorkflowError):
    """The file does not hold what was asked for; the message says what it holds."""


def read_field(path: Path, field: str, default: str | None) -> str:
    """A top-level field of a YAML or JSON file as scripts compare it: ``True``, ``None``, ``1.5``.

    Lists are items followed by a blank each, mappings are JSON. Raises ScriptingError.
    """
    document = _parse(path)
    if field in document:
        return _shown(document[field])
    if default is None:
        names = ", ".join(map(str, document)) or "none"
        raise ScriptingError(f"{path} has no field '{field}' (it has: {names}); give a default with -d.")
    return default


def _parse(path: Path) -> dict[str, object]:
    """The file as a mapping. JSON is tried first, because it may hold tabs, which YAML refuses."""
    text = path.read_text(encoding="utf-8-sig")
    try:
        document = json.loads(text)
    except ValueError:
        import yaml

        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ScriptingError(f"{path} is neither YAML nor JSON: {error}") from error
    if document is not None and not isinstance(document, dict):
        raise ScriptingError(f"{path} must hold 'name: value' pairs, found a {type(document).__name__}.")
    return document or {}


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, list):
        return "".join(f"{item} " for item in value)
    return str(value)


def unpack_zip(path: Path, target: Path) -> str:
    """Extract a zip that holds exactly one top-level file or folder; returns its name. Raises ScriptingError."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if PurePosixPath(name).parts[:1] != (IGNORED,)]
            tops = {PurePosixPath(name).parts[0] for name in members if PurePosixPath(name).parts}
            if len(tops) != 1 or tops & {"..", "/"}:
                found = ", ".join(sorted(tops)) or "nothing"
                raise ScriptingError(f"{path} must hold exactly one file or folder at its top, it holds: {found}.")
            archive.extractall(target, members)
    except (zipfile.BadZipFile, OSError) as error:
        raise ScriptingError(f"{path} cannot be unpacked as a zip file: {error}") from error
    return tops.pop()
