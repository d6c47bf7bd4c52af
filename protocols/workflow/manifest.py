"""The launch manifest (docs/contracts.md section 4) as values. It must not read anything but the text it is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 1


class ManifestError(Exception):
    """The launch manifest does not say what this instance needs; the message names the field."""


@dataclass(frozen=True)
class Source:
    """An object as it was when the job was accepted; ``etag`` is empty when it was not recorded.

    ``bucket`` is empty for the launch's own.
    """

    key: str
    etag: str
    bucket: str = ""


@dataclass(frozen=True)
class Attempt:
    """What one instance of the launch does: one try at one dataset. ``label`` names the dataset within the job.

    ``parts`` is the key of the list of files of a dataset that is a whole folder, else empty. ``folder``: its results
    have a folder of their own, so named. ``scatter``: the point of a variant.
    """

    index: int
    number: int
    dataset: Source
    label: str
    parts: str = ""
    folder: str = ""
    scatter: Mapping[str, Any] | None = None

    def below(self, prefix: str) -> str:
        """The folder of this attempt's results in the job's folder of results."""
        return f"{prefix}/{self.folder}" if self.folder else prefix


@dataclass(frozen=True)
class Place:
    """A folder of a bucket, without a slash at its end."""

    bucket: str
    prefix: str


@dataclass(frozen=True)
class Manifest:
    """One launch: what all its instances share, and their attempts.

    ``result_place``: where results go, if not to the job's own folder. ``protocol``: another one than today's, such as
    ``widefield``. ``last``: patterns of names of results that are stored after all others.
    """

    bucket: str
    group: str
    job: str
    result_prefix: str
    environment: str
    command: str | None
    working_directory: str | None
    config: Source
    duration_minutes: float
    attempts: tuple[Attempt, ...]
    result_place: Place | None = None
    protocol: str | None = None
    last: tuple[str, ...] = ()

    @property
    def reaches_out(self) -> bool:
        """Whether anything is read from or written to another bucket."""
        sources = [self.config, *(attempt.dataset for attempt in self.attempts)]
        return self.result_place is not None or any(source.bucket for source in sources)

    def attempt_of(self, launch_index: int) -> Attempt:
        """The attempt of instance number ``launch_index``. Raises ManifestError when the launch has fewer."""
        if launch_index < len(self.attempts):
            return self.attempts[launch_index]
        raise ManifestError(f"Launch manifest of {self.job}: it has no attempt for instance number {launch_index}.")


def parse_manifest(text: bytes) -> Manifest:
    """Read the document. Raises ManifestError with the first field that is missing or of the wrong kind."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ManifestError(f"The launch manifest is not JSON: {error}.") from error
    if not isinstance(document, dict) or document.get("schemaVersion") != SCHEMA_VERSION:
        raise ManifestError(f"The launch manifest is not of schemaVersion {SCHEMA_VERSION}; rebuild the environment.")
    attempts = document.get("attempts")
    if not isinstance(attempts, list):
        raise ManifestError("Launch manifest: 'attempts' must be a list.")
    return Manifest(
        bucket=_text(document, "bucket"),
        group=_text(document, "group"),
        job=_text(document, "job"),
        result_prefix=_text(document, "resultPrefix"),
        environment=_text(document, "environment"),
        command=_optional_text(document, "command"),
        working_directory=_optional_text(document, "workingDirectory"),
        config=_source(document.get("config"), "key"),
        duration_minutes=_number(document, "durationMinutes"),
        attempts=tuple(_attempt(entry) for entry in attempts),
        result_place=_place(document.get("resultAddress")),
        protocol=_optional_text(document, "protocol"),
        last=tuple(str(name) for name in document.get("last") or ()),
    )


def _place(entry: Any) -> Place | None:
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise ManifestError("Launch manifest: 'resultAddress' must be an object with 'bucket' and 'prefix'.")
    return Place(_text(entry, "bucket"), _text(entry, "prefix"))


def _attempt(entry: Any) -> Attempt:
    if not isinstance(entry, dict):
        raise ManifestError("Launch manifest: each of 'attempts' must be an object.")
    return Attempt(
        index=int(_number(entry, "index")),
        number=int(_number(entry, "attempt")),
        dataset=_source(entry, "dataset"),
        label=_text(entry, "label"),
        parts=_optional_text(entry, "parts") or "",
        folder=_optional_text(entry, "folder") or "",
        scatter=_point(entry.get("scatter")),
    )


def _point(entry: Any) -> Mapping[str, Any] | None:
    if entry is not None and not (isinstance(entry, dict) and isinstance(entry.get("values"), dict)):
        raise ManifestError("Launch manifest: 'scatter' must be an object with 'k' and 'values'.")
    return entry


def _source(entry: Any, field: str) -> Source:
    if not isinstance(entry, dict):
        raise ManifestError(f"Launch manifest: an object with '{field}' and 'etag' is missing.")
    return Source(
        _text(entry, field), _optional_text(entry, "etag") or "", bucket=_optional_text(entry, "bucket") or ""
    )


def _text(document: dict[str, Any], field: str) -> str:
    value = document.get(field)
    if not isinstance(value, str) or not value:
        raise ManifestError(f"Launch manifest: '{field}' must be text, found {value!r}.")
    return value


def _optional_text(document: dict[str, Any], field: str) -> str | None:
    return None if document.get(field) in (None, "") else _text(document, field)


def _number(document: dict[str, Any], field: str) -> float:
    value = document.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ManifestError(f"Launch manifest: '{field}' must be a number, found {value!r}.")
    return value
