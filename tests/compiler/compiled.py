"""Compiled templates for the tests, made once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ncap_compiler.blueprint import Blueprint, load_blueprint
from ncap_compiler.compiler import CompiledAnalysis, CompiledUsers, compile_account, compile_analysis, compile_users
from ncap_compiler.profile import Profile, load_profile
from tests.compiler.documents import BUNDLE, legacy_blueprint, minimal_blueprint, text

ROOT = Path(__file__).resolve().parents[2]


@cache
def account() -> str:
    return compile_account(BUNDLE)


def blueprint(**config: object) -> Blueprint:
    document = minimal_blueprint()
    document["Lambda"]["LambdaConfig"] |= {"INSTANCE_TYPE": ["m7i.large"], "ALLOWED_INSTANCE_TYPES": ["m7i.xlarge"]}
    document["Lambda"]["LambdaConfig"] |= config
    document["UXData"]["Affiliates"].append({"AffiliateName": "other"})
    return load_blueprint(text(document), file="blueprint.json")


@cache
def analysis() -> CompiledAnalysis:
    return compile_analysis(blueprint(), bundle_sha256=BUNDLE)


GROUPS: list[dict[str, Any]] = [
    {
        "AffiliateName": "lab",
        "UserNames": ["ann", "bob@x.org", "dan"],
        "Suspended": ["dan"],
        "Collaborators": ["other"],
        "Pipelines": ["spikes"],
        "Budget": {"spikes": 25, "total": 100},
    },
    {"AffiliateName": "other", "UserNames": ["cho"], "Pipelines": ["spikes", "poses"], "KeySerialNumber": 3},
]


def profile(groups: list[dict[str, Any]]) -> Profile:
    return load_profile(text({"UXData": {"Affiliates": groups}}), file="profile.json")


@cache
def users() -> str:
    (only,) = compile_users(profile(GROUPS), name="people")
    return only.template


@cache
def post() -> str:
    """An analysis with everything optional: a post-processing function, and results that go after a time."""
    document = minimal_blueprint() | {"Retention": 90}
    document["Lambda"] |= {"PostHandler": "postprocess.consensus", "PostCodeUri": "../../protocols"}
    return _of(load_blueprint(text(document), file="b.json"))


def group(name: str, **more: Any) -> dict[str, Any]:
    return {"AffiliateName": name, "UserNames": [f"{name}-a", f"{name}-b"], "Pipelines": ["spikes"]} | more


@cache
def large_blueprint() -> str:
    """As many groups as a blueprint may name, with results that go after a time."""
    document = minimal_blueprint() | {"Retention": 90, "PipelineName": "a" * 63}
    document["UXData"]["Affiliates"] = [{"AffiliateName": f"group-{number:04d}" + "g" * 17} for number in range(500)]
    return _of(load_blueprint(text(document), file="b.json"))


@cache
def large_profile() -> tuple[CompiledUsers, ...]:
    """300 groups of two members, the first with 60 analyses shared with the second."""
    many = [f"an-analysis-of-usual-length-{number}" for number in range(60)]
    first = group("group-0", Pipelines=many, Collaborators=["group-1", "group-299"], Budget=100)
    groups = [first, *(group(f"group-{number}", Budget=50) for number in range(1, 300))]
    return compile_users(profile(groups), name="large")


@cache
def every() -> dict[str, str]:
    """Every template the tests look at: those of the project's documents, and some that use everything."""
    found = {"account": account(), "analysis": analysis().template, "users": users(), "post": post()}
    found |= {"legacy": _of(load_blueprint(text(legacy_blueprint()), file="b.json")), "largest": large_blueprint()}
    found |= {stack.stack_name: stack.template for stack in large_profile()[:1]}
    for path in sorted(ROOT.glob("ncap_blueprints/*/stack_config_template.json")):
        found[f"blueprint-{path.parent.name}"] = _of(load_blueprint(path.read_text(encoding="utf-8"), file=str(path)))
    for path in sorted(ROOT.glob("user_profiles/*/user_config_template.json")):
        groups = load_profile(path.read_text(encoding="utf-8"), file=str(path))
        stacks = compile_users(groups, name=path.parent.name)
        found |= {f"profile-{stack.stack_name}": stack.template for stack in stacks}
    return found


def _of(document: Blueprint) -> str:
    return compile_analysis(document, bundle_sha256=BUNDLE).template
