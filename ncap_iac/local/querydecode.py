"""Reads parameters off the wire into boto3's shape, guided by the service's own model.

Strict: a parameter the model does not have is an error, never ignored. Knows no service.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from botocore.model import Shape


class DecodeError(Exception):
    """A request that its model does not allow."""

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(f"{parameter}: {problem}" if parameter else problem)
        self.parameter = parameter


class UnknownParameterError(DecodeError):
    """A parameter the operation does not have."""

    def __init__(self, parameter: str) -> None:
        super().__init__(parameter, "the parameter is not recognized")


class Tree:
    """Form fields by their dotted names: `Filter.1.Value.2=x` is `x` at Filter, 1, Value, 2."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.branches: dict[str, Tree] = {}

    def add(self, name: str, text: str) -> None:
        """Put a field where its name says."""
        place = self
        for part in name.split("."):
            place = place.branches.setdefault(part, Tree())
        place.text = text

    def numbered(self, where: str) -> Iterator[Tree]:
        """The branches of a list in the order of their numbers. Raises DecodeError."""
        for number in self.branches:
            if not (number.isascii() and number.isdigit()):
                raise UnknownParameterError(f"{where}.{number}")
        for number in sorted(self.branches, key=int):
            yield self.branches[number]


def form_tree(body: bytes) -> Tree:
    """The fields of a form. Raises DecodeError."""
    tree = Tree()
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=20_000)
    except ValueError as error:
        raise DecodeError("", f"the body is not a form: {error}") from error
    for name, text in pairs:
        tree.add(name, text)
    return tree


class QueryNames:
    """How the `query` protocol spells members and lists."""

    def member(self, shape: Shape, name: str) -> str:
        """A structure member's name on the wire."""
        if shape.type_name == "list" and shape.serialization.get("flattened"):
            inner = shape.member.serialization.get("name")
            if inner:
                return str(inner)
        return str(shape.serialization.get("name", name))

    def list_branch(self, shape: Shape, tree: Tree) -> Tree | None:
        """The branch whose numbered branches are the items; None for a list that is stated to be empty."""
        if shape.serialization.get("flattened"):
            return tree
        name = str(shape.member.serialization.get("name", "member"))
        return tree.branches.get(name)

    def strays(self, shape: Shape, tree: Tree) -> list[str]:
        """Branches of a list that are not its items."""
        if shape.serialization.get("flattened"):
            return []
        return [name for name in tree.branches if name != shape.member.serialization.get("name", "member")]


class Ec2Names(QueryNames):
    """How the `ec2` protocol spells them: `queryName`, else the location name capitalized; lists are flat."""

    def member(self, shape: Shape, name: str) -> str:
        """A structure member's name on the wire."""
        wire = shape.serialization.get("queryName")
        if wire:
            return str(wire)
        wire = str(shape.serialization.get("name", name))
        return wire[:1].upper() + wire[1:]

    def list_branch(self, shape: Shape, tree: Tree) -> Tree | None:
        """The branch whose numbered branches are the items."""
        return tree

    def strays(self, shape: Shape, tree: Tree) -> list[str]:
        """None: every branch must be a number."""
        return []


class FormDecoder:
    """Form fields to parameters, for the protocols `query` and `ec2`."""

    def __init__(self, names: QueryNames) -> None:
        self._names = names

    def structure(self, shape: Shape, tree: Tree, where: str = "") -> dict[str, Any]:
        """A structure's parameters. Raises DecodeError."""
        found: dict[str, Any] = {}
        left = dict(tree.branches)
        for name, member in shape.members.items():
            wire = self._names.member(member, name)
            branch = left.pop(wire, None)
            if branch is not None:
                found[name] = self._value(member, branch, f"{where}.{wire}" if where else wire)
        for stray in left:
            raise UnknownParameterError(f"{where}.{stray}" if where else stray)
        return found

    def _value(self, shape: Shape, tree: Tree, where: str) -> Any:
        kind = shape.type_name
        if kind == "structure":
            return self.structure(shape, tree, where)
        if kind == "list":
            return self._list(shape, tree, where)
        if kind == "map":
            return self._map(shape, tree, where)
        if tree.branches:
            raise UnknownParameterError(f"{where}.{next(iter(tree.branches))}")
        return scalar(shape, tree.text or "", where)

    def _list(self, shape: Shape, tree: Tree, where: str) -> list[Any]:
        for stray in self._names.strays(shape, tree):
            raise UnknownParameterError(f"{where}.{stray}")
        branch = self._names.list_branch(shape, tree)
        if branch is None:
            return []
        return [self._value(shape.member, item, where) for item in branch.numbered(where)]

    def _map(self, shape: Shape, tree: Tree, where: str) -> dict[str, Any]:
        branch: Tree | None = tree if shape.serialization.get("flattened") else tree.branches.get("entry")
        key_name = str(shape.key.serialization.get("name", "key"))
        value_name = str(shape.value.serialization.get("name", "value"))
        found = {}
        for entry in branch.numbered(where) if branch else ():
            if key_name not in entry.branches or value_name not in entry.branches:
                raise DecodeError(where, f"an entry needs {key_name} and {value_name}")
            key = self._value(shape.key, entry.branches[key_name], where)
            found[key] = self._value(shape.value, entry.branches[value_name], where)
        return found


def scalar(shape: Shape, text: str, where: str) -> Any:
    """A scalar from its text. Raises DecodeError."""
    readers: Mapping[str, Callable[[str], Any]] = {
        "integer": int,
        "long": int,
        "float": float,
        "double": float,
        "boolean": _boolean,
        "timestamp": _timestamp,
        "blob": _blob,
    }
    try:
        return readers.get(shape.type_name, str)(text)
    except ValueError as error:
        raise DecodeError(where, f"{text!r} is not a valid {shape.type_name}") from error


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _timestamp(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error


def json_structure(shape: Shape, body: bytes) -> dict[str, Any]:
    """Parameters of the `json` protocol. Raises DecodeError."""
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:
        raise DecodeError("", f"the body is not JSON: {error}") from error
    decoded = _json_value(shape, document, "")
    return decoded if isinstance(decoded, dict) else {}


def _json_value(shape: Shape, value: Any, where: str) -> Any:
    kind = shape.type_name
    expected = {"structure": dict, "map": dict, "list": list}.get(kind)
    if expected and not isinstance(value, expected):
        raise DecodeError(where, f"expected a {kind}")
    if kind == "structure":
        return _json_members(shape, value, where)
    if kind == "list":
        return [_json_value(shape.member, item, where) for item in value]
    if kind == "map":
        return {key: _json_value(shape.value, item, f"{where}.{key}") for key, item in value.items()}
    if kind == "timestamp":
        return (
            datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else scalar(shape, str(value), where)
        )
    if kind == "blob":
        return scalar(shape, str(value), where)
    return value


def _json_members(shape: Shape, value: Mapping[str, Any], where: str) -> dict[str, Any]:
    wire_names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
    found = {}
    for wire, item in value.items():
        place = f"{where}.{wire}" if where else wire
        if wire not in wire_names:
            raise UnknownParameterError(place)
        if item is not None:
            found[wire_names[wire]] = _json_value(shape.members[wire_names[wire]], item, place)
    return found
