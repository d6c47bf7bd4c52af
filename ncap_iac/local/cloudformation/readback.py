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
    comparison = _Comparison(exact, ordered)
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
    return _Comparison((), ()).same("", left, right, strict=True)


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


class _Comparison:
    def __init__(self, exact: Collection[str], ordered: Collection[str]) -> None:
        self._exact = exact
        self._ordered = ordered

    def same(self, name: str, wanted: Any, found: Any, *, strict: bool) -> bool:
        """Whether `found` fulfils `wanted`; `name` is the member's name, for the rules that depend on it."""
        if isinstance(wanted, str) and isinstance(found, (dict, list)):
            wanted = _parsed(wanted)
        elif isinstance(found, str) and isinstance(wanted, (dict, list)):
            found = _parsed(found)
        if name in _ONE_OR_MANY:
            wanted = wanted if isinstance(wanted, list) else [wanted]
            found = found if isinstance(found, list) else [found]
        if isinstance(wanted, Mapping) and isinstance(found, Mapping):
            return self._same_map(wanted, found, strict=strict)
        if isinstance(wanted, list) and isinstance(found, list):
            return self._same_list(name, wanted, found, strict=strict)
        if _is_empty(wanted) or _is_empty(found):
            return _is_empty(wanted) and _is_empty(found)
        return self._same_scalar(wanted, found)

    def _same_map(self, wanted: Mapping[str, Any], found: Mapping[str, Any], *, strict: bool) -> bool:
        if strict and any(not _is_empty(found[key]) for key in set(found) - set(wanted)):
            return False
        return all(
            self.same(key, value, found.get(key), strict=strict or key in self._exact) for key, value in wanted.items()
        )

    def _same_list(self, name: str, wanted: list[Any], found: list[Any], *, strict: bool) -> bool:
        if len(wanted) != len(found):
            return False
        if name in self._ordered:
            return all(self.same("", *pair, strict=strict) for pair in zip(wanted, found, strict=True))
        left = list(found)
        for item in wanted:
            match = next((place for place, other in enumerate(left) if self.same("", item, other, strict=strict)), None)
            if match is None:
                return False
            del left[match]
        return True

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
