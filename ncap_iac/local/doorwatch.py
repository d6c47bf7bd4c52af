"""Reads what passes the edge's door and concerns it: keys handed out, IAM and rule changes, state worth a snapshot.

Looks at requests and answers, changes neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import parse_qs
from xml.etree import ElementTree

from ncap_iac.local.identity import Credential, Vault
from ncap_iac.local.request import Request
from ncap_iac.local.service import Caller

WATCHED = frozenset(("iam", "sts"))
"""Services whose requests and answers are read as a whole."""
_READING = re.compile(r"(Get|List|Describe|Query|Scan|BatchGet|Head|Search|Lookup|Simulate|Generate|Test|Decode)")
_SAFE_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS"))


class DoorWatch:
    """What the edge does about other services' traffic."""

    def __init__(
        self,
        vault: Vault,
        *,
        iam_changed: Callable[[], None],
        rules_changed: Callable[[], None],
        base_changed: Callable[[], None],
    ) -> None:
        self._vault = vault
        self._iam_changed = iam_changed
        self._rules_changed = rules_changed
        self._base_changed = base_changed

    def passed(self, request: Request) -> None:
        """A request went through, whatever came of it."""
        if not may_change(request):
            return
        service = request.scope.service if request.scope else ""
        if service == "events":
            self._rules_changed()
        if service == "lambda" and b"/invocations" not in request.path:
            self._vault.forget_functions()
        if service == "s3" and is_object_path(request.path):
            return  # Objects are on the base's disk when it answers.
        self._base_changed()

    def saw(self, request: Request, body: bytes, status: int, answer: bytes) -> None:
        """A request to a watched service and what was answered."""
        fields = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        action = fields.get("Action", "")
        if _READING.match(action) and not action.startswith(("GetSessionToken", "GetFederationToken")):
            return
        self._base_changed()
        if request.scope is not None and request.scope.service == "iam":
            self._iam_changed()
        if status == 200:
            self._learn(request, action, fields, answer)

    def _learn(self, request: Request, action: str, fields: Mapping[str, str], answer: bytes) -> None:
        if action == "CreateAccessKey":
            self._learn_user_key(_texts(answer))
        elif action in ("AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"):
            self._learn_session(fields, _texts(answer))
        elif action == "GetSessionToken":
            self._learn_own_session(request, _texts(answer))
        elif action == "UpdateAccessKey":
            self._vault.set_active(fields.get("AccessKeyId", ""), fields.get("Status") == "Active")
        elif action == "DeleteAccessKey":
            self._vault.forget(fields.get("AccessKeyId", ""))
        elif action == "DeleteUser":
            self._vault.forget_user(fields.get("UserName", ""))
        elif action == "DeleteRole":
            self._vault.forget_role(fields.get("RoleName", ""))

    def _learn_user_key(self, texts: Mapping[str, str]) -> None:
        account = self._vault.account_id
        name, key = texts["UserName"], texts["AccessKeyId"]
        caller = Caller(account, f"arn:aws:iam::{account}:user/{name}", "user", name, key)
        self._vault.learn(Credential(caller, texts["SecretAccessKey"]))

    def _learn_session(self, fields: Mapping[str, str], texts: Mapping[str, str]) -> None:
        arn = texts["Arn"]
        caller = Caller(self._vault.account_id, arn, "role", arn.split("/")[-2], texts["AccessKeyId"])
        arns = _numbered(fields, re.compile(r"PolicyArns\.member\.(\d+)\.arn"))
        keys = _numbered(fields, re.compile(r"Tags\.member\.(\d+)\.Key"))
        values = _numbered(fields, re.compile(r"Tags\.member\.(\d+)\.Value"))
        self._vault.learn(
            Credential(
                caller,
                texts["SecretAccessKey"],
                token=texts["SessionToken"],
                expires=datetime.fromisoformat(texts["Expiration"]).timestamp(),
                session_policies=(fields["Policy"],) if fields.get("Policy") else (),
                session_policy_arns=tuple(arns.values()),
                session_tags=tuple((key, values.get(number, "")) for number, key in keys.items()),
            )
        )

    def _learn_own_session(self, request: Request, texts: Mapping[str, str]) -> None:
        owner = self._vault.resolve(request.scope.access_key_id) if request.scope else None
        if owner is None:
            return
        own = owner.caller
        caller = Caller(own.account_id, own.arn, own.kind, own.name, texts["AccessKeyId"])
        expires = datetime.fromisoformat(texts["Expiration"]).timestamp()
        self._vault.learn(Credential(caller, texts["SecretAccessKey"], token=texts["SessionToken"], expires=expires))


def _numbered(fields: Mapping[str, str], pattern: re.Pattern[str]) -> dict[int, str]:
    found = ((pattern.fullmatch(name), text) for name, text in fields.items())
    return dict(sorted((int(match[1]), text) for match, text in found if match))


def _texts(answer: bytes) -> dict[str, str]:
    """The texts of an answer's elements by their local names; the first of each."""
    found: dict[str, str] = {}
    for node in ElementTree.fromstring(answer).iter():
        found.setdefault(node.tag.rpartition("}")[2], node.text or "")
    return found


def is_object_path(path: bytes) -> bool:
    """Whether an S3 path (path style) names an object, not a bucket."""
    return b"/" in path.strip(b"/")


def may_change(request: Request) -> bool:
    """Whether the base may hold other state after this request than before."""
    if request.method in _SAFE_METHODS:
        return False
    operation = request.head.get(b"x-amz-target").decode("latin-1").rpartition(".")[2]
    return not _READING.match(operation)
