"""Who holds an access key: the root, users, role sessions, Lambda functions.

The base hands out keys; the edge learns them from the answers that pass its door and keeps them in its store, so that
it can verify signatures itself. Nothing here decides what somebody may do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ncap_iac.local.base import FunctionCredentials
from ncap_iac.local.service import Caller
from ncap_iac.local.store import Store

_TABLE = "credentials"
_FUNCTIONS_TTL_S = 1.0
_PRUNE_EVERY_S = 300.0


@dataclass(frozen=True)
class Credential:
    """An access key with what is needed to verify and judge its requests."""

    caller: Caller
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires: float | None = None
    """Seconds since the epoch; None: does not expire."""
    session_policies: tuple[str, ...] = ()
    """Policy documents given to AssumeRole, which narrow the role."""
    session_policy_arns: tuple[str, ...] = ()
    session_tags: tuple[tuple[str, str], ...] = ()


class Vault:
    """All credentials of the cloud, by access key id."""

    def __init__(
        self,
        store: Store,
        root: Credential,
        functions: Callable[[], Sequence[FunctionCredentials]],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._root = root
        self._functions = functions
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Credential] = {}
        self._asked_functions = float("-inf")
        self._pruned = float("-inf")

    @property
    def account_id(self) -> str:
        """The one account."""
        return self._root.caller.account_id

    def resolve(self, access_key_id: str) -> Credential | None:
        """Who holds the key; None for keys that are unknown, deleted or inactive. Expiry is the caller's to check."""
        if access_key_id == self._root.caller.access_key_id:
            return self._root
        with self._lock:
            known = self._known.get(access_key_id)
        if known is not None:
            return known
        document = self._store.get(_TABLE, access_key_id)
        if document is not None:
            return _credential(document) if document["active"] else None
        return self._of_function(access_key_id)

    def _of_function(self, access_key_id: str) -> Credential | None:
        """Lambda functions get theirs without a call that passes the door; they are derived when first seen."""
        if not access_key_id.startswith("ASIA"):
            return None
        with self._lock:
            if self._clock() - self._asked_functions < _FUNCTIONS_TTL_S:
                return None
            self._asked_functions = self._clock()
        found = {item.access_key_id: self._function_credential(item) for item in self._functions()}
        with self._lock:
            self._known = found
        return found.get(access_key_id)

    def _function_credential(self, item: FunctionCredentials) -> Credential:
        caller = Caller(self.account_id, item.principal_arn, "role", item.role_name, item.access_key_id)
        return Credential(caller, item.secret_access_key, item.session_token)

    def learn(self, credential: Credential) -> None:
        """Keep a credential that was just handed out."""
        self._store.put(_TABLE, credential.caller.access_key_id, _document(credential))
        with self._lock:
            due = self._clock() - self._pruned >= _PRUNE_EVERY_S
            self._pruned = self._clock() if due else self._pruned
        if due:
            self._prune()

    def _prune(self) -> None:
        for key, document in self._store.items(_TABLE):
            if document["expires"] is not None and document["expires"] < self._clock():
                self._store.delete(_TABLE, key)

    def set_active(self, access_key_id: str, active: bool) -> None:
        """Switch a user's key on or off."""
        document = self._store.get(_TABLE, access_key_id)
        if document is not None:
            self._store.put(_TABLE, access_key_id, {**document, "active": active})

    def forget(self, access_key_id: str) -> None:
        """Drop a key that was deleted."""
        self._store.delete(_TABLE, access_key_id)

    def forget_user(self, name: str) -> None:
        """Drop all keys of a user that was deleted."""
        self._forget_of("user", name)

    def forget_role(self, name: str) -> None:
        """Drop all sessions of a role that was deleted."""
        self._forget_of("role", name)
        self.forget_functions()

    def forget_functions(self) -> None:
        """Functions changed: derive their credentials again when they are next needed."""
        with self._lock:
            self._known = {}
            self._asked_functions = float("-inf")

    def _forget_of(self, kind: str, name: str) -> None:
        for key, document in self._store.items(_TABLE):
            if document["kind"] == kind and document["name"] == name:
                self._store.delete(_TABLE, key)


def _document(credential: Credential) -> dict[str, Any]:
    caller = credential.caller
    return {
        "account": caller.account_id,
        "arn": caller.arn,
        "kind": caller.kind,
        "name": caller.name,
        "key": caller.access_key_id,
        "secret": credential.secret,
        "token": credential.token,
        "expires": credential.expires,
        "policies": list(credential.session_policies),
        "policy_arns": list(credential.session_policy_arns),
        "tags": [list(tag) for tag in credential.session_tags],
        "active": True,
    }


def _credential(document: Mapping[str, Any]) -> Credential:
    return Credential(
        Caller(document["account"], document["arn"], document["kind"], document["name"], document["key"]),
        secret=document["secret"],
        token=document["token"],
        expires=document["expires"],
        session_policies=tuple(document["policies"]),
        session_policy_arns=tuple(document["policy_arns"]),
        session_tags=tuple((key, value) for key, value in document["tags"]),
    )
