"""The version of an analysis: everything a run needs, and the id computed from it.

`docs/contracts.md`, section 3. The image and its root device are known only in a region, so they join when the document
is rendered and do not count in the id; neither does the commit. This module must not read files or ask AWS.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from ncap_compiler import defaults, names
from ncap_compiler.blueprint import Blueprint
from ncap_compiler.document import Json, canonical_json, render_json
from ncap_compiler.steps import render_steps

SCHEMA_VERSION = 1
NOT_IN_ID = ("versionId", "commit", "imageId", "rootDevice")
ROOT_DEVICE = "/dev/xvda"
"""The root device of Amazon's own images."""


def version_document(
    blueprint: Blueprint, *, bundle_sha256: str, parameters_schema: str | None, commit: str | None
) -> dict[str, Json]:
    """The version document without `imageId`. `parameters_schema` is checked text (`load_parameters_schema`)."""
    hardware = blueprint.hardware
    document: dict[str, Json] = {
        "schemaVersion": SCHEMA_VERSION,
        "analysis": blueprint.analysis,
        "bucket": blueprint.analysis,
        "title": blueprint.title,
        "commit": commit,
        "environment": hardware.ami,
        "launchTemplate": names.launch_template(blueprint.analysis),
        "command": hardware.command,
        "workingDirectory": hardware.working_directory,
        "bundle": bundle_sha256,
        "instanceTypes": list(hardware.instance_types),
        "allowedInstanceTypes": list(hardware.allowed_instance_types),
        "maxDurationMinutes": hardware.max_duration_minutes,
        "maxDatasetSizeGb": hardware.max_dataset_size_gb,
        "volumeGib": hardware.volume_size_gib,
        "deployLimit": hardware.deploy_limit,
        "maxCostUsd": hardware.max_cost_usd,
        "groups": list(blueprint.group_names),
        "parametersSchema": json.loads(parameters_schema) if parameters_schema is not None else None,
    }
    if hardware.spot != defaults.SPOT:
        document["spot"] = hardware.spot
    if blueprint.steps:
        document["steps"] = render_steps(blueprint.steps)
    return {**document, "versionId": version_id(document)}


def version_id(document: Mapping[str, Json]) -> str:
    """`v-` and 16 hex digits of the SHA-256 of the document without id, commit, image and root device."""
    counted = {name: value for name, value in document.items() if name not in NOT_IN_ID}
    return f"v-{hashlib.sha256(canonical_json(counted)).hexdigest()[:16]}"


def render_version(document: Mapping[str, Json], image_id: str, root_device: str = ROOT_DEVICE) -> str:
    """The object `versions/<id>.json`: the document with the image it resolves to in one region."""
    return render_json({**document, "imageId": image_id, "rootDevice": root_device})
