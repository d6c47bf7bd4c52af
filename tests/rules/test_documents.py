"""Every document of the project is valid, and names the environment its recipe has today."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ncap_compiler import load_blueprint, load_parameters_schema, load_profile
from ncap_iac.deploy.images import recipe_folder
from ncap_iac.environments.source import read_source

ROOT = Path(__file__).resolve().parents[2]
BLUEPRINTS = sorted((ROOT / "ncap_blueprints").glob("*/stack_config_template.json"))
PROFILES = sorted((ROOT / "user_profiles").glob("*/user_config_template.json"))


@pytest.mark.parametrize("file", BLUEPRINTS, ids=lambda file: file.parent.name)
def test_a_blueprint_is_valid_and_its_environment_is_pinned(file: Path) -> None:
    load_blueprint(file.read_text(), file=str(file))
    parameters = file.parent / "parameters.schema.json"
    if parameters.exists():
        load_parameters_schema(parameters.read_text(), file=str(parameters))
    image = json.loads(file.read_text())["Lambda"]["LambdaConfig"]["AMI"]
    if image.startswith("iae:"):
        source = read_source(recipe_folder(file.parent), ROOT / "protocols")
        assert image == source.environment, f"run `ncap environment pin {file.parent.name}`"


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.parent.name)
def test_a_profile_is_valid(file: Path) -> None:
    load_profile(file.read_text(), file=str(file))


def test_validating_needs_no_network_and_no_credentials() -> None:
    files = [str(file) for file in BLUEPRINTS]
    done = subprocess.run(
        [sys.executable, "-m", "ncap_iac", "blueprint", "validate", *files],
        cwd=ROOT,
        env={"PATH": "", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
