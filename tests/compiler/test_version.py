"""Version ids: the same content has one id; what a run needs is in the document."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ncap_compiler.compiler import CompiledAnalysis, compile_analysis
from ncap_compiler.version import render_version, version_id
from tests.compiler import compiled
from tests.compiler.documents import BUNDLE, ENVIRONMENT

SCHEMA = '{"type": "object", "properties": {"x": {"type": "integer"}}}'
COMMIT = "c" * 40


def build(
    bundle: str = BUNDLE, schema: str | None = SCHEMA, commit: str | None = COMMIT, **config: Any
) -> CompiledAnalysis:
    return compile_analysis(compiled.blueprint(**config), bundle_sha256=bundle, parameters_schema=schema, commit=commit)


def test_the_document_holds_what_the_contract_lists() -> None:
    document = json.loads(render_version(build().version_document, "ami-0123456789abcdef0"))
    assert document == {
        "schemaVersion": 1,
        "versionId": build().version_id,
        "analysis": "spikes",
        "bucket": "spikes",
        "title": "spikes",
        "commit": COMMIT,
        "environment": ENVIRONMENT,
        "imageId": "ami-0123456789abcdef0",
        "rootDevice": "/dev/xvda",
        "launchTemplate": "neurocaas-spikes",
        "command": None,
        "workingDirectory": None,
        "bundle": BUNDLE,
        "instanceTypes": ["m7i.large"],
        "allowedInstanceTypes": ["m7i.large", "m7i.xlarge"],
        "maxDurationMinutes": 720,
        "maxDatasetSizeGb": 100,
        "volumeGib": 50,
        "deployLimit": 100,
        "maxCostUsd": "300",
        "groups": ["lab", "other"],
        "parametersSchema": json.loads(SCHEMA),
    }


def test_commit_and_image_do_not_count_in_the_id() -> None:
    document = dict(build().version_document)
    assert re.fullmatch("v-[0-9a-f]{16}", build().version_id)
    assert build(commit=None).version_id == build().version_id
    assert version_id(document | {"imageId": "ami-1", "commit": None, "versionId": "v-x"}) == build().version_id
    assert build(schema=json.dumps(json.loads(SCHEMA), indent=4)).version_id == build().version_id


@pytest.mark.parametrize(
    "change",
    [
        {"bundle": "d" * 64},
        {"schema": None},
        {"MAXCOST": 1},
        {"VOLUME_SIZE": 60},
        {"AMI": ENVIRONMENT[:-1] + "1"},
        {"COMMAND": "run {}"},
        {"SPOT": "save"},
    ],
)
def test_everything_a_run_depends_on_counts(change: dict[str, Any]) -> None:
    assert build(**change).version_id != build().version_id
