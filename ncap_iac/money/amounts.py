"""Money as commands count it: whole micro-dollars, so that sums are exact. Pure arithmetic; asks nobody.

It is the job manager's arithmetic (`protocols/jobmanager/budget.py`), which ships to AWS and cannot be imported here;
`tests/command/test_quote_arithmetic.py` compares the two. Prices: EC2 Linux is billed by the second with a minimum of
60 s; gp3 storage by the GiB-month of 730 hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from ncap_iac.errors import UsageError

MICRO = 1_000_000
MAX_USD = Decimal(10_000_000)
PLACES = 6
"""Decimal places of an amount at most: a micro-dollar is the smallest."""
DURATION, DATASET_SIZE = "__duration__", "__dataset_size__"
_GP3_MICRO_PER_GIB_MONTH = 80_000
_HOURS_PER_MONTH = 730
_MINIMUM_SECONDS = 60


@dataclass(frozen=True)
class Rate:
    """What one instance costs: micro-dollars an hour, and the GiB of its root volume."""

    price_micro: int
    volume_gib: int


@dataclass(frozen=True)
class Limits:
    """What a config asks for: minutes an attempt may run, GiB added to its volume; and what is wrong with it."""

    minutes: int
    extra_gib: int
    problems: tuple[str, ...] = ()


def micro_of(usd: str | Decimal) -> int:
    """Micro-dollars of an amount in dollars, rounded down. Raises ValueError when it is no amount."""
    try:
        amount = Decimal(usd)
    except InvalidOperation as error:
        raise ValueError(f"{usd!r} is not an amount in dollars") from error
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{usd!r} is not an amount in dollars")
    return int(amount * MICRO)


def parse_amount(text: str) -> int:
    """Micro-dollars of an amount somebody typed. Raises UsageError for what is no sensible amount."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or not 0 <= amount <= MAX_USD:
        raise UsageError(
            f"{text!r} is not an amount in USD", where="USD", hint=f"For example 25 or 12.50; at most {MAX_USD:,f}."
        )
    if -exponent > PLACES:
        raise UsageError(f"{text} has more than {PLACES} decimal places", where="USD", hint="Round it.")
    return micro_of(amount)


def usd(micro: int) -> str:
    """An amount for scripts: a decimal text with at least two places, exact."""
    amount = Decimal(micro) / MICRO
    text = f"{amount:.6f}".rstrip("0")
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest:0<2}"


def plain(micro: int) -> str:
    """An amount as profiles and parameters write it: `25`, `12.5`."""
    return f"{(Decimal(micro) / MICRO).normalize():f}"


def usd_text(micro: int) -> str:
    """An amount for people: `$12.34`; amounts under a cent keep four digits, so that a short job does not look free."""
    amount = Decimal(abs(micro)) / MICRO
    sign = "-" if micro < 0 else ""
    return f"{sign}${amount:.4f}" if 0 < abs(micro) < MICRO // 100 else f"{sign}${amount:,.2f}"


def cost_micro(rate: Rate, seconds: int) -> int:
    """The cost of an instance with its volume for so many seconds of life, rounded up."""
    billed = max(seconds, _MINIMUM_SECONDS)
    per_month = rate.price_micro * _HOURS_PER_MONTH + _GP3_MICRO_PER_GIB_MONTH * rate.volume_gib
    return -(-per_month * billed // (_HOURS_PER_MONTH * 3600))


def reservation_micro(rate: Rate, minutes: int) -> int:
    """What is reserved for one dataset: an attempt that runs to its limit."""
    return cost_micro(rate, minutes * 60)


def limits_of(values: Mapping[str, Any], *, max_minutes: int, max_gib: int) -> Limits:
    """The limits a config asks for by the reserved keys. A key that is absent or null means the default."""
    problems = []
    minutes, extra = values.get(DURATION), values.get(DATASET_SIZE)
    if minutes is None:
        minutes = max_minutes
    elif not _is_whole(minutes) or not 1 <= minutes <= max_minutes:
        problems.append(
            f"parameter '{DURATION}' is {minutes!r}; accepted is a whole number of minutes from 1 to {max_minutes}"
        )
        minutes = max_minutes
    if extra is None:
        extra = 0
    elif not _is_whole(extra) or not 0 <= extra <= max_gib:
        problems.append(
            f"parameter '{DATASET_SIZE}' is {extra!r}; accepted is a whole number of gigabytes from 0 to {max_gib}"
        )
        extra = 0
    return Limits(minutes, extra, tuple(problems))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
