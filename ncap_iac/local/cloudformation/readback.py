"""Holds what a template declared against what the service says it has.

Pure. Differences that mean nothing are not differences: order of lists, `"30"` and 30, a policy element alone or in a
list, JSON as text or as a map, members the service adds by itself.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from ncap_iac.local.cloudformation.template import scalar_text
from ncap_iac.local.cloudformation.values import Properties

_SHOWN = 300
"""Longest rendering of a value in a message."""
_ONE_OR_MANY = frozenset({"Action", "NotAction", "Resource", "NotResource", "Service", "AWS", "Federated"})
"""Policy elements in which a text and a list of that one text are the same."""


def differences(
    wanted: Properties,
    found: Properties,
    *,
    previous: Properties | None = None,
    defaults: Properties | None = None,
    exact: Collection[str] = (),
    ordered: Collection[str] = (),
    secret: Collection[str] = (),
) -> list[str]:
    """A sentence for every property that was not applied, or not removed when `previous` still had it.

    What is still there after its removal may be the service's default.
    """
    comparison = Comparison(exact, ordered)
    said = []
    for name, value in sorted(wanted.items()):
        if not comparison.same(name, value, found.get(name), strict=name in exact):
            shown = ("a secret", "another value") if name in secret else (_shown(value), _shown(found.get(name)))
            said.append(f"property {name} was not applied by the service: wanted {shown[0]}, found {shown[1]}")
    for name, value in sorted((previous or {}).items()):
        if name in wanted or name not in found or not comparison.same(name, value, found[name], strict=True):
            continue
        if name not in (defaults or {}) or not comparison.same(name, (defaults or {})[name], value, strict=True):
            said.append(f"property {name} was not removed by the service: it still has {_shown(found[name])}")
    return said


def same_value(left: Any, right: Any) -> bool:
    """Whether two values mean the same, no member more or less."""
    return Comparison((), ()).same("", left, right, strict=True)


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def is_empty(value: Any) -> bool:
    """Whether a value says as much as none."""
    return value is None or value in ("", [], {})


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def alike(name: str, wanted: Any, found: Any) -> tuple[Any, Any]:
    """Both values of the member `name` in one form: JSON text as what it says, a policy element as a list."""
    if isinstance(wanted, str) and isinstance(found, (dict, list)):
        wanted = _parsed(wanted)
    elif isinstance(found, str) and isinstance(wanted, (dict, list)):
        found = _parsed(found)
    if name in _ONE_OR_MANY:
        wanted = wanted if isinstance(wanted, list) else [wanted]
        found = found if isinstance(found, list) else [found]
    return wanted, found


class Comparison:
    """The rules by which two values mean the same."""

    def __init__(self, exact: Collection[str], ordered: Collection[str]) -> None:
        self.exact = exact
        self.ordered = ordered

    def same(self, name: str, wanted: Any, found: Any, *, strict: bool) -> bool:
        """Whether `found` fulfils `wanted`; `name` is the member's name, for the rules that depend on it."""
        wanted, found = alike(name, wanted, found)
        if isinstance(wanted, Mapping) and isinstance(found, Mapping):
            return self._same_map(wanted, found, strict=strict)
        if isinstance(wanted, list) and isinstance(found, list):
            return self._same_list(name, wanted, found, strict=strict)
        if is_empty(wanted) or is_empty(found):
            return is_empty(wanted) and is_empty(found)
        return self._same_scalar(wanted, found)

    def _same_map(self, wanted: Mapping[str, Any], found: Mapping[str, Any], *, strict: bool) -> bool:
        if strict and any(not is_empty(found[key]) for key in set(found) - set(wanted)):
            return False
        return all(
            self.same(key, value, found.get(key), strict=strict or key in self.exact) for key, value in wanted.items()
        )

    def _same_list(self, name: str, wanted: list[Any], found: list[Any], *, strict: bool) -> bool:
        if len(wanted) != len(found):
            return False
        if name in self.ordered:
            return all(self.same("", *pair, strict=strict) for pair in zip(wanted, found, strict=True))
        return self.unmatched(wanted, found, strict=strict) == ([], [])

    def unmatched(self, wanted: list[Any], found: list[Any], *, strict: bool) -> tuple[list[int], list[int]]:
        """Places in either list whose item has no equal in the other one, whatever the order."""
        missing, extra = [], list(range(len(found)))
        for place, item in enumerate(wanted):
            match = next((other for other in extra if self.same("", item, found[other], strict=strict)), None)
            if match is None:
                missing.append(place)
            else:
                extra.remove(match)
        return missing, extra

    @staticmethod
    def _same_scalar(wanted: Any, found: Any) -> bool:
        if isinstance(wanted, str) and isinstance(found, str):
            return wanted == found or _same_document(wanted, found)
        left, right = scalar_text(wanted), scalar_text(found)
        if left == right or left.lower() == right.lower() in ("true", "false"):
            return True
        try:
            return float(left) == float(right)
        except ValueError:
            return False


def _same_document(wanted: str, found: str) -> bool:
    """Two JSON texts with the same meaning (`Input` of an event target)."""
    if not (wanted[:1] in "{[" and found[:1] in "{["):
        return False
    return bool(_parsed(wanted) == _parsed(found))
