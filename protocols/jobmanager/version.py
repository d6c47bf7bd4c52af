"""The version document an analysis was deployed with (contract section 3), read and kept. Immutable by its id."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from jobmanager.errors import MissingError, VersionError
from jobmanager.spot import SpotPolicy
from jobmanager.steps import Steps, parse_steps
from jobmanager.times import Clock

_ID = re.compile(r"v-[0-9a-f]{16}")
_REMEMBERED = timedelta(minutes=5)
FOLDER = "versions/"
ROOT_DEVICE = "/dev/xvda"
"""The root device of an image whose version document does not tell: that of Amazon's own images."""


@dataclass(frozen=True)
class Version:
    """Everything a run needs to know of its analysis."""

    version_id: str
    analysis: str
    bucket: str
    commit: str | None
    environment: str
    image_id: str
    root_device: str
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
    steps: Steps = field(default_factory=Steps)
    spot: SpotPolicy = SpotPolicy.NEVER

    def governed_by(self, default: Version) -> Version:
        """This version with the limits of the one served by default: what is spent and started at once is today's."""
        return replace(self, deploy_limit=default.deploy_limit, max_cost_usd=default.max_cost_usd)


def is_version_id(text: str) -> bool:
    """Whether a text can name a version, and so be part of a key."""
    return bool(_ID.fullmatch(text))


def version_key(version_id: str) -> str:
    """The key of a version document."""
    return f"{FOLDER}{version_id}.json"


def version_ids(keys: Iterable[str]) -> tuple[str, ...]:
    """The ids of the version documents among keys."""
    names = (key.removeprefix(FOLDER).removesuffix(".json") for key in keys if key.startswith(FOLDER))
    return tuple(name for name in names if is_version_id(name))


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
            root_device=found.get("rootDevice") or ROOT_DEVICE,
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
            spot=SpotPolicy(found.get("spot") or SpotPolicy.NEVER),
            steps=parse_steps(found.get("steps") or ()),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise VersionError(f"version document: {error!r}; deploy the analysis again") from error


class Versions:
    """Version documents by bucket and id.

    They never change but for the image a lost one is replaced by: so each is read again after a few minutes.
    """

    def __init__(self, read: Callable[[str, str], bytes], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[datetime, Version]] = {}

    def get(self, bucket: str, version_id: str) -> Version | None:
        """The version, or None when there is none of that id. Raises VersionError, AwsError."""
        now = self._clock()
        known = self._known.get((bucket, version_id))
        if known and now - known[0] < _REMEMBERED:
            return known[1]
        try:
            body = self._read(bucket, version_key(version_id))
        except MissingError:
            return None
        version = parse_version(body)
        if version.version_id != version_id:
            where = f"s3://{bucket}/{version_key(version_id)}"
            raise VersionError(f"{where} describes {version.version_id}; deploy the analysis again")
        self._known[bucket, version_id] = now, version
        return version

    def need(self, bucket: str, version_id: str) -> Version:
        """The version of an id that was valid once. Raises VersionError when it is gone."""
        version = self.get(bucket, version_id)
        if version is None:
            raise VersionError(f"s3://{bucket}/{version_key(version_id)} is missing; deploy the analysis again")
        return version
