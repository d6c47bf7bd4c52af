"""What the platform's own functions may do, asked with the very credentials their roles give them.

A function of our own runs under each role and tries; IAM of the cloud answers. The same questions are asked of the
compiled templates in `tests/compiler/test_isolation.py`.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stories.laboratory import Laboratory

pytestmark = pytest.mark.cloud

PROBE = """
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    answers = {}
    for name, service, operation, arguments in event["questions"]:
        try:
            getattr(boto3.client(service), operation)(**arguments)
            answers[name] = "allowed"
        except ClientError as error:
            answers[name] = error.response["Error"]["Code"]
    return answers
"""
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
ANALYSIS_TAGS = {"analysis": "faulty", "PriceTracking": "On", "group": "demo"}
Question = tuple[str, str, str, dict[str, Any]]


def launch(image: str, **changed: Any) -> dict[str, Any]:
    """The arguments of a launch as the job manager makes it, with differences."""
    tags = [{"Key": name, "Value": value} for name, value in changed.pop("tags", ANALYSIS_TAGS).items()]
    arguments: dict[str, Any] = {
        "ImageId": image,
        "InstanceType": "m7i.large",
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": "#!/bin/sh\nshutdown -h now\n",
        "LaunchTemplate": {"LaunchTemplateName": "neurocaas-faulty", "Version": "$Latest"},
        "IamInstanceProfile": {"Name": "neurocaas-instance-demo"},
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume") if tags],
    }
    return arguments | changed


@pytest.fixture(scope="module")
def things(laboratory: Laboratory) -> Iterator[dict[str, str]]:
    """Data, an image of the analysis, an image that is not, and an instance nobody of the platform started."""
    s3, ec2 = laboratory.client("s3"), laboratory.client("ec2")
    s3.put_object(Bucket="faulty", Key="demo/inputs/own.txt", Body=b"own")
    s3.put_object(Bucket="faulty", Key="demo/results/job/process_results/r.txt", Body=b"result")
    s3.put_object(Bucket="kalman-lds", Key="demo/inputs/own.txt", Body=b"own")
    tag = [{"Name": "tag:neurocaas:environment", "Values": ["faulty"]}]
    image = ec2.describe_images(Owners=["self"], Filters=tag)["Images"][0]
    foreign = ec2.register_image(
        Name="foreign",
        ImageLocation=image["ImageLocation"].split("/")[-1],
        Architecture="x86_64",
        RootDeviceName="/dev/xvda",
    )["ImageId"]
    sleep = "#!/bin/sh\nsleep 600\n"
    running = {
        name: ec2.run_instances(**launch(image["ImageId"], UserData=sleep, tags=tags))["Instances"][0]["InstanceId"]
        for name, tags in {"untagged": {}, "own": ANALYSIS_TAGS, "other": ANALYSIS_TAGS | {"analysis": "x"}}.items()
    }
    yield {"image": image["ImageId"], "foreign": foreign, **running}
    ec2.terminate_instances(InstanceIds=list(running.values()))
    ec2.deregister_image(ImageId=foreign)


def ask(laboratory: Laboratory, role: str, questions: list[Question]) -> dict[str, str]:
    """The answers IAM gives to a function with this role."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("probe.py", PROBE)
    arn = laboratory.client("iam").get_role(RoleName=role)["Role"]["Arn"]
    functions = laboratory.client("lambda")
    name = f"probe-{role}"
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=arn,
        Handler="probe.handler",
        Code={"ZipFile": code.getvalue()},
        Timeout=120,
    )
    try:
        answer = functions.invoke(FunctionName=name, Payload=json.dumps({"questions": questions}).encode())
        found: dict[str, str] = json.loads(answer["Payload"].read())
    finally:
        functions.delete_function(FunctionName=name)
    assert set(found) == {question[0] for question in questions}, found
    return found


def test_the_job_manager_reaches_its_own_analysis_and_no_more(laboratory: Laboratory, things: dict[str, str]) -> None:
    image = things["image"]
    admin = "arn:aws:iam::000000000000:role/neurocaas/neurocaas-submit-kalman-lds"
    ledger = {"TableName": "neurocaas-ledger"}
    key = {"pk": {"S": "x"}, "sk": {"S": "y"}}
    allowed: list[Question] = [
        ("its inputs", "s3", "get_object", {"Bucket": "faulty", "Key": "demo/inputs/own.txt"}),
        ("a job of its own", "s3", "put_object", {"Bucket": "faulty", "Key": "demo/jobs/probe/launch-9.json"}),
        ("ledger items", "dynamodb", "get_item", {**ledger, "Key": key}),
        ("its budgets", "ssm", "get_parameters", {"Names": ["/neurocaas/budgets/demo/faulty"]}),
        ("a launch as agreed", "ec2", "run_instances", launch(image)),
        ("ending its instance", "ec2", "terminate_instances", {"InstanceIds": [things["own"]]}),
    ]
    refused: list[Question] = [
        ("another bucket", "s3", "get_object", {"Bucket": "kalman-lds", "Key": "demo/inputs/own.txt"}),
        ("results", "s3", "get_object", {"Bucket": "faulty", "Key": "demo/results/job/process_results/r.txt"}),
        ("forged results", "s3", "put_object", {"Bucket": "faulty", "Key": "demo/results/job/process_results/x"}),
        ("submitting", "s3", "put_object", {"Bucket": "faulty", "Key": "demo/submissions/submit.json"}),
        ("deleting inputs", "s3", "delete_object", {"Bucket": "faulty", "Key": "demo/inputs/own.txt"}),
        ("deleting the bucket", "s3", "delete_bucket", {"Bucket": "faulty"}),
        ("a version", "s3", "put_object", {"Bucket": "faulty", "Key": "versions/v-0.json"}),
        ("opening the bucket", "s3", "put_bucket_policy", {"Bucket": "faulty", "Policy": "{}"}),
        ("deleting the ledger", "dynamodb", "delete_table", ledger),
        ("another table", "dynamodb", "get_item", {"TableName": "other", "Key": key}),
        ("another's budget", "ssm", "get_parameters", {"Names": ["/neurocaas/budgets/demo/kalman-lds"]}),
        (
            "raising a budget",
            "ssm",
            "put_parameter",
            {"Name": "/neurocaas/budgets/demo/faulty", "Value": "9", "Type": "String", "Overwrite": True},
        ),
        ("an untagged launch", "ec2", "run_instances", launch(image, tags={})),
        ("another's launch", "ec2", "run_instances", launch(image, tags=ANALYSIS_TAGS | {"analysis": "kalman-lds"})),
        ("a foreign image", "ec2", "run_instances", launch(things["foreign"])),
        ("a dearer type", "ec2", "run_instances", launch(image, InstanceType="m7i.48xlarge")),
        ("ending an untagged instance", "ec2", "terminate_instances", {"InstanceIds": [things["untagged"]]}),
        ("ending another's instance", "ec2", "terminate_instances", {"InstanceIds": [things["other"]]}),
        (
            "tagging a running instance",
            "ec2",
            "create_tags",
            {"Resources": [things["untagged"]], "Tags": [{"Key": "analysis", "Value": "faulty"}]},
        ),
        ("untagging an instance", "ec2", "delete_tags", {"Resources": [things["own"]], "Tags": [{"Key": "group"}]}),
        ("an access key", "iam", "create_access_key", {"UserName": "demo-member"}),
        ("another role", "sts", "assume_role", {"RoleArn": admin, "RoleSessionName": "probe"}),
        ("a member's key", "secretsmanager", "get_secret_value", {"SecretId": "/neurocaas/members/demo-member"}),
        (
            "its own code",
            "lambda",
            "update_function_code",
            {"FunctionName": "neurocaas-submit-faulty", "S3Bucket": "faulty", "S3Key": "x"},
        ),
        ("another manager", "lambda", "invoke", {"FunctionName": "neurocaas-submit-kalman-lds"}),
    ]

    answers = ask(laboratory, "neurocaas-submit-faulty", [*refused, *allowed])

    assert {name: answers[name] for name, *_ in allowed} == {name: "allowed" for name, *_ in allowed}
    assert {name: answers[name] for name, *_ in refused if answers[name] not in DENIED} == {}


@pytest.mark.parametrize("role", ["neurocaas-monitor-us-east-1", "neurocaas-sweeper-us-east-1"])
def test_monitor_and_sweeper_settle_and_end_but_start_and_read_nothing(
    laboratory: Laboratory, things: dict[str, str], role: str
) -> None:
    allowed: list[Question] = [
        ("a record", "s3", "put_object", {"Bucket": "faulty", "Key": "logs/probe/i-0.json", "Body": "{}"}),
        ("instances", "ec2", "describe_instances", {}),
    ]
    refused: list[Question] = [
        ("inputs", "s3", "get_object", {"Bucket": "faulty", "Key": "demo/inputs/own.txt"}),
        ("results", "s3", "get_object", {"Bucket": "faulty", "Key": "demo/results/job/process_results/r.txt"}),
        ("forged results", "s3", "put_object", {"Bucket": "faulty", "Key": "demo/results/job/process_results/x"}),
        ("a launch", "ec2", "run_instances", launch(things["image"])),
        ("ending an untagged instance", "ec2", "terminate_instances", {"InstanceIds": [things["untagged"]]}),
        (
            "raising a budget",
            "ssm",
            "put_parameter",
            {"Name": "/neurocaas/budgets/demo/faulty", "Value": "9", "Type": "String", "Overwrite": True},
        ),
        ("a member's key", "secretsmanager", "get_secret_value", {"SecretId": "/neurocaas/members/demo-member"}),
    ]

    # Only the sweeper stops jobs whose budget is spent.
    reading: Question = ("a budget", "ssm", "get_parameters", {"Names": ["/neurocaas/budgets/demo/faulty"]})
    (allowed if "sweeper" in role else refused).append(reading)

    answers = ask(laboratory, role, [*refused, *allowed])

    assert {name: answers[name] for name, *_ in allowed} == {name: "allowed" for name, *_ in allowed}
    assert {name: answers[name] for name, *_ in refused if answers[name] not in DENIED} == {}
