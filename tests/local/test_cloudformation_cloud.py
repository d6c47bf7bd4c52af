"""CloudFormation of a running local cloud, through the door its users take: boto3 and the AWS command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ncap_iac.local.cloud import RunningCloud
from tests.local.cloud_rig import local_cloud, root_client
from tests.local.edge_rig import client

pytestmark = pytest.mark.cloud
NAMED_IAM = ["CAPABILITY_NAMED_IAM"]
SOON = {"Delay": 0.1, "MaxAttempts": 300}

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Days": {"Type": "Number", "Default": 30}},
    "Resources": {
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {"BucketName": {"Fn::Sub": "deployed-${AWS::AccountId}"}},
        },
        "Log": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"LogGroupName": "/deployed", "RetentionInDays": {"Ref": "Days"}},
        },
        "User": {"Type": "AWS::IAM::User", "Properties": {"UserName": "member", "Path": "/neurocaas/"}},
        "Key": {"Type": "AWS::IAM::AccessKey", "Properties": {"UserName": {"Ref": "User"}, "Serial": 1}},
        "Secret": {
            "Type": "AWS::SecretsManager::Secret",
            "Properties": {
                "Name": "/members/member",
                "SecretString": {"Fn::Sub": '{"id": "${Key}", "secret": "${Key.SecretAccessKey}"}'},
            },
        },
    },
    "Outputs": {"Where": {"Value": {"Fn::GetAtt": "Bucket.Arn"}}},
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    running = local_cloud(tmp_path_factory.mktemp("deploying")).up("deploying", port=0)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def cfn(cloud: RunningCloud) -> Iterator[Any]:
    """A client; every stack a test made is gone afterwards."""
    made = root_client(cloud, "cloudformation")
    yield made
    for stack in made.describe_stacks()["Stacks"]:
        made.delete_stack(StackName=stack["StackName"])
        made.get_waiter("stack_delete_complete").wait(StackName=stack["StackId"], WaiterConfig=SOON)


def deploy(cfn: Any, template: dict[str, Any], name: str = "deployed", **more: Any) -> dict[str, Any]:
    cfn.create_stack(StackName=name, TemplateBody=json.dumps(template), Capabilities=NAMED_IAM, **more)
    cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=SOON)
    return dict(cfn.describe_stacks(StackName=name)["Stacks"][0])


def aws(cloud: RunningCloud, *arguments: str) -> subprocess.CompletedProcess[str]:
    keys = cloud.credentials
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_PAGER": "",
    }
    command = [str(Path(sys.executable).with_name("aws")), "--output", "text", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_stack_is_deployed_changed_and_removed(cloud: RunningCloud, cfn: Any) -> None:
    stack = deploy(cfn, TEMPLATE, Tags=[{"Key": "team", "Value": "x"}])
    account = cloud.record.account_id
    assert stack["Outputs"][0]["OutputValue"] == f"arn:aws:s3:::deployed-{account}"
    tagging = root_client(cloud, "s3").get_bucket_tagging(Bucket=f"deployed-{account}")
    assert {"Key": "team", "Value": "x"} in tagging["TagSet"]
    parameters = [{"ParameterKey": "Days", "ParameterValue": "90"}]
    cfn.update_stack(StackName="deployed", UsePreviousTemplate=True, Parameters=parameters, Capabilities=NAMED_IAM)
    cfn.get_waiter("stack_update_complete").wait(StackName="deployed", WaiterConfig=SOON)
    (group,) = root_client(cloud, "logs").describe_log_groups(logGroupNamePrefix="/deployed")["logGroups"]
    assert group["retentionInDays"] == 90
    cfn.delete_stack(StackName="deployed")
    cfn.get_waiter("stack_delete_complete").wait(StackName=stack["StackId"], WaiterConfig=SOON)
    assert root_client(cloud, "s3").list_buckets()["Buckets"] == []
    assert root_client(cloud, "iam").list_users()["Users"] == []


def test_a_members_key_goes_only_to_its_secret(cloud: RunningCloud, cfn: Any) -> None:
    deploy(cfn, TEMPLATE)
    value = root_client(cloud, "secretsmanager").get_secret_value(SecretId="/members/member")["SecretString"]
    secret = json.loads(value)["secret"]
    shown = [
        cfn.describe_stacks(StackName="deployed"),
        cfn.describe_stack_events(StackName="deployed"),
        cfn.describe_stack_resources(StackName="deployed"),
        cfn.get_template(StackName="deployed"),
    ]
    assert secret not in json.dumps(shown, default=str)


def test_a_member_without_the_right_cannot_deploy(cloud: RunningCloud, cfn: Any) -> None:
    deploy(cfn, TEMPLATE)
    value = root_client(cloud, "secretsmanager").get_secret_value(SecretId="/members/member")["SecretString"]
    key = json.loads(value)
    member = client(cloud.endpoint, "cloudformation", key["id"], key["secret"])
    calls: list[Callable[[], Any]] = [
        lambda: member.create_stack(StackName="mine", TemplateBody=json.dumps(TEMPLATE), Capabilities=NAMED_IAM),
        lambda: member.delete_stack(StackName="deployed"),
        lambda: member.describe_stacks(),
    ]
    for call in calls:
        with pytest.raises(ClientError, match="AccessDenied"):
            call()


def test_a_bucket_with_data_stops_its_deletion(cloud: RunningCloud, cfn: Any) -> None:
    stack = deploy(cfn, TEMPLATE)
    s3, bucket = root_client(cloud, "s3"), f"deployed-{cloud.record.account_id}"
    s3.put_object(Bucket=bucket, Key="precious", Body=b"data")
    cfn.delete_stack(StackName="deployed")
    with pytest.raises(Exception, match="DELETE_FAILED"):
        cfn.get_waiter("stack_delete_complete").wait(StackName=stack["StackId"], WaiterConfig=SOON)
    events = cfn.describe_stack_events(StackName=stack["StackId"])["StackEvents"]
    reasons = [event["ResourceStatusReason"] for event in events if event["ResourceStatus"] == "DELETE_FAILED"]
    assert any("not empty" in reason for reason in reasons)
    assert s3.get_object(Bucket=bucket, Key="precious")["Body"].read() == b"data"
    s3.delete_object(Bucket=bucket, Key="precious")


def test_a_service_that_drops_a_property_fails_the_stack(cloud: RunningCloud, cfn: Any) -> None:
    subscription = {"Protocol": "sqs", "Endpoint": "nowhere", "NoSuchMember": "unknown"}
    properties = {"TopicName": "x", "Subscription": [subscription]}
    broken = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": properties}}}
    cfn.create_stack(StackName="deployed", TemplateBody=json.dumps(broken))
    with pytest.raises(Exception, match="ROLLBACK"):
        cfn.get_waiter("stack_create_complete").wait(StackName="deployed", WaiterConfig=SOON)
    assert root_client(cloud, "sns").list_topics()["Topics"] == []


def test_the_aws_command_line_deploys_unmodified(cloud: RunningCloud, cfn: Any, tmp_path: Path) -> None:
    """Its own waiters pause for 30 seconds, so the change set it makes is executed here."""
    body = tmp_path / "template.json"
    body.write_text(json.dumps(TEMPLATE))
    deploy_command = ["cloudformation", "deploy", "--stack-name", "deployed", "--template-file", str(body)]
    deploy_command += ["--capabilities", *NAMED_IAM]
    proposed = aws(cloud, *deploy_command, "--no-execute-changeset", "--parameter-overrides", "Days=7")
    assert proposed.returncode == 0, proposed.stderr
    (summary,) = cfn.list_change_sets(StackName="deployed")["Summaries"]
    cfn.execute_change_set(ChangeSetName=summary["ChangeSetId"])
    cfn.get_waiter("stack_create_complete").wait(StackName="deployed", WaiterConfig=SOON)
    again = aws(cloud, *deploy_command, "--no-fail-on-empty-changeset")
    assert again.returncode == 0, again.stderr
    assert "No changes to deploy" in again.stdout
    removed = aws(cloud, "cloudformation", "delete-stack", "--stack-name", "deployed")
    assert removed.returncode == 0, removed.stderr
    cfn.get_waiter("stack_delete_complete").wait(StackName="deployed", WaiterConfig=SOON)
    waited = aws(cloud, "cloudformation", "wait", "stack-delete-complete", "--stack-name", "deployed")
    assert waited.returncode == 0, waited.stderr


def test_stacks_survive_a_restart(tmp_path: Path) -> None:
    first = local_cloud(tmp_path).up("kept", port=0)
    try:
        made = deploy(root_client(first, "cloudformation"), TEMPLATE)
    finally:
        first.stop()
    second = local_cloud(tmp_path).up("kept", port=0)
    try:
        cfn = root_client(second, "cloudformation")
        assert cfn.describe_stacks()["Stacks"][0]["StackId"] == made["StackId"]
        cfn.update_stack(
            StackName="deployed",
            UsePreviousTemplate=True,
            Parameters=[{"ParameterKey": "Days", "ParameterValue": "7"}],
            Capabilities=NAMED_IAM,
        )
        cfn.get_waiter("stack_update_complete").wait(StackName="deployed", WaiterConfig=SOON)
        cfn.delete_stack(StackName="deployed")
        cfn.get_waiter("stack_delete_complete").wait(StackName="deployed", WaiterConfig=SOON)
        assert root_client(second, "iam").list_users()["Users"] == []
    finally:
        second.stop()
