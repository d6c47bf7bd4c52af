"""The version document an analysis was deployed with (contract section 3), read and kept. Immutable by its id."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jobmanager.errors import MissingError, VersionError

_ID = re.compile(r"v-[0-9a-f]{16}")


@dataclass(frozen=True)
class Version:
    """Everything a run needs to know of its analysis."""

    version_id: str
    analysis: str
    bucket: str
    commit: str | None
    environment: str
    image_id: str
    launch_template: str
    command: str | None
    working_directory: str | None
    instance_types: tuple[str, ...]
    allowed_instance_types: tuple[str, ...]
    max_duration_minutes: int
    max_dataset_size_gb: int
    volume_gib: int
    deploy_limit: int
    max_cost_usd: str
    groups: frozenset[str]
    parameters_schema: Mapping[str, Any]


def is_version_id(text: str) -> bool:
    """Whether a text can name a version, and so be part of a key."""
    return bool(_ID.fullmatch(text))


def version_key(version_id: str) -> str:
    """The key of a version document."""
    return f"versions/{version_id}.json"


def parse_version(body: bytes) -> Version:
    """The version a document describes. Raises VersionError."""
    try:
        found = json.loads(body)
        return Version(
            version_id=found["versionId"],
            analysis=found["analysis"],
            bucket=found["bucket"],
            commit=found.get("commit"),
            environment=found["environment"],
            image_id=found["imageId"],
            launch_template=found["launchTemplate"],
            command=found.get("command"),
            working_directory=found.get("workingDirectory"),
            instance_types=tuple(found["instanceTypes"]),
            allowed_instance_types=tuple(found.get("allowedInstanceTypes") or ()),
            max_duration_minutes=int(found["maxDurationMinutes"]),
            max_dataset_size_gb=int(found["maxDatasetSizeGb"]),
            volume_gib=int(found["volumeGib"]),
            deploy_limit=int(found["deployLimit"]),
            max_cost_usd=str(found["maxCostUsd"]),
            groups=frozenset(found["groups"]),
            parameters_schema=found.get("parametersSchema") or {},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise VersionError(f"version document: {error!r}; deploy the analysis again") from error


class Versions:
    """Version documents by bucket and id, read once each: they never change."""

    def __init__(self, read: Callable[[str, str], bytes]) -> None:
        self._read = read
        self._known: dict[tuple[str, str], Version] = {}

    def get(self, bucket: str, version_id: str) -> Version | None:
        """The version, or None when there is none of that id. Raises VersionError, AwsError."""
        if (bucket, version_id) not in self._known:
            try:
                body = self._read(bucket, version_key(version_id))
            except MissingError:
                return None
            self._known[bucket, version_id] = parse_version(body)
        return self._known[bucket, version_id]

    def need(self, bucket: str, version_id: str) -> Version:
        """The version of an id that was valid once. Raises VersionError when it is gone."""
        version = self.get(bucket, version_id)
        if version is None:
            raise VersionError(f"s3://{bucket}/{version_key(version_id)} is missing; deploy the analysis again")
        return version
