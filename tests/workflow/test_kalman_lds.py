"""The kalman-lds analysis as documents: parameters, schema, recipe, lock and samples agree with each other."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest

HOME = Path(__file__).resolve().parents[2] / "ncap_blueprints" / "kalman-lds"


@pytest.fixture
def parameters(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The analysis' module, which needs nothing but the standard library."""
    monkeypatch.syspath_prepend(str(HOME / "environment"))
    import parameters  # type: ignore[import-not-found, unused-ignore]

    yield parameters
    del sys.modules["parameters"]


@pytest.fixture
def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((HOME / "parameters.schema.json").read_text())
    return document


def load(parameters: ModuleType, folder: Path, text: str) -> Any:
    (folder / "config").write_text(text)
    return parameters.load_parameters(folder / "config")


def test_schema_and_workflow_have_the_same_parameters_with_the_same_defaults_and_limits(
    parameters: ModuleType, schema: dict[str, Any]
) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    own = {name: entry for name, entry in schema["properties"].items() if not name.startswith("__")}
    assert {name: entry["default"] for name, entry in own.items()} == asdict(parameters.Parameters())
    assert {name: (e["minimum"], e["maximum"]) for name, e in own.items() if "minimum" in e} == parameters.RANGES
    assert {name: tuple(entry["enum"]) for name, entry in own.items() if "enum" in entry} == parameters.CHOICES
    assert all(entry["description"] for entry in own.values())


def test_the_sample_config_is_accepted_by_schema_and_workflow(parameters: ModuleType, schema: dict[str, Any]) -> None:
    config = json.loads((HOME / "sample/config.json").read_text())
    jsonschema.validate(config, schema)
    assert parameters.load_parameters(HOME / "sample/config.json").latent_dim == config["latent_dim"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"latentdim": 3}', "unknown parameter 'latentdim'"),
        ('{"latent_dim": "three"}', "a whole number"),
        ('{"latent_dim": true}', "a whole number"),
        ('{"latent_dim": 0}', "between 1 and 100"),
        ('{"tol": NaN}', "between 0 and 1"),
        ('{"init": "ica"}', "pca, random"),
        ('{"center": "yes"}', "true or false"),
        ("[1, 2]", "'name: value' pairs"),
        ("a: [", "neither JSON nor YAML"),
    ],
)
def test_a_wrong_config_is_refused_in_one_sentence(
    parameters: ModuleType, tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(parameters.InputError, match=re.escape(says)) as refused:
        load(parameters, tmp_path, text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["latent_dim: 3\ntol: 1e-3\n__duration__: 5\n", '{"latent_dim": 3.0, "tol": 1e-3, "__dataset_size__": 1}']
)
def test_json_and_yaml_mean_the_same_and_the_platform_s_keys_are_passed_over(
    parameters: ModuleType, tmp_path: Path, text: str
) -> None:
    loaded = load(parameters, tmp_path, text)
    assert (loaded.latent_dim, loaded.tol) == (3, 0.001)


def test_an_empty_config_means_the_defaults(parameters: ModuleType, tmp_path: Path) -> None:
    assert load(parameters, tmp_path, "") == parameters.Parameters()


def test_the_recipe_lists_every_module_of_the_environment() -> None:
    recipe = json.loads((HOME / "environment/recipe.json").read_text())
    assert set(recipe["files"]) == {path.name for path in (HOME / "environment").glob("*.py")}
    assert (HOME / "environment" / recipe["$schema"]).is_file()


@pytest.mark.parametrize(
    "lock", [HOME / "environment/requirements.lock", HOME.parents[1] / "protocols/workflow/requirements.lock"]
)
def test_a_lock_pins_everything_with_hashes_and_names_no_index(lock: Path) -> None:
    text = lock.read_text()
    wanted = re.findall(r"^([\w.-]+)", lock.with_suffix(".in").read_text(), re.MULTILINE)
    pinned = re.findall(r"^([\w.-]+)==\S+", text, re.MULTILINE)
    assert {name.lower() for name in wanted} <= {name.lower() for name in pinned}
    assert len(re.findall(r"^\S+==.*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)) == len(pinned)
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize(("name", "shape"), [("resting_state_fmri", (250, 28)), ("synthetic_lds", (400, 20))])
def test_a_sample_is_a_table_of_numbers_of_the_size_that_is_expected(name: str, shape: tuple[int, int]) -> None:
    with (HOME / f"sample/{name}.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert (len(rows), len(header)) == shape
    assert all(len([float(cell) for cell in row]) == len(header) for row in rows)
    expected = json.loads((HOME / "sample/expected.json").read_text())[name]["equal"]
    assert (expected["time_points"], expected["channels"]) == shape


def test_the_licence_of_the_real_recording_travels_with_it() -> None:
    source = (HOME / "sample/SOURCE.md").read_text()
    assert "Copyright (c) 2006-2011, NIPY Developers" in source
    assert "Redistributions of source code must retain" in source.replace("\n>   ", " ")


def test_the_figure_is_small_enough_for_the_repository() -> None:
    assert (HOME / "sample/figure.png").stat().st_size < 300_000
