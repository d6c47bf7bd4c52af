"""What AWS told us, as values: objects, listings, instances. Holds facts, decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectFacts:
    """An object that exists: key, ETag without quotes, size in bytes; when it was written, where a listing tells."""

    key: str
    etag: str
    size: int
    modified: str = ""


@dataclass(frozen=True)
class ObjectBody:
    """An object's bytes, or the first of them, with its facts."""

    facts: ObjectFacts
    body: bytes


@dataclass(frozen=True)
class Listing:
    """One page of a listing."""

    objects: tuple[ObjectFacts, ...]
    is_last: bool


@dataclass(frozen=True)
class Instance:
    """An instance as EC2 describes it; times as ISO texts, `ended_at` only when EC2 tells it."""

    instance: str
    state: str
    launched_at: str
    instance_type: str
    launch_index: int
    tags: Mapping[str, str]
    ended_at: str | None = None
    reason: str = ""
    """Why it is in this state, in EC2's words; empty while it runs."""
    zone: str = ""
    is_spot: bool = False

    @property
    def is_gone(self) -> bool:
        """Whether it will never compute again."""
        return self.state in ("shutting-down", "terminated")
