"""Documents -> templates: the entry points, which check, build and render. troposphere is imported only here, on use.

Equal arguments give equal text. Nothing is read, asked or remembered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ncap_compiler import names
from ncap_compiler.blueprint import Blueprint
from ncap_compiler.document import Json
from ncap_compiler.parameters import load_parameters_schema
from ncap_compiler.profile import Profile
from ncap_compiler.template import render_template
from ncap_compiler.version import version_document

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class CompiledAnalysis:
    """A compiled blueprint. `version_document` lacks `imageId`, which only a region knows (`render_version`)."""

    stack_name: str
    template: str
    version_id: str
    version_document: Mapping[str, Json]


def compile_account(bundle_sha256: str) -> str:
    """The account stack's template, with functions from the bundle of this digest (hex)."""
    from ncap_compiler.stacks.account import build_account

    return render_template(build_account(_digest(bundle_sha256)), stack=names.ACCOUNT_STACK)


def compile_analysis(
    blueprint: Blueprint, *, bundle_sha256: str, parameters_schema: str | None = None, commit: str | None = None
) -> CompiledAnalysis:
    """A blueprint's template and version.

    `parameters_schema` is the text of `parameters.schema.json`, `commit` the git commit the documents come from.
    Raises DocumentError for a schema the job manager cannot check with, and for templates over AWS's limits.
    """
    from ncap_compiler.stacks.analysis import build_analysis

    if parameters_schema is not None:
        load_parameters_schema(parameters_schema, file="parameters.schema.json")
    document = version_document(
        blueprint, bundle_sha256=_digest(bundle_sha256), parameters_schema=parameters_schema, commit=commit
    )
    version_id = str(document["versionId"])
    structure = build_analysis(blueprint, bundle_sha256=bundle_sha256, version_id=version_id)
    return CompiledAnalysis(
        stack_name=blueprint.analysis,
        template=render_template(structure, stack=blueprint.analysis),
        version_id=version_id,
        version_document=document,
    )


def compile_users(profile: Profile, *, name: str) -> str:
    """The template of a profile's users stack; `name` is the profile's folder."""
    from ncap_compiler.stacks.users import build_users

    stack = names.users_stack(name)
    return render_template(build_users(profile, stack=stack), stack=stack)


def _digest(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is not a SHA-256 in 64 lower-case hex digits")
    return sha256
