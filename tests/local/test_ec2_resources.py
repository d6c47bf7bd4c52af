"""Launch templates, security groups, images, tags, and the network that is given."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncap_iac.local.runner.firmware import remove_tree
from tests.local.ec2_support import Cloud
from tests.local.machines_support import make_image

PROFILE = "arn:aws:iam::123456789012:instance-profile/neurocaas/instances/neurocaas-instance-demo"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = make_image(tmp_path_factory.mktemp("images"))
    yield folder
    remove_tree(folder)


@pytest.fixture
def cloud(tmp_path: Path, image: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud", image, slots=1)
    yield made
    made.service.stop()


def full_template(cloud: Cloud) -> dict[str, Any]:
    group = cloud.call("CreateSecurityGroup", GroupName="instances", Description="no way in")["GroupId"]
    return {
        "ImageId": cloud.register(),
        "InstanceType": "m7i.large",
        "SecurityGroupIds": [group],
        "IamInstanceProfile": {"Arn": PROFILE},
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30, "VolumeType": "gp3", "Encrypted": True}},
            {"DeviceName": "/dev/xvdb", "Ebs": {"VolumeSize": 5}},
        ],
        "InstanceInitiatedShutdownBehavior": "terminate",
        "UserData": base64.b64encode(b"#!/bin/sh\nsleep 300\n").decode(),
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "template"}, {"Key": "b", "Value": "template"}]}
        ],
    }


def test_a_launch_by_template_alone_has_all_of_the_template(cloud: Cloud) -> None:
    data = full_template(cloud)
    cloud.call("CreateLaunchTemplate", LaunchTemplateName="neurocaas-x", LaunchTemplateData=data)
    answer = cloud.call("RunInstances", LaunchTemplate={"LaunchTemplateName": "neurocaas-x"}, MinCount=1, MaxCount=1)
    instance = cloud.describe(answer["Instances"][0]["InstanceId"])
    assert instance["ImageId"] == data["ImageId"]
    assert instance["InstanceType"] == "m7i.large"
    assert [group["GroupId"] for group in instance["SecurityGroups"]] == data["SecurityGroupIds"]
    assert instance["IamInstanceProfile"]["Arn"] == PROFILE
    assert [mapping["DeviceName"] for mapping in instance["BlockDeviceMappings"]] == ["/dev/xvda", "/dev/xvdb"]
    assert instance["Tags"] == [{"Key": "a", "Value": "template"}, {"Key": "b", "Value": "template"}]
    cloud.wait(instance["InstanceId"], "running")


def test_what_the_request_says_wins_piece_by_piece(cloud: Cloud) -> None:
    cloud.call("CreateLaunchTemplate", LaunchTemplateName="neurocaas-x", LaunchTemplateData=full_template(cloud))
    answer = cloud.call(
        "RunInstances",
        LaunchTemplate={"LaunchTemplateName": "neurocaas-x", "Version": "$Latest"},
        MinCount=1,
        MaxCount=1,
        InstanceType="c7i.large",
        MetadataOptions={"HttpPutResponseHopLimit": 3},
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 99}}],
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "b", "Value": "request"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "c", "Value": "request"}]},
        ],
    )
    instance = cloud.describe(answer["Instances"][0]["InstanceId"])
    assert instance["InstanceType"] == "c7i.large"
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 3
    assert instance["Tags"] == [{"Key": "a", "Value": "template"}, {"Key": "b", "Value": "request"}]
    volumes = cloud.call("DescribeVolumes")["Volumes"]
    assert [(volume["Attachments"][0]["Device"], volume["Size"]) for volume in volumes] == [
        ("/dev/xvda", 99),
        ("/dev/xvdb", 5),
    ]


def test_versions_are_found_by_number_latest_and_default(cloud: Cloud) -> None:
    image_id = cloud.register()
    base = {"ImageId": image_id, "InstanceType": "m5.large"}
    cloud.call("CreateLaunchTemplate", LaunchTemplateName="lt-x", LaunchTemplateData=base)
    for kind in ("m6i.large", "m7i.large"):
        data = {"ImageId": image_id, "InstanceType": kind}
        cloud.call("CreateLaunchTemplateVersion", LaunchTemplateName="lt-x", LaunchTemplateData=data)
    cloud.call("ModifyLaunchTemplate", LaunchTemplateName="lt-x", DefaultVersion="2")

    def kind_of(version: str | None) -> str:
        chosen = {"LaunchTemplateName": "lt-x", **({"Version": version} if version else {})}
        answer = cloud.call("RunInstances", LaunchTemplate=chosen, MinCount=1, MaxCount=1)
        return str(answer["Instances"][0]["InstanceType"])

    assert [kind_of(v) for v in ("1", "$Latest", "$Default", None)] == [
        "m5.large",
        "m7i.large",
        "m6i.large",
        "m6i.large",
    ]
    error = cloud.refused(
        "RunInstances", LaunchTemplate={"LaunchTemplateName": "lt-x", "Version": "4"}, MinCount=1, MaxCount=1
    )
    assert error.code == "InvalidLaunchTemplateId.VersionNotFound"
    template = cloud.call("DescribeLaunchTemplates", LaunchTemplateNames=["lt-x"])["LaunchTemplates"][0]
    assert (template["DefaultVersionNumber"], template["LatestVersionNumber"]) == (2, 3)
    versions = cloud.call("DescribeLaunchTemplateVersions", LaunchTemplateName="lt-x")["LaunchTemplateVersions"]
    assert [(version["VersionNumber"], version["DefaultVersion"]) for version in versions] == [
        (3, False),
        (2, True),
        (1, False),
    ]


def test_a_version_of_a_source_keeps_what_is_not_given(cloud: Cloud) -> None:
    data = {"ImageId": cloud.register(), "InstanceType": "m5.large"}
    cloud.call("CreateLaunchTemplate", LaunchTemplateName="lt-x", LaunchTemplateData=data)
    answer = cloud.call(
        "CreateLaunchTemplateVersion",
        LaunchTemplateName="lt-x",
        SourceVersion="1",
        LaunchTemplateData={"InstanceType": "r7i.large"},
    )
    assert answer["LaunchTemplateVersion"]["LaunchTemplateData"] == {**data, "InstanceType": "r7i.large"}


def test_a_launch_template_name_is_taken_once_and_free_after_deletion(cloud: Cloud) -> None:
    data = {"InstanceType": "m5.large"}
    made = cloud.call("CreateLaunchTemplate", LaunchTemplateName="lt-x", LaunchTemplateData=data)["LaunchTemplate"]
    error = cloud.refused("CreateLaunchTemplate", LaunchTemplateName="lt-x", LaunchTemplateData=data)
    assert error.code == "InvalidLaunchTemplateName.AlreadyExistsException"
    cloud.call("DeleteLaunchTemplate", LaunchTemplateId=made["LaunchTemplateId"])
    error = cloud.refused("DescribeLaunchTemplates", LaunchTemplateNames=["lt-x"])
    assert error.code == "InvalidLaunchTemplateName.NotFoundException"
    cloud.call("CreateLaunchTemplate", LaunchTemplateName="lt-x", LaunchTemplateData=data)


@pytest.mark.parametrize(
    "data", [{"KeyName": "mine"}, {"NetworkInterfaces": [{"DeviceIndex": 0}]}, {"CpuOptions": {"CoreCount": 1}}]
)
def test_a_template_with_what_is_not_honoured_is_refused(cloud: Cloud, data: dict[str, Any]) -> None:
    error = cloud.refused("CreateLaunchTemplate", LaunchTemplateName="lt-x", LaunchTemplateData=data)
    assert error.code == "UnsupportedOperation"
    assert next(iter(data)) in error.message


def test_a_security_group_has_no_way_in_and_all_ways_out_until_told_otherwise(cloud: Cloud) -> None:
    group = cloud.call("CreateSecurityGroup", GroupName="g", Description="d")["GroupId"]
    (shown,) = cloud.call("DescribeSecurityGroups", GroupIds=[group])["SecurityGroups"]
    assert shown["IpPermissions"] == []
    assert shown["IpPermissionsEgress"][0]["IpProtocol"] == "-1"
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    https = [
        {
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "S3"}],
        }
    ]
    cloud.call("RevokeSecurityGroupEgress", GroupId=group, IpPermissions=everything)
    cloud.call("AuthorizeSecurityGroupEgress", GroupId=group, IpPermissions=https)
    cloud.call(
        "AuthorizeSecurityGroupIngress", GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="10.0.0.0/8"
    )
    (shown,) = cloud.call("DescribeSecurityGroups", Filters=[{"Name": "group-name", "Values": ["g"]}])["SecurityGroups"]
    assert shown["IpPermissionsEgress"][0]["IpRanges"] == https[0]["IpRanges"]
    assert shown["IpPermissions"][0]["FromPort"] == 22
    assert (
        cloud.refused("AuthorizeSecurityGroupEgress", GroupId=group, IpPermissions=https).code
        == "InvalidPermission.Duplicate"
    )
    assert (
        cloud.refused("RevokeSecurityGroupEgress", GroupId=group, IpPermissions=everything).code
        == "InvalidPermission.NotFound"
    )


def test_a_security_group_in_use_stays(cloud: Cloud) -> None:
    group = cloud.call("CreateSecurityGroup", GroupName="g", Description="d")["GroupId"]
    assert cloud.refused("CreateSecurityGroup", GroupName="g", Description="d").code == "InvalidGroup.Duplicate"
    (instance_id,) = cloud.run(SecurityGroupIds=[group])
    assert cloud.refused("DeleteSecurityGroup", GroupId=group).code == "DependencyViolation"
    cloud.call("TerminateInstances", InstanceIds=[instance_id])
    cloud.wait(instance_id, "terminated")
    cloud.call("DeleteSecurityGroup", GroupId=group)
    assert cloud.refused("DescribeSecurityGroups", GroupIds=[group]).code == "InvalidGroup.NotFound"


def test_the_default_security_group_stays(cloud: Cloud) -> None:
    assert cloud.refused("DeleteSecurityGroup", GroupName="default").code == "CannotDelete"


def test_an_image_is_found_by_tag_name_and_owner(cloud: Cloud) -> None:
    tags = [{"Key": "neurocaas:environment-digest", "Value": "sha256:abc"}]
    image_id = cloud.call(
        "RegisterImage",
        Name="neurocaas-tiny-abc",
        ImageLocation=f"local-image:{cloud.image.name}",
        Architecture="x86_64",
        RootDeviceName="/dev/xvda",
        TagSpecifications=[{"ResourceType": "image", "Tags": tags}],
    )["ImageId"]
    by_tag = [{"Name": "tag:neurocaas:environment-digest", "Values": ["sha256:abc"]}]
    (shown,) = cloud.call("DescribeImages", Owners=["self"], Filters=by_tag)["Images"]
    assert (shown["ImageId"], shown["State"], shown["Tags"]) == (image_id, "available", tags)
    assert cloud.call("DescribeImages", Owners=["amazon"])["Images"] == []
    cloud.call("DeregisterImage", ImageId=image_id)
    assert cloud.call("DescribeImages", Filters=by_tag)["Images"] == []
    assert cloud.refused("DescribeImages", ImageIds=[image_id]).code == "InvalidAMIID.NotFound"


@pytest.mark.parametrize(
    "location", ["local-image:none", "local-image:../images", "local-image:.hidden", "bucket/image.xml", "local-image:"]
)
def test_only_a_sealed_image_of_this_computer_is_registered(cloud: Cloud, location: str) -> None:
    assert cloud.refused("RegisterImage", Name="some", ImageLocation=location).code == "InvalidParameterValue"


def test_an_image_name_is_taken_once(cloud: Cloud) -> None:
    cloud.register("tiny")
    location = f"local-image:{cloud.image.name}"
    assert cloud.refused("RegisterImage", Name="tiny", ImageLocation=location).code == "InvalidAMIName.Duplicate"


def test_tags_are_added_replaced_removed_and_listed(cloud: Cloud) -> None:
    image_id = cloud.register()
    (instance_id,) = cloud.run()
    resources = [image_id, instance_id]
    cloud.call("CreateTags", Resources=resources, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    cloud.call("CreateTags", Resources=[instance_id], Tags=[{"Key": "a", "Value": "3"}])
    cloud.call("DeleteTags", Resources=[instance_id], Tags=[{"Key": "b"}, {"Key": "a", "Value": "other"}])
    assert cloud.describe(instance_id)["Tags"] == [{"Key": "a", "Value": "3"}]
    of_image = cloud.call("DescribeTags", Filters=[{"Name": "resource-id", "Values": [image_id]}])["Tags"]
    assert [(tag["ResourceType"], tag["Key"], tag["Value"]) for tag in of_image] == [
        ("image", "a", "1"),
        ("image", "b", "2"),
    ]


def test_with_one_bad_id_nothing_is_tagged(cloud: Cloud) -> None:
    (instance_id,) = cloud.run()
    request = {"Resources": [instance_id, "i-0123456789abcdef0"], "Tags": [{"Key": "a", "Value": "1"}]}
    assert cloud.refused("CreateTags", **request).code == "InvalidInstanceID.NotFound"
    assert cloud.describe(instance_id)["Tags"] == []


def test_a_tag_written_while_an_instance_changes_its_state_is_kept(cloud: Cloud) -> None:
    (instance_id,) = cloud.run("#!/bin/sh\nsleep 0.1\n")
    for number in range(20):
        cloud.call("CreateTags", Resources=[instance_id], Tags=[{"Key": f"k{number}", "Value": ""}])
    cloud.wait(instance_id, "terminated")
    assert len(cloud.describe(instance_id)["Tags"]) == 20


def test_at_most_fifty_tags(cloud: Cloud) -> None:
    (instance_id,) = cloud.run()
    tags = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
    assert cloud.refused("CreateTags", Resources=[instance_id], Tags=tags).code == "TagLimitExceeded"


def test_there_is_one_default_vpc_with_a_subnet_in_each_zone(cloud: Cloud) -> None:
    (vpc,) = cloud.call("DescribeVpcs", Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    subnets = cloud.call("DescribeSubnets", Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    zones = cloud.call("DescribeAvailabilityZones")["AvailabilityZones"]
    assert [subnet["AvailabilityZone"] for subnet in subnets] == [zone["ZoneName"] for zone in zones]
    assert [zone["ZoneId"] for zone in zones] == ["use1-az1", "use1-az2", "use1-az3"]
    assert [region["RegionName"] for region in cloud.call("DescribeRegions")["Regions"]] == ["us-east-1"]
    later = cloud.restarted()
    assert later.call("DescribeVpcs")["Vpcs"][0]["VpcId"] == vpc["VpcId"]
    later.service.stop()


@pytest.mark.parametrize(
    ("name", "vcpu", "gib", "gpus"),
    [
        ("m5.24xlarge", 96, 384, 0),
        ("m7i.large", 2, 8, 0),
        ("c5.9xlarge", 36, 72, 0),
        ("c7i.48xlarge", 192, 384, 0),
        ("r6i.32xlarge", 128, 1024, 0),
        ("t3.micro", 2, 1, 0),
        ("g4dn.12xlarge", 48, 192, 4),
        ("g5.48xlarge", 192, 768, 8),
        ("g6.xlarge", 4, 16, 1),
    ],
)
def test_instance_types_have_aws_figures(cloud: Cloud, name: str, vcpu: int, gib: int, gpus: int) -> None:
    (kind,) = cloud.call("DescribeInstanceTypes", InstanceTypes=[name])["InstanceTypes"]
    assert kind["VCpuInfo"]["DefaultVCpus"] == vcpu
    assert kind["MemoryInfo"]["SizeInMiB"] == gib * 1024
    assert sum(gpu["Count"] for gpu in kind.get("GpuInfo", {}).get("Gpus", ())) == gpus


@pytest.mark.parametrize("name", ["p2.xlarge", "p3.2xlarge", "g3s.xlarge", "g4ad.xlarge", "m4.large"])
def test_retired_instance_types_are_unknown(cloud: Cloud, name: str) -> None:
    assert cloud.refused("DescribeInstanceTypes", InstanceTypes=[name]).code == "InvalidParameterValue"
