"""Requests of the `rest-json` protocol: which operation a method and path mean, and its parameters from all over them.

By the service's botocore model. Decides nothing; answers are those of the `json` protocol with another content type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ncap_iac.local.querydecode import json_structure, scalar

if TYPE_CHECKING:
    from botocore.model import OperationModel, ServiceModel, Shape

_LABEL = re.compile(r"\{(\w+)\+?\}")


@dataclass(frozen=True)
class Line:
    """What stands outside the body of a request."""

    method: str = "POST"
    path: str = "/"
    """As sent, still encoded."""
    query: Sequence[tuple[str, str]] = ()
    """Decoded."""
    target: str = ""
    """The `X-Amz-Target` field, which names the operation in the `json` protocol."""


def find_operation(model: ServiceModel, line: Line) -> tuple[str, Mapping[str, str]]:
    """The operation's name (empty if there is none) and the values in its path."""
    for name in model.operation_names:
        http = model.operation_model(name).http
        found = _pattern(http["requestUri"].partition("?")[0]).fullmatch(line.path.rstrip("/") or "/")
        if found and http["method"] == line.method:
            return name, {label: unquote(text) for label, text in found.groupdict().items()}
    return "", {}


def read_parameters(operation: OperationModel, line: Line, labels: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Parameters in boto3's shape. Raises DecodeError for a body that is not of the operation."""
    shape = operation.input_shape
    if shape is None:
        return {}
    found = json_structure(shape, body)
    for name, member in shape.members.items():
        place = member.serialization.get("location")
        wire = str(member.serialization.get("name", name))
        if place == "uri" and wire in labels:
            found[name] = labels[wire]
        if place == "querystring":
            values = [text for key, text in line.query if key == wire]
            if values:
                found[name] = _queried(member, values, wire)
    return found


def _queried(shape: Shape, values: Sequence[str], where: str) -> Any:
    if shape.type_name == "list":
        return [scalar(shape.member, value, where) for value in values]
    return scalar(shape, values[-1], where)


def _pattern(uri: str) -> re.Pattern[str]:
    parts = _LABEL.split(uri)
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    )
