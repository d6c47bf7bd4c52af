"""The words all parts of the CloudFormation engine share: what a property is, what is not known yet, refusals.

Values only; nothing here reads a template or talks to a service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from ncap_iac.local.service import ServiceError

Properties = Mapping[str, Any]
"""Resolved properties of a resource in CloudFormation's shape (JSON values)."""


class _Mark:
    """A value that is not JSON: something to leave out, or something nobody can know yet."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


NO_VALUE: Final = _Mark("AWS::NoValue")
"""`Ref AWS::NoValue`: the property or list entry is left out."""

UNKNOWN: Final = _Mark("{{unknown until it is made}}")
"""A reference to something that is only made when the change is executed."""


def contains_unknown(value: object) -> bool:
    """Whether any part of a resolved value is UNKNOWN."""
    if isinstance(value, dict):
        return any(contains_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_unknown(item) for item in value)
    return value is UNKNOWN


class Policy(StrEnum):
    """DeletionPolicy and UpdateReplacePolicy."""

    DELETE = "Delete"
    RETAIN = "Retain"
    RETAIN_EXCEPT_ON_CREATE = "RetainExceptOnCreate"


@dataclass(frozen=True)
class Place:
    """Where the stacks live."""

    region: str
    account_id: str
    partition: str = "aws"
    url_suffix: str = "amazonaws.com"


Clock = Callable[[], float]
RandomText = Callable[[int], str]
"""`n` random characters of `A-Z0-9`."""


def iso_time(seconds: float) -> str:
    """UTC time with microseconds, sortable as text."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def invalid(message: str) -> ServiceError:
    """The ValidationError most refusals of CloudFormation are."""
    return ServiceError("ValidationError", message)
