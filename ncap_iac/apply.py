"""Performs a plan, action by action: stacks by change sets, artifacts by conditional writes.

The only module that changes what is deployed. It decides nothing a plan has not decided; clients, clock and sleep are
handed in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ncap_iac import progress
from ncap_iac.errors import AlreadyExistsError, ApplyError, NcapError, NotFoundError, WaitTimeoutError
from ncap_iac.plan import Plan, PutVersion, StackAction, Upload
from ncap_iac.state import Deployed, Phase, StackReader, read_status

LARGEST_BODY_BYTES = 51_200
"""Of a template passed by value (CloudFormation quotas); larger ones go by URL."""
NO_CHANGES = re.compile(r"didn't contain changes|No updates are to be performed", re.IGNORECASE)
CANCELLED = re.compile(r"cancelled", re.IGNORECASE)

HINTS: tuple[tuple[str, str], ...] = (
    (r"No export named", "Deploy the account stack first: `ncap account deploy`."),
    (r"NoSuchKey|NoSuchBucket", "The bundle is not where the template says. Run the same command again."),
    (r"already exists|AlreadyExists", "Something of that name is there from elsewhere: remove or rename it."),
    (r"not authori[sz]ed|AccessDenied|is not allowed", "Your credentials may not do this. See the policy in the docs."),
    (r"limit|quota", "A quota of your account is reached: ask for more, or remove what is not needed."),
)
"""Patterns of CloudFormation's reasons, and what to do about them; the first match counts."""


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
    """What was done: how many actions changed something."""

    stack: str
    changed: bool
    uploads: tuple[str, ...]


def apply(plan: Plan, workshop: Workshop) -> Applied:
    """Perform a plan in order. Raises ApplyError at the first action that fails; what was done before stays."""
    changed, uploads = False, []
    for action in plan.actions:
        if isinstance(action, StackAction):
            changed = apply_stack(action, workshop) or changed
        elif isinstance(action, Upload):
            if _upload(action, workshop):
                uploads.append(action.key)
        else:
            changed = _put_version(action, workshop) or changed
    return Applied(plan.stack, changed, tuple(uploads))


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
    deployed = _settled(action.stack, workshop)
    if deployed.phase is Phase.SPOILT:
        workshop.report(progress.Note(f"{action.stack} is {deployed.status}: removing it before it is made again."))
        destroy_stack(action.stack, workshop)
        deployed = Deployed(action.stack, Phase.ABSENT)
    create = deployed.phase is Phase.ABSENT
    name = _change_set_name(action, deployed)
    began = _last_event(action.stack, workshop) if not create else None
    arguments = _arguments(action, workshop, create=create)
    workshop.stacks.create_change_set(action.stack, name, create=create, arguments=arguments)
    if not _change_set_ready(action.stack, name, workshop):
        workshop.stacks.delete_change_set(action.stack, name)
        return False
    workshop.stacks.execute_change_set(action.stack, name)
    _follow(action.stack, began, workshop, aim="CREATE_COMPLETE" if create else "UPDATE_COMPLETE")
    return True


def _settled(stack: str, workshop: Workshop) -> Deployed:
    """The stack once nothing is going on with it."""
    deployed = read_status(workshop.stacks, stack)
    if deployed.phase is Phase.BUSY:
        workshop.report(progress.Note(f"{stack} is {deployed.status}: waiting for it."))
        _wait(stack, workshop, lambda: read_status(workshop.stacks, stack).phase is not Phase.BUSY)
        deployed = read_status(workshop.stacks, stack)
    if deployed.phase is Phase.STUCK:
        raise ApplyError(
            f"it is {deployed.status}",
            where=f"stack {stack}",
            hint=f"Mend what its events say, then `aws cloudformation continue-update-rollback --stack-name {stack}`.",
        )
    return deployed


def _change_set_name(action: StackAction, deployed: Deployed) -> str:
    """One name for one change of one state, so that a repeated try meets its own change set."""
    text = "\n".join([action.template, repr(action.parameters), deployed.stack_id, deployed.status])
    return f"ncap-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _arguments(action: StackAction, workshop: Workshop, *, create: bool) -> dict[str, Any]:
    body = action.template.encode()
    arguments: dict[str, Any] = {
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in action.parameters],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": "neurocaas:stack", "Value": action.stack}],
    }
    if len(body) <= LARGEST_BODY_BYTES:
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


def failure(stack: str, status: str, events: Sequence[Mapping[str, Any]]) -> NcapError:
    """The error for an operation that failed: the first resource that failed by itself, its reason, what to do."""
    for event in events:
        reason = str(event.get("ResourceStatusReason", ""))
        own = event.get("LogicalResourceId") != event.get("StackName")
        if own and str(event.get("ResourceStatus", "")).endswith("_FAILED") and not CANCELLED.search(reason):
            where = f"stack {stack}, {event.get('ResourceType')} {event.get('LogicalResourceId')}"
            return ApplyError(reason or f"it is {event.get('ResourceStatus')}", where=where, hint=hint_for(reason))
    return ApplyError(f"it ended as {status}", where=f"stack {stack}", hint="Its events tell more: use --verbose.")


def hint_for(reason: str) -> str:
    """What to do about a reason CloudFormation gave."""
    for pattern, hint in HINTS:
        if re.search(pattern, reason, re.IGNORECASE):
            return hint
    return "Mend the document or the account, then run the same command again."


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
