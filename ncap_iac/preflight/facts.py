"""What preflight finds out about a target, as values without judgement. Pure; each can be read from a JSON file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Answering(Enum):
    """What a service said to a cheap read."""

    ANSWERS = "answers"
    DENIED = "denied"
    """It is there, and this call is not allowed to the caller."""
    UNREACHABLE = "unreachable"
    OTHER = "other"


@dataclass(frozen=True)
class Identity:
    """Who calls; `clock_offset_s` is how far AWS's clock is ahead of this computer's."""

    account: str
    arn: str
    clock_offset_s: float | None = None


@dataclass(frozen=True)
class Region:
    """A region and whether this account may use it (`opt-in-not-required`, `opted-in`, `not-opted-in`)."""

    name: str
    opt_in: str


@dataclass(frozen=True)
class Reach:
    """One service's answer to one cheap read."""

    service: str
    answering: Answering
    said: str = ""


@dataclass(frozen=True)
class Denial:
    """An action the policy simulator does not allow; `missing` are context keys a condition asked for in vain."""

    action: str
    resource: str
    decision: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Simulation:
    """What the simulator said of a principal's policies."""

    principal: str
    simulated: int
    denials: tuple[Denial, ...] = ()


@dataclass(frozen=True)
class MachineType:
    """An instance type, and in which zones of the region it is offered; none: not offered."""

    name: str
    vcpus: int = 0
    architectures: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Concurrency:
    """Lambda's concurrency in this account and region, and functions with reserved concurrency already."""

    limit: int
    unreserved: int
    reserved: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Quota:
    """How much of something there is and may be; `limit` None: it could not be learnt."""

    what: str
    used: int
    limit: int | None


@dataclass(frozen=True)
class Image:
    """What an environment is here; `image_id` None: nothing."""

    environment: str
    image_id: str | None = None
    state: str = ""
    architecture: str = ""
    root_device: str = ""
    root_device_type: str = ""
    root_gib: int = 0


class Holder(Enum):
    """Whose bucket a name is."""

    FREE = "free"
    OURS = "ours"
    FOREIGN = "foreign"
    ELSEWHERE = "elsewhere"
    """In another region."""


@dataclass(frozen=True)
class Bucket:
    """A bucket name and whose it is; `managed`: a stack of ours holds it."""

    name: str
    holder: Holder
    managed: bool = False


class Way(Enum):
    """Where a subnet's default route goes."""

    INTERNET = "internet gateway"
    NAT = "nat"
    OTHER = "other"
    NONE = "none"


@dataclass(frozen=True)
class Subnet:
    """A subnet as instances see it."""

    id: str
    zone: str
    public_addresses: bool
    way: Way
    s3_endpoint: bool = False
    free_addresses: int = 0


@dataclass(frozen=True)
class Network:
    """The network instances start in; `vpc` None: there is none of that kind."""

    vpc: str | None
    is_default: bool
    subnets: tuple[Subnet, ...] = ()


@dataclass(frozen=True)
class Key:
    """A KMS key; `state` empty: it does not exist."""

    arn: str
    state: str = ""
    usage: str = ""
    spec: str = ""


@dataclass(frozen=True)
class Boundary:
    """A permissions boundary."""

    arn: str
    exists: bool


@dataclass(frozen=True)
class Deployment:
    """What an earlier deployment left: stacks with their status, and whether ledger and artifact bucket are there."""

    stacks: tuple[tuple[str, str], ...] = ()
    ledger: bool = False
    artifact_bucket: bool = False


@dataclass(frozen=True)
class Analysis:
    """What a blueprint asks of the place it is deployed to."""

    name: str
    environment: str
    instance_types: tuple[str, ...]
    allowed_types: tuple[str, ...]
    deploy_limit: int
    volume_gib: int
    region: str | None = None
    uses_spot: bool = False


@dataclass(frozen=True)
class Needs:
    """What the documents ask for, read from what they compile to."""

    analyses: tuple[Analysis, ...] = ()
    stacks: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    resource_types: tuple[str, ...] = ()
    reserved: tuple[tuple[str, int], ...] = ()
    """Functions with the concurrency they reserve."""
    counts: tuple[tuple[str, int], ...] = ()
    """Resource type → how many."""
    parameters: tuple[tuple[str, str], ...] = field(default=())

    def parameter(self, name: str) -> str:
        """A stack parameter, empty if it is not given."""
        return dict(self.parameters).get(name, "")

    def count(self, resource_type: str) -> int:
        """How many of a type."""
        return dict(self.counts).get(resource_type, 0)
