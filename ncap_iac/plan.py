"""Wanted × deployed → plan: a tuple of actions, as values. Pure: no client, no file, no clock.

What `plan` shows and what `deploy` performs is the same object.

The account stack makes the bucket its own functions' code comes from. So where that bucket is not there yet, its plan
has two stack actions around the upload of the bundle: parameter `WithFunctions` is "false" in the first (everything but
the functions), "true" in the second.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ncap_compiler import Change, compare_templates, names
from ncap_compiler.version import render_version
from ncap_iac.errors import UsageError
from ncap_iac.state import Deployed, Phase

FUNCTIONS_PARAMETER = "WithFunctions"


@dataclass(frozen=True)
class Upload:
    """Write an artifact under a name made of its contents."""

    bucket: str
    key: str
    body: bytes


@dataclass(frozen=True)
class StackAction:
    """Create or update one stack."""

    stack: str
    template: str
    parameters: tuple[tuple[str, str], ...]
    template_url: str = ""
    kept_buckets: tuple[str, ...] = ()
    """Buckets of the template that outlive their stack: taken over if they are there when the stack is created."""


@dataclass(frozen=True)
class PutVersion:
    """Keep a version of an analysis; versions never change, but for the image a region has for their environment."""

    bucket: str
    key: str
    body: bytes
    image: str
    replaces_lost_image: bool = False


Action = Upload | StackAction | PutVersion


@dataclass(frozen=True)
class Artifact:
    """Bytes a stack needs in the artifact bucket."""

    key: str
    body: bytes


@dataclass(frozen=True)
class Version:
    """A version of an analysis; its document lacks only the image its environment is in one region."""

    version_id: str
    bucket: str
    key: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What a document compiles to."""

    stack: str
    template: str
    parameters: tuple[tuple[str, str], ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    kept_buckets: tuple[str, ...] = ()
    version: Version | None = None
    environment: str | None = None
    """What the blueprint names: `ami-…` or `iae:…`; None for other stacks."""


@dataclass(frozen=True)
class Place:
    """What only the target knows: its artifact bucket, and how templates are fetched from it."""

    artifact_bucket: str
    has_artifact_bucket: bool
    template_base_url: str


@dataclass(frozen=True)
class Plan:
    """All that would be done for one stack, in order, and what becomes different by it."""

    stack: str
    creates: bool
    changes: tuple[Change, ...]
    actions: tuple[Action, ...]
    parameters: tuple[tuple[str, str], ...]
    version_id: str | None = None
    notes: tuple[str, ...] = ()
    """What the reader of the plan should know beside it."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the stack would change."""
        return not any(isinstance(action, StackAction) for action in self.actions)

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "stack": self.stack,
            "creates": self.creates,
            "versionId": self.version_id,
            "parameters": dict(self.parameters),
            "changes": [change_document(change) for change in self.changes],
            "uploads": [action.key for action in self.actions if isinstance(action, Upload)],
        }


def change_document(change: Change) -> dict[str, object]:
    """One change, for JSON."""
    return {
        "resource": change.resource,
        "type": change.type,
        "verb": change.verb.value,
        "properties": list(change.properties),
        "replaces": change.replaces,
        "keeps": change.keeps,
        "granted": list(change.granted),
        "revoked": list(change.revoked),
    }


def plan_stack(wanted: Wanted, deployed: Deployed, place: Place, *, version: PutVersion | None = None) -> Plan:
    """The plan that makes a users or analysis stack as wanted.

    A version goes into the bucket before the function that serves it by default, wherever the bucket is there.
    """
    actions: list[Action] = []
    if not is_as_wanted(wanted, deployed):
        actions = [*_uploads(wanted, place), _stack_action(wanted, place, wanted.parameters)]
    if version is not None:
        actions.insert(0 if deployed.phase is Phase.READY else len(actions), version)
    return _plan(wanted, deployed, actions)


def plan_account(wanted: Wanted, deployed: Deployed, place: Place) -> Plan:
    """The plan for the account stack; see the module's text for its two steps."""
    others = tuple(pair for pair in wanted.parameters if pair[0] != FUNCTIONS_PARAMETER)
    ready = replace(wanted, parameters=(*others, (FUNCTIONS_PARAMETER, "true")))
    if is_as_wanted(ready, deployed):
        return _plan(ready, deployed, [])
    actions: list[Action] = []
    if not place.has_artifact_bucket:
        actions.append(_stack_action(wanted, place, (*others, (FUNCTIONS_PARAMETER, "false"))))
    actions += [*_uploads(wanted, place), _stack_action(wanted, place, ready.parameters)]
    return _plan(ready, deployed, actions)


def with_parameters(
    wanted: Wanted, deployed: Deployed, *, known: Mapping[str, str], given: tuple[tuple[str, str], ...]
) -> Wanted:
    """The stack with its parameters: what is given, else what is known here, else what the deployed stack has.

    A parameter left out of an update would fall back to its default. Raises UsageError for one the template lacks.
    """
    declared = json.loads(wanted.template).get("Parameters", {})
    unknown = [name for name, _ in given if name not in declared]
    if unknown:
        raise UsageError(
            f"{unknown[0]} is not a parameter of this stack",
            where=f"stack {wanted.stack}",
            hint=f"Its parameters: {', '.join(sorted(declared)) or 'none'}.",
        )
    values = {name: value for name, value in deployed.parameters if name in declared}
    values |= {name: value for name, value in known.items() if name in declared}
    values |= dict(given)
    return replace(wanted, parameters=tuple(sorted(values.items())))


def is_as_wanted(wanted: Wanted, deployed: Deployed, *, parameters: tuple[tuple[str, str], ...] | None = None) -> bool:
    """Whether a stack is complete, and has the wanted template and parameters."""
    if deployed.phase is not Phase.READY or deployed.template is None:
        return False
    same = json.dumps(deployed.template, sort_keys=True) == json.dumps(json.loads(wanted.template), sort_keys=True)
    return same and all(deployed.parameter(name) == value for name, value in wanted.parameters)


def plan_version(wanted: Wanted, image: str, kept: Mapping[str, Any] | None, *, available: bool) -> PutVersion | None:
    """How to keep the version: not at all if it is kept (`kept`), unless the image it names is gone (`available`)."""
    if wanted.version is None or (kept is not None and available):
        return None
    version = wanted.version
    body = render_version(version.document, image).encode()
    return PutVersion(version.bucket, version.key, body, image, replaces_lost_image=kept is not None)


def _plan(wanted: Wanted, deployed: Deployed, actions: list[Action]) -> Plan:
    before = None if deployed.template is None else json.dumps(deployed.template)
    return Plan(
        stack=wanted.stack,
        creates=deployed.phase in (Phase.ABSENT, Phase.SPOILT),
        changes=compare_templates(before, wanted.template),
        actions=tuple(actions),
        parameters=wanted.parameters,
        version_id=wanted.version.version_id if wanted.version else None,
    )


def template_key(wanted: Wanted) -> str:
    """Where a template is kept in the artifact bucket (docs/contracts.md section 2)."""
    return names.template_key(wanted.stack, hashlib.sha256(wanted.template.encode()).hexdigest())


def _uploads(wanted: Wanted, place: Place) -> list[Action]:
    artifacts = (*wanted.artifacts, Artifact(template_key(wanted), wanted.template.encode()))
    return [Upload(place.artifact_bucket, artifact.key, artifact.body) for artifact in artifacts]


def _stack_action(wanted: Wanted, place: Place, parameters: tuple[tuple[str, str], ...]) -> StackAction:
    return StackAction(
        stack=wanted.stack,
        template=wanted.template,
        parameters=parameters,
        template_url=f"{place.template_base_url}/{template_key(wanted)}",
        kept_buckets=wanted.kept_buckets,
    )
