"""CloudFormation of the local cloud: which operation is answered by what, and what is refused by name."""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ncap_iac.local.cloudformation.book import Records
from ncap_iac.local.cloudformation.changesets import ChangeSetDesk
from ncap_iac.local.cloudformation.desk import Outside, Request, Shape, StackDesk
from ncap_iac.local.cloudformation.drift_book import DriftBook
from ncap_iac.local.cloudformation.drift_desk import DriftDesk
from ncap_iac.local.cloudformation.planning import World
from ncap_iac.local.cloudformation.provider import Provider, Surface, reason_of
from ncap_iac.local.cloudformation.providers import all_providers
from ncap_iac.local.cloudformation.records import StackRecord, Status
from ncap_iac.local.cloudformation.reports import Reports
from ncap_iac.local.cloudformation.values import Place
from ncap_iac.local.cloudformation.workers import Workers
from ncap_iac.local.service import Call, Permission, ServiceError, Surroundings

_REFUSED = {
    "IncludeNestedStacks": (False,),
    "DeletionMode": ("STANDARD",),
    "NotificationARNs": ([],),
    "ResourceTypes": ([],),
    "ResourcesToSkip": ([],),
    "ResourcesToImport": ([],),
    "RoleARN": (),
    "RollbackConfiguration": ({}, {"RollbackTriggers": []}),
    "StackPolicyBody": (),
    "StackPolicyDuringUpdateBody": (),
    "StackPolicyDuringUpdateURL": (),
    "StackPolicyURL": (),
    "TimeoutInMinutes": (),
}
"""Parameters the local cloud does not support, with the values that ask for nothing."""

_AFTER_FAILURE = {
    Status.CREATE_IN_PROGRESS: Status.CREATE_FAILED,
    Status.ROLLBACK_IN_PROGRESS: Status.ROLLBACK_FAILED,
    Status.DELETE_IN_PROGRESS: Status.DELETE_FAILED,
    Status.UPDATE_IN_PROGRESS: Status.UPDATE_FAILED,
    Status.UPDATE_ROLLBACK_IN_PROGRESS: Status.UPDATE_ROLLBACK_FAILED,
    Status.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS: Status.UPDATE_COMPLETE,
    Status.UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS: Status.UPDATE_ROLLBACK_COMPLETE,
}
"""Where an unexpected error inside the engine leaves a stack."""
_KEEP_DELETED_S = 90 * 86_400
"""Deleted stacks are shown for 90 days, as on AWS."""


def _random_text(length: int) -> str:
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(length))


def _new_id() -> str:
    return str(uuid.uuid4())


class CloudFormationService:
    """The operations `ncap`, the AWS command line and boto3 use to deploy stacks."""

    name = "cloudformation"

    def __init__(self, surroundings: Surroundings, providers: Mapping[str, Provider] | None = None) -> None:
        """`providers` by resource type; every type of the local cloud when left out."""
        place = Place(surroundings.region, surroundings.account_id)
        self._surroundings = surroundings
        self._records = Records(surroundings.store, surroundings.clock, self._tell)
        self._workers = Workers(self._failed)
        if providers is None:
            providers = all_providers(Surface(surroundings.client, place, self._workers.pause))
        world = World(self._records, providers, place, self._zones, _random_text)
        outside = Outside(world, surroundings.client, self._image_exists, _new_id)
        stacks = StackDesk(outside, self._workers)
        sets = ChangeSetDesk(world, stacks, _new_id)
        drift = DriftDesk(world, stacks, self._workers, book=DriftBook(surroundings.store), new_id=_new_id)
        reports = Reports(world, stacks, sets, drift)
        self._stacks, self._drift = stacks, drift
        self._operations: Mapping[str, Callable[[Request], Shape]] = {
            "ContinueUpdateRollback": stacks.continue_rollback,
            "CreateChangeSet": sets.create,
            "CreateStack": stacks.create,
            "DeleteChangeSet": sets.delete,
            "DeleteStack": stacks.delete,
            "DescribeChangeSet": sets.describe,
            "DescribeStackDriftDetectionStatus": drift.describe_detection,
            "DescribeStackEvents": reports.events,
            "DescribeStackResource": reports.resource,
            "DescribeStackResourceDrifts": reports.drifts,
            "DescribeStackResources": reports.resources,
            "DescribeStacks": reports.stacks,
            "DetectStackDrift": drift.detect,
            "DetectStackResourceDrift": drift.detect_resource,
            "ExecuteChangeSet": sets.execute,
            "GetTemplate": reports.template,
            "GetTemplateSummary": reports.template_summary,
            "ListChangeSets": sets.list,
            "ListExports": reports.exports,
            "ListImports": reports.imports,
            "ListStackResources": reports.resource_list,
            "ListStacks": reports.stack_list,
            "UpdateStack": stacks.update,
            "UpdateTerminationProtection": stacks.protect,
            "ValidateTemplate": reports.validation,
        }

    def start(self) -> None:
        """Forget stacks deleted long ago; take up those an earlier life left in progress."""
        for stack in self._records.stacks():
            if stack.deleted and stack.deleted < self._records.time_ago(_KEEP_DELETED_S):
                self._records.forget_stack(stack.stack_id)
        self._stacks.recover()
        self._drift.recover()

    def stop(self) -> None:
        """End the work under way; what is left in progress is taken up by the next start."""
        self._workers.close()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is under way; whether that is so."""
        return self._workers.wait(timeout_s)

    def permissions(self, call: Call) -> Sequence[Permission]:
        """One right, on the stack's ARN where the request names a stack.

        The resources themselves are made with the root credentials, not with the caller's (see `differences`).
        """
        action = f"cloudformation:{call.operation}"
        named = call.parameters.get("StackName")
        if not named:
            return [Permission(action, "*")]
        if not str(named).startswith("arn:"):
            stack = self._records.stack(named)
            place = f"{call.region}:{self._surroundings.account_id}"
            named = stack.stack_id if stack else f"arn:aws:cloudformation:{place}:stack/{named}/*"
        return [Permission(action, str(named))]

    def perform(self, call: Call) -> Mapping[str, Any]:
        """Answer one call. Raises ServiceError."""
        operation = self._operations.get(call.operation)
        if operation is None:
            raise ServiceError(
                "UnsupportedOperation", f"The local cloud's CloudFormation does not support {call.operation}."
            )
        for name, harmless in _REFUSED.items():
            if name in call.parameters and call.parameters[name] not in harmless:
                raise ServiceError(
                    "UnsupportedOperation",
                    f"The local cloud does not support {name} of {call.operation}. Leave it out.",
                )
        return operation(call.parameters)

    def _zones(self, region: str) -> list[str]:
        if region != self._surroundings.region:
            return []
        answer = self._surroundings.client("ec2").describe_availability_zones()
        return sorted(zone["ZoneName"] for zone in answer["AvailabilityZones"])

    def _image_exists(self, image_id: str) -> bool:
        try:
            answer = self._surroundings.client("ec2").describe_images(ImageIds=[image_id])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code", "").startswith("InvalidAMIID"):
                return False
            raise ServiceError("ValidationError", f"Image {image_id} could not be checked: {error}") from error
        except BotoCoreError as error:
            raise ServiceError("InternalFailure", f"EC2 does not answer: {error}", status=500) from error
        return bool(answer["Images"])

    def _tell(self, stack: StackRecord) -> None:
        """Announce a stack's state as AWS does."""
        self._surroundings.emit(
            {
                "source": "aws.cloudformation",
                "detail-type": "CloudFormation Stack Status Change",
                "resources": [stack.stack_id],
                "detail": {
                    "stack-id": stack.stack_id,
                    "status-details": {"status": str(stack.status), "status-reason": stack.reason},
                    "client-request-token": stack.token,
                },
            }
        )

    def _failed(self, stack_id: str, error: BaseException) -> None:
        """An error nobody foresaw: the stack must not stay in progress."""
        stack = self._records.stack(stack_id)
        if stack is not None and stack.status in _AFTER_FAILURE:
            reason = f"Internal error of the local cloud: {reason_of(error)}"
            self._records.set_status(stack, _AFTER_FAILURE[stack.status], reason)
