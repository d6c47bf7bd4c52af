"""Instances people work on: stopped and started again with their disk, saved as images, spoken to by their agent."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from ncap_iac.local.ec2 import EC2Service
from ncap_iac.local.runner.agent_line import AgentGoneError, Errand, call_agent, exit_status
from ncap_iac.local.service import Call, ServiceError, Surroundings
from ncap_iac.local.systemsmanager import SystemsManagerService
from tests.local.ec2_support import ACCOUNT, REGION, ROOT, Cloud, check_shape
from tests.local.machines_support import make_image, wait_for

PROFILE = {"IamInstanceProfile": {"Name": "neurocaas-development"}}
MODEL = botocore.session.Session().get_service_model("ssm")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud", make_image(tmp_path / "images"))
    yield made
    made.service.stop()


class Manager:
    """Systems Manager beside the EC2 of a cloud; answers are checked against AWS's model."""

    def __init__(self, cloud: Cloud) -> None:
        service: EC2Service = cloud.service
        self.service = SystemsManagerService(
            Surroundings(
                endpoint="http://127.0.0.1:4566",
                region=REGION,
                account_id=ACCOUNT,
                folder=cloud.folder,
                images=cloud.image.parent,
                store=cloud.store,
                emit=lambda _: None,
                client=lambda name: None,
                clock=cloud.clock,
            ),
            service,
        )

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        answer = dict(self.service.perform(Call(operation, parameters, REGION, ROOT, "r-1")))
        shape = MODEL.operation_model(operation).output_shape
        assert shape is not None
        check_shape(answer, shape, operation)
        return answer

    def run(self, instance: str, script: str, **given: list[str]) -> dict[str, Any]:
        """Send a script; its invocation once it has ended."""
        sent = self.call(
            "SendCommand",
            InstanceIds=[instance],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": script.splitlines(), **given},
        )
        return self.ended(sent["Command"]["CommandId"], instance)

    def ended(self, command: str, instance: str) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def is_over() -> bool:
            seen.update(self.call("GetCommandInvocation", CommandId=command, InstanceId=instance))
            return str(seen["Status"]) != "InProgress"

        wait_for(is_over)
        return seen


@pytest.fixture
def manager(cloud: Cloud) -> Manager:
    return Manager(cloud)


def up(cloud: Cloud, script: str = "#!/bin/sh\necho once >> boots\n", **parameters: Any) -> str:
    (instance,) = cloud.run(script, **{**PROFILE, **parameters})
    cloud.wait(instance, "running")
    return instance


def test_a_stopped_instance_comes_back_with_its_disk_and_runs_no_user_data_again(
    cloud: Cloud, manager: Manager
) -> None:
    instance = up(cloud)
    assert manager.run(instance, 'echo mine > "$HOME/notes"')["Status"] == "Success"
    cloud.call("StopInstances", InstanceIds=[instance])
    cloud.wait(instance, "stopped")
    cloud.call("StartInstances", InstanceIds=[instance])
    cloud.wait(instance, "running")
    assert manager.run(instance, 'cat "$HOME/notes" "$HOME/boots"')["StandardOutputContent"] == "mine\nonce\n"
    assert cloud.states_told(instance) == ["pending", "running", "stopping", "stopped", "pending", "running"]


def test_a_stopped_instance_outlives_the_cloud(cloud: Cloud) -> None:
    instance = up(cloud)
    cloud.call("StopInstances", InstanceIds=[instance])
    cloud.wait(instance, "stopped")
    cloud.service.stop()
    later = cloud.restarted()
    try:
        assert later.state(instance) == "stopped"
        later.call("StartInstances", InstanceIds=[instance])
        later.wait(instance, "running")
        assert Manager(later).run(instance, 'cat "$HOME/boots"')["StandardOutputContent"] == "once\n"
    finally:
        later.service.stop()


def test_a_stopped_instance_that_is_terminated_leaves_no_disk(cloud: Cloud) -> None:
    instance = up(cloud)
    cloud.call("StopInstances", InstanceIds=[instance])
    cloud.wait(instance, "stopped")
    cloud.call("TerminateInstances", InstanceIds=[instance])
    assert cloud.state(instance) == "terminated"
    assert not (cloud.folder / "instances" / instance / "scratch").exists()


def test_what_waits_cannot_be_stopped_and_what_is_terminated_cannot_be_started(cloud: Cloud) -> None:
    first, _ = up(cloud), up(cloud)
    waiting = cloud.run("#!/bin/sh\n", **PROFILE)
    assert cloud.refused("StopInstances", InstanceIds=waiting).code == "IncorrectInstanceState"
    cloud.call("TerminateInstances", InstanceIds=[first])
    assert cloud.refused("StartInstances", InstanceIds=[first]).code == "IncorrectInstanceState"


def test_a_timer_of_its_own_ends_or_stops_an_instance_whose_user_data_has_run(cloud: Cloud) -> None:
    ends = up(cloud, "#!/bin/sh\nshutdown -h +60\n", InstanceInitiatedShutdownBehavior="terminate")
    stops = up(cloud, "#!/bin/sh\nshutdown -h +60\n")
    manager = Manager(cloud)
    for instance, state in ((ends, "terminated"), (stops, "stopped")):
        manager.run(instance, "shutdown -h now")
        cloud.wait(instance, state)


def test_an_image_of_an_instance_holds_its_disk(cloud: Cloud, manager: Manager) -> None:
    instance = up(cloud)
    manager.run(instance, 'echo model > "$HOME/weights"; mkfifo "$HOME/pipe"; ln -s weights "$HOME/latest"')
    saved = cloud.call("CreateImage", InstanceId=instance, Name="spectra 1", NoReboot=True)["ImageId"]
    cloud.call("TerminateInstances", InstanceIds=[instance])
    other = up(cloud, "#!/bin/sh\n", ImageId=saved)
    assert manager.run(other, 'cat "$HOME/latest"; ls "$HOME"')["StandardOutputContent"] == (
        "model\nboots\nlatest\nweights\n"
    )
    assert cloud.refused("CreateImage", InstanceId=other, Name="spectra 1").code == "InvalidAMIName.Duplicate"
    cloud.call("DeregisterImage", ImageId=saved)
    assert list((cloud.folder / "disks").iterdir()) == []


def test_commands_run_as_on_the_machine_and_tell_both_outputs_and_the_status(cloud: Cloud, manager: Manager) -> None:
    instance = up(cloud)
    told = manager.run(instance, 'cd "$HOME" && pwd\necho "$NEUROCAAS_IMAGE"\necho wrong >&2\nexit 3')
    assert told["StandardOutputContent"].splitlines() == [
        str(cloud.folder / "instances" / instance / "scratch"),
        str(cloud.image),
    ]
    assert (told["StandardErrorContent"], told["ResponseCode"], told["Status"]) == ("wrong\n", 3, "Failed")


def test_a_command_that_takes_too_long_or_is_cancelled_is_ended(cloud: Cloud, manager: Manager) -> None:
    instance = up(cloud)
    told = manager.run(instance, "sleep 60", executionTimeout=["1"])
    assert told["Status"] == "TimedOut"
    sent = manager.call(
        "SendCommand",
        InstanceIds=[instance],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": ['touch "$HOME/begun"; sleep 60']},
    )["Command"]["CommandId"]
    wait_for((cloud.folder / "instances" / instance / "scratch" / "begun").exists)
    manager.call("CancelCommand", CommandId=sent)
    assert manager.ended(sent, instance)["Status"] == "Cancelled"


def test_a_session_is_the_door_of_the_machine(cloud: Cloud, manager: Manager) -> None:
    instance = up(cloud)
    door = manager.call("StartSession", Target=instance)["StreamUrl"].removeprefix("unix:")
    reading, writing = os.pipe()
    with (
        Path(os.devnull).open("rb") as nothing,
        call_agent(
            Path(door), Errand(("sh", "-c", "echo hello")), [nothing.fileno(), writing, writing], patience_s=10
        ) as line,
    ):
        os.close(writing)
        assert exit_status(line) == 0
    assert os.read(reading, 100) == b"hello\n"
    os.close(reading)


def test_a_session_has_a_terminal_on_which_control_c_works(cloud: Cloud, manager: Manager) -> None:
    instance = up(cloud)
    door = Path(manager.call("StartSession", Target=instance)["StreamUrl"].removeprefix("unix:"))
    ours, theirs = pty.openpty()
    program = ("sh", "-c", "trap 'echo interrupted; exit 7' INT; test -t 0 && echo ready; sleep 60 & wait")
    with call_agent(door, Errand(program, has_terminal=True), [theirs, theirs, theirs], patience_s=10) as line:
        os.close(theirs)
        said = b""
        while b"ready" not in said:
            said += os.read(ours, 1024)
        os.write(ours, b"\x03")
        assert exit_status(line) == 7
    os.close(ours)


def test_only_instances_whose_role_may_register_are_managed(cloud: Cloud, manager: Manager) -> None:
    (job,) = cloud.run(IamInstanceProfile={"Name": "neurocaas-instance-demo"})
    cloud.wait(job, "running")
    with pytest.raises(ServiceError, match="not in a valid state"):
        manager.call("StartSession", Target=job)
    mine = up(cloud)
    wait_for(
        lambda: manager.call("DescribeInstanceInformation")["InstanceInformationList"][0]["PingStatus"] == "Online"
    )
    listed = manager.call("DescribeInstanceInformation")["InstanceInformationList"]
    assert [item["InstanceId"] for item in listed] == [mine]


def test_what_is_lacking_is_refused_by_name(manager: Manager) -> None:
    for operation, parameters in (
        ("TerminateSession", {"SessionId": "s"}),
        ("SendCommand", {"DocumentName": "AWS-RunPowerShellScript", "InstanceIds": []}),
        ("StartSession", {"Target": "i-1", "DocumentName": "AWS-StartPortForwardingSession"}),
    ):
        with pytest.raises(ServiceError, match="local cloud"):
            manager.service.perform(Call(operation, parameters, REGION, ROOT, "r-1"))


def test_a_machine_without_an_agent_is_told(tmp_path: Path) -> None:
    with pytest.raises(AgentGoneError, match="does not answer"):
        call_agent(tmp_path / "nobody", Errand(("true",)), [0, 1, 2])
