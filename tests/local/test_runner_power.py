"""What the machine's power commands mean, and what they look like."""

from __future__ import annotations

import datetime

import pytest

from ncap_iac.local.runner.power import parse_power, shim_text

NOON = datetime.datetime(2026, 3, 1, 12, 0, 0)


@pytest.mark.parametrize(
    ("line", "delay_s"),
    [
        ("shutdown -h now", 0.0),
        ("shutdown -h +75", 75 * 60.0),
        ("shutdown -h 75", 75 * 60.0),
        ("shutdown", 60.0),
        ("shutdown -P 12:30", 1800.0),
        ("shutdown -h 11:30", 23.5 * 3600),
        ("poweroff", 0.0),
        ("poweroff -f", 0.0),
        ("halt", 0.0),
        ("reboot", 0.0),
    ],
)
def test_a_power_command_says_when_the_machine_goes_off(line: str, delay_s: float) -> None:
    power = parse_power(line, NOON)
    assert power is not None
    assert power.delay_s == delay_s


def test_a_timer_is_taken_back_with_minus_c() -> None:
    power = parse_power("shutdown -c", NOON)
    assert power is not None
    assert power.delay_s is None


@pytest.mark.parametrize("line", ["", "shutdown -k now", "shutdown -h soon", "shutdown -h 25:00", "rm -rf /"])
def test_what_is_no_request_to_end_does_nothing(line: str) -> None:
    assert parse_power(line, NOON) is None


def test_a_shim_only_writes_to_its_fifo_whatever_its_path() -> None:
    text = shim_text("shutdown", "/a folder/it's here/power")
    assert text.splitlines()[0] == "#!/bin/sh"
    assert text.splitlines()[1].endswith("> '/a folder/it'\"'\"'s here/power'")
