"""Money: whole micro-dollars, so that sums are exact. Arithmetic only; who may spend is decided by the ledger.

Prices: EC2 Linux is billed by the second with a minimum of 60 s; gp3 storage by the GiB-month of 730 hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

MICRO = 1_000_000
MOST_USD = 10**15
"""A larger amount is a slip, and would not fit into a number of the ledger."""
GP3_MICRO_PER_GIB_MONTH = 80_000
_HOURS_PER_MONTH = 730
_MINIMUM_SECONDS = 60


@dataclass(frozen=True)
class Rate:
    """What one instance costs: micro-dollars an hour, and the GiB of its root volume."""

    price_micro: int
    volume_gib: int


def micro_of(usd: str | Decimal) -> int:
    """Micro-dollars of an amount in dollars, rounded down. Raises ValueError when it is no amount."""
    try:
        amount = Decimal(usd)
    except InvalidOperation as error:
        raise ValueError(f"{usd!r} is not an amount in dollars") from error
    if not amount.is_finite() or not 0 <= amount <= MOST_USD:
        raise ValueError(f"{usd!r} is not an amount in dollars")
    return int(amount * MICRO)


def usd_text(micro: int) -> str:
    """`$12.34`; amounts under a cent keep four digits, so that a short job does not look free."""
    amount = Decimal(micro) / MICRO
    return f"${amount:.4f}" if 0 < abs(micro) < MICRO // 100 else f"${amount:.2f}"


def cost_micro(rate: Rate, seconds: int) -> int:
    """The cost of an instance with its volume for so many seconds of life, rounded up."""
    billed = max(seconds, _MINIMUM_SECONDS)
    per_month = rate.price_micro * _HOURS_PER_MONTH + GP3_MICRO_PER_GIB_MONTH * rate.volume_gib
    return -(-per_month * billed // (_HOURS_PER_MONTH * 3600))


def reservation_micro(rate: Rate, minutes: int) -> int:
    """What one attempt may cost at most when it keeps to its limit."""
    return cost_micro(rate, minutes * 60)


def affordable_minutes(rate: Rate, micro: int) -> int:
    """For how many whole minutes an attempt can run on this amount."""
    per_month = rate.price_micro * _HOURS_PER_MONTH + GP3_MICRO_PER_GIB_MONTH * rate.volume_gib
    if per_month <= 0:
        return 0
    return max(0, micro * _HOURS_PER_MONTH * 3600 // per_month // 60)


@dataclass(frozen=True)
class Settlement:
    """What the end of an attempt changes: the sum committed, the sum spent, and what stays held for a retry."""

    committed: int
    spent: int
    held: int


def settle(held: int, cost: int, *, keep_rest: bool) -> Settlement:
    """Replace what was held for an attempt by what it cost; the rest is given back, or kept for its retry."""
    rest = max(0, held - cost) if keep_rest else 0
    return Settlement(committed=cost + rest - held, spent=cost, held=rest)
