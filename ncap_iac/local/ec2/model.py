"""EC2's things as values: instances, volumes, images, launch templates, security groups.

Values and their documents only; no rule of EC2 is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

Document = dict[str, Any]
Tags = Mapping[str, str]

_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


class State(Enum):
    """The states of an instance."""

    PENDING = "pending"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def code(self) -> int:
        """EC2's number of the state."""
        return _CODES[self.value]

    @property
    def is_live(self) -> bool:
        """Whether the instance computes, or is about to."""
        return self in (State.PENDING, State.RUNNING)


@dataclass(frozen=True)
class Reason:
    """Why an instance is in its state: EC2's StateReason."""

    code: str
    message: str


@dataclass(frozen=True)
class Profile:
    """An instance profile and its role."""

    arn: str
    profile_id: str
    role_arn: str | None
    is_managed: bool = False
    """Whether the role lets Systems Manager speak to the instance."""


@dataclass(frozen=True)
class MetadataOptions:
    """How the metadata service answers an instance."""

    http_tokens: str = "required"
    http_put_response_hop_limit: int = 1
    http_endpoint: str = "enabled"


@dataclass(frozen=True)
class Volume:
    """A volume of an instance; it ends with it."""

    device: str
    size_gib: int
    volume_type: str
    encrypted: bool
    iops: int | None = None
    throughput: int | None = None
    kms_key_id: str | None = None
    """Of an encrypted volume; shown, and nothing is encrypted with it."""
    volume_id: str = ""
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True)
class Instance:
    """One instance, from its launch to an hour after its end (and a while longer for idempotent launches)."""

    instance_id: str
    reservation_id: str
    image_id: str
    image_folder: str
    instance_type: str
    subnet_id: str
    availability_zone: str
    private_ip: str
    launch_index: int
    sequence: int
    """Order of launching; who waits for a core is served in it."""
    launched_at: float
    security_groups: tuple[str, ...]
    metadata: MetadataOptions
    shutdown_behavior: str
    volumes: tuple[Volume, ...]
    tags: Tags
    user_data: str = ""
    """Base64, as on the wire."""
    profile: Profile | None = None
    client_token: str | None = None
    state: State = State.PENDING
    reason: Reason | None = None
    boot_begun: bool = False
    """Kept apart from `running`: an instance whose boot was interrupted must not run its user data twice."""
    ended_at: float | None = None
    spot_request: str = ""
    """Id of the request a spot instance was bought by; empty: on demand."""
    disk: str = ""
    """The disk its image was saved with: a folder's name; empty: an empty one."""
    has_started: bool = False
    """Whether it was up before and was stopped: user data runs once, its disk is as it was left."""

    @property
    def market(self) -> str:
        """`spot` or `on-demand`."""
        return "spot" if self.spot_request else "on-demand"

    def document(self) -> Document:
        """As kept on disk."""
        return {**asdict(self), "state": self.state.value}

    @classmethod
    def load(cls, document: Document) -> Instance:
        """The instance of a document."""
        fields = dict(document)
        fields["state"] = State(fields["state"])
        fields["reason"] = Reason(**fields["reason"]) if fields["reason"] else None
        fields["profile"] = Profile(**fields["profile"]) if fields["profile"] else None
        fields["metadata"] = MetadataOptions(**fields["metadata"])
        fields["volumes"] = tuple(Volume(**volume) for volume in fields["volumes"])
        fields["security_groups"] = tuple(fields["security_groups"])
        return cls(**fields)


@dataclass(frozen=True)
class MachineImage:
    """A registered image: what EC2 calls an AMI, backed by a folder on this computer."""

    image_id: str
    name: str
    description: str
    folder: str
    architecture: str
    root_device: str
    created_at: float
    tags: Tags
    disk: str = ""
    """Of an image saved from an instance: the folder with a copy of its disk."""

    def document(self) -> Document:
        """As kept on disk."""
        return asdict(self)

    @classmethod
    def load(cls, document: Document) -> MachineImage:
        """The image of a document."""
        return cls(**document)


@dataclass(frozen=True)
class TemplateVersion:
    """One version of a launch template."""

    number: int
    description: str
    created_at: float
    data: Document
    """LaunchTemplateData in EC2's own shape."""


@dataclass(frozen=True)
class LaunchTemplate:
    """A launch template with all its versions."""

    template_id: str
    name: str
    created_at: float
    created_by: str
    default_version: int
    versions: tuple[TemplateVersion, ...]
    tags: Tags

    @property
    def latest_version(self) -> int:
        """The number of the newest version."""
        return self.versions[-1].number

    def document(self) -> Document:
        """As kept on disk."""
        return asdict(self)

    @classmethod
    def load(cls, document: Document) -> LaunchTemplate:
        """The template of a document."""
        versions = tuple(TemplateVersion(**version) for version in document["versions"])
        return cls(**{**document, "versions": versions})


@dataclass(frozen=True)
class SecurityGroup:
    """A security group; kept and described, but no packet of a local instance is filtered by it."""

    group_id: str
    name: str
    description: str
    vpc_id: str
    ingress: tuple[Document, ...]
    """IpPermissions in EC2's own shape, one source each."""
    egress: tuple[Document, ...]
    tags: Tags

    def document(self) -> Document:
        """As kept on disk."""
        return asdict(self)

    @classmethod
    def load(cls, document: Document) -> SecurityGroup:
        """The group of a document."""
        return cls(**{**document, "ingress": tuple(document["ingress"]), "egress": tuple(document["egress"])})


NO_CAPACITY = "InsufficientInstanceCapacity"
THROTTLED = "RequestLimitExceeded"


@dataclass(frozen=True)
class Fault:
    """An error that EC2's callers meet on purpose, for tests of who calls it.

    `remaining` calls raise `code`; with `granted`, launches get that many instances of those asked for instead
    (EC2's partial launch), and `code` only if even MinCount is more.
    """

    code: str = NO_CAPACITY
    message: str = "We currently do not have sufficient capacity in the Availability Zone you requested."
    status: int = 500
    remaining: int = 1
    granted: int | None = None
    instance_types: tuple[str, ...] = ()
    """Only launches of these types; empty: of any."""
    zones: tuple[str, ...] = ()
    """Only launches into these zones; empty: into any."""
    market: str = ""
    """Only launches on `spot`, or `on-demand`; empty: of any."""
    operation: str = "RunInstances"
    """Which operation is throttled; empty: every one. All other errors are met by RunInstances only."""

    @property
    def is_of_launches(self) -> bool:
        """Whether it is met when a launch is understood; otherwise before the request is looked at."""
        return self.code != THROTTLED

    def document(self) -> Document:
        """As kept on disk."""
        return asdict(self)

    @classmethod
    def load(cls, document: Document) -> Fault:
        """The fault of a document."""
        lists = {name: tuple(document[name]) for name in ("instance_types", "zones")}
        return cls(**{**document, **lists})
