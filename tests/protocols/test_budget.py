"""Money adds up, exactly and whatever happens."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmanager.budget import (
    Rate,
    affordable_minutes,
    cost_micro,
    micro_of,
    reservation_micro,
    settle,
    usd_text,
)
from jobmanager.pricing import UnknownPriceError, shipped_prices

RATES = st.builds(Rate, st.integers(1, 50_000_000), st.integers(0, 16_000))


def test_an_hour_costs_the_list_price_and_its_volume() -> None:
    assert cost_micro(Rate(100_800, 0), 3600) == 100_800
    assert cost_micro(Rate(0, 730), 3600) == 80_000


def test_forty_nine_hours_cost_forty_nine_hours() -> None:
    assert cost_micro(Rate(100_000, 0), 49 * 3600) == 49 * 100_000


def test_less_than_a_minute_is_billed_as_one() -> None:
    assert cost_micro(Rate(60_000_000, 0), 1) == 1_000_000


@given(RATES, st.integers(0, 10**7), st.integers(0, 10**6))
def test_cost_never_falls_with_time(rate: Rate, seconds: int, more: int) -> None:
    assert cost_micro(rate, seconds + more) >= cost_micro(rate, seconds)


@given(RATES, st.integers(1, 100_000))
def test_a_reservation_affords_its_minutes_and_not_one_more(rate: Rate, minutes: int) -> None:
    held = reservation_micro(rate, minutes)
    assert affordable_minutes(rate, held) >= minutes
    assert cost_micro(rate, affordable_minutes(rate, held) * 60) <= max(held, cost_micro(rate, 60))


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.booleans())
def test_what_was_held_becomes_cost_rest_or_goes_back(held: int, cost: int, keep: bool) -> None:
    done = settle(held, cost, keep_rest=keep)
    assert held + done.committed == cost + done.held
    assert done.spent == cost
    assert done.held <= held


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(0, 10**9)), max_size=30))
def test_after_all_attempts_ended_committed_is_what_was_spent(jobs: list[tuple[int, int, int]]) -> None:
    committed = spent = 0
    for held, lost, second in jobs:
        committed += held
        first = settle(held, lost, keep_rest=True)
        last = settle(first.held, second, keep_rest=False)
        committed += first.committed + last.committed
        spent += first.spent + last.spent
    assert committed == spent


@pytest.mark.parametrize(("text", "micro"), [("300", 300_000_000), ("0.15", 150_000), ("0", 0), (" 1.5 ", 1_500_000)])
def test_amounts_are_read_exactly(text: str, micro: int) -> None:
    assert micro_of(text) == micro


@pytest.mark.parametrize("text", ["", "ten", "-1", "NaN", "Infinity", "1,5"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        micro_of(text)


@given(st.integers(0, 10**12))
def test_amounts_are_shown_to_the_cent_or_finer(micro: int) -> None:
    assert abs(Decimal(usd_text(micro)[1:]) * 1_000_000 - micro) <= 5_000


def test_an_unknown_type_has_no_price_but_a_neighbour() -> None:
    with pytest.raises(UnknownPriceError, match=r"type 'm7i\.largge'.*'m7i\.large'"):
        shipped_prices().of("m7i.largge")
    assert shipped_prices().of("m7i.large") == 100_800
    assert all(price > 0 for price in shipped_prices().micro_per_hour.values())
