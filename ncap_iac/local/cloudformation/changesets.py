"""Change sets: a checked proposal kept until somebody executes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ncap_iac.local.cloudformation.answers import show_change_set, show_change_set_summary
from ncap_iac.local.cloudformation.desk import StackDesk
from ncap_iac.local.cloudformation.planning import World
from ncap_iac.local.cloudformation.records import ChangeSetRecord, OnFailure, StackRecord, Status
from ncap_iac.local.cloudformation.template import parse_template
from ncap_iac.local.cloudformation.values import invalid
from ncap_iac.local.service import ServiceError

Shape = dict[str, Any]
Request = Mapping[str, Any]

NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
"""The words by which `aws cloudformation deploy` knows that there is nothing to do."""
EXECUTED = ("EXECUTE_COMPLETE", "EXECUTE_FAILED")
"""What leaves a change set's name free: AWS forgets a stack's change sets once one of them was executed."""
_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")


class ChangeSetDesk:
    """Create, show, execute, delete change sets."""

    def __init__(self, world: World, stacks: StackDesk, new_id: Callable[[], str]) -> None:
        self._world = world
        self._records = world.records
        self._stacks = stacks
        self._new_id = new_id

    def create(self, request: Request) -> Shape:
        """CreateChangeSet, of type CREATE or UPDATE."""
        name, kind = request["ChangeSetName"], request.get("ChangeSetType", "UPDATE")
        if kind not in ("CREATE", "UPDATE"):
            raise ServiceError("UnsupportedOperation", f"The local cloud does not support change sets of type {kind}.")
        if not _NAME.fullmatch(name):
            raise invalid(f"Value '{name}' at 'changeSetName' failed to satisfy constraint: [a-zA-Z][-a-zA-Z0-9]*")
        with self._stacks.lock:
            stack = self._stack_for(request["StackName"], kind)
            namesakes = [item for item in self._of(stack) if item.name == name]
            if any(item.execution_status not in EXECUTED for item in namesakes):
                raise ServiceError("AlreadyExistsException", f"ChangeSet {name} cannot be created due to a conflict")
            proposal = self._stacks.propose(request, stack)
            for executed in namesakes:
                self._records.remove_change_set(executed.change_set_id)
            if self._records.stack(stack.stack_id) is None:
                stack = self._records.set_status(stack, Status.REVIEW_IN_PROGRESS, "User Initiated")
            place = self._world.place
            arn = f"arn:{place.partition}:cloudformation:{place.region}:{place.account_id}:changeSet"
            empty = proposal.plan.is_empty and stack.status is not Status.UPDATE_FAILED
            change_set = ChangeSetRecord(
                change_set_id=f"{arn}/{name}/{self._new_id()}",
                name=name,
                stack_id=stack.stack_id,
                stack_name=stack.name,
                kind=kind,
                status="FAILED" if empty else "CREATE_COMPLETE",
                execution_status="UNAVAILABLE" if empty else "AVAILABLE",
                declaration=proposal.declaration,
                created=self._records.now(),
                reason=NO_CHANGES if empty else "",
                description=str(request.get("Description", "")),
                changes=proposal.plan.changes,
                on_failure=OnFailure(request.get("OnStackFailure", OnFailure.ROLLBACK)),
            )
            self._records.save_change_set(change_set)
        return {"Id": change_set.change_set_id, "StackId": stack.stack_id}

    def _stack_for(self, name: str, kind: str) -> StackRecord:
        stack = self._records.stack(name)
        if kind == "UPDATE":
            stack = self._stacks.existing(name)
            self._stacks.check_updatable(stack)
            return stack
        if stack is not None and stack.status is Status.REVIEW_IN_PROGRESS:
            return stack
        return self._stacks.blank(name)

    def _of(self, stack: StackRecord) -> list[ChangeSetRecord]:
        return [item for item in self._records.change_sets() if item.stack_id == stack.stack_id]

    def find(self, request: Request) -> ChangeSetRecord:
        """The change set a request names. Raises ServiceError ChangeSetNotFound."""
        wanted = request["ChangeSetName"]
        stack = self._stacks.existing(request["StackName"]) if "StackName" in request else None
        for item in self._records.change_sets():
            if wanted == item.change_set_id or (stack and stack.stack_id == item.stack_id and wanted == item.name):
                return item
        if not wanted.startswith("arn:") and stack is None:
            raise invalid("StackName must be specified if ChangeSetName is not specified as an ARN.")
        raise ServiceError("ChangeSetNotFound", f"ChangeSet [{wanted}] does not exist", status=404)

    def describe(self, request: Request) -> Shape:
        """DescribeChangeSet."""
        change_set = self.find(request)
        text = self._records.template_text(change_set.declaration.template_sha)
        return show_change_set(change_set, parse_template(text))

    def list(self, request: Request) -> Shape:
        """ListChangeSets."""
        return {
            "Summaries": [
                show_change_set_summary(item) for item in self._of(self._stacks.existing(request["StackName"]))
            ]
        }

    def delete(self, request: Request) -> Shape:
        """DeleteChangeSet; one that is not there is no error."""
        with self._stacks.lock:
            try:
                change_set = self.find(request)
            except ServiceError as error:
                if error.code == "ChangeSetNotFound":
                    return {}
                raise
            if change_set.execution_status == "EXECUTE_IN_PROGRESS":
                raise ServiceError("InvalidChangeSetStatus", "The change set is being executed.")
            self._records.remove_change_set(change_set.change_set_id)
        return {}

    def execute(self, request: Request) -> Shape:
        """ExecuteChangeSet."""
        with self._stacks.lock:
            change_set = self.find(request)
            if change_set.execution_status != "AVAILABLE":
                raise ServiceError(
                    "InvalidChangeSetStatus",
                    f"ChangeSet [{change_set.change_set_id}] cannot be executed in its current status of "
                    f"[{change_set.status}, {change_set.execution_status}]",
                )
            stack = self._stacks.existing(change_set.stack_id)
            self._records.save_change_set(replace(change_set, execution_status="EXECUTE_IN_PROGRESS"))
            keep = bool(request.get("DisableRollback")) or change_set.on_failure is OnFailure.DO_NOTHING
            stack = replace(
                stack,
                change_set_id=change_set.change_set_id,
                disable_rollback=keep,
                on_failure=OnFailure.DO_NOTHING if keep else change_set.on_failure,
            )
            token = str(request.get("ClientRequestToken", ""))
            begin = self._stacks.begin_creation
            if stack.status is not Status.REVIEW_IN_PROGRESS:
                self._stacks.check_updatable(stack)
                begin = self._stacks.begin_update
            begin(stack, change_set.declaration, token, done=lambda: self._settle(change_set))
        return {}

    def _settle(self, change_set: ChangeSetRecord) -> None:
        """Note how the execution ended."""
        stack = self._records.stack(change_set.stack_id)
        if stack is None or stack.status.is_in_progress or stack.status is Status.DELETE_COMPLETE:
            return
        well = stack.status in (Status.CREATE_COMPLETE, Status.UPDATE_COMPLETE)
        status = "EXECUTE_COMPLETE" if well else "EXECUTE_FAILED"
        self._records.save_change_set(replace(change_set, execution_status=status))
