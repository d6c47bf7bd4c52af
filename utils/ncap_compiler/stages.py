"""Stages: variants of a project's stacks that share an account without meeting, each with a suffix behind every name.

Reads `stages.json` and puts a stage's suffix behind the names a blueprint or profile gives. Everything derived from
these names follows by itself, so nothing else in this package knows what a stage is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ncap_compiler import names
from ncap_compiler.blueprint import Blueprint
from ncap_compiler.document import Document, Json, escape, read_document
from ncap_compiler.errors import DocumentError, Problem
from ncap_compiler.profile import Group, Profile
from ncap_compiler.shapes import check_shape
from ncap_compiler.steps import STEPS, staged_steps

_GROUPS = "/UXData/Affiliates"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage; `profile` and `region` are where it is by default, `parameters` and `tags` what its stacks get."""

    name: str
    suffix: str = ""
    profile: str | None = None
    region: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


PRODUCTION = Stage("prod")
"""The stage that is meant when none is named: names as they are written."""
DEVELOPMENT = Stage("dev", "-dev")


def load_stages(text: str, *, file: str) -> tuple[Stage, ...]:
    """The stages of a `stages.json`, with `dev` and `prod` whether or not they are in it.

    Raises DocumentError with all problems.
    """
    document = read_document(text, file)
    problems = check_shape(document, "stages")
    if problems:
        raise DocumentError(problems)
    listed = document.value.get("stages")
    found = {name: _stage(name, entry) for name, entry in _objects(listed)}
    if problems := tuple(_check_apart(document, tuple(found.values()))):
        raise DocumentError(problems)
    always = {stage.name: stage for stage in (DEVELOPMENT, PRODUCTION)}
    return tuple((always | found).values())


def stage_blueprint(
    blueprint: Blueprint, stage: Stage, document: Document, analyses: frozenset[str] = frozenset()
) -> Blueprint:
    """The blueprint of a stage, `document` being its text, `analyses` the names other blueprints give.

    Raises DocumentError: if a name with the suffix is none (G201), or is what another blueprint is called without
    one (G203).
    """
    suffix = stage.suffix
    if not suffix:
        return blueprint
    problems = [*_check_name(document, "/PipelineName", blueprint.analysis, suffix, names.why_not_an_analysis)]
    for index, group in enumerate(blueprint.groups):
        pointer = f"{_GROUPS}/{index}/AffiliateName"
        problems += _check_name(document, pointer, group.name, suffix, names.why_not_a_group)
    for name in blueprint.next_analyses:
        problems += _check_name(document, STEPS, name, suffix, names.why_not_an_analysis)
    if blueprint.analysis + suffix in analyses:
        message = f"in this stage it is called `{blueprint.analysis}{suffix}`, as another analysis is without a stage"
        problems.append(document.problem("G203", "/PipelineName", message, "Rename one of the two."))
    if problems:
        raise DocumentError(problems)
    groups = tuple(
        replace(group, name=group.name + suffix, members=_suffixed(group.members, suffix)) for group in blueprint.groups
    )
    steps = staged_steps(blueprint.steps, suffix)
    return replace(blueprint, analysis=blueprint.analysis + suffix, groups=groups, steps=steps)


def stage_profile(profile: Profile, stage: Stage, document: Document) -> Profile:
    """The profile of a stage, `document` being its text.

    Raises DocumentError (G201) if a name with the suffix is none.
    """
    suffix = stage.suffix
    if not suffix:
        return profile
    problems = [
        problem
        for index, group in enumerate(profile.groups)
        for problem in _check_group(document, f"{_GROUPS}/{index}", group, suffix)
    ]
    if problems:
        raise DocumentError(problems)
    return replace(profile, groups=tuple(_stage_group(group, suffix) for group in profile.groups))


def _stage_group(group: Group, suffix: str) -> Group:
    budgets = tuple(
        budget if budget.analysis == names.TOTAL_BUDGET else replace(budget, analysis=budget.analysis + suffix)
        for budget in group.budgets
    )
    return replace(
        group,
        name=group.name + suffix,
        members=_suffixed(group.members, suffix),
        analyses=_suffixed(group.analyses, suffix),
        budgets=budgets,
        suspended=_suffixed(group.suspended, suffix),
        collaborators=_suffixed(group.collaborators, suffix),
    )


def _suffixed(plain: tuple[str, ...], suffix: str) -> tuple[str, ...]:
    return tuple(name + suffix for name in plain)


def _check_group(document: Document, pointer: str, group: Group, suffix: str) -> Iterator[Problem]:
    yield from _check_name(document, f"{pointer}/AffiliateName", group.name, suffix, names.why_not_a_group)
    for index, member in enumerate(group.members):
        yield from _check_name(document, f"{pointer}/UserNames/{index}", member, suffix, names.why_not_a_member)
    for index, analysis in enumerate(group.analyses):
        yield from _check_name(document, f"{pointer}/Pipelines/{index}", analysis, suffix, names.why_not_an_analysis)


def _check_name(
    document: Document, pointer: str, name: str, suffix: str, why_not: Callable[[str], str | None]
) -> Iterator[Problem]:
    if reason := why_not(name + suffix):
        message = f"`{name}{suffix}`, as `{name}` is called in this stage, cannot be used: {reason}"
        yield document.problem("G201", pointer, message, "Shorten the name, or the stage's suffix in stages.json.")


def _check_apart(document: Document, stages: tuple[Stage, ...]) -> Iterator[Problem]:
    """Two stages in one place need two suffixes."""
    seen: dict[tuple[str, str | None, str | None], str] = {}
    for stage in stages:
        place = (stage.suffix, stage.profile, stage.region)
        if place in seen:
            message = f"stages `{seen[place]}` and `{stage.name}` have the same suffix, profile and region"
            pointer = f"/stages/{escape(stage.name)}"
            yield document.problem("G202", pointer, message, "Give one of them another suffix, profile or region.")
        seen.setdefault(place, stage.name)


def _stage(name: str, entry: dict[str, Json]) -> Stage:
    suffix = entry.get("suffix")
    profile, region = entry.get("profile"), entry.get("region")
    return Stage(
        name=name,
        suffix=("" if name == PRODUCTION.name else f"-{name}") if suffix is None else str(suffix),
        profile=None if profile is None else str(profile),
        region=None if region is None else str(region),
        parameters=_pairs(entry.get("parameters")),
        tags=_pairs(entry.get("tags")),
    )


def _objects(value: Json) -> Iterator[tuple[str, dict[str, Json]]]:
    for name, entry in (value if isinstance(value, dict) else {}).items():
        if isinstance(entry, dict):
            yield name, entry


def _pairs(value: Json) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, str(text)) for name, text in (value if isinstance(value, dict) else {}).items()))
