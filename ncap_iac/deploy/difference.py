"""Two templates as a person reads them, line by line: only what changed, resource by resource. Pure text."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ncap_iac.deploy.comparison import ValueChange

CONTEXT = 3
"""Unchanged lines shown around a change."""
SECTIONS = ("Parameters", "Conditions", "Resources", "Outputs")


def template_difference(stack: str, deployed: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> str:
    """A unified diff of what changed between two templates, as YAML; empty if nothing did. None: no stack."""
    before, after = deployed or {}, wanted or {}
    parts = [
        part
        for section in SECTIONS
        for name in sorted({*before.get(section, {}), *after.get(section, {})})
        if (part := _part(stack, section, name, before.get(section, {}), after.get(section, {})))
    ]
    return "\n".join(parts)


def values_difference(stack: str, title: str, changes: Sequence[ValueChange]) -> str:
    """What changed of the values given to a stack (its parameters, its tags), in the same manner."""
    before = [f"{change.name}: {change.before}" for change in changes if change.before is not None]
    after = [f"{change.name}: {change.after}" for change in changes if change.after is not None]
    return "\n".join(_unified(f"{stack} {title}", before, after))


def _part(stack: str, section: str, name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if before.get(name) == after.get(name):
        return ""
    return "\n".join(_unified(f"{stack} {section}/{name}", _lines(before.get(name)), _lines(after.get(name))))


def _unified(name: str, before: list[str], after: list[str]) -> Iterator[str]:
    """As `diff -u` writes it, so that tools which colour diffs know it."""
    found = difflib.unified_diff(
        before,
        after,
        f"deployed {name}" if before else "/dev/null",
        f"wanted {name}" if after else "/dev/null",
        n=CONTEXT,
        lineterm="",
    )
    return iter(found)


def _lines(value: Any) -> list[str]:
    import yaml

    if value is None:
        return []
    return str(yaml.safe_dump(value, sort_keys=True, allow_unicode=True, width=10_000)).rstrip("\n").splitlines()
