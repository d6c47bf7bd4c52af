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
        "AWS_ACCESS_KEY_ID": record["accessKeyId"],
        "AWS_SECRET_ACCESS_KEY": record["secretAccessKey"],
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
    template = tmp_path / "users.json"
    laboratory.ncap("profile", "compile", "demo", "--out", str(template))
    again = json.loads(template.read_text())
    # The same groups under another name would collide; one harmless change makes it a real update.
    again["Description"] = "changed by hand"
    template.write_text(json.dumps(again, indent=1))

    done = aws(
        laboratory, "cloudformation", "deploy", "--template-file", str(template), "--stack-name", "neurocaas-users-demo",
        "--capabilities", "CAPABILITY_NAMED_IAM",
    )
    assert done.returncode == 0, done.stdout + done.stderr

    unchanged = aws(
        laboratory, "cloudformation", "deploy", "--template-file", str(template), "--stack-name", "neurocaas-users-demo",
        "--capabilities", "CAPABILITY_NAMED_IAM",
    )
    assert unchanged.returncode == 0
    assert "No changes to deploy" in unchanged.stdout + unchanged.stderr


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
    for words in (["cp", str(tmp_path / "a.txt"), "s3://faulty/demo/inputs/cli.txt"], ["ls", "s3://faulty/demo/inputs/"]):
        done = subprocess.run([*command, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "cli.txt" in done.stdout


def test_deploying_again_changes_nothing(laboratory: Laboratory) -> None:
    plan = laboratory.ncap("blueprint", "plan", "faulty", "--output", "json").data

    assert plan["changes"] == []
    assert laboratory.ncap("blueprint", "deploy", "faulty", "--yes").code == 0
