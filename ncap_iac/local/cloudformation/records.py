"""What the engine remembers of stacks, resources, events and change sets: values, and how they come out of documents.

Secret attributes (an access key's secret) are part of a resource's record and of nothing that is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ncap_iac.local.cloudformation.values import Policy


class Status(StrEnum):
    """States of stacks and of their resources."""

    REVIEW_IN_PROGRESS = "REVIEW_IN_PROGRESS"
    CREATE_IN_PROGRESS = "CREATE_IN_PROGRESS"
    CREATE_FAILED = "CREATE_FAILED"
    CREATE_COMPLETE = "CREATE_COMPLETE"
    ROLLBACK_IN_PROGRESS = "ROLLBACK_IN_PROGRESS"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    ROLLBACK_COMPLETE = "ROLLBACK_COMPLETE"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"
    DELETE_FAILED = "DELETE_FAILED"
    DELETE_COMPLETE = "DELETE_COMPLETE"
    DELETE_SKIPPED = "DELETE_SKIPPED"
    UPDATE_IN_PROGRESS = "UPDATE_IN_PROGRESS"
    UPDATE_COMPLETE_CLEANUP_IN_PROGRESS = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    UPDATE_COMPLETE = "UPDATE_COMPLETE"
    UPDATE_FAILED = "UPDATE_FAILED"
    UPDATE_ROLLBACK_IN_PROGRESS = "UPDATE_ROLLBACK_IN_PROGRESS"
    UPDATE_ROLLBACK_FAILED = "UPDATE_ROLLBACK_FAILED"
    UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
    UPDATE_ROLLBACK_COMPLETE = "UPDATE_ROLLBACK_COMPLETE"

    @property
    def is_in_progress(self) -> bool:
        """Whether work is under way."""
        return self.endswith("_IN_PROGRESS")


UPDATABLE = frozenset(
    {
        Status.CREATE_COMPLETE,
        Status.UPDATE_COMPLETE,
        Status.UPDATE_ROLLBACK_COMPLETE,
        Status.UPDATE_FAILED,
    }
)
"""States from which a stack can be updated."""


class OnFailure(StrEnum):
    """What becomes of a stack whose creation failed."""

    DO_NOTHING = "DO_NOTHING"
    ROLLBACK = "ROLLBACK"
    DELETE = "DELETE"


@dataclass(frozen=True)
class Output:
    """One resolved output."""

    name: str
    value: str
    description: str = ""
    export_name: str = ""


@dataclass(frozen=True)
class Declaration:
    """What somebody asked a stack to be."""

    template_sha: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    """Export names it uses."""
    import_existing: bool = False
    """Whether named resources that exist and would be retained are taken over instead of refused."""


@dataclass(frozen=True)
class StackRecord:
    """One stack."""

    stack_id: str
    name: str
    status: Status
    declaration: Declaration
    created: str
    reason: str = ""
    description: str = ""
    updated: str = ""
    deleted: str = ""
    outputs: tuple[Output, ...] = ()
    previous: Declaration | None = None
    """While an update is under way: what to return to."""
    on_failure: OnFailure = OnFailure.ROLLBACK
    disable_rollback: bool = False
    """Of the update under way."""
    termination_protection: bool = False
    change_set_id: str = ""
    token: str = ""
    """ClientRequestToken of the operation under way."""
    retained: tuple[str, ...] = ()
    """Logical ids that the deletion under way leaves."""


@dataclass(frozen=True)
class ResourceRecord:
    """One resource of a stack, or what it was before an update."""

    logical_id: str
    type: str
    status: Status
    updated: str
    physical_id: str = ""
    reason: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """As applied: resolved, with generated name and tags."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    generated_name: str = ""
    deletion_policy: Policy = Policy.DELETE
    update_replace_policy: Policy = Policy.DELETE
    metadata: Any = None
    held: tuple[str, ...] = ()
    """Declared properties that the local cloud records and does not enforce."""
    before: ResourceRecord | None = None
    """While an update is under way: the state to return to; its physical id differs if this one replaces it."""
    made_by_update: bool = False
    """While an update is under way: it was not there before."""
    imported: bool = False
    """It was there before the stack; undoing the operation that took it over leaves it there."""


@dataclass(frozen=True)
class Subject:
    """What an event is about."""

    logical_id: str
    type: str
    physical_id: str


@dataclass(frozen=True)
class EventRecord:
    """One line of a stack's history."""

    event_id: str
    time: str
    logical_id: str
    physical_id: str
    type: str
    status: Status
    reason: str
    token: str


@dataclass(frozen=True)
class ResourceChange:
    """One entry of a change set."""

    action: str
    """`Add`, `Modify` or `Remove`."""
    logical_id: str
    type: str
    physical_id: str = ""
    replacement: str = ""
    """`True`, `False` or `Conditional`; empty unless `Modify`."""
    scope: tuple[str, ...] = ()
    details: tuple[Mapping[str, Any], ...] = ()
    policy_action: str = ""


@dataclass(frozen=True)
class ChangeSetRecord:
    """One change set."""

    change_set_id: str
    name: str
    stack_id: str
    stack_name: str
    kind: str
    """`CREATE` or `UPDATE`."""
    status: str
    execution_status: str
    declaration: Declaration
    created: str
    reason: str = ""
    description: str = ""
    changes: tuple[ResourceChange, ...] = ()
    on_failure: OnFailure = OnFailure.ROLLBACK


def read_stack(document: Mapping[str, Any]) -> StackRecord:
    """A stack from its document."""
    previous = document["previous"]
    return StackRecord(
        **{
            **document,
            "status": Status(document["status"]),
            "on_failure": OnFailure(document["on_failure"]),
            "declaration": _declaration(document["declaration"]),
            "previous": None if previous is None else _declaration(previous),
            "outputs": tuple(Output(**output) for output in document["outputs"]),
            "retained": tuple(document["retained"]),
        }
    )


def _declaration(document: Mapping[str, Any]) -> Declaration:
    lists = {name: tuple(document[name]) for name in ("capabilities", "imports")}
    return Declaration(**{**document, **lists})


def read_resource(document: Mapping[str, Any]) -> ResourceRecord:
    """A resource from its document."""
    before = document["before"]
    return ResourceRecord(
        **{
            **document,
            "status": Status(document["status"]),
            "deletion_policy": Policy(document["deletion_policy"]),
            "update_replace_policy": Policy(document["update_replace_policy"]),
            "depends_on": tuple(document["depends_on"]),
            "held": tuple(document["held"]),
            "before": None if before is None else read_resource(before),
        }
    )


def read_change_set(document: Mapping[str, Any]) -> ChangeSetRecord:
    """A change set from its document."""
    changes = [
        ResourceChange(**{**item, "scope": tuple(item["scope"]), "details": tuple(item["details"])})
        for item in document["changes"]
    ]
    return ChangeSetRecord(
        **{
            **document,
            "on_failure": OnFailure(document["on_failure"]),
            "declaration": _declaration(document["declaration"]),
            "changes": tuple(changes),
        }
    )
