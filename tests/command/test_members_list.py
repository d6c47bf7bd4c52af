"""`ncap member list` and `whoami` against an account: what the profiles say beside what is deployed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ncap_iac.aws import Gateway
from ncap_iac.people.acceptance import member_of_arn
from ncap_iac.people.identities import Identities
from ncap_iac.target import Target
from tests.command.member_account import Account
from tests.command.people_rig import People, make_project

WHERE = ("--aws", "--region", "us-east-1")


@pytest.fixture(scope="module")
def whole_account(no_developer_credentials: None) -> Iterator[Account]:
    with mock_aws():
        yield Account()


@pytest.fixture
def account(whole_account: Account) -> Account:
    whole_account.empty()
    return whole_account


@pytest.fixture
def people(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> People:
    monkeypatch.setenv("NEUROCAAS_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(make_project(project_root, folder))
    return People(folder, capsys)


def rows(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["member"]: row for row in answer["members"]}


def test_every_state_is_told_apart(account: Account, people: People) -> None:
    ada = account.member("ada")
    account.member("grace")
    edsger = account.member("edsger", "lab2")
    account.suspend("edsger", edsger["AccessKeyId"])
    account.member("demo-member", "lab", stack="neurocaas-users-demo")
    gone = account.member("gone")
    account.member("stranger", "other", stack="neurocaas-users-elsewhere")
    account.iam.create_user(UserName="an-operator")
    people.run("member", "suspend", "grace")

    answer = people.run("member", "list", *WHERE)

    assert answer["deployment"] == "read"
    assert {name: (row["group"], row["state"]) for name, row in rows(answer).items()} == {
        "demo-member": ("demo", "to-move"),
        "neighbour-member": ("neighbours", "not-deployed"),
        "ada": ("lab", "active"),
        "grace": ("lab", "to-suspend"),
        "edsger": ("lab2", "to-resume"),
        "gone": ("lab", "to-remove"),
        "stranger": ("other", "unknown-here"),
    }
    assert rows(answer)["ada"]["accessKeyId"] == ada["AccessKeyId"]
    assert rows(answer)["gone"]["profile"] == "lab"
    assert gone["SecretAccessKey"] not in str(answer)


def test_a_suspended_member_that_is_deployed_so_is_suspended(account: Account, people: People) -> None:
    ada = account.member("ada")
    account.suspend("ada", ada["AccessKeyId"])
    people.run("member", "suspend", "ada")
    assert rows(people.run("member", "list", "lab", *WHERE))["ada"]["state"] == "suspended"


def test_handing_over_and_keys_made_by_hand_are_shown(
    account: Account, people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    from ncap_iac.cli import main

    handed = account.member("ada")
    account.member("grace")
    people.run("member", "handover", "ada", "--file", "ada.key", *WHERE)
    account.key("ada")
    found = rows(people.run("member", "list", "lab", *WHERE))
    assert found["ada"]["accessKeyId"] == handed["AccessKeyId"]
    assert found["ada"]["handedOver"].startswith("20")
    assert found["ada"]["furtherKeys"] == 1
    assert found["grace"]["handedOver"] is None
    assert main(["member", "list", "lab", "--group", "lab", *WHERE]) == 0
    shown = capsys.readouterr()
    assert "\t0 d\tno" in shown.out
    assert "Keys the profile did not make, of ada" in shown.err


def test_an_unknown_group_is_refused_with_the_nearest(account: Account, people: People) -> None:
    assert "`lab`" in people.run("member", "list", "--group", "labb", *WHERE, code=4)["error"]["hint"]


def test_a_deployment_is_refused_before_the_edit_where_a_key_was_made_by_hand(account: Account, people: People) -> None:
    account.member("ada")
    account.key("ada")
    for words in (("remove", "ada"), ("rotate", "lab")):
        error = people.refused("member", *words, "--deploy", *WHERE)
        assert "there are 2 keys" in error["what"]
        assert "aws iam delete-access-key" in error["hint"]


def test_whoami_tells_what_the_profiles_say_and_what_is_reached(account: Account, people: People) -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="pmd")
    answer = people.run("member", "whoami", "--group", "lab", "--analysis", "pmd", "--analysis", "nowhere", *WHERE)
    assert answer["member"] is None
    assert answer["source"] == "as you say"
    assert answer["analyses"] == [
        {"analysis": "pmd", "reach": "yes"},
        {"analysis": "nowhere", "reach": "no: there is no such analysis"},
    ]


def test_whoami_is_honest_about_what_it_cannot_know(account: Account, people: People) -> None:
    answer = people.run("member", "whoami", *WHERE)
    assert (answer["member"], answer["group"], answer["analyses"]) == (None, None, [])


@pytest.mark.parametrize(
    ("arn", "member"),
    [
        ("arn:aws:iam::123456789012:user/neurocaas/ada", "ada"),
        ("arn:aws:iam::123456789012:user/ada@x.org", "ada@x.org"),
        ("arn:aws-cn:iam::123456789012:user/a/b/ada", "ada"),
        ("arn:aws:iam::123456789012:root", ""),
        ("arn:aws:sts::123456789012:assumed-role/ada/session", ""),
    ],
)
def test_a_member_is_known_by_the_arn(arn: str, member: str) -> None:
    assert member_of_arn(arn) == member


def test_a_user_there_is_not_is_none_and_no_error(account: Account) -> None:
    asked = Identities(Gateway(Target("AWS", region="us-east-1")))
    assert asked.keys("nobody") == ()
    assert asked.describe("nobody") is None
    assert asked.describe_all(("nobody",)) == {}
