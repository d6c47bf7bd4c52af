"""Two copies of the money rules, one that ships to AWS and one for the command line, never differ."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmanager import budget as shipped
from jobmanager import checks, submission
from jobmanager.config import MAX_CONFIG_BYTES, ConfigError, check_limits, parse_config
from ncap_iac.errors import UsageError
from ncap_iac.money import amounts as money
from ncap_iac.money import quote

PRICES, VOLUMES = st.integers(0, 50_000_000), st.integers(0, 16_000)
AMOUNTS = st.one_of(
    st.decimals(min_value=-10, max_value=10**9).map(str),
    st.sampled_from(["NaN", "sNaN", "Infinity", "-0", "1e3"]),
    st.text(max_size=8),
)
WISHES = st.one_of(st.none(), st.booleans(), st.integers(-5, 500), st.floats(-5, 500), st.text(max_size=3))


@given(PRICES, VOLUMES, st.integers(0, 10**7))
def test_the_cost_of_a_life_is_the_job_managers(price: int, volume: int, seconds: int) -> None:
    assert money.cost_micro(money.Rate(price, volume), seconds) == shipped.cost_micro(
        shipped.Rate(price, volume), seconds
    )


@given(PRICES, VOLUMES, st.integers(1, 100_000))
def test_a_reservation_is_the_job_managers(price: int, volume: int, minutes: int) -> None:
    assert money.reservation_micro(money.Rate(price, volume), minutes) == shipped.reservation_micro(
        shipped.Rate(price, volume), minutes
    )


@given(AMOUNTS)
def test_an_amount_is_read_as_the_job_manager_reads_it(text: str) -> None:
    def read(micro_of: Any) -> int | None:
        try:
            found: int = micro_of(text)
        except ValueError:
            return None
        return found

    assert read(money.micro_of) == read(shipped.micro_of)


@given(WISHES, WISHES, st.integers(1, 300), st.integers(0, 300))
def test_the_limits_of_a_config_are_the_job_managers(duration: Any, size: Any, minutes: int, gib: int) -> None:
    values = {"__duration__": duration, "__dataset_size__": size}
    limits, problems = check_limits(values, max_minutes=minutes, max_gib=gib)
    assert money.limits_of(values, max_minutes=minutes, max_gib=gib) == money.Limits(
        limits.minutes, limits.extra_gib, problems
    )


@given(st.integers(0, 10**15))
def test_amounts_for_scripts_are_exact(micro: int) -> None:
    assert Decimal(money.usd(micro)) * money.MICRO == micro
    assert Decimal(money.plain(micro)) * money.MICRO == micro
    assert len(money.usd(micro).partition(".")[2]) >= 2


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("c.json", b'{"a": 1}'),
        ("c.json", b""),
        ("c.json", b"null"),
        ("c.json", b"[1]"),
        ("c.json", b'{"a": NaN}'),
        ("c.json", b'{"a": 1, "a": 2}'),
        ("c.json", b'\xef\xbb\xbf{"a": 1}'),
        ("c.json", b"\xff"),
        ("c.json", b"[" * 200_000),
        ("c.json", b'{"a": "' + b"x" * 1024 * 1024 + b'"}'),
        ("c.yaml", b"a: 1\n"),
        ("c.yml", b""),
        ("c.yaml", b"1: x\n"),
        ("c.yaml", b"a: [1\n"),
        ("c.yaml", b"- 1\n"),
        ("C.JSON", b"{}"),
        ("c.txt", b"{}"),
    ],
)
def test_a_config_can_be_read_here_if_the_job_manager_can_read_it(name: str, body: bytes) -> None:
    def read(parse: Any, error: type[Exception]) -> Any:
        try:
            return parse(name, body)
        except error:
            return None

    assert read(quote.config_values, UsageError) == read(parse_config, ConfigError)


def test_the_limits_of_a_submission_are_the_job_managers() -> None:
    assert quote.MAX_DATASETS == submission.MAX_DATASETS
    assert quote._GB == checks._GB
    assert quote.MAX_CONFIG_BYTES == MAX_CONFIG_BYTES
