"""What the edge learns of keys as they are handed out, and what it forgets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ncap_iac.local.base import FunctionCredentials, function_credentials
from ncap_iac.local.doorwatch import DoorWatch, is_object_path, may_change
from ncap_iac.local.http1 import Head
from ncap_iac.local.identity import Credential, Vault
from ncap_iac.local.request import Request
from ncap_iac.local.service import Caller
from ncap_iac.local.store import Store

ACCOUNT = "000000000000"
ROOT = Credential(Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "root", "", "AKIAROOT"), "secret")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A vault and a watch over one store file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.clock = Clock()
        self.functions: list[FunctionCredentials] = []
        self.asked = 0
        self.changes: list[str] = []
        self.reopen()

    def reopen(self) -> None:
        self.store = Store(self.file)
        self.vault = Vault(self.store, ROOT, self._list_functions, self.clock)
        self.watch = DoorWatch(
            self.vault,
            iam_changed=lambda: self.changes.append("iam"),
            rules_changed=lambda: self.changes.append("rules"),
            base_changed=lambda: self.changes.append("base"),
        )

    def _list_functions(self) -> list[FunctionCredentials]:
        self.asked += 1
        return self.functions

    def saw(self, service: str, body: str, answer: str = "", status: int = 200) -> None:
        self.watch.saw(request("POST", "/", service), body.encode(), status, answer.encode())

    def create_key(self, key: str = "AKIAANN", user: str = "ann") -> None:
        self.saw(
            "iam",
            f"Action=CreateAccessKey&UserName={user}",
            '<CreateAccessKeyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><CreateAccessKeyResult><AccessKey>'
            f"<UserName>{user}</UserName><AccessKeyId>{key}</AccessKeyId><Status>Active</Status>"
            "<SecretAccessKey>its/secret</SecretAccessKey></AccessKey></CreateAccessKeyResult></CreateAccessKeyResponse>",
        )

    def assume_role(self, key: str = "ASIAROLE", more: str = "") -> None:
        self.saw(
            "sts",
            f"Action=AssumeRole&RoleSessionName=i-1{more}",
            f"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{key}</AccessKeyId>"
            "<SecretAccessKey>role/secret</SecretAccessKey><SessionToken>token==</SessionToken>"
            "<Expiration>2027-01-15T09:00:00Z</Expiration></Credentials><AssumedRoleUser>"
            f"<Arn>arn:aws:sts::{ACCOUNT}:assumed-role/worker/i-1</Arn></AssumedRoleUser></AssumeRoleResult>"
            "</AssumeRoleResponse>",
        )


def request(method: str, target: str, service: str, operation: str = "") -> Request:
    scope = f"AWS4-HMAC-SHA256 Credential=AKIAANN/20270101/us-east-1/{service}/aws4_request, SignedHeaders=host"
    fields = [(b"Authorization", scope.encode())]
    if operation:
        fields.append((b"X-Amz-Target", operation.encode()))
    return Request(Head((method.encode(), target.encode(), b"HTTP/1.1"), tuple(fields)))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "edge.db")
    yield world
    world.store.close()


def test_the_root_is_known_and_strangers_are_not(world: World) -> None:
    assert world.vault.resolve("AKIAROOT") is ROOT
    assert world.vault.resolve("AKIANOBODY") is None


def test_a_users_key_is_learned_and_survives_a_restart(world: World) -> None:
    world.create_key()
    world.store.close()
    world.reopen()
    found = world.vault.resolve("AKIAANN")
    assert found is not None
    assert (found.caller.kind, found.caller.name, found.secret, found.token) == ("user", "ann", "its/secret", None)


def test_a_refused_call_teaches_nothing(world: World) -> None:
    world.saw("iam", "Action=CreateAccessKey", "<ErrorResponse/>", status=403)
    assert world.vault.resolve("AKIAANN") is None


def test_a_session_is_learned_with_all_that_narrows_it(world: World) -> None:
    world.assume_role(
        more="&Policy=%7B%22Statement%22%3A%5B%5D%7D&PolicyArns.member.1.arn=arn%3Aa&PolicyArns.member.2.arn=arn%3Ab"
        "&Tags.member.1.Key=team&Tags.member.1.Value=red"
    )
    found = world.vault.resolve("ASIAROLE")
    assert found is not None
    assert (found.caller.kind, found.caller.name, found.token) == ("role", "worker", "token==")
    assert found.caller.arn.endswith("assumed-role/worker/i-1")
    assert found.expires == 1_800_003_600.0
    assert found.session_policies == ('{"Statement":[]}',)
    assert found.session_policy_arns == ("arn:a", "arn:b")
    assert found.session_tags == (("team", "red"),)


def test_a_session_of_ones_own_keeps_ones_identity(world: World) -> None:
    world.create_key()
    answer = (
        "<R><Credentials><AccessKeyId>ASIAANN</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        "<SessionToken>t</SessionToken><Expiration>2027-01-15T09:00:00Z</Expiration></Credentials></R>"
    )
    world.saw("sts", "Action=GetSessionToken", answer)
    found = world.vault.resolve("ASIAANN")
    assert found is not None
    assert (found.caller.kind, found.caller.name, found.token) == ("user", "ann", "t")


def test_keys_switched_off_deleted_or_orphaned_are_not_known(world: World) -> None:
    world.create_key()
    world.saw("iam", "Action=UpdateAccessKey&AccessKeyId=AKIAANN&Status=Inactive")
    assert world.vault.resolve("AKIAANN") is None
    world.saw("iam", "Action=UpdateAccessKey&AccessKeyId=AKIAANN&Status=Active")
    assert world.vault.resolve("AKIAANN") is not None
    world.saw("iam", "Action=DeleteAccessKey&AccessKeyId=AKIAANN")
    assert world.vault.resolve("AKIAANN") is None
    world.create_key("AKIAAGAIN")
    world.saw("iam", "Action=DeleteUser&UserName=ann")
    assert world.vault.resolve("AKIAAGAIN") is None
    world.assume_role()
    world.saw("iam", "Action=DeleteRole&RoleName=worker")
    assert world.vault.resolve("ASIAROLE") is None


def test_expired_sessions_do_not_pile_up(world: World) -> None:
    world.assume_role("ASIAEARLY")
    world.clock.now += 7200
    world.create_key()
    assert [key for key, _ in world.store.items("credentials")] == ["AKIAANN"]


def test_a_functions_credentials_are_derived_when_first_seen(world: World) -> None:
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
    derived = function_credentials(arn, "f", f"arn:aws:iam::{ACCOUNT}:role/r")
    assert world.vault.resolve(derived.access_key_id) is None
    world.functions = [derived]
    assert world.vault.resolve(derived.access_key_id) is None, "the list is not asked for at every stranger"
    world.watch.passed(request("POST", "/2015-03-31/functions", "lambda"))
    found = world.vault.resolve(derived.access_key_id)
    assert found is not None
    assert (found.caller.kind, found.caller.name, found.secret) == ("role", "r", derived.secret_access_key)
    asked = world.asked
    assert world.vault.resolve(derived.access_key_id) == found
    assert world.asked == asked


@pytest.mark.parametrize(
    ("service", "body", "expected"),
    [
        ("iam", "Action=PutUserPolicy", ["base", "iam"]),
        ("iam", "Action=GetUser", []),
        ("iam", "Action=ListUsers", []),
        ("sts", "Action=GetCallerIdentity", []),
    ],
)
def test_only_writes_to_iam_make_policies_be_read_again(
    world: World, service: str, body: str, expected: list[str]
) -> None:
    world.saw(service, body)
    assert sorted(world.changes) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request("PUT", "/bucket/key", "s3"), []),
        (request("PUT", "/bucket?versioning", "s3"), ["base"]),
        (request("GET", "/bucket", "s3"), []),
        (request("POST", "/", "events", "AWSEvents.PutRule"), ["base", "rules"]),
        (request("POST", "/", "events", "AWSEvents.ListRules"), []),
        (request("POST", "/", "dynamodb", "DynamoDB_20120810.UpdateItem"), ["base"]),
        (request("POST", "/", "dynamodb", "DynamoDB_20120810.Query"), []),
        (request("POST", "/", "sqs", "AmazonSQS.SendMessage"), ["base"]),
        (request("POST", "/2015-03-31/functions/f/invocations", "lambda"), ["base"]),
    ],
)
def test_what_changes_the_base_is_worth_a_snapshot(world: World, asked: Request, expected: list[str]) -> None:
    world.watch.passed(asked)
    assert sorted(world.changes) == expected


def test_objects_are_told_from_buckets() -> None:
    assert is_object_path(b"/bucket/key")
    assert not is_object_path(b"/bucket/")
    assert may_change(request("DELETE", "/bucket", "s3"))
