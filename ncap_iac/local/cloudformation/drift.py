"""What differs between a resource as it was deployed and as its service has it, in CloudFormation's words.

Pure. Compares declared properties only, as AWS does, by the rules of the read-back.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ncap_iac.local.cloudformation.readback import Comparison, alike, is_empty
from ncap_iac.local.cloudformation.template import scalar_text
from ncap_iac.local.cloudformation.values import Properties


class DifferenceKind(StrEnum):
    """What became of an expected value."""

    ADD = "ADD"
    REMOVE = "REMOVE"
    NOT_EQUAL = "NOT_EQUAL"


@dataclass(frozen=True)
class PropertyDifference:
    """One value that is not as deployed."""

    path: str
    """JSON pointer from the resource's properties: `/Tags/0/Value`."""
    expected: str
    actual: str
    kind: DifferenceKind


def property_differences(
    wanted: Properties, found: Properties, *, exact: Collection[str] = (), ordered: Collection[str] = ()
) -> tuple[PropertyDifference, ...]:
    """Every value of `wanted` that `found` does not have, and what `found` has in its place or beside it."""
    walk = _Walk(Comparison(exact, ordered))
    return tuple(
        difference
        for name, value in sorted(wanted.items())
        for difference in walk.differences("/" + _escaped(name), name, value, found.get(name), strict=name in exact)
    )


class _Walk:
    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison

    def differences(
        self, path: str, name: str, wanted: Any, found: Any, *, strict: bool
    ) -> Iterator[PropertyDifference]:
        """Differences at and below one place."""
        if self._comparison.same(name, wanted, found, strict=strict):
            return
        wanted, found = alike(name, wanted, found)
        if isinstance(wanted, Mapping) and isinstance(found, Mapping):
            yield from self._of_maps(path, wanted, found, strict=strict)
        elif isinstance(wanted, list) and isinstance(found, list) and wanted and found:
            yield from self._of_lists(path, name, wanted, found, strict=strict)
        else:
            yield _difference(path, wanted, found)

    def _of_maps(
        self, path: str, wanted: Mapping[str, Any], found: Mapping[str, Any], *, strict: bool
    ) -> Iterator[PropertyDifference]:
        for key, value in sorted(wanted.items()):
            deeper = strict or key in self._comparison.exact
            yield from self.differences(f"{path}/{_escaped(key)}", key, value, found.get(key), strict=deeper)
        for key in sorted(set(found) - set(wanted)) if strict else ():
            if not is_empty(found[key]):
                yield _difference(f"{path}/{_escaped(key)}", None, found[key])

    def _of_lists(
        self, path: str, name: str, wanted: list[Any], found: list[Any], *, strict: bool
    ) -> Iterator[PropertyDifference]:
        if name in self._comparison.ordered:
            missing, extra = list(range(len(wanted))), list(range(len(found)))
        else:
            missing, extra = self._comparison.unmatched(wanted, found, strict=strict)
        if len(missing) == len(extra):
            for place, other in zip(missing, extra, strict=True):
                yield from self.differences(f"{path}/{place}", "", wanted[place], found[other], strict=strict)
            return
        for place in missing:
            yield _difference(f"{path}/{place}", wanted[place], None)
        for place in extra:
            yield _difference(f"{path}/{place}", None, found[place])


def _difference(path: str, wanted: Any, found: Any) -> PropertyDifference:
    kind = DifferenceKind.NOT_EQUAL
    if is_empty(wanted) or is_empty(found):
        kind = DifferenceKind.ADD if is_empty(wanted) else DifferenceKind.REMOVE
    return PropertyDifference(path, _text(wanted), _text(found), kind)


def _escaped(name: str) -> str:
    """RFC 6901."""
    return name.replace("~", "~0").replace("/", "~1")


def _text(value: Any) -> str:
    if isinstance(value, (Mapping, list)):
        return json.dumps(value, sort_keys=True, default=str)
    return "null" if value is None else scalar_text(value)
