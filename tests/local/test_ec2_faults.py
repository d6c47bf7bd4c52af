"""Faults on purpose: which calls meet them, how often, and what becomes of an instance that is taken or lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncap_iac.local.ec2 import Fault
from ncap_iac.local.ec2.model import THROTTLED
from ncap_iac.local.runner.firmware import remove_tree
from ncap_iac.local.service import ServiceError
from tests.local.ec2_support import REGION, Cloud
from tests.local.machines_support import make_image, wait_for


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


def zone_of(cloud: Cloud, instance_id: str) -> str:
    return str(cloud.describe(instance_id)["Placement"]["AvailabilityZone"])


def subnet_in(cloud: Cloud, zone: str) -> str:
    (subnet,) = cloud.call("DescribeSubnets", Filters=[{"Name": "availability-zone", "Values": [zone]}])["Subnets"]
    return str(subnet["SubnetId"])


def test_a_zone_without_capacity_refuses_who_names_it_and_the_next_zone_serves(cloud: Cloud) -> None:
    cloud.service.faults.arm(Fault(zones=(f"{REGION}a",), remaining=2))
    full = cloud.request(SubnetId=subnet_in(cloud, f"{REGION}a"))
    assert cloud.refused("RunInstances", **full).code == "InsufficientInstanceCapacity"
    (other,) = cloud.run(SubnetId=subnet_in(cloud, f"{REGION}b"))
    assert zone_of(cloud, other) == f"{REGION}b"
    assert cloud.refused("RunInstances", **full).code == "InsufficientInstanceCapacity"
    assert len(cloud.run(SubnetId=subnet_in(cloud, f"{REGION}a"))) == 1


def test_who_names_no_zone_gets_one_that_has_room(cloud: Cloud) -> None:
    cloud.service.faults.arm(Fault(zones=(f"{REGION}a",)))
    (instance_id,) = cloud.run()
    assert zone_of(cloud, instance_id) == f"{REGION}b"
    cloud.service.faults.clear()
    cloud.service.faults.arm(Fault(zones=tuple(f"{REGION}{letter}" for letter in "abc")))
    assert cloud.refused("RunInstances", **cloud.request()).code == "InsufficientInstanceCapacity"


def test_faults_are_met_in_the_order_they_were_armed_each_as_often_as_it_says(cloud: Cloud) -> None:
    cloud.service.faults.arm(Fault(instance_types=("c7i.large",)))
    cloud.service.faults.arm(Fault(code="MaxSpotInstanceCountExceeded"))
    assert cloud.refused("RunInstances", **cloud.request()).code == "MaxSpotInstanceCountExceeded"
    assert len(cloud.run()) == 1
    assert [fault.instance_types for fault in cloud.service.faults.armed()] == [("c7i.large",)]


def test_throttling_meets_one_operation_or_all(cloud: Cloud) -> None:
    cloud.service.faults.arm(Fault(THROTTLED, "Request limit exceeded.", 503, operation="DescribeInstances"))
    assert cloud.call("DescribeVpcs")["Vpcs"]
    error = cloud.refused("DescribeInstances")
    assert (error.code, error.status) == ("RequestLimitExceeded", 503)
    assert cloud.call("DescribeInstances")["Reservations"] == []
    cloud.service.faults.arm(Fault(THROTTLED, "Request limit exceeded.", 503, operation=""))
    assert cloud.refused("DescribeVpcs").code == "RequestLimitExceeded"


def test_what_there_is_not_cannot_fail(cloud: Cloud) -> None:
    for fault in (Fault(zones=("mars-1a",)), Fault(instance_types=("m99.large",))):
        with pytest.raises(ServiceError):
            cloud.service.faults.arm(fault)
    with pytest.raises(ServiceError, match="does not exist"):
        cloud.service.faults.lose("i-0123456789abcdef0")
    assert cloud.service.faults.armed() == []


def test_an_interrupted_instance_is_warned_then_ended_as_spot_ones_are(cloud: Cloud) -> None:
    (instance_id,) = cloud.run()
    cloud.wait(instance_id, "running")
    cloud.service.faults.interrupt(instance_id, after_s=0.2)
    warning = next(event for event in cloud.events if event["detail-type"].startswith("EC2 Spot"))
    assert warning["detail"] == {"instance-id": instance_id, "instance-action": "terminate"}
    cloud.wait(instance_id, "terminated")
    assert cloud.describe(instance_id)["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_an_interrupted_instance_can_read_it_in_its_metadata(cloud: Cloud) -> None:
    # The tiny image has no HTTP client of its own, the system's Python has one.
    script = """#!/bin/sh
python3 - <<'END'
import json, os, time, urllib.request
base = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] + "latest/"
def ask(path, method, **headers):
    request = urllib.request.Request(base + path, method=method, headers=headers)
    return urllib.request.urlopen(request).read().decode()
token = ask("api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
print("ready", flush=True)
while True:
    try:
        print("told", ask("meta-data/spot/instance-action", "GET", **{"X-aws-ec2-metadata-token": token}), flush=True)
        break
    except urllib.error.HTTPError:
        time.sleep(0.05)
END
sleep 300
"""
    (instance_id,) = cloud.run(script)
    wait_for(lambda: "ready" in cloud.console(instance_id))
    cloud.service.faults.interrupt(instance_id, after_s=60)
    wait_for(lambda: "told" in cloud.console(instance_id))
    line = next(line for line in cloud.console(instance_id).splitlines() if line.startswith("told"))
    assert json.loads(line.removeprefix("told"))["action"] == "terminate"


def test_a_lost_instance_ends_without_hearing_of_it(cloud: Cloud) -> None:
    script = "#!/bin/sh\ntrap 'echo heard' TERM INT HUP\necho ready\nwhile :; do sleep 0.05; done\n"
    (instance_id,) = cloud.run(script)
    wait_for(lambda: "ready" in cloud.console(instance_id))
    cloud.wait(instance_id, "running")
    cloud.service.faults.lose(instance_id)
    cloud.wait(instance_id, "terminated")
    assert "heard" not in cloud.console(instance_id)
    assert cloud.describe(instance_id)["StateReason"]["Code"] == "Server.InternalError"
    assert cloud.states_told(instance_id) == ["pending", "running", "shutting-down", "terminated"]


def test_the_catalog_is_offered_in_the_region_and_in_every_zone(cloud: Cloud) -> None:
    only = [{"Name": "instance-type", "Values": ["m7i.large"]}]
    region = cloud.call("DescribeInstanceTypeOfferings", Filters=only)["InstanceTypeOfferings"]
    assert region == [{"InstanceType": "m7i.large", "LocationType": "region", "Location": REGION}]
    zones = cloud.call("DescribeInstanceTypeOfferings", LocationType="availability-zone", Filters=only)
    assert [item["Location"] for item in zones["InstanceTypeOfferings"]] == [f"{REGION}{letter}" for letter in "abc"]
    retired = [{"Name": "instance-type", "Values": ["p2.xlarge"]}]
    assert cloud.call("DescribeInstanceTypeOfferings", Filters=retired)["InstanceTypeOfferings"] == []
    assert cloud.refused("DescribeInstanceTypeOfferings", LocationType="outpost").code == "InvalidParameterValue"


def test_the_account_has_a_default_network(cloud: Cloud) -> None:
    asked = cloud.call("DescribeAccountAttributes", AttributeNames=["default-vpc"])["AccountAttributes"]
    (vpc,) = cloud.call("DescribeVpcs")["Vpcs"]
    assert asked == [{"AttributeName": "default-vpc", "AttributeValues": [{"AttributeValue": vpc["VpcId"]}]}]


def test_the_network_has_one_way_out_and_no_endpoints(cloud: Cloud) -> None:
    (vpc,) = cloud.call("DescribeVpcs", Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    inside = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    (table,) = cloud.call("DescribeRouteTables", Filters=inside)["RouteTables"]
    assert [association["Main"] for association in table["Associations"]] == [True]
    assert table["Routes"][1]["NatGatewayId"].startswith("nat-")
    assert cloud.call("DescribeRouteTables", Filters=[{"Name": "vpc-id", "Values": ["vpc-0"]}])["RouteTables"] == []
    assert cloud.call("DescribeVpcEndpoints", Filters=inside)["VpcEndpoints"] == []
    assert cloud.refused("DescribeRouteTables", RouteTableIds=["rtb-0"]).code == "InvalidRouteTableID.NotFound"


def test_an_unknown_subnet_is_refused(cloud: Cloud) -> None:
    request = cloud.request(SubnetId="subnet-0123456789abcdef0")
    assert cloud.refused("RunInstances", **request).code == "InvalidSubnetID.NotFound"


def test_a_volumes_own_key_is_shown_and_needs_encryption(cloud: Cloud) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/0"
    disk = {"VolumeSize": 9, "Encrypted": True, "KmsKeyId": key}
    (instance_id,) = cloud.run(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": disk}])
    mine = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    assert cloud.call("DescribeVolumes", Filters=mine)["Volumes"][0]["KmsKeyId"] == key
    plain = cloud.request(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"KmsKeyId": key}}])
    assert cloud.refused("RunInstances", **plain).code == "InvalidParameterDependency"
