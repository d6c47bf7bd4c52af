"""What a group may spend: on one analysis, and over all of them. Reads both in one call; counts nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from jobmanager.budget import micro_of
from jobmanager.rows import TOTAL


class ParameterReader(Protocol):
    """What this needs of the parameter store."""

    def parameters(self, names: Sequence[str]) -> Mapping[str, str]:
        """The values of those that exist."""


class FundsError(ValueError):
    """A budget is written as something that is no amount; the message is for the user."""


@dataclass(frozen=True)
class Funds:
    """Limits in micro-dollars; `total` is None for a group without one."""

    analysis: int = 0
    total: int | None = None


def read_funds(reader: ParameterReader, group: str, analysis: str, *, default_usd: str) -> Funds:
    """A group's budgets (contract section 1). Raises FundsError, AwsError."""
    own, total = (f"/neurocaas/budgets/{group}/{name}" for name in (analysis, TOTAL))
    found = reader.parameters([own, total])
    return Funds(
        analysis=_amount(found.get(own, default_usd), "the budget of your group"),
        total=_amount(found[total], "the total budget of your group") if total in found else None,
    )


def _amount(text: str, name: str) -> int:
    try:
        return micro_of(text)
    except ValueError as error:
        raise FundsError(f"{name} is written as '{text}', which is no amount; tell an operator") from error
