"""What the edge asks a warden to run, and what a warden tells back. Values and their JSON lines only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import Enum


class Rung(Enum):
    """How far a machine is kept from its host, strongest first."""

    BUBBLEWRAP = "bubblewrap"
    NAMESPACES = "user namespace"
    LANDLOCK = "landlock"
    PROCESS = "process"

    @property
    def holders(self) -> int:
        """Generations of processes between the warden and the machine's first process that only hold the sandbox."""
        return 2 if self in (Rung.BUBBLEWRAP, Rung.NAMESPACES) else 0


class Cause(Enum):
    """Why a machine ended."""

    FINISHED = "finished"
    """Its init (the user data) came to its end."""
    POWER = "power"
    """The machine itself called for it: `shutdown -h now`, `poweroff`, or its shutdown timer ran out."""
    TERMINATED = "terminated"
    """It was told to from outside."""
    LOST = "lost"
    """Its warden died, or the edge did."""
    BROKEN = "broken"
    """It could not be started."""


@dataclass(frozen=True)
class Bind:
    """A file or folder of the host and where the machine sees it."""

    source: str
    target: str


@dataclass(frozen=True)
class Order:
    """One machine to run. Paths are absolute paths of the host."""

    instance: str
    rung: Rung
    program: str | None
    """The init to execute; None: the machine idles until it is told to end."""
    environment: dict[str, str]
    folder: str
    """The machine's scratch: working directory, HOME, the one place it may write beside /tmp."""
    temporary: str
    """Becomes /tmp where the rung can."""
    power: str
    """The FIFO through which the machine's `shutdown` speaks."""
    console: str
    readable: tuple[Bind, ...]
    memory_bytes: int
    hostname: str = "localhost"
    core: int | None = None
    grace_s: float = 5.0
    console_limit_bytes: int = 8 * 1024 * 1024
    bubblewrap: str | None = None
    ports: tuple[int, ...] | None = None
    """All of the network the machine has: these ports of the host's loopback. None: the host's network."""

    def line(self) -> bytes:
        """As one line of JSON."""
        return json.dumps({**asdict(self), "rung": self.rung.value}).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Order:
        """The order of one line. Raises ValueError."""
        fields = json.loads(line)
        fields["rung"] = Rung(fields["rung"])
        fields["readable"] = tuple(Bind(**bind) for bind in fields["readable"])
        fields["ports"] = None if fields["ports"] is None else tuple(fields["ports"])
        return cls(**fields)


@dataclass(frozen=True)
class Report:
    """One thing that happened to a machine: `started`, `ending`, `ended`."""

    happened: str
    cause: Cause | None = None
    exit_status: int | None = None
    message: str = ""

    def line(self) -> bytes:
        """As one line of JSON."""
        fields = {**asdict(self), "cause": self.cause.value if self.cause else None}
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Report:
        """The report of one line. Raises ValueError."""
        fields = json.loads(line)
        return cls(**{**fields, "cause": Cause(fields["cause"]) if fields["cause"] else None})
