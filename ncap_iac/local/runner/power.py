"""What the machine's `shutdown`, `poweroff`, `halt` and `reboot` mean. Pure; the host's own are never called.

The shims write their name and arguments to a FIFO and are done; the warden reads it and decides by `parse_power`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime

SHIMS = ("shutdown", "poweroff", "halt", "reboot")
_SECONDS_A_MINUTE = 60
_SECONDS_A_DAY = 86400.0
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Power:
    """What to do with the machine's power."""

    delay_s: float | None
    """Seconds until it goes off; None: a timer that was set is taken back."""
    message: str


def shim_text(name: str, fifo: str) -> str:
    """The shell script that stands for a power command on the machine's PATH."""
    import shlex

    return f"""#!/bin/sh
printf '%s\\n' "{name} $*" > {shlex.quote(fifo)}
"""


def parse_power(line: str, now: datetime.datetime) -> Power | None:
    """One line of the FIFO; None for what is no request to end (`shutdown -k`, an unreadable time).

    Times as in shutdown(8): `now`, `+minutes`, `minutes`, `hh:mm`; without one, in a minute.
    """
    name, _, rest = line.strip().partition(" ")
    words = rest.split()
    options = {word for word in words if word.startswith("-")}
    times = [word for word in words if not word.startswith("-")]
    if name not in SHIMS or options & {"-k", "--help"}:
        return None
    if options & {"-c", "--cancel"}:
        return Power(delay_s=None, message="shutdown timer taken back")
    if name != "shutdown":
        note = " (a local instance does not come back from a reboot)" if name == "reboot" else ""
        return Power(delay_s=0.0, message=f"{name}: the machine goes off{note}")
    delay_s = _delay(times[0] if times else "+1", now)
    if delay_s is None:
        return None
    when = "now" if delay_s == 0 else f"in {delay_s / _SECONDS_A_MINUTE:g} minutes"
    return Power(delay_s=delay_s, message=f"shutdown: the machine goes off {when}")


def _delay(time: str, now: datetime.datetime) -> float | None:
    if time == "now":
        return 0.0
    if time.lstrip("+").isdigit():
        return float(time.lstrip("+")) * _SECONDS_A_MINUTE
    clock = _CLOCK.fullmatch(time)
    if clock is None:
        return None
    at = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
    return (at - now).total_seconds() % _SECONDS_A_DAY
