"""What IAM has to allow: every resource of a launch with its condition keys, and the role that is passed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from ncap_iac.local.runner.firmware import remove_tree
from ncap_iac.local.service import Permission, ServiceError
from tests.local.ec2_support import ACCOUNT, REGION, Cloud
from tests.local.machines_support import make_image

EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
TAGS = [{"ResourceType": "instance", "Tags": [{"Key": "analysis", "Value": "lds"}, {"Key": "group", "Value": "demo"}]}]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    image = make_image(tmp_path_factory.mktemp("images"))
    made = Cloud(tmp_path_factory.mktemp("cloud"), image, slots=1)
    yield made
    made.service.stop()
    remove_tree(image)


@pytest.fixture(scope="module")
def template(cloud: Cloud) -> Mapping[str, Any]:
    data = {"ImageId": cloud.register(), "InstanceType": "m7i.large", "MetadataOptions": {"HttpTokens": "required"}}
    answer = cloud.call("CreateLaunchTemplate", LaunchTemplateName="neurocaas-lds", LaunchTemplateData=data)
    found: Mapping[str, Any] = answer["LaunchTemplate"]
    return found


def launch(cloud: Cloud, **parameters: Any) -> dict[tuple[str, str], Mapping[str, str | Sequence[str]]]:
    found = cloud.permissions("RunInstances", MinCount=1, MaxCount=1, **parameters)
    assert all(
        permission.context.get("ec2:Region") == REGION or permission.action == "iam:PassRole" for permission in found
    )
    return {(permission.action, permission.resource): permission.context for permission in found}


def test_a_launch_needs_every_resource_that_aws_checks(cloud: Cloud, template: Mapping[str, Any]) -> None:
    needed = launch(
        cloud,
        LaunchTemplate={"LaunchTemplateName": "neurocaas-lds"},
        IamInstanceProfile={"Name": "neurocaas-instance-demo"},
        TagSpecifications=TAGS,
    )
    image_id = cloud.call("DescribeImages")["Images"][0]["ImageId"]
    subnet = cloud.call("DescribeSubnets")["Subnets"][0]["SubnetId"]
    group = cloud.call("DescribeSecurityGroups", GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    run = "ec2:RunInstances"
    assert set(needed) == {
        (run, f"{EC2}:instance/*"),
        (run, f"arn:aws:ec2:{REGION}::image/{image_id}"),
        (run, f"{EC2}:subnet/{subnet}"),
        (run, f"{EC2}:network-interface/*"),
        (run, f"{EC2}:security-group/{group}"),
        (run, f"{EC2}:volume/*"),
        (run, f"{EC2}:launch-template/{template['LaunchTemplateId']}"),
        ("ec2:CreateTags", f"{EC2}:instance/*"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/neurocaas/instances/neurocaas-instance-demo"),
    }


def test_the_instance_carries_type_tokens_profile_tags_and_template(cloud: Cloud, template: Mapping[str, Any]) -> None:
    context = launch(
        cloud,
        LaunchTemplate={"LaunchTemplateName": "neurocaas-lds"},
        IamInstanceProfile={"Name": "neurocaas-instance-demo"},
        TagSpecifications=TAGS,
    )["ec2:RunInstances", f"{EC2}:instance/*"]
    assert context["ec2:InstanceType"] == "m7i.large"
    assert context["ec2:MetadataHttpTokens"] == "required"
    assert str(context["ec2:InstanceProfile"]).endswith("/neurocaas-instance-demo")
    assert context["aws:RequestTag/analysis"] == "lds"
    assert context["aws:TagKeys"] == ["analysis", "group"]
    assert context["ec2:LaunchTemplate"] == f"{EC2}:launch-template/{template['LaunchTemplateId']}"
    assert context["ec2:IsLaunchTemplateResource"] == "true"


def test_a_type_of_the_request_is_not_the_templates(cloud: Cloud, template: Mapping[str, Any]) -> None:
    needed = launch(cloud, LaunchTemplate={"LaunchTemplateName": "neurocaas-lds"}, InstanceType="c7i.large")
    assert needed["ec2:RunInstances", f"{EC2}:instance/*"]["ec2:IsLaunchTemplateResource"] == "false"


def test_tokens_nobody_asked_for_are_no_condition_key(cloud: Cloud, template: Mapping[str, Any]) -> None:
    needed = launch(cloud, ImageId=cloud.call("DescribeImages")["Images"][0]["ImageId"], InstanceType="m7i.large")
    assert "ec2:MetadataHttpTokens" not in needed["ec2:RunInstances", f"{EC2}:instance/*"]
    assert "ec2:LaunchTemplate" not in needed["ec2:RunInstances", f"{EC2}:instance/*"]


def test_a_role_is_passed_to_ec2_only_when_there_is_one(cloud: Cloud, template: Mapping[str, Any]) -> None:
    by_template = {"LaunchTemplate": {"LaunchTemplateName": "neurocaas-lds"}}
    role = f"arn:aws:iam::{ACCOUNT}:role/neurocaas/instances/neurocaas-instance-demo"
    needed = launch(cloud, **by_template, IamInstanceProfile={"Name": "neurocaas-instance-demo"})
    assert needed["iam:PassRole", role]["iam:PassedToService"] == "ec2.amazonaws.com"
    needed = launch(cloud, **by_template, IamInstanceProfile={"Name": "without-role"})
    assert not [action for action, _ in needed if action == "iam:PassRole"]


def test_tags_at_launch_name_the_action_that_makes_them(cloud: Cloud, template: Mapping[str, Any]) -> None:
    needed = launch(cloud, LaunchTemplate={"LaunchTemplateName": "neurocaas-lds"}, TagSpecifications=TAGS)
    context = needed["ec2:CreateTags", f"{EC2}:instance/*"]
    assert context["ec2:CreateAction"] == "RunInstances"
    assert context["aws:RequestTag/group"] == "demo"


def test_terminating_needs_each_instance_with_its_tags(cloud: Cloud, template: Mapping[str, Any]) -> None:
    (instance_id,) = cloud.run(TagSpecifications=TAGS)
    tagged, unknown = cloud.permissions("TerminateInstances", InstanceIds=[instance_id, "i-0123456789abcdef0"])
    assert (tagged.action, tagged.resource) == ("ec2:TerminateInstances", f"{EC2}:instance/{instance_id}")
    assert tagged.context["aws:ResourceTag/analysis"] == "lds"
    assert tagged.context["ec2:ResourceTag/analysis"] == "lds"
    assert unknown == Permission(
        "ec2:TerminateInstances", f"{EC2}:instance/i-0123456789abcdef0", {"ec2:Region": REGION}
    )


def test_tagging_what_exists_names_no_create_action(cloud: Cloud, template: Mapping[str, Any]) -> None:
    (instance_id,) = cloud.run(TagSpecifications=TAGS)
    (needed,) = cloud.permissions("CreateTags", Resources=[instance_id], Tags=[{"Key": "x", "Value": "y"}])
    assert needed.context["aws:ResourceTag/analysis"] == "lds"
    assert needed.context["aws:RequestTag/x"] == "y"
    assert "ec2:CreateAction" not in needed.context


def test_a_template_named_by_name_is_checked_by_its_id(cloud: Cloud, template: Mapping[str, Any]) -> None:
    (needed,) = cloud.permissions("DeleteLaunchTemplate", LaunchTemplateName="neurocaas-lds")
    assert needed.resource == f"{EC2}:launch-template/{template['LaunchTemplateId']}"


def test_making_a_tagged_resource_needs_both_actions(cloud: Cloud) -> None:
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "b"}]}]
    made, tagged = cloud.permissions("CreateSecurityGroup", GroupName="g", Description="d", TagSpecifications=tags)
    assert (made.action, made.resource) == ("ec2:CreateSecurityGroup", f"{EC2}:security-group/*")
    assert (tagged.action, tagged.context["ec2:CreateAction"]) == ("ec2:CreateTags", "CreateSecurityGroup")


@pytest.mark.parametrize(
    "operation", ["DescribeInstances", "DescribeImages", "DescribeLaunchTemplates", "DescribeSubnets"]
)
def test_describing_is_allowed_on_everything_or_not_at_all(cloud: Cloud, operation: str) -> None:
    (needed,) = cloud.permissions(operation)
    assert (needed.action, needed.resource) == (f"ec2:{operation}", "*")


def test_an_operation_that_is_not_offered_needs_no_permission_and_says_so(cloud: Cloud) -> None:
    with pytest.raises(ServiceError, match="UnsupportedOperation"):
        cloud.permissions("RebootInstances", InstanceIds=["i-0123456789abcdef0"])
