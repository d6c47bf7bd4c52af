"""What the engine asks of the code behind one resource type, and the parts all providers share.

A provider speaks ordinary AWS API calls and CloudFormation's property shape. It knows nothing of stacks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from botocore.exceptions import BotoCoreError, ClientError

from ncap_iac.local.cloudformation.values import Place, Properties

Client = Any
"""A boto3 client: generated at run time, so untyped."""


@dataclass(frozen=True)
class Surface:
    """What a provider may use."""

    client: Callable[[str], Client]
    place: Place
    sleep: Callable[[float], None]


@dataclass(frozen=True)
class Created:
    """A resource right after its creating call."""

    physical_id: str
    attributes: Properties = field(default_factory=dict)
    applied: Properties = field(default_factory=dict)
    """The properties that the creating call set already; `apply` sets the rest."""


@dataclass(frozen=True)
class Neighbour:
    """Another resource of the same stack."""

    type: str
    physical_id: str
    properties: Properties


@dataclass(frozen=True)
class NameRule:
    """How a name is generated when the template gives none."""

    property: str
    longest: int
    lower: bool = False


@dataclass(frozen=True)
class TagRule:
    """Where a type keeps its tags and in which form."""

    property: str = "Tags"
    form: str = "list"
    """`list` of Key/Value, `map`, or `launch-template` (TagSpecifications)."""
    reserved: bool = True
    """Whether the service lets `aws:cloudformation:*` tags be set."""


class ResourceError(Exception):
    """A resource could not be brought to the wished state; the text is the event's reason."""


class Provider(ABC):
    """One resource type. Every method may raise ClientError, BotoCoreError or ResourceError."""

    type: ClassVar[str]
    properties: ClassVar[frozenset[str]]
    """Every property the local cloud takes; others are refused before anything is made."""
    required: ClassVar[frozenset[str]] = frozenset()
    create_only: ClassVar[frozenset[str]] = frozenset()
    """A change of one of these replaces the resource."""
    attributes: ClassVar[frozenset[str]] = frozenset()
    """What Fn::GetAtt may ask for."""
    changing: ClassVar[frozenset[str]] = frozenset()
    """Attributes that an update in place may change."""
    name: ClassVar[NameRule | None] = None
    tags: ClassVar[TagRule | None] = None
    defaults: ClassVar[Mapping[str, Any]] = {}
    """What a service sets for properties nobody declares; what an update that no longer names one returns to."""
    held: ClassVar[Mapping[str, str]] = {}
    """Properties the service behind cannot keep, with the reason: recorded with the stack, not enforced."""
    exact: ClassVar[frozenset[str]] = frozenset()
    """Properties whose maps must match with no key more, at any depth (documents, environment variables)."""
    ordered: ClassVar[frozenset[str]] = frozenset()
    """Members whose lists keep their order."""
    secret: ClassVar[frozenset[str]] = frozenset()
    """Properties whose value is never shown."""
    write_only: ClassVar[frozenset[str]] = frozenset()
    """Properties that AWS's drift detection cannot read, and does not compare."""
    has_drift: ClassVar[bool] = True
    """Whether AWS detects drift of this type ("Resource type support", CloudFormation user guide)."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._place = surface.place

    def _client(self, service: str) -> Client:
        return self._surface.client(service)

    def find(self, properties: Properties) -> str | None:
        """Physical id of what exists under these properties' name, or None; None too if the type has no name."""
        return None

    def adopt(self, properties: Properties) -> Created | None:
        """What `find` found, as if it had just been created; None if the type cannot be taken over."""
        return None

    @abstractmethod
    def create(self, properties: Properties) -> Created:
        """Make it with one call."""

    @abstractmethod
    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Bring it from one set of properties to another; returns attributes that are different now."""

    @abstractmethod
    def delete(self, physical_id: str, properties: Properties) -> None:
        """Remove it; returns if it is not there."""

    @abstractmethod
    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """What the service says it has, in CloudFormation's shape; None if there is no such thing.

        `wanted` serves what cannot be read but only compared (code by its hash).
        """

    def observe(self, physical_id: str, wanted: Properties, neighbours: Sequence[Neighbour]) -> Properties | None:
        """As `read`, with what somebody added to the properties of `wanted` without CloudFormation.

        What other resources of the same stack add is not among it.
        """
        return self.read(physical_id, wanted)


def code_of(error: Exception) -> str:
    """AWS error code of a failed call; empty for other errors."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


_ABSENT_WORDS = ("notfound", "nosuch", "nonexistent", "404", "doesnotexist", "invalidgroup.")


def is_absent(error: Exception) -> bool:
    """Whether the error says that the thing asked for does not exist."""
    code = code_of(error).lower()
    return any(word in code for word in _ABSENT_WORDS)


def present(call: Callable[[], Any]) -> Any | None:
    """The call's answer, or None if what it asks for does not exist."""
    try:
        return call()
    except ClientError as error:
        if is_absent(error):
            return None
        raise


def reason_of(error: BaseException) -> str:
    """What to tell a person about a failed resource."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        return (
            f"{details.get('Message', error)} "
            f"(Operation: {error.operation_name}, Error Code: {details.get('Code', 'Unknown')})"
        )
    if isinstance(error, KeyError):
        return f"required member {error} is missing"
    if isinstance(error, (ResourceError, BotoCoreError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def changed(previous: Properties, wanted: Properties, *names: str) -> bool:
    """Whether any of the named properties differs."""
    return any(previous.get(name) != wanted.get(name) for name in names)


def chosen(properties: Properties, *names: str) -> dict[str, Any]:
    """The named properties that are set."""
    return {name: properties[name] for name in names if name in properties}


def tag_map(tags: Any) -> dict[str, str]:
    """Tags of either form as a map."""
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}
    return {str(tag["Key"]): str(tag["Value"]) for tag in tags or ()}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as Key/Value pairs, by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


@dataclass(frozen=True)
class TagChange:
    """What to set and what to take away."""

    put: Mapping[str, str]
    remove: tuple[str, ...]


def tag_change(previous: Properties, wanted: Properties, name: str = "Tags") -> TagChange:
    """Difference of two sets of properties in their tags."""
    before, after = tag_map(previous.get(name)), tag_map(wanted.get(name))
    return TagChange(
        put={key: value for key, value in after.items() if before.get(key) != value},
        remove=tuple(sorted(set(before) - set(after))),
    )
