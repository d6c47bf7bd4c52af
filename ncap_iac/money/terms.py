"""The terms of an analysis: what a version of it says about machines, limits, groups and money.

Read from the version documents in its bucket (docs/contracts.md section 3), or from the project's own documents.
Changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncap_iac.errors import NcapError, NotFoundError, UsageError
from ncap_iac.money.amounts import micro_of
from ncap_iac.project import Kind, Project, read_text

if TYPE_CHECKING:
    from ncap_iac.deploy.versions import VersionReader

SERVED, NAMED, PROJECT = "the deployed version", "the version named", "the project's documents"


@dataclass(frozen=True)
class Terms:
    """What a version says; `source` tells people where it was read. `types` are those tried in turn."""

    analysis: str
    version_id: str
    types: tuple[str, ...]
    allowed_types: tuple[str, ...]
    max_minutes: int
    max_dataset_gb: int
    volume_gib: int
    max_cost_micro: int
    groups: frozenset[str]
    bundle: str
    source: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    spot: str = "never"
    """When jobs run on spot instances: `never`, `save` (those with a duration) or `always`."""
    steps: tuple[Mapping[str, Any], ...] = ()
    """Steps as the version document has them."""

    @property
    def offered_types(self) -> tuple[str, ...]:
        """Every type a submission may name."""
        return tuple(dict.fromkeys((*self.types, *self.allowed_types)))

    def governed_by(self, default: Terms) -> Terms:
        """These terms as the job manager has them beside the version served by default: today's budget and groups."""
        return replace(self, max_cost_micro=default.max_cost_micro, groups=self.groups & default.groups)


def terms_of(document: Mapping[str, Any], *, source: str) -> Terms:
    """A version document → terms. Raises NcapError."""
    try:
        return Terms(
            analysis=str(document["analysis"]),
            version_id=str(document.get("versionId", "")),
            types=tuple(map(str, document["instanceTypes"])),
            allowed_types=tuple(map(str, document.get("allowedInstanceTypes") or ())),
            max_minutes=int(document["maxDurationMinutes"]),
            max_dataset_gb=int(document["maxDatasetSizeGb"]),
            volume_gib=int(document["volumeGib"]),
            max_cost_micro=micro_of(str(document["maxCostUsd"])),
            groups=frozenset(map(str, document["groups"])),
            bundle=str(document.get("bundle") or ""),
            source=source,
            schema=document.get("parametersSchema") or {},
            spot=str(document.get("spot") or "never"),
            steps=tuple(document.get("steps") or ()),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NcapError(f"its version document cannot be used: {error!r}", hint="Deploy the analysis again.") from error


def read_terms(objects: VersionReader, analysis: str, version_id: str, *, source: str = SERVED) -> Terms:
    """The terms of a kept version. Raises AccessError, NotFoundError, NcapError."""
    from ncap_compiler import names

    key = names.version_key(version_id)
    try:
        document = json.loads(objects.read(analysis, key).body)
    except ValueError as error:
        raise NcapError("it is no JSON object", where=f"s3://{analysis}/{key}", hint="Deploy it again.") from error
    return terms_of(document, source=source)


def project_terms(project: Project, analysis: str) -> Terms:
    """The terms of an analysis as the project's documents have them. Raises NotFoundError, DocumentProblemsError."""
    from ncap_compiler import load_blueprint
    from ncap_compiler.version import version_document
    from ncap_iac.documents import PARAMETERS_FILE, document_problems

    path = blueprint_of(project, analysis)
    if path is None:
        raise NotFoundError(
            f"the project has no analysis {analysis!r}",
            where=str(project.root / Kind.BLUEPRINT.folder),
            hint="See `ncap blueprint list`.",
        )
    schema = path.parent / PARAMETERS_FILE
    with document_problems():
        document = version_document(
            load_blueprint(read_text(path), file=str(path)),
            bundle_sha256="",
            parameters_schema=read_text(schema) if schema.is_file() else None,
            commit=None,
        )
    return terms_of({**document, "versionId": ""}, source=PROJECT)


def blueprint_of(project: Project, analysis: str) -> Path | None:
    """The blueprint that calls itself so; one with problems may be meant too."""
    for path in project.documents(Kind.BLUEPRINT):
        try:
            document = json.loads(read_text(path))
        except (ValueError, UsageError):
            continue
        if isinstance(document, dict) and document.get("PipelineName") == analysis:
            return path
    return None
