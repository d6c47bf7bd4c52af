"""Requests as boto3 writes them are read back as they were meant; answers are read by boto3 as they were given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from ncap_iac.local.queryapi import Codec, Reply
from ncap_iac.local.queryencode import EncodeError
from ncap_iac.local.restjson import Line
from ncap_iac.local.service import ServiceError

MOMENT = datetime(2025, 3, 1, 12, 30, 15, 250_000, UTC)


def wire(codec: Codec, operation: str, parameters: dict[str, Any]) -> tuple[bytes, str]:
    """Body and target as boto3 would send them."""
    serializer = create_serializer(codec.protocol, include_validation=True)
    request = serializer.serialize_to_request(parameters, codec.model.operation_model(operation))
    if codec.protocol == "json":
        return request["body"], request["headers"]["X-Amz-Target"]
    return urlencode(request["body"]).encode(), ""


def read_back(service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    codec = Codec(service)
    body, target = wire(codec, operation, parameters)
    name, decoded = codec.decode(body, Line(target=target))
    assert name == operation
    return decoded


def parsed(codec: Codec, operation: str, reply: Reply) -> dict[str, Any]:
    """What boto3 makes of a reply."""
    parser = create_parser(codec.protocol)
    response = {"body": reply.body, "headers": {"content-type": reply.content_type}, "status_code": reply.status}
    found: dict[str, Any] = parser.parse(response, codec.model.operation_model(operation).output_shape)
    return found


def answered(service: str, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    codec = Codec(service)
    found = parsed(codec, operation, codec.encode(operation, answer, "request-1"))
    metadata = found.pop("ResponseMetadata")
    assert metadata["HTTPStatusCode"] == 200
    if codec.protocol != "json":
        assert metadata["RequestId"] == "request-1"
    return found


def refusal(service: str, body: bytes, target: str = "") -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        Codec(service).decode(body, Line(target=target))
    return caught.value


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "ec2",
        "RunInstances",
        {
            "ImageId": "ami-1",
            "InstanceType": "t3.micro",
            "MinCount": 1,
            "MaxCount": 100,
            "UserData": "IyEvYmluL3No",
            "ClientToken": "token",
            "DryRun": False,
            "EbsOptimized": True,
            "LaunchTemplate": {"LaunchTemplateName": "neurocaas-x", "Version": "$Latest"},
            "IamInstanceProfile": {"Name": "neurocaas-instance-demo"},
            "SecurityGroupIds": ["sg-1", "sg-2"],
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "Encrypted": True}}],
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "a & b", "Value": "ü=1"}, {"Key": "c", "Value": ""}]},
                {"ResourceType": "volume", "Tags": [{"Key": "d", "Value": "e"}]},
            ],
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        },
    ),
    ("ec2", "DescribeInstances", {"Filters": [{"Name": f"tag:{n}", "Values": ["1", "2"]} for n in range(12)]}),
    ("ec2", "DescribeSpotPriceHistory", {"StartTime": MOMENT.replace(microsecond=0), "InstanceTypes": ["t3.micro"]}),
    ("ec2", "TerminateInstances", {"InstanceIds": ["i-1"]}),
    ("ec2", "DescribeRegions", {}),
    (
        "cloudformation",
        "CreateStack",
        {
            "StackName": "s",
            "TemplateBody": '{"a": "<&>\\n"}',
            "Parameters": [{"ParameterKey": "k", "ParameterValue": "v"}, {"ParameterKey": "l"}],
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "NotificationARNs": [],
            "TimeoutInMinutes": 5,
        },
    ),
    ("cloudformation", "ListStacks", {"StackStatusFilter": ["CREATE_COMPLETE", "DELETE_FAILED"]}),
    ("sts", "GetCallerIdentity", {}),
    ("sns", "SetEndpointAttributes", {"EndpointArn": "a", "Attributes": {"Enabled": "true", "Token": "x"}}),
    ("sns", "PublishBatch", {"TopicArn": "t", "PublishBatchRequestEntries": [
        {"Id": "1", "Message": "m", "MessageAttributes": {"k": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}}]}),
    (
        "budgets",
        "CreateBudget",
        {
            "AccountId": "000000000000",
            "Budget": {
                "BudgetName": "b",
                "BudgetLimit": {"Amount": "100", "Unit": "USD"},
                "TimeUnit": "MONTHLY",
                "BudgetType": "COST",
                "CostFilters": {"TagKeyValue": ["user:group$demo"]},
                "TimePeriod": {"Start": MOMENT.replace(microsecond=0)},
            },
            "NotificationsWithSubscribers": [
                {
                    "Notification": {
                        "NotificationType": "ACTUAL",
                        "ComparisonOperator": "GREATER_THAN",
                        "Threshold": 80.0,
                    },
                    "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "a@example.org"}],
                }
            ],
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("service", "operation", "parameters"), REQUESTS, ids=[f"{s}-{o}" for s, o, _ in REQUESTS])
def test_parameters_arrive_as_boto3_sent_them(service: str, operation: str, parameters: dict[str, Any]) -> None:
    assert read_back(service, operation, parameters) == parameters


ANSWERS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "ec2",
        "DescribeInstances",
        {
            "Reservations": [
                {
                    "ReservationId": "r-1",
                    "Groups": [],
                    "Instances": [
                        {
                            "InstanceId": "i-1",
                            "State": {"Code": 16, "Name": "running"},
                            "LaunchTime": MOMENT,
                            "AmiLaunchIndex": 0,
                            "EbsOptimized": False,
                            "Tags": [{"Key": "a<b>", "Value": 'q"&\r\n\t'}],
                            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-1"}}],
                            "SecurityGroups": [{"GroupId": "sg-1", "GroupName": "default"}],
                        }
                    ],
                }
            ],
            "NextToken": "n",
        },
    ),
    ("ec2", "GetConsoleOutput", {"InstanceId": "i-1", "Output": "text\n", "Timestamp": MOMENT}),
    ("ec2", "CreateTags", {}),
    ("ec2", "DescribeSpotPriceHistory", {"SpotPriceHistory": [{"SpotPrice": "0.01", "Timestamp": MOMENT}]}),
    (
        "cloudformation",
        "DescribeStacks",
        {
            "Stacks": [
                {
                    "StackName": "s",
                    "StackId": "arn",
                    "CreationTime": MOMENT,
                    "StackStatus": "CREATE_COMPLETE",
                    "Capabilities": ["CAPABILITY_IAM"],
                    "DisableRollback": False,
                    "Outputs": [{"OutputKey": "k", "OutputValue": ""}],
                    "Tags": [],
                }
            ]
        },
    ),
    ("cloudformation", "DeleteStack", {}),
    ("cloudformation", "GetTemplate", {"TemplateBody": '{"x": 1}', "StagesAvailable": ["Original"]}),
    ("sns", "GetTopicAttributes", {"Attributes": {"TopicArn": "a", "Owner": "b"}}),
    (
        "budgets",
        "DescribeBudgets",
        {
            "Budgets": [
                {
                    "BudgetName": "b",
                    "TimeUnit": "MONTHLY",
                    "BudgetType": "COST",
                    "LastUpdatedTime": MOMENT,
                    "CostFilters": {"Service": ["x", "y"]},
                }
            ]
        },
    ),
    ("budgets", "DeleteBudget", {}),
]


@pytest.mark.parametrize(("service", "operation", "answer"), ANSWERS, ids=[f"{s}-{o}" for s, o, _ in ANSWERS])
def test_answers_arrive_as_the_service_gave_them(service: str, operation: str, answer: dict[str, Any]) -> None:
    assert answered(service, operation, answer) == answer


@pytest.mark.parametrize(
    ("service", "body", "code"),
    [
        ("ec2", b"Action=DescribeInstances&Nonsense=1", "UnknownParameter"),
        ("ec2", b"Action=DescribeInstances&Filter.1.Nam=x", "UnknownParameter"),
        ("ec2", b"Action=DescribeInstances&Filter.x.Name=x", "UnknownParameter"),
        ("ec2", b"Action=DescribeInstances&InstanceId.1.Deep=x", "UnknownParameter"),
        ("ec2", b"Action=DescribeRegions&Version=1&Nonsense=1", "UnknownParameter"),
        ("ec2", b"Action=RunInstances&MinCount=1", "MissingParameter"),
        ("ec2", b"Action=RunInstances&MinCount=one&MaxCount=1", "InvalidParameterValue"),
        ("ec2", b"Action=DescribeInstances&DryRun=maybe", "InvalidParameterValue"),
        ("ec2", b"Action=DescribeSpotPriceHistory&StartTime=noon", "InvalidParameterValue"),
        ("ec2", b"Action=LaunchRocket", "InvalidAction"),
        ("ec2", b"", "InvalidAction"),
        ("ec2", b"\xff\xfe", "InvalidParameterValue"),
        ("cloudformation", b"Action=CreateStack&StackName=s&Nonsense=1", "ValidationError"),
        ("cloudformation", b"Action=CreateStack", "ValidationError"),
        ("cloudformation", b"Action=CreateStack&StackName=s&Capabilities.1=X", "ValidationError"),
    ],
)
def test_what_the_model_does_not_allow_is_refused(service: str, body: bytes, code: str) -> None:
    assert refusal(service, body).code == code


@pytest.mark.parametrize(
    ("body", "target", "code"),
    [
        (b"{}", "AWSBudgetServiceGateway.Nothing", "UnknownOperationException"),
        (b"{}", "SomethingElse.CreateBudget", "UnknownOperationException"),
        (b"{", "AWSBudgetServiceGateway.CreateBudget", "SerializationException"),
        (b"[]", "AWSBudgetServiceGateway.CreateBudget", "SerializationException"),
        (b'{"AccountId": "1", "X": 1}', "AWSBudgetServiceGateway.CreateBudget", "SerializationException"),
        (b'{"AccountId": "000000000000"}', "AWSBudgetServiceGateway.CreateBudget", "ValidationException"),
        (b'{"AccountId": 5, "BudgetName": "b"}', "AWSBudgetServiceGateway.DescribeBudget", "ValidationException"),
    ],
)
def test_json_that_the_model_does_not_allow_is_refused(body: bytes, target: str, code: str) -> None:
    assert refusal("budgets", body, target).code == code


@pytest.mark.parametrize(
    ("service", "operation"), [("ec2", "RunInstances"), ("cloudformation", "CreateStack"), ("budgets", "CreateBudget")]
)
def test_errors_arrive_with_code_message_and_status(service: str, operation: str) -> None:
    codec = Codec(service)
    reply = codec.encode_error(ServiceError("Some.Code", "what & <why>", status=403), "request-1")
    found = parsed(codec, operation, reply)
    assert (found["Error"]["Code"], found["Error"]["Message"]) == ("Some.Code", "what & <why>")
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("DescribeInstances", {"Nonsense": 1}),
        ("DescribeInstances", {"Reservations": [{"Instances": [{"AmiLaunchIndex": "0"}]}]}),
        ("DescribeInstances", {"Reservations": "x"}),
        ("DescribeInstances", {"Reservations": [{"Instances": [{"EbsOptimized": 1}]}]}),
    ],
)
def test_an_answer_that_the_model_has_no_place_for_is_the_services_mistake(
    operation: str, answer: dict[str, Any]
) -> None:
    with pytest.raises(EncodeError):
        Codec("ec2").encode(operation, answer, "request-1")


def test_letters_that_xml_cannot_write_do_not_break_the_answer() -> None:
    answer = {"InstanceId": "i-1", "Output": "bell \x07 and \x00 and \ufffe"}
    assert answered("ec2", "GetConsoleOutput", answer)["Output"] == "bell \ufffd and \ufffd and \ufffd"
