"""Instances: launched once, in order, with EC2's states, events, errors and limits; durable."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.local.ec2 import Fault
from ncap_iac.local.runner.firmware import remove_tree
from tests.local.ec2_support import ACCOUNT, REGION, Cloud
from tests.local.machines_support import make_image, wait_for

LIFE = ["pending", "running", "shutting-down", "terminated"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = make_image(tmp_path_factory.mktemp("images"))
    yield folder
    remove_tree(folder)


@pytest.fixture
def cloud(tmp_path: Path, image: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud", image)
    yield made
    made.service.stop()


def test_an_instance_lives_from_pending_to_terminated_and_tells_each_state(cloud: Cloud) -> None:
    answer = cloud.call("RunInstances", **cloud.request("#!/bin/sh\necho hello\n"))
    instance = answer["Instances"][0]
    assert instance["State"] == {"Code": 0, "Name": "pending"}
    instance_id = instance["InstanceId"]
    cloud.wait(instance_id, "terminated")
    assert cloud.states_told(instance_id) == LIFE
    assert cloud.describe(instance_id)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert cloud.console(instance_id).startswith("hello\n")


def test_a_state_change_event_has_ec2s_exact_shape(cloud: Cloud) -> None:
    (instance_id,) = cloud.run()
    event = dict(cloud.events[0])
    assert len(event.pop("id")) == 36
    assert event == {
        "version": "0",
        "detail-type": "EC2 Instance State-change Notification",
        "source": "aws.ec2",
        "account": ACCOUNT,
        "time": "2025-10-09T08:53:20Z",
        "region": REGION,
        "resources": [f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance_id}"],
        "detail": {"instance-id": instance_id, "state": "pending"},
    }


def test_terminating_a_running_instance_ends_its_machine(cloud: Cloud) -> None:
    (instance_id,) = cloud.run()
    cloud.wait(instance_id, "running")
    answer = cloud.call("TerminateInstances", InstanceIds=[instance_id])
    assert answer["TerminatingInstances"] == [
        {
            "InstanceId": instance_id,
            "PreviousState": {"Code": 16, "Name": "running"},
            "CurrentState": {"Code": 32, "Name": "shutting-down"},
        }
    ]
    cloud.wait(instance_id, "terminated")
    assert cloud.states_told(instance_id) == LIFE
    assert cloud.describe(instance_id)["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    again = cloud.call("TerminateInstances", InstanceIds=[instance_id])["TerminatingInstances"][0]
    assert again["CurrentState"]["Name"] == "terminated"


def test_one_bad_id_and_none_is_terminated(cloud: Cloud) -> None:
    (instance_id,) = cloud.run()
    cloud.wait(instance_id, "running")
    error = cloud.refused("TerminateInstances", InstanceIds=[instance_id, "i-0123456789abcdef0"])
    assert error.code == "InvalidInstanceID.NotFound"
    assert cloud.refused("TerminateInstances", InstanceIds=["i-xyz"]).code == "InvalidInstanceID.Malformed"
    assert cloud.state(instance_id) == "running"


def test_instances_beyond_the_slots_wait_in_the_order_of_their_launch(cloud: Cloud) -> None:
    first = cloud.run("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.02; done\n", MaxCount=2)
    later = cloud.run(MaxCount=2)
    for instance_id in first:
        cloud.wait(instance_id, "running")
    assert [cloud.state(instance_id) for instance_id in later] == ["pending", "pending"]
    (cloud.folder / "instances" / first[0] / "scratch" / "go").touch()
    cloud.wait(later[0], "running")
    assert cloud.state(later[1]) == "pending"


def test_a_waiting_instance_can_be_terminated_and_never_boots(cloud: Cloud) -> None:
    cloud.run(MaxCount=2)
    (waiting,) = cloud.run("#!/bin/sh\necho booted\n")
    cloud.call("TerminateInstances", InstanceIds=[waiting])
    assert cloud.state(waiting) == "terminated"
    assert cloud.states_told(waiting) == ["pending", "shutting-down", "terminated"]
    assert cloud.console(waiting) == ""


def test_each_instance_of_a_launch_has_its_index(cloud: Cloud) -> None:
    answer = cloud.call("RunInstances", **cloud.request(MaxCount=3))
    assert [instance["AmiLaunchIndex"] for instance in answer["Instances"]] == [0, 1, 2]
    assert len({instance["PrivateIpAddress"] for instance in answer["Instances"]}) == 3


def test_a_client_token_launches_once_and_refuses_other_parameters(cloud: Cloud) -> None:
    first = cloud.run(ClientToken="t-1", MaxCount=2)
    assert cloud.run(ClientToken="t-1", MaxCount=2) == first
    error = cloud.refused("RunInstances", **cloud.request(ClientToken="t-1", MaxCount=1))
    assert error.code == "IdempotentParameterMismatch"
    assert len(cloud.call("DescribeInstances")["Reservations"]) == 1


def test_racing_calls_with_one_token_launch_once(cloud: Cloud) -> None:
    request = cloud.request(ClientToken="race")
    found: list[str] = []

    def launch() -> None:
        found.append(cloud.call("RunInstances", **request)["Instances"][0]["InstanceId"])

    threads = [threading.Thread(target=launch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_token_holds_after_a_restart(cloud: Cloud) -> None:
    first = cloud.run("#!/bin/sh\n", ClientToken="t-1")
    cloud.wait(first[0], "terminated")
    cloud.service.stop()
    later = cloud.restarted()
    try:
        assert later.run("#!/bin/sh\n", ClientToken="t-1") == first
    finally:
        later.service.stop()


def test_after_a_crash_what_ran_is_terminated_and_what_waited_goes_on(tmp_path: Path, image: Path) -> None:
    cloud = Cloud(tmp_path / "cloud", image, slots=1)
    (running,) = cloud.run()
    (waiting,) = cloud.run("#!/bin/sh\necho at last\n")
    cloud.wait(running, "running")
    later = cloud.restarted()  # the first life is not told: as if it had been killed
    try:
        assert later.state(running) == "terminated"
        assert later.describe(running)["StateReason"]["Code"] == "Server.InternalError"
        assert later.states_told(running) == ["shutting-down", "terminated"]
        later.wait(waiting, "terminated")
        assert later.console(waiting).startswith("at last")
        assert not (later.folder / "instances" / running / "scratch").exists()
    finally:
        later.service.stop()
        cloud.service.stop()


def test_stopping_the_cloud_leaves_no_instance_running(cloud: Cloud) -> None:
    (instance_id,) = cloud.run()
    cloud.wait(instance_id, "running")
    cloud.service.stop()
    assert cloud.state(instance_id) == "terminated"
    assert "stopped" in cloud.describe(instance_id)["StateReason"]["Message"] or "gone" in str(
        cloud.describe(instance_id)
    )


def test_a_terminated_instance_is_seen_for_an_hour(cloud: Cloud) -> None:
    (instance_id,) = cloud.run("#!/bin/sh\n")
    cloud.wait(instance_id, "terminated")
    cloud.clock.now += 3599
    assert cloud.state(instance_id) == "terminated"
    cloud.clock.now += 2
    assert cloud.call("DescribeInstances")["Reservations"] == []
    assert cloud.refused("DescribeInstances", InstanceIds=[instance_id]).code == "InvalidInstanceID.NotFound"


def test_consoles_are_kept_for_a_day(cloud: Cloud) -> None:
    (instance_id,) = cloud.run("#!/bin/sh\necho hello\n")
    cloud.wait(instance_id, "terminated")
    folder = cloud.folder / "instances" / instance_id
    wait_for(lambda: not (folder / "scratch").exists())
    cloud.clock.now += 23 * 3600
    cloud.run("#!/bin/sh\n")
    assert (folder / "console.log").exists()
    cloud.clock.now += 2 * 3600
    cloud.run("#!/bin/sh\n")
    assert not folder.exists()


def test_a_machine_knows_region_endpoint_and_metadata_service(cloud: Cloud) -> None:
    (instance_id,) = cloud.run("#!/bin/sh\nenv | grep ^AWS | sort\n")
    cloud.wait(instance_id, "terminated")
    lines = cloud.console(instance_id).splitlines()
    assert lines[0].startswith("AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:")
    assert lines[1:3] == ["AWS_ENDPOINT_URL=http://127.0.0.1:4566", f"AWS_REGION={REGION}"]


def test_shutdown_behaviour_stop_leaves_a_stopped_instance(cloud: Cloud) -> None:
    (instance_id,) = cloud.run("#!/bin/sh\nshutdown -h now\n")
    cloud.wait(instance_id, "stopped")
    assert cloud.describe(instance_id)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_launch_is_described_with_everything_it_asked_for(cloud: Cloud) -> None:
    (instance_id,) = cloud.run(
        IamInstanceProfile={"Name": "neurocaas-instance-demo"},
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True}}
        ],
        InstanceInitiatedShutdownBehavior="terminate",
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "job", "Value": "j"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "job", "Value": "v"}]},
        ],
        Placement={"AvailabilityZone": "us-east-1b"},
        ClientToken="t",
    )
    instance = cloud.describe(instance_id)
    assert instance["IamInstanceProfile"]["Arn"].endswith(
        ":instance-profile/neurocaas/instances/neurocaas-instance-demo"
    )
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    assert instance["Tags"] == [{"Key": "job", "Value": "j"}]
    assert instance["Placement"]["AvailabilityZone"] == "us-east-1b"
    assert instance["ClientToken"] == "t"
    assert instance["SecurityGroups"][0]["GroupName"] == "default"
    (volume,) = cloud.call("DescribeVolumes", Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}])[
        "Volumes"
    ]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (20, "gp3", True)
    assert volume["Tags"] == [{"Key": "job", "Value": "v"}]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "tiny"}, "InvalidAMIID.Malformed"),
        ({"ImageId": None}, "MissingParameter"),
        ({"InstanceType": "p2.xlarge"}, "InvalidParameterValue"),
        ({"InstanceType": "m7i.potato"}, "InvalidParameterValue"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound"),
        ({"Placement": {"AvailabilityZone": "eu-west-1a"}}, "InvalidParameterValue"),
        ({"LaunchTemplate": {"LaunchTemplateName": "none"}}, "InvalidLaunchTemplateName.NotFoundException"),
        ({"LaunchTemplate": {"LaunchTemplateId": "lt-0123456789abcdef0"}}, "InvalidLaunchTemplateId.NotFound"),
        ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
        ({"UserData": base64.b64encode(b"x" * 16385).decode()}, "InvalidParameterValue"),
        ({"UserData": "not base64!"}, "InvalidUserData.Malformed"),
        ({"MinCount": 2, "MaxCount": 1}, "InvalidParameterValue"),
        ({"ClientToken": "x" * 65}, "InvalidParameterValue"),
        ({"MetadataOptions": {"HttpTokens": "optional"}}, "InvalidParameterValue"),
        ({"KeyName": "mine"}, "UnsupportedOperation"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}]}, "UnsupportedOperation"),
        ({"InstanceMarketOptions": {"MarketType": "capacity-block"}}, "InvalidParameterValue"),
        ({"InstanceMarketOptions": {"SpotOptions": {"SpotInstanceType": "one-time"}}}, "InvalidParameterCombination"),
        (
            {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "persistent"}}},
            "UnsupportedOperation",
        ),
        (
            {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.01"}}},
            "UnsupportedOperation",
        ),
        ({"Monitoring": {"Enabled": True}}, "UnsupportedOperation"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "VirtualName": "x"}]}, "UnsupportedOperation"),
        (
            {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "aws:x", "Value": ""}]}]},
            "InvalidParameterValue",
        ),
        ({"TagSpecifications": [{"ResourceType": "elephant", "Tags": []}]}, "InvalidParameterValue"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_a_launch_that_cannot_be_is_refused_with_ec2s_code(cloud: Cloud, changed: dict[str, Any], code: str) -> None:
    request = {name: value for name, value in {**cloud.request(), **changed}.items() if value is not None}
    assert cloud.refused("RunInstances", **request).code == code
    assert cloud.call("DescribeInstances")["Reservations"] == []


def test_user_data_of_exactly_16_kb_is_taken(cloud: Cloud) -> None:
    script = "#!/bin/sh\n#".ljust(16384, "x")
    assert len(cloud.run(script)) == 1


def test_a_parameter_with_the_value_of_what_happens_anyway_is_taken(cloud: Cloud) -> None:
    assert len(cloud.run(Monitoring={"Enabled": False}, EbsOptimized=False)) == 1


def test_injected_faults_meet_as_many_launches_as_were_asked_for(cloud: Cloud) -> None:
    cloud.service.faults.arm(Fault(remaining=2))
    later = cloud.restarted()
    try:
        for _ in range(2):
            assert later.refused("RunInstances", **later.request()).code == "InsufficientInstanceCapacity"
        assert len(later.run()) == 1
    finally:
        later.service.stop()


def test_a_partial_launch_gives_what_there_is(cloud: Cloud) -> None:
    cloud.service.faults.arm(Fault(granted=3))
    assert len(cloud.run(MaxCount=5)) == 3
    cloud.service.faults.arm(Fault(granted=3))
    request = cloud.request(MinCount=4, MaxCount=5)
    assert cloud.refused("RunInstances", **request).code == "InsufficientInstanceCapacity"


def test_a_fault_can_be_of_one_type_only(cloud: Cloud) -> None:
    cloud.service.faults.arm(Fault(instance_types=("g5.xlarge",)))
    assert len(cloud.run()) == 1
    assert cloud.refused("RunInstances", **cloud.request(InstanceType="g5.xlarge")).status == 500


def test_a_refused_token_can_be_used_again(cloud: Cloud) -> None:
    cloud.service.faults.arm(Fault())
    request = cloud.request(ClientToken="again")
    assert cloud.refused("RunInstances", **request).code == "InsufficientInstanceCapacity"
    assert len(cloud.call("RunInstances", **request)["Instances"]) == 1


def test_an_image_that_was_changed_ends_the_instance_with_the_reason(cloud: Cloud, tmp_path: Path) -> None:
    changed = make_image(tmp_path / "images", files={"analysis/a.py": "1\n"})
    other = Cloud(tmp_path / "other", changed)
    try:
        (changed / "analysis" / "a.py").chmod(0o644)
        (changed / "analysis" / "a.py").write_text("22\n")
        (instance_id,) = other.run()
        other.wait(instance_id, "terminated")
        reason = other.describe(instance_id)["StateReason"]
        assert reason["Code"] == "Server.InternalError"
        assert "analysis/a.py was changed" in reason["Message"]
    finally:
        other.service.stop()


def test_instance_status_is_of_running_instances_unless_all_are_asked_for(cloud: Cloud) -> None:
    first = cloud.run(MaxCount=3)
    cloud.wait(first[1], "running")
    cloud.wait(first[0], "running")
    shown = cloud.call("DescribeInstanceStatus")["InstanceStatuses"]
    assert [status["InstanceId"] for status in shown] == first[:2]
    assert shown[0]["InstanceStatus"]["Status"] == "ok"
    assert len(cloud.call("DescribeInstanceStatus", IncludeAllInstances=True)["InstanceStatuses"]) == 3


@pytest.mark.parametrize("operation", ["RebootInstances", "RequestSpotInstances", "CreateFleet"])
def test_what_this_ec2_does_not_do_is_refused_by_name(cloud: Cloud, operation: str) -> None:
    error = cloud.refused(operation)
    assert error.code == "UnsupportedOperation"
    assert operation in error.message
