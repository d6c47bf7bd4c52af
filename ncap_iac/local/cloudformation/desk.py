"""Requests that change stacks: checked while the caller waits, carried out in the background.

Holds no state of its own: records say what is, workers do what was decided.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ncap_iac.local.cloudformation.exports import check_deletion
from ncap_iac.local.cloudformation.operations import Operations, Stopped
from ncap_iac.local.cloudformation.parameters import ImageExists, given_parameters, parameter_values
from ncap_iac.local.cloudformation.planning import Design, Plan, World, make_plan
from ncap_iac.local.cloudformation.provider import Client
from ncap_iac.local.cloudformation.records import UPDATABLE, Declaration, OnFailure, StackRecord, Status
from ncap_iac.local.cloudformation.sources import has_template, template_text
from ncap_iac.local.cloudformation.template import Template, parse_template
from ncap_iac.local.cloudformation.validation import check_capabilities, check_template
from ncap_iac.local.cloudformation.values import invalid
from ncap_iac.local.cloudformation.workers import Workers
from ncap_iac.local.service import ServiceError

Shape = dict[str, Any]
Done = Callable[[], None]
"""Called when the work in the background has ended."""
Request = Mapping[str, Any]
NO_UPDATES = "No updates are to be performed."
_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")


@dataclass(frozen=True)
class Outside:
    """What requests need beside the world of planning."""

    world: World
    client: Callable[[str], Client]
    image_exists: ImageExists
    new_id: Callable[[], str]


@dataclass(frozen=True)
class Proposal:
    """A checked request: what a stack is to be, and what that changes."""

    declaration: Declaration
    template: Template
    plan: Plan


class StackDesk:
    """Create, update, delete; shared by direct requests and change sets."""

    def __init__(self, outside: Outside, workers: Workers) -> None:
        self._outside = outside
        self._world = outside.world
        self._records = outside.world.records
        self._operations = Operations(outside.world)
        self._workers = workers
        self.lock = threading.RLock()
        """Held while a request looks at a stack and decides."""

    def existing(self, name_or_id: str) -> StackRecord:
        """The stack. Raises ServiceError ValidationError in the words that clients look for."""
        stack = self._records.stack(name_or_id)
        if stack is None:
            raise invalid(f"Stack with id {name_or_id} does not exist")
        return stack

    def create(self, request: Request) -> Shape:
        """CreateStack."""
        on_failure = OnFailure(request.get("OnFailure", OnFailure.ROLLBACK))
        if "OnFailure" in request and "DisableRollback" in request:
            raise invalid("Only one of OnFailure and DisableRollback can be specified.")
        if request.get("DisableRollback"):
            on_failure = OnFailure.DO_NOTHING
        with self.lock:
            blank = self.blank(request["StackName"])
            proposal = self.propose(request, blank)
            stack = replace(
                blank,
                on_failure=on_failure,
                disable_rollback=on_failure is OnFailure.DO_NOTHING,
                termination_protection=bool(request.get("EnableTerminationProtection")),
            )
            self.begin_creation(stack, proposal.declaration, str(request.get("ClientRequestToken", "")))
        return {"StackId": stack.stack_id}

    def blank(self, name: str) -> StackRecord:
        """A stack that is not there yet. Raises ServiceError for a name in use or not allowed."""
        if not _NAME.fullmatch(name):
            raise invalid(
                f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must "
                "satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
            )
        if self._records.stack(name) is not None:
            raise ServiceError("AlreadyExistsException", f"Stack [{name}] already exists")
        place = self._world.place
        identity = f"{name}/{self._outside.new_id()}"
        stack_id = f"arn:{place.partition}:cloudformation:{place.region}:{place.account_id}:stack/{identity}"
        return StackRecord(stack_id, name, Status.REVIEW_IN_PROGRESS, Declaration(""), self._records.now())

    def propose(self, request: Request, stack: StackRecord) -> Proposal:
        """Check a request against everything that can be known. Raises ServiceError; makes nothing."""
        previous = stack.declaration
        if request.get("UsePreviousTemplate"):
            if not previous.template_sha:
                raise invalid("Previous template does not exist; specify TemplateBody or TemplateURL.")
            text = self._records.template_text(previous.template_sha)
        else:
            text = template_text(request, self._outside.client)
        template = parse_template(text)
        check_template(template, self._world.providers)
        capabilities = tuple(sorted(request.get("Capabilities", ())))
        check_capabilities(template, capabilities)
        given = given_parameters(request.get("Parameters", ()))
        values = parameter_values(template, given, previous.parameters, self._outside.image_exists)
        tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]} if "Tags" in request else dict(previous.tags)
        declaration = Declaration(
            self._records.keep_template(text),
            values,
            tags,
            capabilities,
            import_existing=bool(request.get("ImportExistingResources")),
        )
        wanted = replace(stack, declaration=declaration)
        design = Design(self._world, wanted, template)
        plan = make_plan(self._world, design, self._records.resources(stack.stack_id))
        return Proposal(replace(declaration, imports=plan.imports), template, plan)

    def begin_creation(
        self, stack: StackRecord, declaration: Declaration, token: str, *, done: Done | None = None
    ) -> None:
        """Note the stack and start making it; `done()` is called at the end."""
        stack = self._records.save_stack(replace(stack, declaration=declaration, token=token))
        stack = self._records.set_status(stack, Status.CREATE_IN_PROGRESS, "User Initiated")
        self._begin(stack, self._operations.create, done)

    def update(self, request: Request) -> Shape:
        """UpdateStack."""
        with self.lock:
            stack = self.existing(request["StackName"])
            self.check_updatable(stack)
            proposal = self.propose(request, stack)
            if proposal.plan.is_empty and stack.status is not Status.UPDATE_FAILED:
                raise invalid(NO_UPDATES)
            token = str(request.get("ClientRequestToken", ""))
            stack = replace(stack, disable_rollback=bool(request.get("DisableRollback")))
            self.begin_update(stack, proposal.declaration, token)
        return {"StackId": stack.stack_id}

    @staticmethod
    def check_updatable(stack: StackRecord) -> None:
        """Raises ServiceError ValidationError."""
        if stack.status not in UPDATABLE:
            raise invalid(f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.")

    def begin_update(
        self, stack: StackRecord, declaration: Declaration, token: str, *, done: Done | None = None
    ) -> None:
        """Note what is wanted and start changing it; other change sets of the stack are void."""
        for change_set in self._records.change_sets():
            if change_set.stack_id == stack.stack_id and change_set.execution_status == "AVAILABLE":
                self._records.remove_change_set(change_set.change_set_id)
        stack = self._records.save_stack(
            replace(
                stack,
                declaration=declaration,
                previous=stack.previous or stack.declaration,
                updated=self._records.now(),
                token=token,
            )
        )
        stack = self._records.set_status(stack, Status.UPDATE_IN_PROGRESS, "User Initiated")
        self._begin(stack, self._operations.update, done)

    def continue_rollback(self, request: Request) -> Shape:
        """ContinueUpdateRollback: try again to return to what was before a failed update."""
        with self.lock:
            stack = self.existing(request["StackName"])
            if stack.status is not Status.UPDATE_ROLLBACK_FAILED:
                raise invalid(f"Stack:{stack.stack_id} is in {stack.status} state and can not continue its rollback.")
            stack = self._records.set_status(stack, Status.UPDATE_ROLLBACK_IN_PROGRESS, "User Initiated")
            self._begin(stack, self._operations.roll_back_update, None)
        return {}

    def delete(self, request: Request) -> Shape:
        """DeleteStack; a name nobody knows is no error, as on AWS."""
        with self.lock:
            stack = self._records.stack(request["StackName"])
            if stack is None or stack.status is Status.DELETE_COMPLETE:
                return {}
            if stack.termination_protection:
                raise invalid(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
            if stack.status is Status.DELETE_IN_PROGRESS:
                return {}
            retained = tuple(request.get("RetainResources", ()))
            if retained and stack.status is not Status.DELETE_FAILED:
                raise invalid(
                    f"Invalid operation on stack [{stack.stack_id}]. When you delete a stack, specify which resources "
                    "to retain only when the stack is in the DELETE_FAILED state."
                )
            check_deletion(self._records, stack)
            token = str(request.get("ClientRequestToken", ""))
            stack = self._records.save_stack(replace(stack, retained=retained, token=token))
            stack = self._records.set_status(stack, Status.DELETE_IN_PROGRESS, "User Initiated")
            self._begin(stack, self._operations.delete, None)
        return {}

    def protect(self, request: Request) -> Shape:
        """UpdateTerminationProtection."""
        with self.lock, self._records.together():
            stack = self.existing(request["StackName"])
            protected = bool(request["EnableTerminationProtection"])
            self._records.save_stack(replace(stack, termination_protection=protected))
        return {"StackId": stack.stack_id}

    def template_of(self, request: Request) -> tuple[str, StackRecord | None]:
        """Text of the template a request brings, or of the stack it names."""
        if has_template(request):
            return template_text(request, self._outside.client), None
        if "StackName" not in request:
            raise invalid("Either StackName, Template URL or Template Body must be specified.")
        stack = self.existing(request["StackName"])
        return self._records.template_text(stack.declaration.template_sha), stack

    def recover(self) -> None:
        """Take up every stack that an earlier life left in progress."""
        for stack in self._records.stacks():
            if stack.status.is_in_progress and stack.status is not Status.REVIEW_IN_PROGRESS:
                self._begin(stack, self._operations.recover, None)

    def _begin(self, stack: StackRecord, work: Callable[[StackRecord, Stopped], None], done: Done | None) -> None:
        def job(stopped: Stopped) -> None:
            try:
                work(stack, stopped)
            finally:
                if done is not None:
                    done()

        self._workers.begin(stack.stack_id, job)
