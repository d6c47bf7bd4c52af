"""Wanted × deployed → plan: a tuple of actions, as values. Pure: no client, no file, no clock.

What `plan` shows and what `deploy` performs is the same object.

The account stack makes the bucket its own functions' code comes from. So where that bucket is not there yet, its plan
has two stack actions around the upload of the bundle: parameter `WithFunctions` is "false" in the first (everything but
the functions), "true" in the second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from ncap_compiler import Change, names
from ncap_compiler.version import ROOT_DEVICE, render_version
from ncap_iac.deploy.careful import Care
from ncap_iac.deploy.comparison import Outcome, StackPlan, deleted_stack_plan, stack_plan
from ncap_iac.deploy.plan_document import care_document, change_document, money, stack_document
from ncap_iac.deploy.state import Deployed, Phase
from ncap_iac.deploy.wanted import Artifact, Pairs, Version, Wanted, is_as_wanted

__all__ = [
    "Action",
    "Artifact",
    "DeleteStack",
    "Outcome",
    "Place",
    "Plan",
    "PutVersion",
    "StackAction",
    "StackPlan",
    "Upload",
    "Version",
    "Wanted",
    "change_document",
    "plan_account",
    "plan_stack",
    "plan_users",
    "plan_version",
]

FUNCTIONS_PARAMETER = "WithFunctions"


@dataclass(frozen=True)
class Upload:
    """Write an artifact under a name made of its contents."""

    bucket: str
    key: str
    body: bytes


@dataclass(frozen=True)
class StackAction:
    """Create or update one stack. Without a template it keeps the one it has, and only parameters change."""

    stack: str
    template: str
    parameters: Pairs
    template_url: str = ""
    kept_buckets: tuple[str, ...] = ()
    """Buckets of the template that outlive their stack: taken over if they are there when the stack is created."""
    tags: Pairs | None = None
    """Beside the platform's own; None: as they are."""


@dataclass(frozen=True)
class DeleteStack:
    """Delete a stack its document has nothing for any more."""

    stack: str


@dataclass(frozen=True)
class PutVersion:
    """Keep a version of an analysis; versions never change, but for the image a region has for their environment."""

    bucket: str
    key: str
    body: bytes
    image: str
    replaces_lost_image: bool = False


Action = Upload | StackAction | DeleteStack | PutVersion


@dataclass(frozen=True)
class Place:
    """What only the target knows: its artifact bucket, and how templates are fetched from it."""

    artifact_bucket: str
    has_artifact_bucket: bool
    template_base_url: str


@dataclass(frozen=True)
class Plan:
    """All that would be done for one document, in order, and what becomes different by it."""

    stacks: tuple[StackPlan, ...]
    actions: tuple[Action, ...]
    version_id: str | None = None
    notes: tuple[str, ...] = ()
    """What the reader of the plan should know beside it."""

    @property
    def stack(self) -> str:
        """The document's stack, or the first of several."""
        return self.stacks[0].stack

    @property
    def creates(self) -> bool:
        """Whether a stack would be made."""
        return any(stack.outcome is Outcome.CREATED for stack in self.stacks)

    @property
    def changes(self) -> tuple[Change, ...]:
        """Of all stacks."""
        return tuple(change for stack in self.stacks for change in stack.changes)

    @property
    def parameters(self) -> Pairs:
        """Of all stacks; those of one document have the same."""
        return tuple(sorted({pair for stack in self.stacks for pair in stack.parameters}))

    @property
    def careful(self) -> tuple[Care, ...]:
        """What cannot be taken back."""
        return tuple(care for stack in self.stacks for care in stack.careful)

    @property
    def destroys(self) -> bool:
        """Whether data would go or be left behind."""
        return any(care.destroys for care in self.careful)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of any stack would change."""
        return not any(isinstance(action, StackAction | DeleteStack) for action in self.actions)

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "stack": self.stack,
            "creates": self.creates,
            "versionId": self.version_id,
            "parameters": dict(self.parameters),
            "changes": [change_document(change) for change in self.changes],
            "uploads": [action.key for action in self.actions if isinstance(action, Upload)],
            "stacks": [stack_document(stack) for stack in self.stacks],
            "careful": [care_document(care) for care in self.careful],
            "idleCost": {
                "before": money(sum((stack.idle_before.usd for stack in self.stacks), Decimal(0))),
                "after": money(sum((stack.idle_after.usd for stack in self.stacks), Decimal(0))),
                "per": "month",
            },
            "notes": list(self.notes),
        }


def plan_stack(wanted: Wanted, deployed: Deployed, place: Place, *, version: PutVersion | None = None) -> Plan:
    """The plan that makes an analysis stack as wanted.

    A version goes into the bucket before the function that serves it by default, wherever the bucket is there.
    """
    actions: list[Action] = []
    if not is_as_wanted(wanted, deployed):
        actions = [*_uploads(wanted, place), stack_action(wanted, place, wanted.parameters)]
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
        actions.append(stack_action(wanted, place, (*others, (FUNCTIONS_PARAMETER, "false"))))
        place = replace(place, has_artifact_bucket=True)
    actions += [*_uploads(wanted, place), stack_action(wanted, place, ready.parameters)]
    return _plan(ready, deployed, actions)


def plan_users(
    wanted: Sequence[Wanted],
    deployed: Mapping[str, Deployed],
    place: Place,
    *,
    first: Sequence[Wanted] = (),
    notes: tuple[str, ...] = (),
) -> Plan:
    """The plan for all stacks of a profile: deletions, then `first` (steps on the way), then `wanted`, in their order.

    `deployed` holds every stack of the profile there is; those that are not wanted hold no group any more.
    """
    kept, halfway = {item.stack for item in wanted}, {item.stack for item in first}
    gone = [found for name, found in sorted(deployed.items()) if name not in kept]
    present = {name: deployed.get(name, Deployed(name, Phase.ABSENT)) for name in kept}
    different = [item for item in wanted if item.stack in halfway or not is_as_wanted(item, present[item.stack])]
    actions: list[Action] = [DeleteStack(found.stack) for found in gone]
    for item in (*first, *different):
        actions += [*_uploads(item, place), stack_action(item, place, item.parameters)]
    stacks = [stack_plan(item, present[item.stack]) for item in sorted(wanted, key=lambda item: item.stack)]
    stacks += [deleted_stack_plan(found) for found in gone]
    return Plan(tuple(stacks), tuple(actions), notes=(*_state_notes(*deployed.values()), *notes))


def plan_version(
    wanted: Wanted, image: str, kept: Mapping[str, Any] | None, *, available: bool, root_device: str = ROOT_DEVICE
) -> PutVersion | None:
    """How to keep the version: not at all if it is kept (`kept`), unless the image it names is gone (`available`)."""
    if wanted.version is None or (kept is not None and available):
        return None
    version = wanted.version
    body = render_version(version.document, image, root_device).encode()
    return PutVersion(version.bucket, version.key, body, image, replaces_lost_image=kept is not None)


def _plan(wanted: Wanted, deployed: Deployed, actions: list[Action]) -> Plan:
    version = wanted.version.version_id if wanted.version else None
    return Plan(
        (stack_plan(wanted, deployed),), tuple(actions), version_id=version, notes=tuple(_state_notes(deployed))
    )


def _state_notes(*deployed: Deployed) -> Iterator[str]:
    """What to know of stacks that are not simply there."""
    for found in deployed:
        if found.phase is Phase.BUSY:
            yield f"{found.stack} is {found.status}: deploying waits for it, and this plan may be another one then."
        if found.phase is Phase.STUCK:
            yield f"{found.stack} is {found.status}: mend what stands in the way, then deploy with --continue-rollback."
        if found.phase is Phase.SPOILT:
            yield f"{found.stack} is {found.status}: deploying removes it first, and makes it again."


def template_key(wanted: Wanted) -> str:
    """Where a template is kept in the artifact bucket (docs/contracts.md section 2)."""
    return names.template_key(wanted.stack, hashlib.sha256(wanted.template.encode()).hexdigest())


def _uploads(wanted: Wanted, place: Place) -> list[Action]:
    """What is put into the artifact bucket; nothing where there is none, for stacks that can do without."""
    if not place.has_artifact_bucket and not wanted.artifacts:
        return []
    artifacts = (*wanted.artifacts, Artifact(template_key(wanted), wanted.template.encode()))
    return [Upload(place.artifact_bucket, artifact.key, artifact.body) for artifact in artifacts]


def stack_action(wanted: Wanted, place: Place, parameters: Pairs) -> StackAction:
    """The action that makes a stack as wanted with these parameters."""
    url = f"{place.template_base_url}/{template_key(wanted)}" if place.has_artifact_bucket else ""
    return StackAction(
        stack=wanted.stack,
        template=wanted.template,
        parameters=parameters,
        template_url=url,
        kept_buckets=wanted.kept_buckets,
        tags=wanted.tags,
    )
