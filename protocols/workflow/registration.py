"""What a script told ``neurocaas-contrib`` about its job: dataset, config, further files, result path.

Kept in ``registration.json`` of the folder given to ``initialize-job``, whose place is remembered in a small file in
the home folder. Field names are those existing scripts and tools know. It must not transfer anything.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from workflow.problem import WorkflowError

STORAGE_NAME = ".neurocaas_contrib_storageloc.json"
REGISTRATION_NAME = "registration.json"


class RegistrationError(WorkflowError):
    """The job is not registered far enough for what was asked; the message names the command that is missing."""


@dataclass(frozen=True)
class Entry:
    """One registered file: ``s3`` address or ``localsource`` path, and ``local``, where it was fetched to."""

    s3: str | None = None
    localsource: str | None = None
    local: str | None = None

    def document(self) -> dict[str, str]:
        """The fields that are set."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Registration:
    """A job as registered so far."""

    data: Entry | None = None
    config: Entry | None = None
    additional_files: Mapping[str, Entry] = field(default_factory=dict)
    resultpath: Entry | None = None

    def named(self, kind: str, name: str | None = None) -> Entry:
        """The entry ``data``, ``config``, ``resultpath`` or, of kind ``file``, that of ``name``.

        Raises RegistrationError.
        """
        entry = self.additional_files.get(name or "") if kind == "file" else getattr(self, kind)
        if not isinstance(entry, Entry):
            wanted = {"data": "dataset", "resultpath": "resultpath"}.get(kind, kind)
            of = f" -n {name}" if name else ""
            raise RegistrationError(f"No {wanted} is registered; call 'workflow register-{wanted}{of}' first.")
        return entry

    def with_entry(self, kind: str, entry: Entry, name: str | None = None) -> Registration:
        """A copy with the entry set."""
        if kind == "file":
            return replace(self, additional_files={**self.additional_files, name or "": entry})
        if kind == "data":
            return replace(self, data=entry)
        return replace(self, config=entry) if kind == "config" else replace(self, resultpath=entry)


@dataclass(frozen=True)
class JobFolder:
    """The folder of a job on this machine."""

    path: Path

    @property
    def inputs(self) -> Path:
        """Where datasets and files are fetched to unless told otherwise."""
        return self.path / "inputs"

    @property
    def configs(self) -> Path:
        """Where configs are fetched to unless told otherwise."""
        return self.path / "configs"

    def load(self) -> Registration:
        """Read the registration. Raises RegistrationError."""
        try:
            document = json.loads((self.path / REGISTRATION_NAME).read_text())
            return Registration(
                data=_entry(document.get("data")),
                config=_entry(document.get("config")),
                additional_files={
                    name: Entry(**value) for name, value in (document.get("additional_files") or {}).items()
                },
                resultpath=_entry(document.get("resultpath")),
            )
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise RegistrationError(
                f"{self.path / REGISTRATION_NAME} cannot be read ({error}); call 'workflow initialize-job -p DIR'."
            ) from error

    @property
    def logs(self) -> Path:
        """Where logs are kept."""
        return self.path / "logs"

    def note(self, kind: str, entry: Entry, name: str | None = None) -> None:
        """Set one entry, whoever else sets another at the same time. Raises RegistrationError, OSError."""
        with (self.path / f".{REGISTRATION_NAME}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.save(self.load().with_entry(kind, entry, name))

    def save(self, registration: Registration) -> None:
        """Write the registration whole or not at all. Raises OSError."""
        document = {
            "data": registration.data.document() if registration.data else {},
            "config": registration.config.document() if registration.config else {},
            "additional_files": {name: entry.document() for name, entry in registration.additional_files.items()},
            "resultpath": registration.resultpath.document() if registration.resultpath else {},
        }
        write_whole(self.path / REGISTRATION_NAME, json.dumps(document, indent=4))


def initialize(folder: Path, home: Path) -> JobFolder:
    """Start an empty registration in ``folder`` and remember the folder. Raises OSError."""
    job = JobFolder(folder.resolve())
    job.inputs.mkdir(exist_ok=True)
    job.configs.mkdir(exist_ok=True)
    job.save(Registration())
    write_whole(home / STORAGE_NAME, json.dumps({"path": str(job.path)}))
    return job


def current_job(home: Path) -> JobFolder:
    """The folder of the last ``initialize-job``. Raises RegistrationError."""
    try:
        return JobFolder(Path(json.loads((home / STORAGE_NAME).read_text())["path"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistrationError(
            "No job is set up on this machine; call 'workflow initialize-job -p DIR' first."
        ) from error


def fetched_path(home: Path, kind: str, name: str | None) -> Path:
    """Where a registered file was fetched to. Raises RegistrationError when it was not."""
    entry = current_job(home).load().named(kind, name)
    if entry.local is None:
        raise RegistrationError(f"It is not on this machine; call 'workflow get-{kind}' (with -f if the file exists).")
    return Path(entry.local)


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step, so that a reader or a crash never sees half of it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def _entry(document: dict[str, str] | None) -> Entry | None:
    return Entry(**document) if document else None
