"""Where data lies: keys of the own bucket and `s3://` addresses, judged by their text. Looks nothing up.

Whether a group may read or write what an address names is for IAM to say (`grouproles`), never for this text.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from jobmanager.job import MAX_KEY_BYTES

SCHEME = "s3://"
OWN_FOLDERS = ("inputs", "configs", "results")
"""Folders of a group that hold data: a text that names another group's is refused before anybody is asked."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_QUERY = re.compile(r"\?(versionId=|X-Amz-|AWSAccessKeyId=)", re.IGNORECASE)
_PLATFORM = "neurocaas-"
_LONGEST_PREFIX_BYTES = 400
"""Of a result address: the job's name and the names of results come behind it."""


@dataclass(frozen=True)
class Address:
    """An object, or a folder (its key ends in a slash). Without a bucket it is in the analysis's own."""

    key: str
    bucket: str | None = None

    @property
    def text(self) -> str:
        """As a submission names it."""
        return self.key if self.bucket is None else f"{SCHEME}{self.bucket}/{self.key}"

    @property
    def is_folder(self) -> bool:
        """Whether it stands for what is below it."""
        return self.key.endswith("/")


def parse_address(text: str, own_bucket: str = "") -> Address:
    """The address a text that was judged usable names. The own bucket written out is the own bucket."""
    if not text.startswith(SCHEME):
        return Address(text)
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    return Address(key, None if bucket == own_bucket else bucket)


def why_not_data(text: object, group: str, *, own_bucket: str, folders: tuple[str, ...]) -> str | None:
    """Why a submitter of this group may not name this object or folder, or None. `folders`: of the own bucket."""
    if not isinstance(text, str) or not text:
        return f"a key must be a text, such as {group}/{folders[0]}/recording.csv"
    if not text.startswith(SCHEME):
        if scheme := _URL.match(text):
            if scheme.group().lower() == SCHEME:
                return "write the beginning of the address in small letters: s3://bucket/key"
            return "only keys and addresses of the form s3://bucket/key are read, no web addresses"
        return _why_not_a_key(text) or _why_not_own(text, group, folders)
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if reason := _why_not_a_bucket(bucket):
        return reason
    if not key:
        return f"it names no object; write s3://{bucket}/key, or s3://{bucket}/folder/ for a folder"
    if reason := _why_not_a_key(key):
        return reason
    return _why_not_own(key, group, folders) if bucket == own_bucket else None


def why_no_result_address(text: object, group: str, *, own_bucket: str) -> str | None:
    """Why results of this group cannot go there, or None."""
    if not isinstance(text, str) or not text.startswith(SCHEME):
        return "it must be an address of the form s3://bucket/prefix"
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    if reason := _why_not_a_bucket(bucket):
        return reason
    prefix = prefix.removesuffix("/")
    if prefix and (reason := _why_not_a_key(prefix)):
        return reason
    if len(prefix.encode("utf-8", "surrogatepass")) > _LONGEST_PREFIX_BYTES:
        return f"its prefix is longer than {_LONGEST_PREFIX_BYTES} bytes"
    if bucket == own_bucket and f"{prefix}/".split("/")[:2] != [group, "results"]:
        return f"in this bucket results of group '{group}' go to {group}/results/ only"
    return None


def foreign_group(address: Address, others: Collection[str]) -> str | None:
    """The other group whose folder an address of another bucket names by its text, or None."""
    segments = address.key.split("/")
    is_foreign = address.bucket is not None and segments[0] in others and segments[1:2] and segments[1] in OWN_FOLDERS
    return segments[0] if is_foreign else None


def _why_not_a_bucket(bucket: str) -> str | None:
    if not bucket:
        return "it names no bucket; write s3://bucket/key"
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        return f"{bucket!r:.80} is no name of a bucket (small letters, digits, hyphens and dots)"
    if bucket.startswith(_PLATFORM):
        return f"bucket '{bucket}' is the platform's own"
    return None


def _why_not_a_key(key: str) -> str | None:
    if any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in key):
        return "it holds a control character"
    if any(0xD800 <= ord(sign) < 0xE000 for sign in key) or len(key.encode("utf-8")) > MAX_KEY_BYTES:
        return f"it is no valid key of at most {MAX_KEY_BYTES} bytes"
    if query := _QUERY.search(key):
        return f"it holds a query ('{query.group()}…'); name the object alone, its present version is taken"
    if any(segment in ("", ".", "..") for segment in key.removesuffix("/").split("/")):
        return "it has an empty part, '.' or '..' between its slashes"
    return None


def _why_not_own(key: str, group: str, folders: tuple[str, ...]) -> str | None:
    own = " or ".join(f"{group}/{folder}/" for folder in folders)
    segments = key.removesuffix("/").split("/")
    if segments[0] != group and len(segments) > 1 and segments[1] in OWN_FOLDERS:
        return f"it belongs to another group; you may only use {own}"
    is_own = segments[0] == group and len(segments) > 1 and segments[1] in folders
    if not is_own or (len(segments) == 2 and not key.endswith("/")):
        return f"it does not lie in {own}"
    return None
