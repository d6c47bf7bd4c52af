"""Every resource type against the real local cloud: made, read back, changed, changed back, removed.

Everything declared must come back from the service; the comparison is the engine's own.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from ncap_iac.local.cloud import RunningCloud
from ncap_iac.local.cloudformation.drift import property_differences
from ncap_iac.local.cloudformation.provider import Provider, ResourceError, Surface
from ncap_iac.local.cloudformation.providers import PROVIDERS, all_providers
from ncap_iac.local.cloudformation.readback import differences
from ncap_iac.local.cloudformation.values import Place, Properties
from tests.local.cloud_rig import local_cloud, root_client

pytestmark = pytest.mark.cloud

TAGS = [{"Key": "neurocaas:stack", "Value": "s"}]
OTHER_TAGS = [{"Key": "neurocaas:stack", "Value": "t"}, {"Key": "more", "Value": "1"}]


def policy(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource, **more}]}


def trust(service: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


@dataclass(frozen=True)
class Scene:
    """A running cloud with what resources refer to."""

    providers: Mapping[str, Provider]
    client: Callable[[str], Any]
    account: str
    role: str
    function: str
    queue_arn: str
    queue_url: str
    topic: str
    key: str


def bundle(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("main.py"), text)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    running = local_cloud(tmp_path_factory.mktemp("providers")).up("providers", port=0)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def scene(cloud: RunningCloud) -> Scene:
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = root_client(cloud, service)
        return made[service]

    account = cloud.record.account_id
    providers = all_providers(Surface(client, Place(cloud.record.region, account), time.sleep))
    s3 = client("s3")
    for name in ("code", "logs-of-others"):
        s3.create_bucket(Bucket=name)
    s3.put_object(Bucket="code", Key="one.zip", Body=bundle("def handler(event, context): return 1"))
    s3.put_object(Bucket="code", Key="two.zip", Body=bundle("def handler(event, context): return 2"))

    def make(kind: str, **properties: Any) -> tuple[str, Properties]:
        provider = providers[kind]
        created = provider.create(properties)
        provider.apply(created.physical_id, created.applied, properties)
        return created.physical_id, created.attributes

    _, role = make(
        "AWS::IAM::Role", RoleName="scene", AssumeRolePolicyDocument=trust("lambda.amazonaws.com"), Path="/scene/"
    )
    make("AWS::IAM::Group", GroupName="scene")
    make("AWS::IAM::Group", GroupName="scene-two")
    make("AWS::IAM::User", UserName="scene")
    make("AWS::IAM::User", UserName="scene-two")
    url, queue = make("AWS::SQS::Queue", QueueName="scene")
    topic, _ = make("AWS::SNS::Topic", TopicName="scene")
    key, _ = make("AWS::KMS::Key")
    code = {"S3Bucket": "code", "S3Key": "one.zip"}
    settings = {"Code": code, "Role": role["Arn"], "Handler": "main.handler", "Runtime": "python3.13"}
    _, function = make("AWS::Lambda::Function", FunctionName="scene", **settings)
    permission = {"Action": "lambda:InvokeFunction", "FunctionName": "scene", "Principal": "s3.amazonaws.com"}
    make("AWS::Lambda::Permission", **permission, SourceArn="arn:aws:s3:::round-trip", SourceAccount=account)
    return Scene(
        providers=providers,
        client=client,
        account=account,
        role=role["Arn"],
        function=function["Arn"],
        queue_arn=queue["Arn"],
        queue_url=url,
        topic=topic,
        key=key,
    )


Pair = tuple[dict[str, Any], dict[str, Any]]
ROUNDS: dict[str, Callable[[Scene], Pair]] = {}


def round_trip(kind: str) -> Callable[[Callable[[Scene], Pair]], Callable[[Scene], Pair]]:
    """Register two declarations of one resource of a type; the second is an update in place of the first."""

    def register(function: Callable[[Scene], Pair]) -> Callable[[Scene], Pair]:
        ROUNDS[kind] = function
        return function

    return register


@round_trip("AWS::S3::Bucket")
def buckets(scene: Scene) -> Pair:
    rules = [
        {
            "Id": "all",
            "Status": "Enabled",
            "Prefix": "x/",
            "ExpirationInDays": "30",
            "Transitions": [{"TransitionInDays": 7, "StorageClass": "STANDARD_IA"}],
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 2},
            "NoncurrentVersionTransitions": [{"TransitionInDays": 5, "StorageClass": "GLACIER"}],
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
        {"Id": "tagged", "Status": "Disabled", "TagFilters": [{"Key": "k", "Value": "v"}], "ExpirationInDays": 3},
        {
            "Id": "both",
            "Status": "Enabled",
            "Prefix": "y/",
            "TagFilters": [{"Key": "k", "Value": "v"}],
            "ExpirationInDays": 3,
        },
        {"Id": "markers", "Status": "Enabled", "ExpiredObjectDeleteMarker": True},
    ]
    listeners = [
        {
            "Event": "s3:ObjectCreated:*",
            "Function": scene.function,
            "Filter": {"S3Key": {"Rules": [{"Name": "suffix", "Value": "submit.json"}]}},
        }
    ]
    first = {
        "BucketName": "round-trip",
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
        "VersioningConfiguration": {"Status": "Enabled"},
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "LifecycleConfiguration": {"Rules": rules},
        "NotificationConfiguration": {"LambdaConfigurations": listeners},
        "CorsConfiguration": {
            "CorsRules": [
                {
                    "AllowedMethods": ["GET", "PUT"],
                    "AllowedOrigins": ["https://a.example"],
                    "AllowedHeaders": ["*"],
                    "ExposedHeaders": ["ETag"],
                    "MaxAge": 300,
                }
            ]
        },
        "LoggingConfiguration": {"DestinationBucketName": "logs-of-others", "LogFilePrefix": "l/"},
        "Tags": TAGS,
    }
    second = {
        "BucketName": "round-trip",
        "VersioningConfiguration": {"Status": "Suspended"},
        "LifecycleConfiguration": {"Rules": rules[:1]},
        "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
        "Tags": OTHER_TAGS,
    }
    return first, second


@round_trip("AWS::S3::BucketPolicy")
def bucket_policies(scene: Scene) -> Pair:
    where = "arn:aws:s3:::logs-of-others/*"
    shared = {"Bucket": "logs-of-others"}
    return (
        {**shared, "PolicyDocument": policy("s3:GetObject", where, Principal={"AWS": scene.role})},
        {**shared, "PolicyDocument": policy("s3:PutObject", where, Principal={"AWS": scene.role})},
    )


@round_trip("AWS::Lambda::Function")
def functions(scene: Scene) -> Pair:
    shared = {"FunctionName": "round-trip", "Role": scene.role, "Handler": "main.handler", "Runtime": "python3.13"}
    first = {
        **shared,
        "Code": {"S3Bucket": "code", "S3Key": "one.zip"},
        "Architectures": ["arm64"],
        "Description": "d",
        "Environment": {"Variables": {"A": "1", "B": "2"}},
        "Timeout": "30",
        "MemorySize": 256,
        "ReservedConcurrentExecutions": 5,
        "DeadLetterConfig": {"TargetArn": scene.queue_arn},
        "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "/own"},
        "TracingConfig": {"Mode": "Active"},
        "EphemeralStorage": {"Size": 1024},
        "KmsKeyArn": f"arn:aws:kms:us-east-1:{scene.account}:key/{scene.key}",
        "Tags": TAGS,
    }
    second = {
        **shared,
        "Code": {"S3Bucket": "code", "S3Key": "two.zip"},
        "Architectures": ["x86_64"],
        "Environment": {"Variables": {"A": "1"}},
        "Tags": OTHER_TAGS,
    }
    return first, second


@round_trip("AWS::Lambda::EventInvokeConfig")
def event_invoke_configs(scene: Scene) -> Pair:
    shared = {"FunctionName": "scene", "Qualifier": "$LATEST"}
    first = {**shared, "MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": "3600"}
    destination = {"DestinationConfig": {"OnFailure": {"Destination": scene.queue_arn}}}
    return first, {**shared, "MaximumRetryAttempts": 0, **destination}


@round_trip("AWS::IAM::Role")
def roles(scene: Scene) -> Pair:
    boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    first = {
        "RoleName": "round-trip",
        "Path": "/neurocaas/",
        "AssumeRolePolicyDocument": trust("lambda.amazonaws.com"),
        "Description": "d",
        "MaxSessionDuration": 7200,
        "ManagedPolicyArns": ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"],
        "PermissionsBoundary": boundary,
        "Policies": [
            {"PolicyName": "one", "PolicyDocument": policy("s3:GetObject")},
            {"PolicyName": "two", "PolicyDocument": policy("s3:PutObject")},
        ],
        "Tags": TAGS,
    }
    second = {
        "RoleName": "round-trip",
        "Path": "/neurocaas/",
        "AssumeRolePolicyDocument": trust("ec2.amazonaws.com"),
        "Policies": [{"PolicyName": "one", "PolicyDocument": policy("s3:ListBucket")}],
        "Tags": OTHER_TAGS,
    }
    return first, second


@round_trip("AWS::IAM::InstanceProfile")
def instance_profiles(scene: Scene) -> Pair:
    profile = {"InstanceProfileName": "round-trip", "Path": "/neurocaas/instances/", "Roles": ["scene"]}
    return profile, {**profile, "Roles": []}


@round_trip("AWS::IAM::ManagedPolicy")
def managed_policies(scene: Scene) -> Pair:
    shared = {"ManagedPolicyName": "round-trip", "Path": "/neurocaas/", "Description": "d"}
    first = {**shared, "PolicyDocument": policy("s3:GetObject"), "Users": ["scene"], "Groups": ["scene"]}
    return first, {**shared, "PolicyDocument": policy("s3:PutObject"), "Roles": ["scene"], "Groups": ["scene"]}


@round_trip("AWS::IAM::Policy")
def inline_policies(scene: Scene) -> Pair:
    first = {"PolicyName": "round-trip", "PolicyDocument": policy("s3:GetObject"), "Users": ["scene"]}
    return first, {"PolicyName": "renamed", "PolicyDocument": policy("s3:PutObject"), "Groups": ["scene"]}


@round_trip("AWS::IAM::Group")
def groups(scene: Scene) -> Pair:
    shared = {"GroupName": "round-trip"}
    inline = [{"PolicyName": "one", "PolicyDocument": policy("s3:GetObject")}]
    first = {**shared, "Path": "/neurocaas/", "Policies": inline}
    return first, {**shared, "Path": "/elsewhere/", "ManagedPolicyArns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"]}


@round_trip("AWS::IAM::User")
def users(scene: Scene) -> Pair:
    shared = {"UserName": "round-trip"}
    inline = [{"PolicyName": "one", "PolicyDocument": policy("s3:GetObject")}]
    first = {**shared, "Path": "/neurocaas/", "Groups": ["scene"], "Policies": inline, "Tags": TAGS}
    return first, {**shared, "Path": "/elsewhere/", "Groups": ["scene-two"], "Tags": OTHER_TAGS}


@round_trip("AWS::IAM::UserToGroupAddition")
def additions(scene: Scene) -> Pair:
    return {"GroupName": "scene", "Users": ["scene"]}, {"GroupName": "scene", "Users": ["scene-two"]}


@round_trip("AWS::IAM::AccessKey")
def access_keys(scene: Scene) -> Pair:
    shared = {"UserName": "scene", "Serial": 1}
    return {**shared, "Status": "Active"}, {**shared, "Status": "Inactive"}


@round_trip("AWS::DynamoDB::Table")
def tables(scene: Scene) -> Pair:
    def keys(first: str, second: str) -> list[dict[str, str]]:
        return [{"AttributeName": first, "KeyType": "HASH"}, {"AttributeName": second, "KeyType": "RANGE"}]

    def attributes(*names: str) -> list[dict[str, str]]:
        return [{"AttributeName": name, "AttributeType": "S"} for name in names]

    shared = {"TableName": "round-trip", "KeySchema": keys("pk", "sk"), "BillingMode": "PAY_PER_REQUEST"}
    everything = {"Projection": {"ProjectionType": "ALL"}}
    first = {
        **shared,
        "AttributeDefinitions": attributes("pk", "sk", "open_pk", "deadline"),
        "GlobalSecondaryIndexes": [{"IndexName": "open", "KeySchema": keys("open_pk", "deadline"), **everything}],
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "SSESpecification": {"SSEEnabled": True},
        "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
        "DeletionProtectionEnabled": True,
        "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
        "Tags": TAGS,
    }
    second = {
        **shared,
        "AttributeDefinitions": attributes("pk", "sk", "other", "deadline"),
        "GlobalSecondaryIndexes": [{"IndexName": "others", "KeySchema": keys("other", "deadline"), **everything}],
        "DeletionProtectionEnabled": False,
        "Tags": OTHER_TAGS,
    }
    return first, second


@round_trip("AWS::Events::Rule")
def rules(scene: Scene) -> Pair:
    target = {
        "Id": "one",
        "Arn": scene.function,
        "Input": json.dumps({"a": 1}),
        "DeadLetterConfig": {"Arn": scene.queue_arn},
        "RetryPolicy": {"MaximumRetryAttempts": "3", "MaximumEventAgeInSeconds": 3600},
    }
    first = {
        "Name": "round-trip",
        "Description": "d",
        "EventPattern": {"source": ["aws.ec2"], "detail": {"state": ["running", "terminated"]}},
        "State": "DISABLED",
        "Targets": [target, {"Id": "two", "Arn": scene.queue_arn}],
        "Tags": TAGS,
    }
    second = {
        "Name": "round-trip",
        "ScheduleExpression": "rate(1 hour)",
        "State": "ENABLED",
        "Targets": [{"Id": "two", "Arn": scene.queue_arn}],
        "Tags": OTHER_TAGS,
    }
    return first, second


@round_trip("AWS::SQS::Queue")
def queues(scene: Scene) -> Pair:
    first = {
        "QueueName": "round-trip",
        "DelaySeconds": 5,
        "MaximumMessageSize": "2048",
        "MessageRetentionPeriod": 1209600,
        "ReceiveMessageWaitTimeSeconds": 2,
        "VisibilityTimeout": 60,
        "RedrivePolicy": {"deadLetterTargetArn": scene.queue_arn, "maxReceiveCount": 3},
        "SqsManagedSseEnabled": True,
        "Tags": TAGS,
    }
    return first, {"QueueName": "round-trip", "KmsMasterKeyId": "alias/aws/sqs", "Tags": OTHER_TAGS}


@round_trip("AWS::SQS::QueuePolicy")
def queue_policies(scene: Scene) -> Pair:
    shared = {"Queues": [scene.queue_url]}
    who: dict[str, Any] = {"Principal": {"Service": "events.amazonaws.com"}}
    first = {**shared, "PolicyDocument": policy("sqs:SendMessage", scene.queue_arn, **who)}
    return first, {**shared, "PolicyDocument": policy("sqs:ReceiveMessage", scene.queue_arn, **who)}


@round_trip("AWS::SNS::Topic")
def topics(scene: Scene) -> Pair:
    first = {
        "TopicName": "round-trip",
        "DisplayName": "d",
        "KmsMasterKeyId": "alias/aws/sns",
        "Subscription": [{"Protocol": "sqs", "Endpoint": scene.queue_arn}],
        "Tags": TAGS,
    }
    return first, {"TopicName": "round-trip", "TracingConfig": "Active", "Tags": OTHER_TAGS}


@round_trip("AWS::SNS::TopicPolicy")
def topic_policies(scene: Scene) -> Pair:
    shared = {"Topics": [scene.topic]}
    who: dict[str, Any] = {"Principal": {"Service": "budgets.amazonaws.com"}}
    first = {**shared, "PolicyDocument": policy("sns:Publish", scene.topic, **who)}
    return first, {**shared, "PolicyDocument": policy("sns:Subscribe", scene.topic, **who)}


@round_trip("AWS::SNS::Subscription")
def subscriptions(scene: Scene) -> Pair:
    shared = {"TopicArn": scene.topic, "Protocol": "sqs", "Endpoint": scene.queue_arn}
    first = {**shared, "RawMessageDelivery": True, "FilterPolicy": {"kind": ["a"]}}
    return first, {**shared, "FilterPolicy": {"kind": ["b"]}}


@round_trip("AWS::SSM::Parameter")
def ssm_parameters(scene: Scene) -> Pair:
    shared = {"Name": "/round/trip", "Type": "String"}
    first = {**shared, "Value": "25", "Description": "d", "AllowedPattern": "[0-9.]+", "Tags": {"a": "1", "b": "2"}}
    return first, {**shared, "Value": "30", "Tags": {"a": "2"}}


@round_trip("AWS::SecretsManager::Secret")
def secrets(scene: Scene) -> Pair:
    first = {
        "Name": "/round/trip",
        "Description": "d",
        "KmsKeyId": scene.key,
        "SecretString": '{"k": "1"}',
        "Tags": TAGS,
    }
    return first, {"Name": "/round/trip", "SecretString": '{"k": "2"}', "Tags": OTHER_TAGS}


@round_trip("AWS::KMS::Key")
def keys(scene: Scene) -> Pair:
    everyone: dict[str, Any] = {"Principal": {"AWS": f"arn:aws:iam::{scene.account}:root"}}
    first = {"Description": "d", "EnableKeyRotation": True, "KeyPolicy": policy("kms:*", **everyone), "Tags": TAGS}
    return first, {"EnableKeyRotation": False, "KeyPolicy": policy("kms:Decrypt", **everyone), "Tags": OTHER_TAGS}


@round_trip("AWS::KMS::Alias")
def aliases(scene: Scene) -> Pair:
    other = scene.client("kms").create_key()["KeyMetadata"]["Arn"]
    alias = {"AliasName": "alias/round-trip", "TargetKeyId": scene.key}
    return alias, {**alias, "TargetKeyId": other}


@round_trip("AWS::Logs::LogGroup")
def log_groups(scene: Scene) -> Pair:
    first = {"LogGroupName": "/round/trip", "RetentionInDays": 30, "Tags": TAGS}
    return first, {"LogGroupName": "/round/trip", "Tags": OTHER_TAGS}


@round_trip("AWS::CloudWatch::Alarm")
def alarms(scene: Scene) -> Pair:
    shared = {
        "AlarmName": "round-trip",
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{"Name": "QueueName", "Value": "scene"}],
        "Statistic": "Maximum",
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    first = {
        **shared,
        "AlarmDescription": "d",
        "Period": "300",
        "Threshold": 0,
        "DatapointsToAlarm": 1,
        "TreatMissingData": "notBreaching",
        "AlarmActions": [scene.topic],
        "OKActions": [scene.topic],
        "ActionsEnabled": False,
        "Tags": TAGS,
    }
    return first, {**shared, "Period": 60, "Threshold": 5, "Tags": OTHER_TAGS}


@round_trip("AWS::EC2::SecurityGroup")
def security_groups(scene: Scene) -> Pair:
    shared = {"GroupName": "round-trip", "GroupDescription": "d"}
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "Description": "AWS services"}
    first = {
        **shared,
        "SecurityGroupEgress": [{**https, "CidrIp": "0.0.0.0/0"}, {**https, "CidrIpv6": "::/0"}],
        "SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": "22", "ToPort": "22", "CidrIp": "10.0.0.0/8"}],
        "Tags": TAGS,
    }
    second = {
        **shared,
        "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "10.0.0.0/8"}],
        "SecurityGroupIngress": [{"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "CidrIp": "10.0.0.0/8"}],
        "Tags": OTHER_TAGS,
    }
    return first, second


@round_trip("AWS::EC2::LaunchTemplate")
def launch_templates(scene: Scene) -> Pair:
    disk = {"VolumeType": "gp3", "VolumeSize": "20", "Encrypted": True, "DeleteOnTermination": "true"}
    data = {
        "InstanceType": "m7i.large",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": disk}],
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "InstanceInitiatedShutdownBehavior": "terminate",
    }

    def tagged(tags: list[dict[str, str]]) -> list[dict[str, Any]]:
        return [{"ResourceType": "launch-template", "Tags": tags}]

    shared = {"LaunchTemplateName": "round-trip"}
    first = {**shared, "LaunchTemplateData": data, "TagSpecifications": tagged(TAGS)}
    own = {**disk, "KmsKeyId": f"arn:aws:kms:us-east-1:{scene.account}:key/{scene.key}"}
    changed = {**data, "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": own}]}
    return first, {**shared, "LaunchTemplateData": changed, "TagSpecifications": tagged(OTHER_TAGS)}


@round_trip("AWS::Budgets::Budget")
def budgets(scene: Scene) -> Pair:
    def budget(amount: Any) -> dict[str, Any]:
        limit = {"Amount": amount, "Unit": "USD"}
        return {"BudgetName": "round-trip", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}

    notice = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80}
    people = [{"SubscriptionType": "SNS", "Address": scene.topic}]
    shared = {"NotificationsWithSubscribers": [{"Notification": notice, "Subscribers": people}]}
    return {"Budget": budget(50), **shared}, {"Budget": budget("75"), **shared}


def said(provider: Provider, physical_id: str, wanted: Properties, previous: Properties | None = None) -> list[str]:
    found = provider.read(physical_id, wanted)
    assert found is not None
    rules = {"exact": provider.exact, "ordered": provider.ordered}
    return differences(wanted, found, previous=previous, defaults=provider.defaults, **rules)


@pytest.mark.parametrize("kind", sorted(ROUNDS))
def test_everything_declared_comes_back(scene: Scene, kind: str) -> None:
    provider = scene.providers[kind]
    first, second = ROUNDS[kind](scene)
    assert set(first) | set(second) <= provider.properties
    assert provider.find(first) is None
    created = provider.create(first)
    physical_id = created.physical_id
    provider.apply(physical_id, created.applied, first)
    assert set(created.attributes) | {"StreamArn"} >= provider.attributes
    if provider.name is not None:
        assert provider.find(first) == physical_id
    assert said(provider, physical_id, first) == []
    observed = provider.observe(physical_id, first, ())
    assert property_differences(first, observed or {}, exact=provider.exact, ordered=provider.ordered) == ()
    provider.apply(physical_id, first, second)
    assert said(provider, physical_id, second, first) == []
    provider.apply(physical_id, second, first)
    assert said(provider, physical_id, first, second) == []
    provider.apply(physical_id, first, second)
    provider.delete(physical_id, second)
    provider.delete(physical_id, second)
    assert is_gone(provider, physical_id, second)


def is_gone(provider: Provider, physical_id: str, properties: Properties) -> bool:
    """Whether nothing of it is left; what only adds to another resource is gone when its part is."""
    found = provider.read(physical_id, properties)
    if found is None:
        return True
    if provider.type == "AWS::KMS::Key":
        return found["Enabled"] is False
    return bool(differences(properties, found, exact=provider.exact))


def test_every_type_is_tried(scene: Scene) -> None:
    elsewhere = {it.type for it in PROVIDERS if it.type.startswith("AWS::ImageBuilder::")}  # test_image_builder.py
    assert set(ROUNDS) | {"AWS::Lambda::Permission"} | elsewhere == {provider.type for provider in PROVIDERS}


def test_a_permission_is_read_back_whole(scene: Scene) -> None:
    provider = scene.providers["AWS::Lambda::Permission"]
    wanted = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": "scene",
        "Principal": "events.amazonaws.com",
        "SourceArn": f"arn:aws:events:us-east-1:{scene.account}:rule/x",
        "SourceAccount": scene.account,
    }
    physical_id = provider.create(wanted).physical_id
    assert provider.find(wanted) == physical_id
    assert said(provider, physical_id, wanted) == []
    provider.delete(physical_id, wanted)
    assert provider.read(physical_id, wanted) is None


def failure(call: Callable[[], Any]) -> str:
    with pytest.raises(ResourceError) as caught:
        call()
    return str(caught.value)


def test_code_that_is_not_there_is_refused(scene: Scene) -> None:
    provider = scene.providers["AWS::Lambda::Function"]
    settings = {"FunctionName": "nothing", "Role": scene.role, "Handler": "main.handler", "Runtime": "python3.13"}
    create = partial(provider.create, {**settings, "Code": {"S3Bucket": "code", "S3Key": "nothing.zip"}})
    assert "There is no s3://code/nothing.zip" in failure(create)
    assert provider.find(settings) is None


def test_another_code_under_the_same_key_is_noticed(scene: Scene) -> None:
    provider = scene.providers["AWS::Lambda::Function"]
    scene.client("s3").put_object(Bucket="code", Key="moving.zip", Body=bundle("handler = print"))
    wanted = {
        "FunctionName": "moving",
        "Role": scene.role,
        "Handler": "main.handler",
        "Runtime": "python3.13",
        "Code": {"S3Bucket": "code", "S3Key": "moving.zip"},
    }
    provider.create(wanted)
    assert said(provider, "moving", wanted) == []
    scene.client("s3").put_object(Bucket="code", Key="moving.zip", Body=bundle("handler = repr"))
    assert "property Code was not applied" in said(provider, "moving", wanted)[0]
    provider.delete("moving", wanted)


def test_a_function_that_does_not_let_s3_in_cannot_be_notified(scene: Scene) -> None:
    provider = scene.providers["AWS::S3::Bucket"]
    listener = {"Event": "s3:ObjectCreated:*", "Function": scene.function}
    wanted = {"BucketName": "not-let-in", "NotificationConfiguration": {"LambdaConfigurations": [listener]}}
    created = provider.create(wanted)
    text = failure(lambda: provider.apply("not-let-in", created.applied, wanted))
    assert "Unable to validate the following destination configurations" in text
    provider.delete("not-let-in", wanted)


def test_a_bucket_that_holds_an_old_version_is_not_deleted(scene: Scene) -> None:
    provider, s3 = scene.providers["AWS::S3::Bucket"], scene.client("s3")
    wanted = {"BucketName": "full", "VersioningConfiguration": {"Status": "Enabled"}}
    provider.apply("full", provider.create(wanted).applied, wanted)
    s3.put_object(Bucket="full", Key="k", Body=b"")
    s3.delete_object(Bucket="full", Key="k")
    with pytest.raises(s3.exceptions.ClientError, match="BucketNotEmpty"):
        provider.delete("full", wanted)


def test_a_protected_table_is_not_deleted(scene: Scene) -> None:
    provider, dynamodb = scene.providers["AWS::DynamoDB::Table"], scene.client("dynamodb")
    wanted = {
        "TableName": "kept",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "DeletionProtectionEnabled": True,
    }
    provider.create(wanted)
    with pytest.raises(dynamodb.exceptions.ClientError, match="protected"):
        provider.delete("kept", wanted)


def test_an_access_key_works_and_is_gone_with_its_resource(scene: Scene, cloud: RunningCloud) -> None:
    provider = scene.providers["AWS::IAM::AccessKey"]
    wanted = {"UserName": "scene", "Serial": 7}
    created = provider.create(wanted)
    assert created.attributes["SecretAccessKey"]
    assert said(provider, created.physical_id, wanted) == []
    provider.delete(created.physical_id, wanted)
    assert provider.read(created.physical_id, wanted) is None
