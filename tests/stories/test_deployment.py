"""The template that is deployed here is the template AWS would get, and an outside client can deploy it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stories.laboratory import Laboratory

pytestmark = pytest.mark.cloud


def aws(laboratory: Laboratory, *words: str) -> subprocess.CompletedProcess[str]:
    record = laboratory.record()
    environment = laboratory.environment() | {
        "AWS_ACCESS_KEY_ID": record["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": record["secret_access_key"],
        "AWS_DEFAULT_REGION": record["region"],
    }
    script = Path(sys.executable).with_name("aws")
    return subprocess.run(
        [str(script), "--endpoint-url", record["endpoint"], *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_aws_command_line_deploys_the_compiled_file(laboratory: Laboratory, tmp_path: Path) -> None:
    """The same file, without us: a stack made by `aws cloudformation deploy` is what `ncap` would have made."""
    folder = laboratory.project / "user_profiles" / "outside"
    folder.mkdir()
    group = {
        "AffiliateName": "outsiders",
        "UserNames": ["outside-member"],
        "Pipelines": ["faulty"],
        "Budget": {"faulty": 1},
    }
    (folder / "user_config_template.json").write_text(json.dumps({"UXData": {"Affiliates": [group]}}))
    template = tmp_path / "users.json"
    laboratory.ncap("profile", "compile", "outside", "-o", str(template))
    deploy = (
        *("cloudformation", "deploy", "--template-file", str(template), "--stack-name", "neurocaas-users-outside"),
        *("--capabilities", "CAPABILITY_NAMED_IAM", "--no-fail-on-empty-changeset"),
    )

    first = aws(laboratory, *deploy)
    again = aws(laboratory, *deploy)

    assert first.returncode == 0, first.stdout + first.stderr
    assert "Successfully created" in first.stdout
    assert again.returncode == 0, again.stdout + again.stderr
    assert "No changes to deploy" in again.stdout + again.stderr
    assert laboratory.ncap("profile", "plan", "outside", "--output", "json").data["changes"] == []
    assert laboratory.member_key("outside-member")["AccessKeyId"].startswith("AKIA")
    deleted = aws(laboratory, "cloudformation", "delete-stack", "--stack-name", "neurocaas-users-outside")
    assert deleted.returncode == 0, deleted.stderr
    waited = aws(
        laboratory, "cloudformation", "wait", "stack-delete-complete", "--stack-name", "neurocaas-users-outside"
    )
    assert waited.returncode == 0, waited.stderr


def test_a_member_can_use_the_plain_aws_command_line(laboratory: Laboratory, tmp_path: Path) -> None:
    key = laboratory.member_key("demo-member")
    record = laboratory.record()
    environment = laboratory.environment() | {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_DEFAULT_REGION": record["region"],
    }
    (tmp_path / "a.txt").write_text("hello")
    command = [str(Path(sys.executable).with_name("aws")), "--endpoint-url", record["endpoint"], "s3"]
    for words in (
        ["cp", str(tmp_path / "a.txt"), "s3://faulty/demo/inputs/cli.txt"],
        ["ls", "s3://faulty/demo/inputs/"],
    ):
        done = subprocess.run([*command, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "cli.txt" in done.stdout


def test_deploying_again_changes_nothing(laboratory: Laboratory) -> None:
    plan = laboratory.ncap("blueprint", "plan", "faulty", "--output", "json").data

    assert plan["changes"] == []
    assert laboratory.ncap("blueprint", "deploy", "faulty", "--yes").code == 0


def test_a_destroyed_analysis_keeps_its_data_and_takes_it_over_when_deployed_again(laboratory: Laboratory) -> None:
    laboratory.client("s3").put_object(Bucket="faulty", Key="demo/inputs/kept.txt", Body=b"kept")

    destroyed = laboratory.ncap("blueprint", "destroy", "faulty", "--yes")
    kept = laboratory.client("s3").get_object(Bucket="faulty", Key="demo/inputs/kept.txt")["Body"].read()
    laboratory.ncap("blueprint", "deploy", "faulty", "--yes")

    assert "faulty" in destroyed.err + destroyed.out
    assert kept == b"kept"
    assert laboratory.client("s3").get_object(Bucket="faulty", Key="demo/inputs/kept.txt")["Body"].read() == b"kept"
    assert laboratory.ncap("blueprint", "plan", "faulty", "--output", "json").data["changes"] == []
