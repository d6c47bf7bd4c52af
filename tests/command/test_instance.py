"""Development instances without a cloud: what is launched, who is found, what a test job runs, how a session opens."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.validate import validate_parameters

from ncap_compiler import names
from ncap_iac.development.connecting import connect, missing_programs, session_command
from ncap_iac.development.instances import DevInstance, find_instance, list_instances
from ncap_iac.development.launching import DevImage, DevLaunch, run_request, user_data
from ncap_iac.development.lifetime import Lives
from ncap_iac.development.stack import Surroundings
from ncap_iac.development.testjob import script
from ncap_iac.errors import NotFoundError, UsageError
from ncap_iac.target import Target

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PLACE = Surroundings("artifacts", "neurocaas-development-Profile", "sg-1", subnet="", key="")
IMAGE = DevImage("ami-1", "/dev/sda1", "iae:spectra@sha256:ab")


def launch(**changes: Any) -> DevLaunch:
    said: dict[str, Any] = {
        "analysis": "spectra",
        "image": IMAGE,
        "instance_type": "m7i.large",
        "volume_gib": 20,
        "hours": 4,
        "owner": "arn:aws:iam::111122223333:user/ada",
        "now": NOW,
        "expires": NOW + timedelta(hours=4),
    }
    return DevLaunch(**{**said, **changes})


class FakeEc2:
    """Two development instances, and what was asked to be done with them."""

    def __init__(self, *analyses: str) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.instances = [
            {
                "InstanceId": f"i-{number}",
                "ImageId": "ami-1",
                "InstanceType": "m7i.large",
                "State": {"Name": "running"},
                "LaunchTime": NOW,
                "Tags": [
                    {"Key": "analysis", "Value": analysis},
                    {"Key": names.EXPIRES_TAG, "Value": "2026-11-22T16:00:00Z"},
                ],
            }
            for number, analysis in enumerate(analyses, 1)
        ]

    def get_paginator(self, operation: str) -> Any:
        answers = {
            "describe_instances": {"Reservations": [{"Instances": [it]} for it in self.instances]},
            "describe_volumes": {"Volumes": [{"Size": 20, "Attachments": [{"InstanceId": "i-1"}]}]},
        }
        return SimpleNamespace(paginate=lambda **_: [answers[operation]])

    def create_tags(self, **asked: Any) -> None:
        self.calls.append(("create_tags", asked))


class Nowhere:
    """`translated` of a session that translates nothing."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def gateway(client: Any, target: Target | None = None) -> Any:
    session = SimpleNamespace(client=lambda _: client, translated=lambda _: Nowhere())
    return SimpleNamespace(
        session=session, target=target or Target("AWS (profile lab)", profile="lab"), region="us-east-1"
    )


def test_a_launch_is_one_ec2_accepts_with_nothing_open_and_an_end() -> None:
    request = run_request(launch(at_expiry="stop"), PLACE)
    shape = botocore.session.Session().get_service_model("ec2").operation_model("RunInstances").input_shape
    assert shape is not None
    validate_parameters(request, shape)
    assert request["MetadataOptions"]["HttpTokens"] == "required"
    assert request["InstanceInitiatedShutdownBehavior"] == "stop"
    assert request["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert "KeyName" not in request
    assert "SubnetId" not in request
    tags = {tag["Key"]: tag["Value"] for tag in request["TagSpecifications"][0]["Tags"]}
    assert tags["neurocaas:expires-at"] == "2026-11-22T16:00:00Z"
    assert tags["neurocaas:owner"].endswith("user/ada")
    assert (tags["PriceTracking"], tags["neurocaas:development"]) == ("On", "On")


def test_an_own_key_and_subnet_are_used() -> None:
    request = run_request(launch(), Surroundings("a", "p", "sg-1", subnet="subnet-1", key="arn:k"))
    assert request["SubnetId"] == "subnet-1"
    assert request["BlockDeviceMappings"][0]["Ebs"]["KmsKeyId"] == "arn:k"


def test_user_data_is_a_shell_script_that_arms_the_timer_first() -> None:
    text = user_data(4)
    assert text.splitlines()[1] == "shutdown -h +240"
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


def test_every_boot_arms_a_timer_of_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "per-boot"
    folder.mkdir()
    text = user_data(1).replace("/var/lib/cloud/scripts/per-boot", str(folder))
    quiet = 'shutdown() { echo "$@"; }\n'
    subprocess.run(["sh", "-c", quiet + text], check=True, capture_output=True)
    made = folder / "neurocaas-lifetime"
    assert made.read_text() == "#!/bin/sh\nshutdown -h +1440\n"
    assert made.stat().st_mode & 0o111


def test_instances_are_read_from_their_tags() -> None:
    (first, _) = list_instances(gateway(FakeEc2("spectra", "pmd")))
    assert (first.instance, first.analysis, first.volume_gib) == ("i-1", "spectra", 20)
    assert first.expires == NOW + timedelta(hours=4)


def test_one_is_found_by_id_by_analysis_or_because_there_is_no_other() -> None:
    two = gateway(FakeEc2("spectra", "pmd"))
    assert find_instance(two, "i-2").analysis == "pmd"
    assert find_instance(two, "spectra").instance == "i-1"
    assert find_instance(gateway(FakeEc2("pmd")), None).instance == "i-1"
    with pytest.raises(UsageError, match="i-1, i-2"):
        find_instance(two, None)
    with pytest.raises(NotFoundError):
        find_instance(two, "yass")


def test_nothing_is_extended_beyond_a_day_from_now() -> None:
    client = FakeEc2("spectra")
    lives = Lives(gateway(client), lambda: 0.0, lambda _: None, lambda: NOW, 0.0)
    it = find_instance(gateway(client), "i-1")
    with pytest.raises(UsageError, match="more than 24 hours"):
        lives.extend(it, 21)
    assert client.calls == []
    stopped = DevInstance(**{**it.__dict__, "state": "stopped"})
    assert lives.extend(stopped, 20)[0].expires == NOW + timedelta(hours=24)
    assert client.calls[0][1]["Tags"] == [{"Key": "neurocaas:expires-at", "Value": "2026-11-23T12:00:00Z"}]


def test_the_script_of_a_test_job_keeps_the_machine_up_and_quotes_the_manifest(tmp_path: Path) -> None:
    program = tmp_path / "neurocaas-boot"
    program.write_text('#!/bin/sh\nmkdir "$HOME/attempt-1-x"\nshutdown -h now && echo "ran $1"\nexit 3\n')
    program.chmod(0o755)
    text = script("s3://bucket/o'ne; touch pwned")
    done = subprocess.run(
        ["sh", "-c", text],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "ran s3://bucket/o'ne; touch pwned\n"
    assert done.returncode == 3
    assert [path.name for path in tmp_path.iterdir()] == ["neurocaas-boot"]


def test_a_session_on_aws_is_opened_by_the_aws_command_line_with_the_same_profile() -> None:
    words = session_command(gateway(None), "i-1")
    assert words == (
        *("aws", "ssm", "start-session", "--target", "i-1"),
        *("--region", "us-east-1", "--profile", "lab"),
    )


def test_without_the_plugin_it_says_what_to_install(tmp_path: Path) -> None:
    assert missing_programs(str(tmp_path)) == ("aws", "session-manager-plugin")
    with pytest.raises(UsageError, match="session-manager-plugin are not installed") as told:
        connect(gateway(None), "i-1", environment={"PATH": str(tmp_path)}, is_terminal=True)
    assert "install-plugin" in told.value.hint
