"""Instances people work on (`ncap instance`): they have hours, told by a tag, and the sweeper sees to it.

The instance's own timer should have ended it before; this is for those whose timer was lost. Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from jobmanager.observed import Instance

TAG, ON = "neurocaas:development", "On"
EXPIRES, AT_EXPIRY = "neurocaas:expires-at", "neurocaas:at-expiry"
GRACE = timedelta(minutes=5)
"""Its own timer comes first."""
KEPT_STOPPED = timedelta(days=14)
"""A stopped instance's disk is paid for: so long after its time it goes."""
_UP = ("pending", "running")


class Due(Enum):
    """What has to be done about an instance now."""

    NOTHING = "nothing"
    STOP = "stop"
    END = "end"


def is_development(found: Instance) -> bool:
    """Whether somebody works on it."""
    return found.tags.get(TAG) == ON


def due(found: Instance, now: datetime) -> Due:
    """What an instance's hours ask for. One whose tag is gone or cannot be read is over."""
    if found.is_gone:
        return Due.NOTHING
    try:
        expires = datetime.fromisoformat(found.tags[EXPIRES].replace("Z", "+00:00"))
        over = now - expires
    except (KeyError, ValueError, TypeError):
        return Due.END
    if found.state in _UP:
        if over < GRACE:
            return Due.NOTHING
        return Due.STOP if found.tags.get(AT_EXPIRY) == "stop" and found.state == "running" else Due.END
    return Due.END if over >= KEPT_STOPPED else Due.NOTHING
