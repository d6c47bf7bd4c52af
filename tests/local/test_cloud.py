"""A real local cloud, used as its users use it."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ncap_iac.local.cloud import RunningCloud
from ncap_iac.local.service import Surroundings
from tests.local.cloud_rig import make_function, make_role, root_client, running_cloud, until
from tests.local.edge_rig import client

pytestmark = pytest.mark.cloud
MAY_DESCRIBE = {"Effect": "Allow", "Action": "ec2:DescribeRegions", "Resource": "*"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningCloud, Surroundings]]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as both:
        yield both


@pytest.fixture(scope="module")
def cloud(running: tuple[RunningCloud, Surroundings]) -> RunningCloud:
    return running[0]


@pytest.fixture(scope="module")
def surroundings(running: tuple[RunningCloud, Surroundings]) -> Surroundings:
    return running[1]


def code_of(call: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


def member(cloud: RunningCloud, name: str, *statements: dict[str, Any]) -> tuple[str, str]:
    """A user with one inline policy and keys."""
    iam = root_client(cloud, "iam")
    iam.create_user(UserName=name, Path="/neurocaas/", Tags=[{"Key": "team", "Value": "red"}])
    if statements:
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def test_files_with_secrets_are_the_owners_only(surroundings: Surroundings) -> None:
    for name in ("cloud.json", "root.json", "edge.db"):
        assert stat.S_IMODE((surroundings.folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(surroundings.folder.stat().st_mode) == 0o700


def test_objects_make_the_round_trip(cloud: RunningCloud) -> None:
    s3 = root_client(cloud, "s3")
    s3.create_bucket(Bucket="round-trip")
    for key in ("plain", "a b/c+d=e&f.txt", "ü/★"):
        s3.put_object(Bucket="round-trip", Key=key, Body=key.encode(), Metadata={"note": "n"})
        found = s3.get_object(Bucket="round-trip", Key=key)
        assert (found["Body"].read(), found["Metadata"]) == (key.encode(), {"note": "n"})


def test_a_policy_that_demands_tls_lets_loopback_pass(cloud: RunningCloud) -> None:
    s3 = root_client(cloud, "s3")
    s3.create_bucket(Bucket="tls-only")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::tls-only/*"]}
    policy = {"Version": "2012-10-17", "Statement": [{**deny, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}
    s3.put_bucket_policy(Bucket="tls-only", Policy=json.dumps(policy))
    s3.put_object(Bucket="tls-only", Key="k", Body=b"x")


def test_a_members_keys_do_what_their_policies_say_on_the_edges_services(cloud: RunningCloud) -> None:
    may, may_not = member(cloud, "may", MAY_DESCRIBE), member(cloud, "may-not")
    assert client(cloud.endpoint, "ec2", *may).describe_regions()["Regions"]
    with pytest.raises(ClientError) as caught:
        client(cloud.endpoint, "ec2", *may_not).describe_regions()
    error = caught.value.response["Error"]
    assert error["Code"] == "UnauthorizedOperation"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    for part in ("user/neurocaas/may-not", "ec2:DescribeRegions", "resource: *"):
        assert part in error["Message"]


def test_a_change_of_policy_counts_at_once(cloud: RunningCloud) -> None:
    ec2 = client(cloud.endpoint, "ec2", *member(cloud, "changing"))
    iam = root_client(cloud, "iam")
    assert code_of(ec2.describe_regions) == "UnauthorizedOperation"
    document = json.dumps({"Version": "2012-10-17", "Statement": [MAY_DESCRIBE]})
    iam.create_group(GroupName="changing")
    iam.add_user_to_group(GroupName="changing", UserName="changing")
    iam.put_group_policy(GroupName="changing", PolicyName="p", PolicyDocument=document)
    assert ec2.describe_regions()["Regions"]
    iam.delete_group_policy(GroupName="changing", PolicyName="p")
    assert code_of(ec2.describe_regions) == "UnauthorizedOperation"
    arn = iam.create_policy(PolicyName="managed", PolicyDocument=document)["Policy"]["Arn"]
    iam.attach_group_policy(GroupName="changing", PolicyArn=arn)
    assert ec2.describe_regions()["Regions"]


def test_conditions_see_the_callers_name_and_tags(cloud: RunningCloud) -> None:
    condition = {"StringEquals": {"aws:PrincipalTag/team": "red"}, "StringLike": {"aws:username": "tagged-*"}}
    keys = member(cloud, "tagged-1", {**MAY_DESCRIBE, "Condition": condition})
    assert client(cloud.endpoint, "ec2", *keys).describe_regions()["Regions"]


def test_keys_that_are_switched_off_or_deleted_stop_working(cloud: RunningCloud) -> None:
    keys = member(cloud, "leaving", MAY_DESCRIBE)
    ec2, iam = client(cloud.endpoint, "ec2", *keys), root_client(cloud, "iam")
    iam.update_access_key(UserName="leaving", AccessKeyId=keys[0], Status="Inactive")
    assert code_of(ec2.describe_regions) == "AuthFailure"
    iam.update_access_key(UserName="leaving", AccessKeyId=keys[0], Status="Active")
    assert ec2.describe_regions()["Regions"]
    iam.delete_access_key(UserName="leaving", AccessKeyId=keys[0])
    assert code_of(ec2.describe_regions) == "AuthFailure"


def test_a_roles_session_works_and_its_session_policy_narrows_it(cloud: RunningCloud) -> None:
    arn = make_role(root_client(cloud, "iam"), "sessions", "ec2.amazonaws.com", MAY_DESCRIBE)
    sts = root_client(cloud, "sts")

    def ec2_of(**more: str) -> Any:
        found = sts.assume_role(RoleArn=arn, RoleSessionName="session", **more)["Credentials"]
        keys = found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]
        return client(cloud.endpoint, "ec2", *keys)

    assert ec2_of().describe_regions()["Regions"]
    nothing = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    assert code_of(ec2_of(Policy=json.dumps(nothing)).describe_regions) == "UnauthorizedOperation"


def test_a_function_calls_the_edges_services_with_its_own_role(cloud: RunningCloud) -> None:
    iam, functions = root_client(cloud, "iam"), root_client(cloud, "lambda")
    source = (
        "import boto3\n"
        "def handler(event, context):\n"
        "    try:\n"
        "        return boto3.client('ec2').describe_regions()['Regions'][0]['RegionName']\n"
        "    except Exception as error:\n"
        "        return error.response['Error']['Code']\n"
    )
    for name, statements, expected in (
        ("allowed", [MAY_DESCRIBE], "us-east-1"),
        ("denied", [], "UnauthorizedOperation"),
    ):
        other = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
        make_function(functions, name, make_role(iam, f"fn-{name}", "lambda.amazonaws.com", other, *statements), source)
        answer = functions.invoke(FunctionName=name)
        assert json.loads(answer["Payload"].read()) == expected


def test_an_event_reaches_the_functions_and_queues_of_its_rules(
    cloud: RunningCloud, surroundings: Surroundings
) -> None:
    events, functions, queues = (root_client(cloud, name) for name in ("events", "lambda", "sqs"))
    url = queues.create_queue(QueueName="told")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    role = make_role(root_client(cloud, "iam"), "teller", "lambda.amazonaws.com", {
        "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn})  # fmt: skip
    source = (
        "import boto3, json\n"
        "def handler(event, context):\n"
        f"    boto3.client('sqs').send_message(QueueUrl={url!r}, MessageBody='function ' + event['detail']['state'])\n"
    )
    function = make_function(functions, "told", role, source)
    pattern = {"source": ["aws.ec2"], "detail": {"state": ["running", {"prefix": "term"}]}}
    rule = events.put_rule(Name="states", EventPattern=json.dumps(pattern))["RuleArn"]
    events.put_targets(Rule="states", Targets=[{"Id": "f", "Arn": function}, {"Id": "q", "Arn": arn}])
    functions.add_permission(
        FunctionName="told",
        StatementId="e",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    instance = "arn:aws:ec2:us-east-1:000000000000:instance/i-1"
    states = ["pending", "running", "terminated"]
    for state in states:
        surroundings.emit(
            {"source": "aws.ec2", "detail-type": "x", "resources": [instance], "detail": {"state": state}}
        )
    found: list[str] = []

    def received() -> bool:
        for message in queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            found.append(message["Body"])
            queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(found) >= 4

    assert until(received)
    direct = [json.loads(text) for text in found if text.startswith("{")]
    assert [event["detail"]["state"] for event in direct] == ["running", "terminated"]
    assert (direct[0]["account"], direct[0]["region"], direct[0]["version"]) == ("000000000000", "us-east-1", "0")
    assert sorted(text for text in found if text.startswith("function")) == ["function running", "function terminated"]
    assert until(lambda: not surroundings.store.items("events"))


def test_a_function_whose_policy_does_not_name_the_rule_is_not_called(
    cloud: RunningCloud, surroundings: Surroundings
) -> None:
    events, functions, queues = (root_client(cloud, name) for name in ("events", "lambda", "sqs"))
    role = make_role(root_client(cloud, "iam"), "uncalled", "lambda.amazonaws.com", MAY_DESCRIBE)
    function = make_function(functions, "uncalled", role, "def handler(event, context):\n    print('called')\n")
    dead = queues.create_queue(QueueName="dead")["QueueUrl"]
    dead_arn = queues.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="uncalled", EventPattern=json.dumps({"source": ["toy"]}))
    events.put_targets(Rule="uncalled", Targets=[{"Id": "f", "Arn": function, "DeadLetterConfig": {"Arn": dead_arn}}])
    surroundings.emit({"source": "toy", "detail-type": "x", "detail": {}})
    messages = until(lambda: queues.receive_message(QueueUrl=dead).get("Messages"))
    assert json.loads(messages[0]["Body"])["source"] == "toy"
