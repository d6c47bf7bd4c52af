"""The kept versions of an analysis: read from its bucket, found by name, compared.

A version is an immutable object `versions/<id>.json` (docs/contracts.md section 3). Reads buckets; changes nothing.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from ncap_iac.errors import AccessError, NcapError, NotFoundError, UsageError

if TYPE_CHECKING:
    from ncap_iac.aws import Content, Listing
    from ncap_iac.deploy.wanted import Version

FOLDER = "versions/"
KEY = re.compile(r"versions/(?P<id>v-[0-9a-f]{16})\.json")
READERS = 16
"""Objects read at the same time: as many as the gateway keeps connections."""
LATEST = 100
"""How many versions deploying looks at; the latest ones."""

FIELDS: dict[str, str] = {
    "environment": "environment",
    "command": "command",
    "workingDirectory": "working directory",
    "parametersSchema": "parameters",
    "instanceTypes": "instance types",
    "allowedInstanceTypes": "allowed instance types",
    "volumeGib": "disk",
    "maxDurationMinutes": "duration limit",
    "maxDatasetSizeGb": "dataset size limit",
    "deployLimit": "instances at once",
    "maxCostUsd": "default budget",
    "groups": "groups",
    "title": "title",
    "bundle": "job manager",
    "launchTemplate": "launch template",
    "analysis": "analysis",
    "bucket": "bucket",
    "schemaVersion": "format",
}
"""What makes a version, in the words of people, the weightiest first."""
FACTS = {"imageId": "image here", "rootDevice": "root device", "commit": "git commit"}
"""What belongs to a version in one region or checkout, and does not make it."""
UNITS = {"volumeGib": " GiB", "maxDurationMinutes": " min", "maxDatasetSizeGb": " GB", "maxCostUsd": " USD"}


class VersionReader(Protocol):
    """What of the gateway is needed to read versions."""

    def list(self, bucket: str, prefix: str = "", *, delimiter: str = "") -> Listing:
        """Everything under a prefix."""
        ...

    def read(self, bucket: str, key: str) -> Content:
        """One object whole."""
        ...


@dataclass(frozen=True)
class KeptVersion:
    """One version as it is kept. `problem` says why it must not be run; empty if it may."""

    version_id: str
    written: datetime
    document: Mapping[str, Any]
    problem: str = ""

    def text(self, name: str) -> str:
        """A field as text; empty where there is none."""
        return "" if self.document.get(name) is None else str(self.document[name])

    @property
    def environment(self) -> str:
        """What its blueprint named: `ami-…` or `iae:<name>@sha256:<digest>`."""
        return self.text("environment")

    @property
    def image_id(self) -> str:
        """The image its environment was in this region."""
        return self.text("imageId")

    @property
    def instance_types(self) -> tuple[str, ...]:
        """The types it may run on, those it prefers first."""
        return types_of(self.document)


@dataclass(frozen=True)
class Difference:
    """A field that two versions have differently; `lines` is a readable comparison of long texts."""

    field: str
    words: str
    before: str
    after: str
    lines: tuple[str, ...] = ()


def types_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """All instance types a version document names, those it prefers first."""
    lists = [document.get(name) for name in ("instanceTypes", "allowedInstanceTypes")]
    return tuple(dict.fromkeys(str(name) for names in lists if isinstance(names, list) for name in names))


# --- reading ---


def read_versions(
    objects: VersionReader, bucket: str, *, latest: int | None = None, also: str = ""
) -> tuple[KeptVersion, ...]:
    """The versions kept in a bucket, the latest first; none without a bucket. Raises AccessError.

    One listing, and a read each, several at a time: of all, or of so many of the latest and the one with id `also`.
    """
    try:
        objects_listed = objects.list(bucket, FOLDER).objects
    except NotFoundError:
        return ()
    listed = sorted(
        ((found.modified, match["id"], found.key) for found in objects_listed if (match := KEY.fullmatch(found.key))),
        reverse=True,
    )
    wanted = listed if latest is None else [*listed[:latest], *(item for item in listed[latest:] if item[1] == also)]
    with ThreadPoolExecutor(max_workers=READERS) as pool:
        bodies = pool.map(lambda item: objects.read(bucket, item[2]).body, wanted)
        return tuple(
            parse_version(body, version_id, written)
            for (written, version_id, _), body in zip(wanted, bodies, strict=True)
        )


def parse_version(body: bytes, version_id: str, written: datetime) -> KeptVersion:
    """A version's object → value. What is not what its id stands for has a problem."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, Mapping):
        return KeptVersion(version_id, written, {}, "it is no JSON object")
    return KeptVersion(version_id, written, document, problem_of(document, version_id))


def problem_of(document: Mapping[str, Any], version_id: str) -> str:
    """Why a document is not the version of this id, or nothing: the id is the digest of what it holds."""
    from ncap_compiler.version import version_id as id_of

    if document.get("versionId") != version_id or id_of(document) != version_id:
        return "its content is not what its id stands for: somebody wrote to it"
    environment = str(document.get("environment"))
    if environment.startswith("ami-") and document.get("imageId") != environment:
        return f"it names {document.get('imageId')} instead of its environment {environment}: somebody wrote to it"
    return ""


def document_of(version: Version, kept: Sequence[KeptVersion]) -> Mapping[str, Any] | None:
    """The document a version is kept as; None if it is not. Raises NcapError if it holds something else."""
    found = next((item for item in kept if item.version_id == version.version_id), None)
    if found is None:
        return None
    require_untouched(found, where=f"s3://{version.bucket}/{version.key}")
    return found.document


def require_untouched(version: KeptVersion, *, where: str = "") -> None:
    """Raises NcapError if a version holds something else than its id stands for."""
    if version.problem:
        raise NcapError(
            version.problem,
            where=where or f"version {version.version_id}",
            hint="Versions never change. Find out who wrote it: S3 keeps what was there before (`aws s3api "
            f"list-object-versions --bucket BUCKET --prefix {FOLDER}{version.version_id}`). Remove it, deploy again.",
        )


def find_version(kept: Sequence[KeptVersion], said: str, *, analysis: str) -> KeptVersion:
    """The version meant by an id or the beginning of one. Raises NotFoundError with the nearest, UsageError."""
    by_id = {version.version_id: version for version in kept}
    return by_id[find_id(list(by_id), said, analysis=analysis)]


def find_id(ids: Sequence[str], said: str, *, analysis: str) -> str:
    """The id that begins so. Raises NotFoundError with the nearest one, UsageError if several do."""
    start = said if said.startswith("v-") else f"v-{said}"
    found = [version_id for version_id in ids if version_id.startswith(start)]
    if len(found) == 1:
        return found[0]
    where = f"versions of {analysis}"
    if found:
        raise UsageError(
            f"{said!r} is the beginning of {len(found)} versions: {', '.join(found[:5])}{', …' * (len(found) > 5)}",
            where=where,
            hint="Give a longer part of the id.",
        )
    near = difflib.get_close_matches(start, [version_id[: len(start)] for version_id in ids], n=1, cutoff=0.5)
    whole = next((version_id for version_id in ids if near and version_id.startswith(near[0])), "")
    hint = f"See `ncap blueprint versions {analysis}`."
    raise NotFoundError(
        f"there is no version {said!r}", where=where, hint=f"Did you mean {whole}? {hint}" if whole else hint
    )


def known_id(objects: VersionReader, bucket: str, said: str) -> str:
    """The whole id of the version meant. Who may not list versions, as members, has to say it whole.

    Raises NotFoundError with the nearest id, UsageError.
    """
    try:
        listed = objects.list(bucket, FOLDER).objects
    except AccessError as error:
        if KEY.fullmatch(f"{FOLDER}{said}.json"):
            return said
        raise UsageError(
            f"{said!r} is no id of a version: v- and 16 digits 0-9 a-f",
            where="--analysis-version",
            hint="Take it from the certificate of a job that ran it.",
        ) from error
    ids = [match["id"] for found in listed if (match := KEY.fullmatch(found.key))]
    return find_id(ids, said, analysis=bucket)


# --- comparing ---


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """What of two version documents is different, field by field; commit and image do not count."""
    from ncap_compiler.version import NOT_IN_ID

    others = sorted({*before, *after} - {*FIELDS, *NOT_IN_ID})
    return tuple(
        _difference(name, before.get(name), after.get(name))
        for name in (*FIELDS, *others)
        if before.get(name) != after.get(name)
    )


def _difference(name: str, before: Any, after: Any) -> Difference:
    words = FIELDS.get(name, name)
    if name in ("parametersSchema", "command", "workingDirectory"):
        pair = difflib.unified_diff(_lines(before), _lines(after), "before", "after", lineterm="", n=2)
        return Difference(name, words, shown(name, before), shown(name, after), tuple(pair))
    return Difference(name, words, shown(name, before), shown(name, after))


def _lines(value: Any) -> list[str]:
    if value is None:
        return []
    text = value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    return text.splitlines()


def shown(name: str, value: Any) -> str:
    """A field's value in a line."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        properties = value.get("properties")
        count = len(properties) if isinstance(properties, Mapping) else 0
        return f"{count} parameter{'' if count == 1 else 's'}"
    return f"{value}{UNITS.get(name, '')}"


def short_environment(environment: str) -> str:
    """An environment with 12 digits of its digest."""
    name, sign, digest = environment.partition("@sha256:")
    return f"{name.removeprefix('iae:')}@{digest[:12]}" if sign else environment


def changed_words(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """What a version changed against the one before it, in a few words."""
    if before is None:
        return "the first"
    return ", ".join(difference.words for difference in differences(before, after)) or "nothing"
