"""Compiled templates for the tests, made once."""

from __future__ import annotations

from functools import cache

from ncap_compiler.blueprint import Blueprint, load_blueprint
from ncap_compiler.compiler import CompiledAnalysis, compile_account, compile_analysis, compile_users
from ncap_compiler.profile import load_profile
from tests.compiler.documents import BUNDLE, minimal_blueprint, text


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


@cache
def users() -> str:
    groups = [
        {"AffiliateName": "lab", "UserNames": ["ann", "bob@x.org"], "Pipelines": ["spikes"], "Budget": 25},
        {"AffiliateName": "other", "UserNames": ["cho"], "Pipelines": ["spikes", "poses"], "KeySerialNumber": 3},
    ]
    return compile_users(load_profile(text({"UXData": {"Affiliates": groups}}), file="profile.json"), name="people")
