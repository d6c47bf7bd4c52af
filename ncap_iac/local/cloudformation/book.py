"""The records of all stacks in the store: every step of a stack's life is on disk before the next begins.

The store's file is the user's alone (0600): it also holds attributes that are secrets.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace

from ncap_iac.local.cloudformation.records import (
    ChangeSetRecord,
    EventRecord,
    ResourceRecord,
    StackRecord,
    Status,
    Subject,
    read_change_set,
    read_resource,
    read_stack,
)
from ncap_iac.local.cloudformation.values import Clock, iso_time
from ncap_iac.local.store import Store


class Records:
    """All stacks of one local cloud. Thread safe."""

    def __init__(self, store: Store, clock: Clock, tell: Callable[[StackRecord], None]) -> None:
        """`tell` hears of every new state of a stack."""
        self._store = store
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._last_time = 0.0

    def now(self) -> str:
        """The time as text; never the same twice, so that events keep their order."""
        with self._lock:
            self._last_time = max(self._clock(), self._last_time + 2e-6)
            return iso_time(self._last_time)

    def time_ago(self, seconds: float) -> str:
        """The time so many seconds before now, as text."""
        return iso_time(self._clock() - seconds)

    def together(self) -> AbstractContextManager[None]:
        """Writes inside happen all or none."""
        return self._store.transaction()

    def keep_template(self, text: str) -> str:
        """Store a template's text; returns its name."""
        name = hashlib.sha256(text.encode()).hexdigest()
        self._store.put("cloudformation.templates", name, {"text": text})
        return name

    def template_text(self, name: str) -> str:
        """The text stored under a name."""
        document = self._store.get("cloudformation.templates", name)
        return "" if document is None else str(document["text"])

    def stacks(self) -> list[StackRecord]:
        """All stacks, deleted ones too, newest first."""
        found = [read_stack(document) for _, document in self._store.items("cloudformation.stacks")]
        return sorted(found, key=lambda stack: stack.created, reverse=True)

    def stack(self, name_or_id: str) -> StackRecord | None:
        """By id also what is deleted; by name only what is not."""
        document = self._store.get("cloudformation.stacks", name_or_id)
        if document is not None:
            return read_stack(document)
        for stack in self.stacks():
            if stack.name == name_or_id and stack.status is not Status.DELETE_COMPLETE:
                return stack
        return None

    def save_stack(self, stack: StackRecord) -> StackRecord:
        """Write it, and return it."""
        self._store.put("cloudformation.stacks", stack.stack_id, asdict(stack))
        return stack

    def set_status(self, stack: StackRecord, status: Status, reason: str = "") -> StackRecord:
        """Move a stack to a state and note the event, both or neither."""
        with self._store.transaction():
            saved = self.save_stack(replace(self.stack(stack.stack_id) or stack, status=status, reason=reason))
            self.add_event(saved, Subject(saved.name, "AWS::CloudFormation::Stack", saved.stack_id), status, reason)
        self._tell(saved)
        return saved

    def forget_stack(self, stack_id: str) -> None:
        """Remove a stack with its history."""
        with self._store.transaction():
            for kind in ("resources", "leftovers", "events", "drifts"):
                table = f"cloudformation.{kind}:{stack_id}"
                for key, _ in self._store.items(table):
                    self._store.delete(table, key)
            self._store.delete("cloudformation.stacks", stack_id)

    def resources(self, stack_id: str) -> dict[str, ResourceRecord]:
        """Resources of a stack by logical id."""
        rows = self._store.items(f"cloudformation.resources:{stack_id}")
        return {key: read_resource(document) for key, document in rows}

    def save_resource(self, stack: StackRecord, resource: ResourceRecord) -> ResourceRecord:
        """Write it without an event."""
        self._store.put(f"cloudformation.resources:{stack.stack_id}", resource.logical_id, asdict(resource))
        return resource

    def remove_resource(self, stack: StackRecord, logical_id: str) -> None:
        """Forget a resource."""
        self._store.delete(f"cloudformation.resources:{stack.stack_id}", logical_id)

    def leftovers(self, stack_id: str) -> dict[str, ResourceRecord]:
        """Resources that are no longer part of the stack and still have to be removed."""
        rows = self._store.items(f"cloudformation.leftovers:{stack_id}")
        return {key: read_resource(document) for key, document in rows}

    def add_leftover(self, stack: StackRecord, resource: ResourceRecord) -> None:
        """Note that a resource has to be removed; its DeletionPolicy says whether it is."""
        key = f"{resource.logical_id} {resource.physical_id}"
        self._store.put(f"cloudformation.leftovers:{stack.stack_id}", key, asdict(replace(resource, before=None)))

    def remove_leftover(self, stack: StackRecord, key: str) -> None:
        """Forget what was to be removed."""
        self._store.delete(f"cloudformation.leftovers:{stack.stack_id}", key)

    def note_leftover(self, stack: StackRecord, resource: ResourceRecord, status: Status, reason: str = "") -> None:
        """Note the event of a resource that is no longer part of the stack."""
        self.add_event(stack, Subject(resource.logical_id, resource.type, resource.physical_id), status, reason)

    def note_resource(
        self, stack: StackRecord, resource: ResourceRecord, status: Status, reason: str = ""
    ) -> ResourceRecord:
        """Move a resource to a state and note the event, both or neither."""
        with self._store.transaction():
            saved = self.save_resource(stack, replace(resource, status=status, reason=reason, updated=self.now()))
            self.add_event(stack, Subject(saved.logical_id, saved.type, saved.physical_id), status, reason)
        return saved

    def add_event(self, stack: StackRecord, subject: Subject, status: Status, reason: str = "") -> None:
        """Note one event of a stack or one of its resources."""
        time = self.now()
        event = EventRecord(
            event_id=f"{subject.logical_id}-{status}-{time}",
            time=time,
            logical_id=subject.logical_id,
            physical_id=subject.physical_id,
            type=subject.type,
            status=status,
            reason=reason,
            token=stack.token,
        )
        self._store.put(f"cloudformation.events:{stack.stack_id}", time, asdict(event))

    def events(self, stack_id: str) -> list[EventRecord]:
        """History of a stack, newest first."""
        rows = self._store.items(f"cloudformation.events:{stack_id}")
        return [EventRecord(**{**row, "status": Status(row["status"])}) for _, row in reversed(rows)]

    def change_sets(self) -> list[ChangeSetRecord]:
        """All change sets, oldest first."""
        found = [read_change_set(document) for _, document in self._store.items("cloudformation.change-sets")]
        return sorted(found, key=lambda change_set: change_set.created)

    def save_change_set(self, change_set: ChangeSetRecord) -> ChangeSetRecord:
        """Write it, and return it."""
        self._store.put("cloudformation.change-sets", change_set.change_set_id, asdict(change_set))
        return change_set

    def remove_change_set(self, change_set_id: str) -> None:
        """Forget a change set."""
        self._store.delete("cloudformation.change-sets", change_set_id)
