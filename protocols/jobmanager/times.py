"""Moments as the contracts write them: UTC, whole seconds, a Z at the end. Reads no clock but through `utc_now`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of the real world."""
    return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """`2026-11-22T10:00:00Z`; such texts sort as the moments do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_moment(text: str) -> datetime:
    """The moment of an ISO text with Z or an offset; a text without either is read as UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def later(text: str, *, minutes: int) -> str:
    """The moment so many minutes after another, as text."""
    return to_text(to_moment(text) + timedelta(minutes=minutes))


def seconds_between(start: str, end: str) -> int:
    """Whole seconds from start to end, days included, never negative: clocks of two machines may disagree."""
    return max(0, int((to_moment(end) - to_moment(start)).total_seconds()))
