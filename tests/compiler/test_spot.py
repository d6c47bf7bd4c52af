"""The spot policy of a blueprint: three words, kept in the version where they say anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ncap_compiler import DocumentError, dump_blueprint, load_blueprint
from ncap_compiler.version import version_document
from tests.compiler.documents import BUNDLE, minimal_blueprint


def with_config(**fields: Any) -> dict[str, Any]:
    """A blueprint with more in its LambdaConfig."""
    document = minimal_blueprint()
    document["Lambda"]["LambdaConfig"] |= fields
    return document


def _load(document: dict[str, Any]) -> Any:
    return load_blueprint(json.dumps(document), file="b.json")


def _version(document: dict[str, Any]) -> dict[str, Any]:
    return version_document(_load(document), bundle_sha256=BUNDLE, parameters_schema=None, commit=None)


@pytest.mark.parametrize("policy", ["never", "save", "always"])
def test_a_policy_survives_writing_and_reading(policy: str) -> None:
    found = _load(with_config(SPOT=policy))
    assert found.hardware.spot == policy
    assert load_blueprint(dump_blueprint(found), file="b.json") == found


def test_without_the_field_jobs_never_run_on_spot_and_the_version_says_nothing() -> None:
    assert _load(minimal_blueprint()).hardware.spot == "never"
    assert "spot" not in _version(minimal_blueprint())
    assert _version(minimal_blueprint())["versionId"] == _version(with_config(SPOT="never"))["versionId"]


def test_a_policy_is_part_of_the_version() -> None:
    versions = {policy: _version(with_config(SPOT=policy)) for policy in ("never", "save", "always")}
    assert (versions["save"]["spot"], versions["always"]["spot"]) == ("save", "always")
    assert len({version["versionId"] for version in versions.values()}) == 3


@pytest.mark.parametrize("value", [True, "sometimes", None, 1])
def test_any_other_value_is_refused_with_the_accepted_ones(value: object) -> None:
    with pytest.raises(DocumentError) as caught:
        _load(with_config(SPOT=value))
    assert {problem.pointer for problem in caught.value.problems} == {"/Lambda/LambdaConfig/SPOT"}


def test_outside_the_lambda_config_it_is_told_where_it_belongs() -> None:
    with pytest.raises(DocumentError) as caught:
        _load(minimal_blueprint() | {"SPOT": "save"})
    (problem,) = caught.value.problems
    assert "LambdaConfig" in (problem.hint or "")
