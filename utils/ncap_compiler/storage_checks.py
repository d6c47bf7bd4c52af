"""The rules of `Storage` of a profile that a JSON Schema cannot state: buckets, folders, what is the platform's own.

Yields problems; builds no values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ncap_compiler import names
from ncap_compiler.document import Document, Json
from ncap_compiler.errors import Problem

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+")
_PATTERNS = "*?${}"
"""Signs that mean something in a policy, and would give more than is written."""


def storage_entries(value: Json) -> Iterator[tuple[int, dict[str, Json]]]:
    """The entries of `Storage` with their places in the list."""
    for index, entry in enumerate(value if isinstance(value, list) else []):
        if isinstance(entry, dict):
            yield index, entry


def check_storage(document: Document, pointer: str, value: Json, analyses: frozenset[str]) -> Iterator[Problem]:
    """Problems of the `Storage` at `pointer`; `analyses` name buckets, too: the platform's."""
    seen: dict[tuple[str, str], int] = {}
    for index, entry in storage_entries(value):
        here = f"{pointer}/{index}"
        bucket, prefix = entry.get("Bucket"), entry.get("Prefix")
        if isinstance(bucket, str):
            yield from _check_bucket(document, f"{here}/Bucket", bucket, analyses)
        if isinstance(prefix, str) and (reason := why_not_a_prefix(prefix)):
            message = f"`{prefix}` cannot be a folder of a bucket: {reason}"
            yield document.problem("P210", f"{here}/Prefix", message, "Write it like `recordings/2026`.")
        place = str(bucket), str(prefix or "").rstrip("/")
        if place in seen:
            message = f"entries {seen[place] + 1} and {index + 1} name the same place"
            yield document.problem("P210", here, message, "Keep the one with the Access you mean.")
        seen.setdefault(place, index)


def why_not_a_bucket(name: str) -> str | None:
    """Why `name` cannot be a bucket of somebody's, None when it can. Rules: S3 bucket names."""
    if not _BUCKET.fullmatch(name) or ".." in name or _ADDRESS.fullmatch(name):
        return "a bucket has 3 to 63 small letters, digits, hyphens and dots"
    return None


def why_not_a_prefix(prefix: str) -> str | None:
    """Why `prefix` cannot be a folder, None when it can."""
    if prefix.startswith("/"):
        return "keys do not begin with a slash"
    if bad := sorted(sign for sign in set(prefix) if sign in _PATTERNS or not sign.isprintable()):
        return f"it holds {bad[0]!r}"
    if len(prefix.encode()) > 512:
        return "it is longer than 512 bytes"
    if any(part in ("", ".", "..") for part in prefix.removesuffix("/").split("/")):
        return "it has an empty part, '.' or '..' between its slashes"
    return None


def _check_bucket(document: Document, pointer: str, bucket: str, analyses: frozenset[str]) -> Iterator[Problem]:
    if reason := why_not_a_bucket(bucket):
        message = f"`{bucket}` is no name of a bucket: {reason}"
        yield document.problem("P210", pointer, message, "Write the name alone, without s3:// and folders.")
    elif bucket in analyses or bucket.startswith(names.RESERVED_PREFIX):
        message = f"`{bucket}` is a bucket of the platform, where a group reaches its own folder only"
        yield document.problem("P211", pointer, message, "Leave it out; name buckets of your own.")
