"""JSON text as a value that knows the line of each of its parts.

One reader for blueprints, profiles, recipes and schemas. It refuses politely what `json` lets pass (a field written
twice, NaN, a byte order mark) and collects such problems. It must not know any particular document.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ncap_compiler.errors import DocumentError, Notice, Problem

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Any JSON value."""

MAX_DEPTH = 64
"""Deepest nesting accepted; documents of people stay under ten."""

_TOKEN = re.compile(r'[ \t\n\r]*("(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+)')

_INDEX = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Document:
    """A read document: its name for messages, its value, and the line of every JSON pointer in it."""

    file: str
    value: dict[str, Json]
    lines: Mapping[str, int]

    def get(self, pointer: str) -> Json:
        """The value at `pointer`, None when there is none."""
        found: Json = self.value
        for part in pointer.split("/")[1:]:
            name = unescape(part)
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and _INDEX.fullmatch(name) and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
        return found

    def line(self, pointer: str) -> int | None:
        """The line of `pointer`, or of the nearest part around it that exists."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer)

    def problem(self, problem_id: str, pointer: str, message: str, hint: str | None = None) -> Problem:
        """A problem placed at `pointer`."""
        return Problem(problem_id, self.file, pointer, self.line(pointer), message, hint)

    def notice(self, notice_id: str, pointer: str, message: str, hint: str | None = None) -> Notice:
        """A notice placed at `pointer`."""
        return Notice(notice_id, self.file, pointer, self.line(pointer), message, hint)


def decode_text(data: bytes, file: str) -> str:
    """The text of a document's bytes. Raises DocumentError (D101) for anything but UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DocumentError(
            [Problem("D101", file, "", line, "the file is not UTF-8 text", "Save it as UTF-8 in your editor.")]
        ) from error


def read_document(text: str, file: str) -> Document:
    """Read a JSON object. Raises DocumentError with all problems of ids D101 to D107."""
    if text.startswith("\ufeff"):
        hint = "Save it as UTF-8 without a byte order mark."
        raise DocumentError([Problem("D101", file, "", 1, "the file begins with a byte order mark", hint)])
    _check_syntax(text, file)
    walker = _Walker(text, file)
    value = walker.value("", 0)
    if not walker.problems and not isinstance(value, dict):
        walker.report("D106", "", f"the document is {describe_type(value)}, not an object", "Begin it with '{'.")
    if walker.problems or not isinstance(value, dict):
        raise DocumentError(walker.problems)
    return Document(file, value, walker.lines)


def canonical_json(value: Json) -> bytes:
    """The one spelling of a value that digests are made of: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def render_json(value: Json) -> str:
    """A document as people keep it: two spaces, its own order, newline at the end."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def escape(name: str) -> str:
    """A field name as part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def unescape(part: str) -> str:
    """A part of a JSON pointer as a field name."""
    return part.replace("~1", "/").replace("~0", "~")


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A sentence with the nearest known name, None when nothing is near."""
    folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f"Did you mean `{folded[near[0]]}`?" if near else None


def describe_type(value: Json) -> str:
    """The JSON type of a value in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    for kind, words in ((int, "a whole number"), (float, "a number"), (str, "text"), (list, "a list")):
        if isinstance(value, kind):
            return words
    return "an object"


def _check_syntax(text: str, file: str) -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        message = f"the text is not JSON: {error.msg} (column {error.colno})"
        hint = "The file is empty." if not text.strip() else "Comments, single quotes and trailing commas are not JSON."
        raise DocumentError([Problem("D102", file, "", error.lineno, message, hint)]) from error
    except RecursionError as error:
        raise DocumentError([_too_deep(file, None)]) from error
    except ValueError as error:
        raise DocumentError([Problem("D104", file, "", None, "a number has thousands of digits")]) from error


def _too_deep(file: str, line: int | None) -> Problem:
    return Problem("D105", file, "", line, f"the document is nested more than {MAX_DEPTH} levels deep")


class _Walker:
    """Walks text already known to be JSON and notes where each value begins."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.position = 0
        self.lines: dict[str, int] = {}
        self.problems: list[Problem] = []
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def report(self, problem_id: str, pointer: str, message: str, hint: str | None = None) -> None:
        line = self.lines.get(pointer)
        self.problems.append(Problem(problem_id, self.file, pointer, line, message, hint))

    def value(self, pointer: str, depth: int) -> Json:
        token, line = self._next()
        self.lines.setdefault(pointer, line)
        if depth > MAX_DEPTH:
            raise DocumentError([*self.problems, _too_deep(self.file, line)])
        if token == "{":
            return self._object(pointer, depth)
        if token == "[":
            return self._array(pointer, depth)
        return self._scalar(token, pointer)

    def _object(self, pointer: str, depth: int) -> dict[str, Json]:
        found: dict[str, Json] = {}
        while (token := self._next()[0]) != "}":
            if token == ",":
                continue
            line = self._line(self.position)
            name = str(json.loads(token))
            child = f"{pointer}/{escape(name)}"
            if name in found:
                message = f"`{name}` is written twice; the first is on line {self.lines[child]}"
                self.problems.append(Problem("D103", self.file, child, line, message, "Keep one of them."))
            self._check_unicode(name, pointer)
            self._next()
            found[name] = self.value(child, depth + 1)
        return found

    def _array(self, pointer: str, depth: int) -> list[Json]:
        found: list[Json] = []
        while True:
            before = self.position
            token = self._next()[0]
            if token == "]":
                return found
            if token != ",":
                self.position = before
                found.append(self.value(f"{pointer}/{len(found)}", depth + 1))

    def _scalar(self, token: str, pointer: str) -> Json:
        value: Json = json.loads(token)
        if isinstance(value, float) and not math.isfinite(value):
            self.report("D104", pointer, f"{token} is not a number JSON has", "Write a finite number.")
        if isinstance(value, str):
            self._check_unicode(value, pointer)
        return value

    def _check_unicode(self, value: str, pointer: str) -> None:
        if any("\ud800" <= character <= "\udfff" for character in value):
            self.report("D107", pointer, "the text holds half of a surrogate pair", "Write the character itself.")

    def _next(self) -> tuple[str, int]:
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise AssertionError("text checked as JSON ended early")
        self.position = match.end()
        return match.group(1), self._line(match.start(1))

    def _line(self, position: int) -> int:
        return bisect_right(self._starts, position)
