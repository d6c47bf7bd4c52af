"""One golden template a document of the project: a change of any is seen in review.

Remade by `pytest tests/compiler --update-golden`. The bundle's digest is fixed here, so that goldens do not change
with every line of the protocols.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ncap_compiler.blueprint import dump_blueprint, load_blueprint
from ncap_compiler.compiler import compile_account, compile_analysis, compile_users
from ncap_compiler.profile import dump_profile, load_profile
from tests.compiler.documents import BUNDLE

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
BLUEPRINTS = sorted(ROOT.glob("ncap_blueprints/*/stack_config_template.json"))
PROFILES = sorted(ROOT.glob("user_profiles/*/user_config_template.json"))


def _id(path: Path) -> str:
    return path.parent.name


def check(name: str, text: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / f"{name}.json"
    if request.config.getoption("--update-golden", default=False):
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"{path.name} is missing: run pytest tests/compiler --update-golden and review the diff"
    assert text == path.read_text(encoding="utf-8")


def test_the_account_stack_is_as_reviewed(request: pytest.FixtureRequest) -> None:
    check("account", compile_account(BUNDLE), request)


@pytest.mark.parametrize("path", BLUEPRINTS, ids=_id)
def test_the_stack_of_a_blueprint_is_as_reviewed(path: Path, request: pytest.FixtureRequest) -> None:
    blueprint = load_blueprint(path.read_text(encoding="utf-8"), file=str(path.relative_to(ROOT)))
    schema = path.with_name("parameters.schema.json")
    parameters = schema.read_text(encoding="utf-8") if schema.is_file() else None
    compiled = compile_analysis(blueprint, bundle_sha256=BUNDLE, parameters_schema=parameters)
    check(f"blueprint-{path.parent.name}", compiled.template, request)
    assert load_blueprint(dump_blueprint(blueprint), file="dumped") == blueprint


@pytest.mark.parametrize("path", PROFILES, ids=_id)
def test_the_stacks_of_a_profile_are_as_reviewed(path: Path, request: pytest.FixtureRequest) -> None:
    profile = load_profile(path.read_text(encoding="utf-8"), file=str(path.relative_to(ROOT)))
    for stack in compile_users(profile, name=path.parent.name):
        name = f"profile-{path.parent.name}" + (f"--{stack.number}" if stack.number > 1 else "")
        check(name, stack.template, request)
    assert load_profile(dump_profile(profile), file="dumped") == profile


def test_every_golden_file_belongs_to_a_document() -> None:
    wanted = {
        "account",
        "development",
        "environment",
        *(f"blueprint-{_id(path)}" for path in BLUEPRINTS),
        *(f"profile-{_id(path)}" for path in PROFILES),
    }
    assert {path.stem.partition("--")[0] for path in GOLDEN.glob("*.json")} == wanted
