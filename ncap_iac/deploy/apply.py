"""Performs a plan, action by action: stacks by change sets, artifacts by conditional writes.

The only module that changes what is deployed. It decides nothing a plan has not decided; clients, clock and sleep are
handed in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from ncap_compiler import names
from ncap_iac import progress
from ncap_iac.deploy.failures import failure, hint_for, left_behind, overtaken, stuck
from ncap_iac.deploy.plan import DeleteStack, Plan, PutVersion, StackAction, Upload
from ncap_iac.deploy.state import Deployed, Phase, StackReader, read_stack, read_status
from ncap_iac.errors import AlreadyExistsError, ApplyError, AwsError, NotFoundError, WaitTimeoutError

LARGEST_BODY_BYTES = 51_200
"""Of a template passed by value (CloudFormation quotas); larger ones go by URL."""
NO_CHANGES = re.compile(r"didn't contain changes|No updates are to be performed", re.IGNORECASE)
ELSEWHERE = re.compile(
    r"_IN_PROGRESS state|OperationInProgress|InvalidChangeSetStatus|ChangeSetNotFound|not in.*AVAILABLE|OBSOLETE",
    re.IGNORECASE,
)
"""CloudFormation's words when another operation holds the stack."""


class StackService(StackReader, Protocol):
    """What of the gateway is needed to change stacks."""

    def create_change_set(self, stack: str, name: str, *, create: bool, arguments: Mapping[str, Any]) -> None:
        """Begin to make a change set."""
        ...

    def describe_change_set(self, stack: str, name: str) -> Mapping[str, Any]:
        """Status and reason."""
        ...

    def delete_change_set(self, stack: str, name: str) -> None:
        """Forget a change set."""
        ...

    def execute_change_set(self, stack: str, name: str) -> None:
        """Begin to perform a change set."""
        ...

    def delete(self, stack: str) -> None:
        """Begin to delete a stack."""
        ...

    def continue_rollback(self, stack: str) -> None:
        """Begin to roll a stack back whose rollback failed."""
        ...


class ObjectWriter(Protocol):
    """What of the gateway is needed to write objects."""

    def put(self, bucket: str, key: str, body: bytes, *, content_type: str = "", only_if_absent: bool = False) -> None:
        """Write one object. Raises AlreadyExistsError."""
        ...

    def has_bucket(self, bucket: str) -> bool:
        """Whether a bucket exists."""
        ...


@dataclass(frozen=True)
class Workshop:
    """What is needed to perform a plan. `timeout_s` is the longest wait for one stack operation."""

    stacks: StackService
    objects: ObjectWriter
    report: progress.Reporter
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    timeout_s: float = 3600
    shortest_s: float = 0.2
    longest_s: float = 5.0


@dataclass(frozen=True)
class Applied:
    """What was done: which stacks changed, what was written."""

    stack: str
    changed: bool
    uploads: tuple[str, ...]
    stacks: tuple[str, ...] = ()


def apply(plan: Plan, workshop: Workshop) -> Applied:
    """Perform a plan in order. Raises ApplyError at the first action that fails; what was done before stays.

    Nothing is done if a stack is not as it was when the plan was made.
    """
    for stack in plan.stacks:
        _check_unchanged(stack.stack, stack.fingerprint, workshop)
    stacks, uploads, kept = [], [], False
    for action in plan.actions:
        if isinstance(action, StackAction):
            if apply_stack(action, workshop):
                stacks.append(action.stack)
        elif isinstance(action, DeleteStack):
            if destroy_stack(action.stack, workshop):
                stacks.append(action.stack)
        elif isinstance(action, Upload):
            if _upload(action, workshop):
                uploads.append(action.key)
        else:
            kept = _put_version(action, workshop) or kept
    return Applied(plan.stack, bool(stacks) or kept, tuple(uploads), tuple(dict.fromkeys(stacks)))


def _check_unchanged(stack: str, fingerprint: str, workshop: Workshop) -> None:
    """Raises ApplyError if a stack is not what the plan was made from; waits first for what goes on with it."""
    found = read_stack(workshop.stacks, stack)
    if found.phase is Phase.BUSY:
        settle(stack, workshop)
        found = read_stack(workshop.stacks, stack)
    if found.fingerprint != fingerprint:
        raise overtaken(stack)


def _upload(action: Upload, workshop: Workshop) -> bool:
    """Write an artifact named after its contents; that it is there already is as good."""
    kind = "application/zip" if action.key.endswith(".zip") else "application/json"
    try:
        workshop.objects.put(action.bucket, action.key, action.body, content_type=kind, only_if_absent=True)
    except AlreadyExistsError:
        return False
    workshop.report(progress.Detail(f"uploaded s3://{action.bucket}/{action.key} ({len(action.body)} bytes)"))
    return True


def _put_version(action: PutVersion, workshop: Workshop) -> bool:
    try:
        workshop.objects.put(
            action.bucket,
            action.key,
            action.body,
            content_type="application/json",
            only_if_absent=not action.replaces_lost_image,
        )
    except AlreadyExistsError:
        return False
    if action.replaces_lost_image:
        workshop.report(progress.Note(f"{action.key} now names {action.image}: the image it named is gone."))
    return True


def apply_stack(action: StackAction, workshop: Workshop) -> bool:
    """Create or update one stack through a change set; False if there was nothing to change."""
    deployed = settle(action.stack, workshop)
    if deployed.phase is Phase.SPOILT:
        workshop.report(progress.Note(f"{action.stack} is {deployed.status}: removing it before it is made again."))
        destroy_stack(action.stack, workshop)
        deployed = Deployed(action.stack, Phase.ABSENT)
    create = deployed.phase is Phase.ABSENT
    began = _last_event(action.stack, workshop) if not create else None
    name = _change_set_name(action, deployed, began)
    arguments = _arguments(action, workshop, create=create)
    with _held_by_nobody_else(action.stack):
        _make_change_set(action.stack, name, workshop, create=create, arguments=arguments)
        if not _change_set_ready(action.stack, name, workshop):
            workshop.stacks.delete_change_set(action.stack, name)
            return False
        workshop.stacks.execute_change_set(action.stack, name)
    _follow(action.stack, began, workshop, aim="CREATE_COMPLETE" if create else "UPDATE_COMPLETE")
    return True


@contextmanager
def _held_by_nobody_else(stack: str) -> Iterator[None]:
    """Say it clearly when another deployment of the stack is at work at the same moment."""
    try:
        yield
    except (AwsError, NotFoundError) as error:
        if ELSEWHERE.search(str(error)):
            raise overtaken(stack) from error
        raise


def _make_change_set(stack: str, name: str, workshop: Workshop, *, create: bool, arguments: Mapping[str, Any]) -> None:
    """Begin to make a change set; one of that name is from a try that was interrupted, and as good."""
    try:
        workshop.stacks.create_change_set(stack, name, create=create, arguments=arguments)
    except AwsError as error:
        if "AlreadyExists" not in error.code:
            raise


def settle(stack: str, workshop: Workshop) -> Deployed:
    """The stack once nothing is going on with it. Raises ApplyError if it is stuck."""
    deployed = read_status(workshop.stacks, stack)
    if deployed.phase is Phase.BUSY:
        workshop.report(progress.Note(f"{stack} is {deployed.status}: waiting for it."))
        _wait(stack, workshop, lambda: read_status(workshop.stacks, stack).phase is not Phase.BUSY)
        deployed = read_status(workshop.stacks, stack)
    if deployed.phase is Phase.STUCK:
        raise stuck(stack, deployed.status)
    return deployed


def continue_rollback(stack: str, workshop: Workshop) -> bool:
    """Finish a rollback that failed, and wait for it; False if there is none to finish. Raises ApplyError."""
    deployed = read_status(workshop.stacks, stack)
    if deployed.status != "UPDATE_ROLLBACK_FAILED":
        return False
    began = _last_event(stack, workshop)
    workshop.stacks.continue_rollback(stack)
    _follow(stack, began, workshop, aim="UPDATE_ROLLBACK_COMPLETE")
    return True


def _change_set_name(action: StackAction, deployed: Deployed, last_event: str | None) -> str:
    """One name for one change of one state, so that a repeated try meets its own change set.

    The last event tells states apart: a stack brought back to an earlier template is the same in all else.
    """
    text = "\n".join([action.template, repr((action.parameters, action.tags)), deployed.stack_id, str(last_event)])
    return f"ncap-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _arguments(action: StackAction, workshop: Workshop, *, create: bool) -> dict[str, Any]:
    body = action.template.encode()
    arguments: dict[str, Any] = {
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in action.parameters],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }
    if create or action.tags is not None:
        own = (names.STACK_TAG, action.stack)
        arguments["Tags"] = [{"Key": key, "Value": value} for key, value in (own, *(action.tags or ()))]
    if not body:
        arguments["UsePreviousTemplate"] = True
    elif len(body) <= LARGEST_BODY_BYTES:
        arguments["TemplateBody"] = action.template
    elif action.template_url:
        arguments["TemplateURL"] = action.template_url
    else:
        raise ApplyError(
            f"its template has {len(body)} bytes, more than {LARGEST_BODY_BYTES}, and no bucket to take it from",
            where=f"stack {action.stack}",
            hint="Deploy the account stack first: `ncap account deploy`.",
        )
    kept = [bucket for bucket in action.kept_buckets if create and workshop.objects.has_bucket(bucket)]
    if kept:
        workshop.report(progress.Note(f"Taking over the bucket that was kept: {', '.join(kept)}."))
        arguments["ImportExistingResources"] = True
    return arguments


def _change_set_ready(stack: str, name: str, workshop: Workshop) -> bool:
    """Wait for the change set; False if it holds no change. Raises ApplyError if it cannot be made."""
    answer: Mapping[str, Any] = {}

    def is_made() -> bool:
        nonlocal answer
        answer = workshop.stacks.describe_change_set(stack, name)
        return str(answer["Status"]) in ("CREATE_COMPLETE", "FAILED")

    _wait(stack, workshop, is_made)
    if answer["Status"] == "CREATE_COMPLETE":
        return True
    reason = str(answer.get("StatusReason", "no reason given"))
    if NO_CHANGES.search(reason):
        return False
    workshop.stacks.delete_change_set(stack, name)
    raise ApplyError(reason, where=f"stack {stack}, change set {name}", hint=hint_for(reason))


def destroy_stack(stack: str, workshop: Workshop) -> bool:
    """Delete a stack and wait until it is gone; False if there was none. What it retains stays."""
    deployed = read_status(workshop.stacks, stack)
    if deployed.phase is Phase.ABSENT and deployed.status != "REVIEW_IN_PROGRESS":
        return False
    began = _last_event(deployed.stack_id, workshop)
    workshop.stacks.delete(stack)
    _follow(deployed.stack_id, began, workshop, aim="DELETE_COMPLETE")
    return True


def _last_event(stack: str, workshop: Workshop) -> str | None:
    try:
        events = workshop.stacks.events(stack)
    except NotFoundError:
        return None
    return str(events[-1]["EventId"]) if events else None


def _follow(stack: str, after: str | None, workshop: Workshop, *, aim: str) -> None:
    """Report events until the operation is over. Raises ApplyError with the first failing resource."""
    seen: list[Mapping[str, Any]] = []
    end = ""

    def is_over() -> bool:
        nonlocal end
        events = _events(stack, str(seen[-1]["EventId"]) if seen else after, workshop)
        if events is None:
            end = "DELETE_COMPLETE"
            return True
        for event in events:
            seen.append(event)
            workshop.report(_changed(event))
            # The stack's own status may still be that of the time before: only its events tell what became of this.
            status = str(event.get("ResourceStatus", ""))
            if event.get("LogicalResourceId") == event.get("StackName") and not status.endswith("_IN_PROGRESS"):
                end = status
        return bool(end)

    _wait(stack, workshop, is_over)
    if end != aim:
        raise failure(stack, end, seen)
    for words in left_behind(seen):
        workshop.report(progress.Note(words))


def _events(stack: str, after: str | None, workshop: Workshop) -> Sequence[Mapping[str, Any]] | None:
    """The events since, or None if the stack is gone and its events with it."""
    try:
        return workshop.stacks.events(stack, after=after)
    except NotFoundError:
        return None


def _changed(event: Mapping[str, Any]) -> progress.ResourceChanged:
    return progress.ResourceChanged(
        stack=str(event.get("StackName", "")),
        resource=str(event.get("LogicalResourceId", "")),
        kind=str(event.get("ResourceType", "")),
        status=str(event.get("ResourceStatus", "")),
        reason=str(event.get("ResourceStatusReason", "")),
    )


def _wait(stack: str, workshop: Workshop, is_over: Callable[[], bool]) -> None:
    began, pause = workshop.clock(), workshop.shortest_s
    while not is_over():
        if workshop.clock() - began > workshop.timeout_s:
            raise WaitTimeoutError(
                f"not over after {workshop.timeout_s:g} s",
                where=f"stack {stack}",
                hint="CloudFormation goes on with it. Run the same command again to wait further.",
            )
        workshop.sleep(pause)
        pause = min(pause * 1.3, workshop.longest_s)
