"""What a new analysis's requirements are: the template's with those that were asked for. Pure; locks nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ncap_iac.errors import UsageError

LOCK = "requirements.lock"
REQUIREMENTS = "requirements.in"
REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\[[A-Za-z0-9._, -]+\])?"
    r"\s*(?:(?:===|~=|==|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*(?:;[^#@]+)?"
)
"""A name, extras, versions, a marker (dependency specifiers of the Python packaging guide); no address, no option."""


def with_requirements(text: str, added: Sequence[str]) -> str:
    """A requirements file with more requirements; one of the same package replaces the line. Raises UsageError."""
    lines = text.splitlines()
    for requirement in added:
        name = requirement_name(requirement)
        kept = [line for line in lines if line.startswith("#") or not line or requirement_name(line) != name]
        lines = [*kept, requirement.strip()]
    return "\n".join(lines) + "\n"


def requirement_name(requirement: str) -> str:
    """The package a requirement is about, as indexes compare names. Raises UsageError."""
    match = REQUIREMENT.fullmatch(requirement.strip())
    if match is None:
        raise UsageError(
            "it is no package with versions",
            where=f"--requirement {requirement}",
            hint="Write it like scipy==1.17.1 or 'h5py>=3.12'. Addresses and files cannot be locked with hashes.",
        )
    return re.sub(r"[-_.]+", "-", match["name"]).lower()


def locked_names(lock: str) -> frozenset[str]:
    """The packages a lock installs."""
    return frozenset(
        re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower()
        for line in lock.splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    )
