"""Reading a request: what is accepted, what is refused by name, EC2's error codes for both. Pure.

Nothing is ignored: a parameter this cloud would not honour is an error, unless its value asks for what happens anyway.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ncap_iac.local.service import ServiceError

Parameters = Mapping[str, Any]

USER_DATA_BYTES = 16384
_MOST_TAGS = 50
_LONGEST_TAG_KEY = 128
_LONGEST_TAG_VALUE = 256
_EMPTY: tuple[object, ...] = (None, "", [], {}, ())


def refuse_others(
    operation: str, parameters: Parameters, accepted: Iterable[str], neutral: Parameters | None = None
) -> None:
    """Raise for parameters beyond `accepted`; those of `neutral` may be given with just that value."""
    allowed = {*accepted, "DryRun"}
    for name, value in parameters.items():
        if name in allowed or value in _EMPTY or (neutral and name in neutral and value == neutral[name]):
            continue
        raise ServiceError("UnsupportedOperation", f"The local cloud does not offer {name} in {operation}; remove it.")


def required(parameters: Parameters, name: str) -> Any:
    """The value of a parameter. Raises MissingParameter."""
    value = parameters.get(name)
    if value in _EMPTY:
        raise ServiceError("MissingParameter", f"The request must contain the parameter {name}")
    return value


def invalid(value: object, name: str, accepted: str = "") -> ServiceError:
    """EC2's answer to a value it does not take."""
    hint = f" {accepted}" if accepted else ""
    return ServiceError("InvalidParameterValue", f"Invalid value '{value}' for {name}.{hint}")


def check_id(value: str, prefix: str, code: str) -> str:
    """An id as EC2 writes it. Raises `code` for anything else."""
    if not re.fullmatch(rf"{prefix}-[0-9a-f]{{8,17}}", value):
        raise ServiceError(code, f'Invalid id: "{value}" (expecting "{prefix}-...")')
    return value


def read_tags(tags: Sequence[Parameters]) -> dict[str, str]:
    """Tags of a list of Key and Value, within EC2's limits (Tag in the EC2 API reference)."""
    found: dict[str, str] = {}
    for tag in tags:
        key, value = tag.get("Key") or "", tag.get("Value") or ""
        if not key or len(key) > _LONGEST_TAG_KEY:
            raise invalid(key, "tag key", "A key has 1 to 128 characters.")
        if len(value) > _LONGEST_TAG_VALUE:
            raise invalid(value, "tag value", "A value has at most 256 characters.")
        if key.lower().startswith("aws:"):
            raise ServiceError("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
        if key in found:
            raise ServiceError("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        found[key] = value
    return check_tag_count(found)


def check_tag_count(tags: dict[str, str]) -> dict[str, str]:
    """The tags, if a resource may have that many. Raises TagLimitExceeded."""
    if len(tags) > _MOST_TAGS:
        raise ServiceError("TagLimitExceeded", f"A resource has at most {_MOST_TAGS} tags.")
    return tags


def read_tag_specifications(
    specifications: Sequence[Parameters] | None, accepted: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Tags by resource type. Raises for a type that the request does not make."""
    allowed = tuple(accepted)
    found: dict[str, dict[str, str]] = {}
    for specification in specifications or ():
        kind = specification.get("ResourceType") or ""
        if kind not in allowed:
            raise invalid(kind, "ResourceType", f"Tags are kept here for: {', '.join(allowed)}.")
        if kind in found:
            raise ServiceError("InvalidParameterValue", f"Resource type '{kind}' is specified more than once.")
        found[kind] = read_tags(specification.get("Tags") or ())
    return found


def read_user_data(text: str) -> bytes:
    """User data of its base64 form, within EC2's limit."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ServiceError("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from None
    if len(data) > USER_DATA_BYTES:
        raise ServiceError("InvalidParameterValue", f"User data is limited to {USER_DATA_BYTES} bytes")
    return data


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in EC2's shape."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def stop_dry_run(parameters: Parameters) -> None:
    """To be called when all is checked and nothing is changed yet. Raises DryRunOperation for a dry run."""
    if parameters.get("DryRun"):
        raise ServiceError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)
