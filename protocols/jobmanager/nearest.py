"""The known name a user most likely meant. Nothing else."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 200
"""Longer texts are no misspelt names, and comparing them takes minutes."""


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to this one, or None when none is close."""
    if len(name) > _LONGEST:
        return None
    from difflib import get_close_matches  # imported on demand: only refusals need it

    matches = get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    near = nearest_name(name, known)
    return f"; did you mean '{near}'?" if near else ""
