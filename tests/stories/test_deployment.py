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


def write_profile(laboratory: Laboratory, name: str, **members: list[str]) -> None:
    """A profile of groups that all may use `faulty`."""
    folder = laboratory.project / "user_profiles" / name
    folder.mkdir(exist_ok=True)
    groups = [
        {"AffiliateName": group, "UserNames": people, "Pipelines": ["faulty"], "Budget": {"faulty": 1}}
        for group, people in members.items()
    ]
    (folder / "user_config_template.json").write_text(json.dumps({"UXData": {"Affiliates": groups}}))


def test_a_saved_plan_is_applied_exactly_once_and_refused_when_it_was_overtaken(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    write_profile(laboratory, "saved", savers=["saver"])
    file = str(tmp_path / "plan.json")

    laboratory.ncap("profile", "plan", "saved", "--tag", "CostCenter=42", "--save", file)
    write_profile(laboratory, "saved", others=["other"])
    applied = laboratory.ncap("profile", "deploy", "--plan", file, folder=tmp_path)
    again = laboratory.ncap("profile", "deploy", "--plan", file, check=False)
    (stack,) = laboratory.client("cloudformation").describe_stacks(StackName="neurocaas-users-saved")["Stacks"]
    tags = laboratory.client("iam").list_user_tags(UserName="saver")["Tags"]
    shown = laboratory.ncap("profile", "diff", "saved").out
    laboratory.ncap("profile", "destroy", "saved", "--yes")

    assert "neurocaas-users-saved deployed" in applied.out
    assert again.code == 1
    assert "changed since" in again.err
    assert {"Key": "CostCenter", "Value": "42"} in stack["Tags"]
    assert {"Key": "CostCenter", "Value": "42"} in tags
    assert "-  UserName: saver" in shown
    assert "+  UserName: other" in shown
    assert "CostCenter" not in shown


def test_a_change_by_another_hand_is_drift(laboratory: Laboratory) -> None:
    write_profile(laboratory, "drifting", drifters=["drifter"])
    laboratory.ncap("profile", "deploy", "drifting")
    before = laboratory.ncap("profile", "drift", "drifting", "--output", "json").data
    name = "/neurocaas/budgets/drifters/faulty"
    laboratory.client("ssm").put_parameter(Name=name, Value="999", Overwrite=True)

    found = laboratory.ncap("profile", "drift", "drifting", "--output", "json", check=False)
    laboratory.ncap("profile", "destroy", "drifting", "--yes")

    assert (before["drifted"], before["drifts"]) == (False, [])
    assert found.code == 1
    assert [(it["name"], it["property"], it["expected"], it["found"]) for it in found.data["drifts"]] == [
        (name, "Value", "1", "999")
    ]


def test_stages_share_an_account_without_meeting(laboratory: Laboratory) -> None:
    write_profile(laboratory, "staged", stagers=["stager"])
    laboratory.ncap("profile", "deploy", "staged")
    laboratory.ncap("profile", "deploy", "staged", "--stage", "dev")
    key, development_key = laboratory.member_key("stager"), laboratory.member_key("stager-dev")

    laboratory.ncap("profile", "destroy", "staged", "--stage", "dev", "--yes")
    plan = laboratory.ncap("profile", "plan", "staged", "--output", "json").data
    laboratory.ncap("profile", "destroy", "staged", "--yes")

    assert key["group"] == "stagers"
    assert development_key["group"] == "stagers-dev"
    assert key["AccessKeyId"] != development_key["AccessKeyId"]
    assert [stack["outcome"] for stack in plan["stacks"]] == ["as wanted"]


def test_of_two_deployments_at_once_the_second_is_refused_clearly_or_finds_it_done(laboratory: Laboratory) -> None:
    write_profile(laboratory, "raced", racers=[f"racer{number}" for number in range(8)])
    words = [sys.executable, "-m", "ncap_iac", "profile", "deploy", "raced"]
    running = [
        subprocess.Popen(words, cwd=laboratory.project, env=laboratory.environment(), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [(process.communicate(timeout=120)[1], process.returncode) for process in running]
    plan = laboratory.ncap("profile", "plan", "raced", "--output", "json").data
    laboratory.ncap("profile", "destroy", "raced", "--yes")

    assert sorted(code for _, code in ends) in ([0, 0], [0, 1])
    assert all("changed since this was planned" in said for said, code in ends if code == 1)
    assert [stack["outcome"] for stack in plan["stacks"]] == ["as wanted"]
