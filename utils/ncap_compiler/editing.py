"""Changes of JSON text that leave every other character of it as it was: order, indentation, line ends.

Positions come from one reading of the text; changes are made of them and applied together. What is put in follows the
layout of its neighbours. This module must not know any particular document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ncap_compiler.document import Json, escape

_TOKEN = re.compile(r'[ \t\n\r]*("(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+)')
_INDENT = "  "


@dataclass(frozen=True, slots=True)
class Change:
    """The characters from `start` to `end` become `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a list or object: where it begins (in an object: its name), its value, and the name's end."""

    start: int
    end: int
    value_start: int
    name_end: int
    name: str


@dataclass(frozen=True, slots=True)
class _Value:
    """Where a value is, and its entries when it is a list or an object."""

    start: int
    end: int
    kind: str
    entries: tuple[_Entry, ...] = ()


class JsonText:
    """JSON text that `read_document` accepts, and where each of its values is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._values: dict[str, _Value] = {}
        self._position = 0
        self._read("")

    def replace(self, pointer: str, value: Json) -> Change:
        """The value at `pointer` becomes `value`. Raises KeyError if there is none."""
        found = self._values[pointer]
        return Change(found.start, found.end, _inline(value))

    def append(self, pointer: str, values: Sequence[Json]) -> Change:
        """Further entries at the end of the list at `pointer`. Raises KeyError, TypeError."""
        found = self._container(pointer, "[")
        if not found.entries:
            return Change(found.start, found.end, _inline(list(values)))
        separator = self._separator(found, len(found.entries) - 1)
        texts = [self._laid_out(value, found, separator) for value in values]
        end = found.entries[-1].end
        return Change(end, end, "".join(separator + text for text in texts))

    def remove(self, pointer: str, index: int) -> Change:
        """The entry `index` of the list or object at `pointer` goes. Raises KeyError, IndexError."""
        found = self._values[pointer]
        entry = found.entries[index]
        if index + 1 < len(found.entries):
            return Change(entry.start, found.entries[index + 1].start, "")
        if index > 0:
            return Change(found.entries[index - 1].end, entry.end, "")
        return Change(found.start + 1, found.end - 1, "")

    def set_field(self, pointer: str, name: str, value: Json, *, after: str = "") -> Change:
        """The field `name` of the object at `pointer` becomes `value`.

        A field that is not there yet is put behind the field `after`, or at the end. Raises KeyError, TypeError.
        """
        found = self._container(pointer, "{")
        names = [entry.name for entry in found.entries]
        if name in names:
            return self.replace(f"{pointer}/{escape(name)}", value)
        if not names:
            return Change(found.start, found.end, _inline({name: value}))
        index = names.index(after) if after in names else len(names) - 1
        entry = found.entries[index]
        colon = self.text[entry.name_end : entry.value_start]
        text = f"{self._separator(found, index)}{_inline(name)}{colon}{_inline(value)}"
        return Change(entry.end, entry.end, text)

    def remove_field(self, pointer: str, name: str) -> Change:
        """The field `name` of the object at `pointer` goes. Raises KeyError, TypeError, ValueError."""
        names = [entry.name for entry in self._container(pointer, "{").entries]
        return self.remove(pointer, names.index(name))

    def apply(self, changes: Iterable[Change]) -> str:
        """The text with all changes, which must not overlap. Raises ValueError if they do."""
        parts: list[str] = []
        position = 0
        for change in sorted(changes, key=lambda change: (change.start, change.end)):
            if change.start < position:
                raise ValueError("two changes of one place")
            parts += [self.text[position : change.start], change.text]
            position = change.end
        return "".join([*parts, self.text[position:]])

    def _container(self, pointer: str, kind: str) -> _Value:
        found = self._values[pointer]
        if found.kind != kind:
            raise TypeError(f"{pointer} does not begin with {kind}")
        return found

    def _separator(self, found: _Value, index: int) -> str:
        """What stands between an entry and the one put behind it: as between its neighbours."""
        entries = found.entries
        if len(entries) > 1:
            first = min(index, len(entries) - 2)
            return self.text[entries[first].end : entries[first + 1].start]
        lead = self.text[found.start + 1 : entries[0].start]
        return f",{lead}" if "\n" in lead else ", "

    def _laid_out(self, value: Json, found: _Value, separator: str) -> str:
        """A value as text; an object on several lines where its neighbour is."""
        line_end, newline, indent = separator.rpartition("\n")
        neighbour = self.text[found.entries[-1].value_start : found.entries[-1].end]
        if not isinstance(value, dict) or not newline or "\n" not in neighbour:
            return _inline(value)
        line = ("\r\n" if line_end.endswith("\r") else "\n") + indent
        inner = re.match(r"\{[ \t]*\r?\n([ \t]*)", neighbour)
        unit = inner.group(1).removeprefix(indent) if inner and inner.group(1).startswith(indent) else _INDENT
        fields = f",{line}{unit}".join(f"{_inline(name)}: {_inline(field)}" for name, field in value.items())
        return f"{{{line}{unit}{fields}{line}}}"

    def _read(self, pointer: str) -> _Value:
        token, start = self._next()
        if token in ("{", "["):
            entries = tuple(self._entries(pointer, token))
            found = _Value(start, self._position, token, entries)
        else:
            found = _Value(start, self._position, "")
        self._values[pointer] = found
        return found

    def _entries(self, pointer: str, kind: str) -> Iterable[_Entry]:
        count = 0
        while True:
            before = self._position
            token, start = self._next()
            if token in ("}", "]"):
                return
            if token == ",":
                continue
            name, name_end = str(count), start
            if kind == "{":
                name, name_end = str(json.loads(token)), self._position
                self._next()
            else:
                self._position = before
            value = self._read(f"{pointer}/{escape(name)}")
            yield _Entry(start, value.end, value.start, name_end, name)
            count += 1

    def _next(self) -> tuple[str, int]:
        match = _TOKEN.match(self.text, self._position)
        if match is None:
            raise ValueError("the text is not JSON")
        self._position = match.end()
        return match.group(1), match.start(1)


def _inline(value: Json) -> str:
    """A value on one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
