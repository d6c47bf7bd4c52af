"""Why a stack operation failed, in words, and what to do about it. Pure: events in, errors out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ncap_iac.errors import ApplyError, NcapError

CANCELLED = re.compile(r"cancelled", re.IGNORECASE)

HINTS: tuple[tuple[str, str], ...] = (
    (r"No export named", "Deploy the account stack of this region first: `ncap account deploy`."),
    (
        r"Export .* cannot be (deleted|updated)|as it is in use by",
        "Other stacks use what this one exports: destroy those first, or leave this part as it is.",
    ),
    (
        r"rate exceeded|throttl|too many requests|RequestLimitExceeded",
        "AWS asked to slow down. Wait a minute, then run the same command again: what is done stays done.",
    ),
    (
        r"permissions? boundary.*(not found|does not exist|cannot be found|invalid|must)|Scope ARN",
        "The policy named as PermissionsBoundary is not there, or is no policy: give its ARN with "
        "--parameter PermissionsBoundary=arn:aws:iam::ACCOUNT:policy/NAME, or empty for none.",
    ),
    (
        r"kms:|KMS(InvalidState|NotFound|Disabled|AccessDenied)|key (policy|is disabled|.*pending deletion)"
        r"|(Access|Invalid).*KMS|KMS key",
        "The key named as KmsKeyArn cannot be used: it must be enabled, in this region, and its policy must let this "
        "account use it.",
    ),
    (r"NoSuchKey|NoSuchBucket", "The bundle is not where the template says. Run the same command again."),
    (
        r"BucketAlreadyExists|bucket name .*(not available|taken|already exists)|bucket.*another account",
        "Bucket names are one for the whole world and this one is somebody else's: choose another PipelineName.",
    ),
    (
        r"AccessKeysPerUser|must delete access keys|DeleteConflict",
        "A member has a key that was made by hand: `ncap member list` shows it; delete it with "
        "`aws iam delete-access-key`, then deploy again.",
    ),
    (
        r"(Role|User|Group|InstanceProfile|Policy)( with name| )?.*already exists|EntityAlreadyExists"
        r"|AWS::IAM::\w+.*already exists",
        "IAM names are one for the whole account. If these groups are deployed in another region of it, deploy the "
        "profile here with --parameter WithIdentities=false; if another profile or something else has the name, "
        "rename or remove one of the two.",
    ),
    (r"already exists|AlreadyExists", "Something of that name is there from elsewhere: remove or rename it."),
    (r"not authori[sz]ed|AccessDenied|is not allowed", "Your credentials may not do this. See the policy in the docs."),
    (
        r"ReservedConcurrentExecutions|UnreservedConcurrentExecution",
        "The account's Lambda concurrency is too small to reserve some: ask for a higher quota (Service Quotas, "
        "Lambda, Concurrent executions).",
    ),
    (r"limit|quota", "A quota of your account is reached: ask for more, or remove what is not needed."),
)
"""Patterns of CloudFormation's reasons, and what to do about them; the first match counts."""

OTHERWISE = "Mend the document or the account, then run the same command again."


def hint_for(reason: str) -> str:
    """What to do about a reason CloudFormation gave."""
    return next((hint for pattern, hint in HINTS if re.search(pattern, reason, re.IGNORECASE)), OTHERWISE)


def failure(stack: str, status: str, events: Sequence[Mapping[str, Any]]) -> NcapError:
    """The error for an operation that failed: the first resource that failed by itself, its reason, what to do."""
    for event in events:
        reason = str(event.get("ResourceStatusReason", ""))
        own = event.get("LogicalResourceId") != event.get("StackName")
        if own and str(event.get("ResourceStatus", "")).endswith("_FAILED") and not CANCELLED.search(reason):
            kind = str(event.get("ResourceType"))
            where = f"stack {stack}, {kind} {event.get('LogicalResourceId')}"
            hint = hint_for(f"{kind} {reason}")
            hint = _stuck_hint(status) + ("" if _stuck_hint(status) and hint == OTHERWISE else hint)
            return ApplyError(reason or f"it is {event.get('ResourceStatus')}", where=where, hint=hint.strip())
    # What concerns the whole stack (an export in use, a limit of the template) is told by its own events only.
    told = (str(event.get("ResourceStatusReason", "")) for event in events)
    reason = next((text for text in told if text and not re.search("user initiated", text, re.IGNORECASE)), "")
    otherwise = hint_for(reason) if reason else "Its events tell more: use --verbose."
    ended = f"{reason} (it ended as {status})" if reason else f"it ended as {status}"
    return ApplyError(ended, where=f"stack {stack}", hint=(_stuck_hint(status) or otherwise).strip())


def left_behind(events: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What a successful update could not delete, in words: CloudFormation counts such an update as done."""
    failed = [event for event in events if event.get("ResourceStatus") == "DELETE_FAILED"]
    said = [(event, str(event.get("ResourceStatusReason", ""))) for event in failed]
    return tuple(
        f"{event.get('ResourceType')} {event.get('PhysicalResourceId') or event.get('LogicalResourceId')} was not "
        f"deleted and belongs to no stack any more: {reason}. {hint_for(reason)}"
        for event, reason in said
    )


def _stuck_hint(status: str) -> str:
    if status != "UPDATE_ROLLBACK_FAILED":
        return ""
    return "Going back failed too: mend what stands in the way, then run the same command with --continue-rollback. "


def stuck(stack: str, status: str) -> ApplyError:
    """The error for a stack that an earlier failure left unusable."""
    hint = (
        "Mend what its events say, then run `deploy` with --continue-rollback."
        if status == "UPDATE_ROLLBACK_FAILED"
        else f"Look at its events: `aws cloudformation describe-stack-events --stack-name {stack}`."
    )
    return ApplyError(f"it is {status}", where=f"stack {stack}", hint=hint)


def overtaken(stack: str) -> ApplyError:
    """The error for a stack somebody else changes at this moment, or has changed since the plan was made."""
    return ApplyError(
        "it has changed since this was planned: somebody else deployed it, or is doing so now",
        where=f"stack {stack}",
        hint="Nothing of yours was applied to it. Plan again, look at what changed, then deploy.",
    )
