"""Preflight, and the proof of what a deletion leaves, against a running local cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ncap_iac.cli import main
from tests.stories.laboratory import Laboratory, make_home, make_project

pytestmark = pytest.mark.cloud
CLOUD = "leftovers"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """An empty cloud."""
    folder = tmp_path_factory.mktemp(CLOUD)
    found = Laboratory(project=make_project(folder / "project"), home=make_home(folder / "home"), cloud=CLOUD)
    try:
        found.ncap("local", "up", "--background", "--name", CLOUD, "--port", "0")
        yield found
    finally:
        found.ncap("local", "down", "--name", CLOUD, check=False)


def answer(laboratory: Laboratory, *words: str, code: int = 0) -> Any:
    done = laboratory.ncap(*words, "--output", "json", check=False)
    assert done.code == code, done.err
    return done.data


def test_from_nothing_to_nothing_left_but_what_is_kept(laboratory: Laboratory) -> None:
    before = answer(laboratory, "preflight", "kalman-lds", "demo")
    assert before["counts"]["problem"] == 0
    assert {item["verdict"] for item in before["findings"] if item["check"] == "bucket"} == {"ok"}
    assert {item["verdict"] for item in before["findings"] if item["check"] == "service"} == {"ok"}

    laboratory.ncap("account", "deploy", "--yes")
    laboratory.ncap("profile", "deploy", "demo", "--yes")
    assert answer(laboratory, "account", "leftovers")["leftovers"] == []
    after = answer(laboratory, "preflight", "kalman-lds", "demo")
    assert after["counts"]["problem"] == 0
    assert ["earlier deployment", "neurocaas-account", "ok"] in [
        [item["check"], item["subject"], item["verdict"]] for item in after["findings"]
    ]

    assert answer(laboratory, "profile", "destroy", "demo", "--yes", "--verify")["leftovers"] == []
    left = answer(laboratory, "account", "destroy", "--yes", "--verify")["leftovers"]
    assert [(item["kind"], item["standing"]) for item in left] == [
        ("bucket", "kept on purpose"),
        ("table", "kept on purpose"),
    ]


def test_what_a_caller_s_policies_forbid_is_found_before_a_deployment_would(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    iam = laboratory.client("iam")
    iam.create_user(UserName="deployer")
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "iam:CreateRole", "Resource": "arn:aws:iam::*:role/neurocaas/*"},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="deployer", PolicyName="most", PolicyDocument=policy)
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    place = ["--endpoint-url", laboratory.record()["endpoint"], "--region", "us-east-1"]
    assert main(["preflight", "demo", "--project", str(laboratory.project), *place, "--output", "json"]) == 3
    findings = json.loads(capsys.readouterr().out)["findings"]
    problems = [[item["check"], item["subject"]] for item in findings if item["verdict"] == "problem"]
    assert ["permissions", "iam:CreateRole"] in problems
    assert ["permissions", "iam:DeleteRole"] not in problems


def test_things_of_stacks_nobody_knows_any_more_are_found_with_what_removes_them(laboratory: Laboratory) -> None:
    tags = [{"Key": "neurocaas:stack", "Value": "neurocaas-users-ghost"}]
    laboratory.client("secretsmanager").create_secret(Name="/neurocaas/members/ghost", SecretString="x", Tags=tags)
    iam = laboratory.client("iam")
    iam.create_role(Path="/neurocaas/", RoleName="neurocaas-submit-ghost", AssumeRolePolicyDocument=POLICY, Tags=tags)
    iam.create_group(Path="/neurocaas/", GroupName="neurocaas-ghost")
    found = answer(laboratory, "account", "leftovers", code=1)["leftovers"]
    unexpected = {item["kind"]: item for item in found if item["standing"] == "should not be there"}
    assert set(unexpected) == {"IAM group", "role", "secret"}
    assert unexpected["role"]["command"] == "aws iam delete-role --role-name neurocaas-submit-ghost"
    assert unexpected["secret"]["stack"] == "neurocaas-users-ghost"
