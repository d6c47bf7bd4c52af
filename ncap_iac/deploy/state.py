"""What is deployed: reads stacks and says it as values. Describe calls only; changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Protocol

from ncap_iac.errors import NcapError, NotFoundError


class StackReader(Protocol):
    """What of the gateway is needed to read stacks; answers are AWS's own shapes."""

    def describe(self, stack: str) -> Mapping[str, Any] | None:
        """The stack, or None."""
        ...

    def template(self, stack: str) -> str | Mapping[str, Any]:
        """The template as deployed."""
        ...

    def events(self, stack: str, *, after: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Events, oldest first, those after the event with id `after`."""
        ...


class Phase(Enum):
    """What can be done with a stack now."""

    ABSENT = "absent"
    READY = "ready"
    """Complete: it can be updated."""
    BUSY = "busy"
    SPOILT = "spoilt"
    """Its first creation failed: it can only be deleted."""
    STUCK = "stuck"
    """A rollback or deletion failed: a person has to look."""


SPOILT = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"})
ABSENT = frozenset({"REVIEW_IN_PROGRESS", "DELETE_COMPLETE"})


def phase_of(status: str) -> Phase:
    """What a stack status means for us. Source: CloudFormation user guide, stack status codes."""
    if status in ABSENT:
        return Phase.ABSENT
    if status in SPOILT:
        return Phase.SPOILT
    if status.endswith("_IN_PROGRESS"):
        return Phase.BUSY
    return Phase.STUCK if status.endswith("_FAILED") else Phase.READY


@dataclass(frozen=True)
class Deployed:
    """One stack as it is; without a stack: phase ABSENT and nothing else."""

    stack: str
    phase: Phase
    status: str = ""
    stack_id: str = ""
    template: Mapping[str, Any] | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def fingerprint(self) -> str:
        """Changes when anything about the stack does that a plan was made from: `absent`, or a digest in hex."""
        if self.phase is Phase.ABSENT:
            return Phase.ABSENT.value
        known = [self.stack_id, self.phase.value, self.template, sorted(self.parameters), sorted(self.tags)]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def parameter(self, name: str) -> str | None:
        """A parameter's value, if it has one."""
        return dict(self.parameters).get(name)


def read_status(stacks: StackReader, stack: str) -> Deployed:
    """A stack without its template."""
    found = stacks.describe(stack)
    if found is None:
        return Deployed(stack, Phase.ABSENT)
    status = str(found["StackStatus"])
    return Deployed(
        stack,
        phase_of(status),
        status=status,
        stack_id=str(found.get("StackId", stack)),
        parameters=tuple(
            (str(item["ParameterKey"]), str(item.get("ParameterValue", ""))) for item in found.get("Parameters", [])
        ),
        outputs=tuple((str(item["OutputKey"]), str(item["OutputValue"])) for item in found.get("Outputs", [])),
        tags=tuple((str(item["Key"]), str(item["Value"])) for item in found.get("Tags", [])),
    )


def read_stack(stacks: StackReader, stack: str) -> Deployed:
    """A stack with its template."""
    found = read_status(stacks, stack)
    if found.phase is Phase.ABSENT:
        return found
    try:
        body = stacks.template(stack)
    except NotFoundError:
        return found
    return replace(found, template=_plain(body, stack))


def _plain(body: str | Mapping[str, Any], stack: str) -> Mapping[str, Any]:
    """A template as plain JSON values. Raises NcapError for one that is not JSON, which is none of ours."""
    try:
        template: Mapping[str, Any] = json.loads(body if isinstance(body, str) else json.dumps(body))
    except ValueError as error:
        raise NcapError(
            "its template is not JSON, so it was not deployed by this platform",
            where=f"stack {stack}",
            hint="Rename your document, or the stack that has its name.",
        ) from error
    return template
