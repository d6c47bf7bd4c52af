"""The development stack: as reviewed, sound to CloudFormation's linter, no wider than a developer's machine needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ncap_compiler.compiler import compile_development
from ncap_compiler.image_policies import AGENT_CHANNELS
from tests.compiler import security_rules
from tests.compiler.iam import made

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "development.json"
BUCKET = "arn:aws:s3:::neurocaas-artifacts-123456789012-us-east-1"


def resources(**parameters: str) -> dict[str, Any]:
    return made(compile_development(), **parameters)


def statements() -> dict[str, Any]:
    (policy,) = resources()["Role"]["Properties"]["Policies"]
    return {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}


def test_the_development_stack_is_as_reviewed(request: pytest.FixtureRequest) -> None:
    text = compile_development()
    if request.config.getoption("--update-golden", default=False):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_the_linter_finds_nothing_but_what_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "development.json"
    path.write_text(compile_development())
    linter = Path(sys.executable).with_name("cfn-lint")
    words = ["-e", "-c", "I", "-r", "us-east-1", "eu-central-1", "--format", "json", "--", str(path)]
    done = subprocess.run([str(linter), *words], capture_output=True, text=True, check=False)
    # I4010 wants a vendor's block; E3021 does not see that without a network named the default one is taken.
    assert {item["Rule"]["Id"] for item in json.loads(done.stdout)} <= {"I4010", "E3021"}


def test_every_rule_of_our_own_holds_but_for_channels_that_know_no_resource() -> None:
    found = [said for rule in security_rules.RULES for said in rule(resources())]
    assert [said for said in found if "lets more out than HTTPS" not in said] == [
        f"Role allows {list(AGENT_CHANNELS)} on everything"
    ]


def test_nothing_comes_in() -> None:
    assert "SecurityGroupIngress" not in resources()["SecurityGroup"]["Properties"]


def test_an_instance_reaches_the_folder_of_test_jobs_and_no_other() -> None:
    found = statements()
    assert found["ReadTestJobs"]["Resource"] == f"{BUCKET}/development/*"
    assert found["WriteTestJobs"]["Resource"] == f"{BUCKET}/development/*"
    assert found["ListTestJobs"]["Condition"] == {"StringLike": {"s3:prefix": "development/*"}}
    assert found["ReportToAgent"]["Action"] == "ssm:UpdateInstanceInformation"
    services = {action.partition(":")[0] for it in found.values() for action in security_rules.listed(it["Action"])}
    assert services <= {"s3", "ssm", "ssmmessages", "ec2messages", "kms"}


def test_the_boundary_reaches_the_role() -> None:
    boundary = "arn:aws:iam::123456789012:policy/b"
    assert list(security_rules.bounded(resources(PermissionsBoundary=boundary), boundary)) == []
