"""What the edge and the services behind it agree on: who calls, what is asked, what may go wrong.

Values and one interface only; no effects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ncap_iac.local.store import Store


@dataclass(frozen=True)
class Caller:
    """The principal behind a request whose signature was verified."""

    account_id: str
    arn: str
    """As STS would say it: `arn:aws:iam::…:root`, `…:user/path/name`, `arn:aws:sts::…:assumed-role/name/session`."""
    kind: str
    """`root`, `user` or `role`."""
    name: str
    """User or role name; empty for root."""
    access_key_id: str


@dataclass(frozen=True)
class Call:
    """One decoded API call, its parameters in boto3's shape."""

    operation: str
    """As in the service model: `RunInstances`."""
    parameters: Mapping[str, Any]
    region: str
    caller: Caller
    request_id: str


@dataclass(frozen=True)
class Permission:
    """One thing IAM must allow before a call is performed: an action on a resource in a context."""

    action: str
    """`ec2:RunInstances`."""
    resource: str
    """An ARN, or `*` for actions without resource-level permission."""
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    """Condition keys of this request, e.g. `ec2:InstanceType`, `aws:RequestTag/analysis`."""


class ServiceError(Exception):
    """An error answer as AWS would give it: code, message for people, HTTP status."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class Surroundings:
    """All that a service may reach outside itself."""

    endpoint: str
    """The edge: `http://127.0.0.1:4566`, without a trailing slash."""
    region: str
    account_id: str
    folder: Path
    """The cloud's own folder (`cloud.json`, `instances/`, …)."""
    images: Path
    """Where built local images are; shared by all clouds of this computer."""
    store: Store
    emit: Callable[[Mapping[str, Any]], None]
    """Deliver one event as EventBridge would: `{"source", "detail-type", "resources", "detail"}` and, optional, `id`,
    `time`, `account`, `region`. Queued durably when it returns; never raises for a target that fails."""
    client: Callable[[str], Any]
    """A boto3 client of a service (`"s3"`) through the edge, with the root credentials. Thread safe, cached."""
    clock: Callable[[], float]
    """Seconds since the epoch, UTC."""


class LocalService(Protocol):
    """A service the edge answers itself. Operations it lacks raise `ServiceError("UnsupportedOperation", …)`.

    Made by `Service(surroundings)`; a client must not be called before `start()`.
    """

    name: str
    """boto3's client name: `ec2`, `cloudformation`, `budgets`."""

    def start(self) -> None:
        """Take up work, with what an earlier life left in the store; the edge answers already."""
        ...

    def stop(self) -> None:
        """End threads and processes; returns when they are gone. May be called twice."""
        ...

    def permissions(self, call: Call) -> Sequence[Permission]:
        """What IAM has to allow for this call; every one must be allowed."""
        ...

    def perform(self, call: Call) -> Mapping[str, Any]:
        """Do it and answer in boto3's output shape (without ResponseMetadata). Raises ServiceError."""
        ...


@runtime_checkable
class SharedService(LocalService, Protocol):
    """A service of the base of which the edge answers some operations itself."""

    operations: frozenset[str]
    """Those; all others are the base's."""
