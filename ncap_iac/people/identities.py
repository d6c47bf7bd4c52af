"""The members an account really has: IAM users under our path, their keys and tags. Reads only; never a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ncap_compiler import names
from ncap_iac.errors import NotFoundError

if TYPE_CHECKING:
    from ncap_iac.aws import Gateway

AT_ONCE = 8
"""Questions to IAM at a time: it answers about twenty a second an account."""


@dataclass(frozen=True)
class AccessKey:
    """A key of a user, without its secret."""

    access_key_id: str
    active: bool
    created: datetime


@dataclass(frozen=True)
class Identity:
    """A user: its keys, its group and its stack as its tags say ('' where they say nothing)."""

    member: str
    keys: tuple[AccessKey, ...]
    group: str
    stack: str


class Identities:
    """IAM as this project asks it."""

    def __init__(self, gateway: Gateway) -> None:
        self._session = gateway.session

    def members(self) -> tuple[str, ...]:
        """The names of all users under our path. Raises AccessError."""
        with self._session.translated("IAM users"):
            pages = self._client.get_paginator("list_users").paginate(PathPrefix=names.PATH)
            return tuple(str(user["UserName"]) for page in pages for user in page["Users"])

    def keys(self, member: str) -> tuple[AccessKey, ...]:
        """A user's keys, the youngest first; none for a user there is not. Raises AccessError."""
        try:
            found = [_key(item) for item in self._pages("list_access_keys", "AccessKeyMetadata", member)]
        except NotFoundError:
            return ()
        return tuple(sorted(found, key=lambda key: key.created, reverse=True))

    def describe(self, member: str) -> Identity | None:
        """One user, None if there is none. Raises AccessError."""
        try:
            tags = {str(item["Key"]): str(item["Value"]) for item in self._pages("list_user_tags", "Tags", member)}
        except NotFoundError:
            return None
        return Identity(member, self.keys(member), tags.get("group", ""), tags.get(names.STACK_TAG, ""))

    def describe_all(self, members: Iterable[str]) -> dict[str, Identity]:
        """Several users at a time; those that do not exist are left out. Raises AccessError."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(self.describe, members)
            return {identity.member: identity for identity in found if identity is not None}

    def _pages(self, operation: str, field: str, member: str) -> Iterator[Mapping[str, Any]]:
        with self._session.translated(f"IAM user {member}"):
            for page in self._client.get_paginator(operation).paginate(UserName=member):
                yield from page[field]

    @property
    def _client(self) -> Any:
        return self._session.client("iam")


def _key(item: Mapping[str, Any]) -> AccessKey:
    return AccessKey(str(item["AccessKeyId"]), str(item["Status"]) == "Active", item["CreateDate"])
