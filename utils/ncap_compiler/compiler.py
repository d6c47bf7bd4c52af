"""Documents -> templates: the entry points, which check, build and render. troposphere is imported only here, on use.

Equal arguments give equal text. Nothing is read, asked or remembered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncap_compiler import names
from ncap_compiler.blueprint import Blueprint
from ncap_compiler.document import Json
from ncap_compiler.parameters import load_parameters_schema
from ncap_compiler.placement import Weight, place
from ncap_compiler.profile import Group, Profile
from ncap_compiler.template import render_structure, render_template
from ncap_compiler.version import version_document

if TYPE_CHECKING:
    from ncap_compiler.stacks.environment import EnvironmentBuild

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class CompiledAnalysis:
    """A compiled blueprint. `version_document` lacks `imageId`, which only a region knows (`render_version`)."""

    stack_name: str
    template: str
    version_id: str
    version_document: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class CompiledUsers:
    """One of the users stacks of a profile: its number (from 1), and the groups it holds."""

    stack_name: str
    number: int
    template: str
    groups: tuple[str, ...]


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


def compile_users(
    profile: Profile, *, name: str, placement: Mapping[str, int] | None = None
) -> tuple[CompiledUsers, ...]:
    """The users stacks of a profile, by number; `name` is the profile's folder.

    `placement`: group -> number of the stack it is deployed in (see `groups_in`); such a group stays there. Others go
    to the first stack with room. Raises DocumentError when a group has outgrown its stack or IAM's limits.
    """
    from ncap_compiler.stacks.users import build_users

    everyone = profile.groups
    by_name = {group.name: group for group in everyone}
    found = []
    for number, held in place(_weights(everyone, name), placement or {}).items():
        stack = names.users_stack(name, number)
        groups = [by_name[group] for group in held]
        structure = build_users(groups, everyone=everyone, number=number, stack=stack)
        found.append(CompiledUsers(stack, number, render_template(structure, stack=stack), held))
    return tuple(found)


def compile_environment(build: EnvironmentBuild) -> str:
    """The template of the stack that makes the AMIs of one environment. Raises DocumentError over AWS's limits."""
    from ncap_compiler.stacks.environment import build_environment

    return render_template(build_environment(build), stack=build.stack)


def compile_development() -> str:
    """The template of the stack development instances need: one an account and region."""
    from ncap_compiler.stacks.development import build_development

    return render_template(build_development(), stack=names.DEVELOPMENT_STACK)


def groups_in(template: Mapping[str, Json]) -> tuple[str, ...]:
    """The groups a deployed users stack holds, as its template says; none for other templates."""
    from ncap_compiler.stacks.users import named_groups

    return named_groups(template)


def _weights(groups: Sequence[Group], name: str) -> dict[str, Weight]:
    """What each group takes of a stack, with all that others let it read."""
    from ncap_compiler.stacks.users import group_resources, shared_policies

    stack = names.users_stack(name)
    shared = {group.name: shared_policies(group) if group.collaborators else () for group in groups}
    found = {}
    for group in groups:
        own = [resource.to_dict() for resource in group_resources(group, stack)]
        read = [policy for other in groups if group.name in other.collaborators for policy in shared[other.name]]
        size = len(render_structure({"Resources": {str(place): item for place, item in enumerate([*own, *read])}}))
        found[group.name] = Weight(len(own) + len(read), size)
    return found


def _digest(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is not a SHA-256 in 64 lower-case hex digits")
    return sha256
