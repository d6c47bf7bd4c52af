"""Writes answers as boto3's parsers expect them, guided by the service's own model. Knows no service."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from botocore.model import Shape

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class EncodeError(Exception):
    """An answer that its model does not allow: a mistake of the service, not of the caller."""


def xml_text(text: str) -> str:
    """Text as it may stand in XML; characters XML 1.0 has no way to write become U+FFFD."""
    return escape(_NOT_IN_XML.sub("\ufffd", text)).replace("\r", "&#13;")


def element(name: str, inner: str, attributes: str = "") -> str:
    """One element around what is already XML."""
    return f"<{name}{attributes}>{inner}</{name}>"


def xml_members(shape: Shape, value: Mapping[str, Any], where: str = "") -> str:
    """The inside of a structure. Raises EncodeError."""
    _check_members(shape, value, where)
    parts = []
    for name, member in shape.members.items():
        if value.get(name) is not None:
            parts.append(_xml_value(member, value[name], _wire_name(member, name), f"{where}.{name}"))
    return "".join(parts)


def _check_members(shape: Shape, value: Mapping[str, Any], where: str) -> None:
    if not isinstance(value, Mapping):
        raise EncodeError(f"{where or 'answer'}: expected a structure, found {type(value).__name__}")
    unknown = set(value) - set(shape.members)
    if unknown:
        raise EncodeError(f"{where or 'answer'}: no such member in {shape.name}: {', '.join(sorted(unknown))}")


def _wire_name(shape: Shape, name: str) -> str:
    if shape.type_name == "list" and shape.serialization.get("flattened"):
        inner = shape.member.serialization.get("name")
        if inner:
            return str(inner)
    return str(shape.serialization.get("name", name))


def _xml_value(shape: Shape, value: Any, name: str, where: str) -> str:
    kind = shape.type_name
    if kind == "structure":
        return element(name, xml_members(shape, value, where))
    if kind == "list":
        return _xml_list(shape, value, name, where)
    if kind == "map":
        return _xml_map(shape, value, name, where)
    return element(name, xml_text(_text(shape, value, where)))


def _xml_list(shape: Shape, value: Any, name: str, where: str) -> str:
    if isinstance(value, str | bytes | Mapping):
        raise EncodeError(f"{where}: expected a list, found {type(value).__name__}")
    if shape.serialization.get("flattened"):
        return "".join(_xml_value(shape.member, item, name, where) for item in value)
    inner = str(shape.member.serialization.get("name", "member"))
    return element(name, "".join(_xml_value(shape.member, item, inner, where) for item in value))


def _xml_map(shape: Shape, value: Mapping[str, Any], name: str, where: str) -> str:
    key_name = str(shape.key.serialization.get("name", "key"))
    value_name = str(shape.value.serialization.get("name", "value"))
    flat = bool(shape.serialization.get("flattened"))
    entries = [
        element(
            name if flat else "entry",
            _xml_value(shape.key, key, key_name, where) + _xml_value(shape.value, item, value_name, f"{where}.{key}"),
        )
        for key, item in value.items()
    ]
    return "".join(entries) if flat else element(name, "".join(entries))


def _text(shape: Shape, value: Any, where: str) -> str:
    kind = shape.type_name
    writers: Mapping[str, tuple[type | tuple[type, ...], Callable[[Any], str]]] = {
        "boolean": (bool, lambda item: "true" if item else "false"),
        "integer": (int, str),
        "long": (int, str),
        "float": ((int, float), repr),
        "double": ((int, float), repr),
        "timestamp": (datetime, lambda item: timestamp_text(item, shape.serialization.get("timestampFormat"))),
        "blob": ((bytes, bytearray), lambda item: base64.b64encode(item).decode()),
        "string": (str, str),
        "character": (str, str),
    }
    expected, write = writers[kind]
    if not isinstance(value, expected) or (isinstance(value, bool) and kind != "boolean"):
        raise EncodeError(f"{where}: expected a {kind}, found {type(value).__name__}")
    return write(value)


def timestamp_text(moment: datetime, style: str | None) -> str:
    """A moment as the model wants it: ISO 8601 in UTC with milliseconds by default."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if style == "unixTimestamp":
        return str(int(moment.timestamp()))
    if style == "rfc822":
        return format_datetime(moment, usegmt=True)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def json_value(shape: Shape, value: Any, where: str = "") -> Any:
    """A value of the `json` protocol, ready for `json.dumps`. Raises EncodeError."""
    kind = shape.type_name
    if kind == "structure":
        _check_members(shape, value, where)
        return {
            _wire_json(shape.members[name], name): json_value(shape.members[name], item, f"{where}.{name}")
            for name, item in value.items()
            if item is not None
        }
    if kind == "list":
        return [json_value(shape.member, item, where) for item in value]
    if kind == "map":
        return {key: json_value(shape.value, item, f"{where}.{key}") for key, item in value.items()}
    if kind == "timestamp":
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.timestamp()
    if kind == "blob":
        return base64.b64encode(value).decode()
    _text(shape, value, where)
    return value


def _wire_json(shape: Shape, name: str) -> str:
    return str(shape.serialization.get("name", name))
