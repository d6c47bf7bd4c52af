"""CloudFormation, as this project uses it: the gateway's part for stacks. Decides nothing; makes no session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ncap_iac.errors import NotFoundError

if TYPE_CHECKING:
    from ncap_iac.aws import Session


class Stacks:
    """CloudFormation, as this project uses it. Answers are AWS's own shapes, read by `state`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def describe(self, stack: str) -> Mapping[str, Any] | None:
        """The stack, or None when there is none of that name."""
        try:
            with self._session.translated(f"stack {stack}"):
                return dict(self._client.describe_stacks(StackName=stack)["Stacks"][0])
        except NotFoundError:
            return None

    def template(self, stack: str) -> str | Mapping[str, Any]:
        """The template as deployed."""
        with self._session.translated(f"stack {stack}"):
            body: str | Mapping[str, Any] = self._client.get_template(StackName=stack, TemplateStage="Original")[
                "TemplateBody"
            ]
            return body

    def create_change_set(self, stack: str, name: str, *, create: bool, arguments: Mapping[str, Any]) -> None:
        """Begin to make a change set; `arguments` holds template, parameters, capabilities, tags."""
        with self._session.translated(f"stack {stack}"):
            self._client.create_change_set(
                StackName=stack, ChangeSetName=name, ChangeSetType="CREATE" if create else "UPDATE", **arguments
            )

    def describe_change_set(self, stack: str, name: str) -> Mapping[str, Any]:
        """Status, reason and changes of a change set."""
        with self._session.translated(f"stack {stack}"):
            return dict(self._client.describe_change_set(StackName=stack, ChangeSetName=name))

    def delete_change_set(self, stack: str, name: str) -> None:
        """Forget a change set."""
        with self._session.translated(f"stack {stack}"):
            self._client.delete_change_set(StackName=stack, ChangeSetName=name)

    def execute_change_set(self, stack: str, name: str) -> None:
        """Begin to perform a change set."""
        with self._session.translated(f"stack {stack}"):
            self._client.execute_change_set(StackName=stack, ChangeSetName=name, ClientRequestToken=name)

    def events(self, stack: str, *, after: str | None = None) -> Sequence[Mapping[str, Any]]:
        """The stack's events, oldest first; those after the event with id `after`."""
        events: list[Mapping[str, Any]] = []
        with self._session.translated(f"stack {stack}"):
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=stack):
                for event in page["StackEvents"]:
                    if event["EventId"] == after:
                        return events[::-1]
                    events.append(event)
        return events[::-1]

    def delete(self, stack: str) -> None:
        """Begin to delete a stack."""
        with self._session.translated(f"stack {stack}"):
            self._client.delete_stack(StackName=stack)

    def names(self, prefix: str) -> tuple[str, ...]:
        """The stacks there are whose names begin so, in order; those that were deleted are none."""
        found: list[str] = []
        with self._session.translated(f"stacks {prefix}…"):
            for page in self._client.get_paginator("describe_stacks").paginate():
                found += [str(stack["StackName"]) for stack in page["Stacks"]]
        return tuple(sorted(name for name in found if name.startswith(prefix)))

    def continue_rollback(self, stack: str) -> None:
        """Begin to roll a stack back whose rollback failed."""
        with self._session.translated(f"stack {stack}"):
            self._client.continue_update_rollback(StackName=stack)

    def begin_drift_detection(self, stack: str) -> str:
        """Begin to compare a stack's resources with its template; the id to ask with."""
        with self._session.translated(f"stack {stack}"):
            return str(self._client.detect_stack_drift(StackName=stack)["StackDriftDetectionId"])

    def drift_detection(self, detection: str) -> Mapping[str, Any]:
        """How far a detection is, and what it says of the stack."""
        with self._session.translated(f"drift detection {detection}"):
            return dict(self._client.describe_stack_drift_detection_status(StackDriftDetectionId=detection))

    def drifts(self, stack: str) -> Sequence[Mapping[str, Any]]:
        """Every resource the last detection looked at, as AWS tells it."""
        found: list[Mapping[str, Any]] = []
        with self._session.translated(f"stack {stack}"):
            token: dict[str, str] = {}
            while True:
                page = self._client.describe_stack_resource_drifts(StackName=stack, **token)
                found += page["StackResourceDrifts"]
                if not page.get("NextToken"):
                    return found
                token = {"NextToken": str(page["NextToken"])}

    @property
    def _client(self) -> Any:
        return self._session.client("cloudformation")
