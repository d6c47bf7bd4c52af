"""What a running cloud tells a preflight and a clean-up: resources by tag, quotas; and the operator's faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ncap_iac.cli import main
from ncap_iac.local.cloud import RunningCloud
from ncap_iac.local.cloud_record import CloudRecord
from ncap_iac.local.ec2.lifecycle import available_cores
from ncap_iac.local.faultdoor import ask_faults
from ncap_iac.local.service import ServiceError
from tests.local.cloud_rig import local_cloud, make_function, make_role, root_client
from tests.local.edge_rig import client

pytestmark = pytest.mark.cloud
KEY = "neurocaas:stack"
TAGS = [{"Key": KEY, "Value": "one"}]
PLACE = "us-east-1:000000000000"


class Inventory:
    """A cloud with one tagged resource of each type, one of another stack, and untagged ones."""

    def __init__(self, cloud: RunningCloud, folder: Path) -> None:
        self.cloud = cloud
        self.folder = folder
        self._clients: dict[str, Any] = {}
        self.fill()

    def root(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = root_client(self.cloud, service)
        return self._clients[service]

    def fill(self) -> None:
        s3, ec2 = self.root("s3"), self.root("ec2")
        for bucket in ("tagged", "plain"):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_tagging(Bucket="tagged", Tagging={"TagSet": TAGS})
        self.root("dynamodb").create_table(
            TableName="table",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            Tags=TAGS,
        )
        nothing = {"Effect": "Deny", "Action": "*", "Resource": "*"}
        role = make_role(self.root("iam"), "function", "lambda.amazonaws.com", nothing)
        functions = self.root("lambda")
        arn = make_function(functions, "function", role, "def handler(event, context): pass\n")
        functions.tag_resource(Resource=arn, Tags={KEY: "one"})
        self.root("logs").create_log_group(logGroupName="/log", tags={KEY: "one"})
        self.root("sqs").create_queue(QueueName="queue", tags={KEY: "one"})
        self.root("sns").create_topic(Name="topic", Tags=TAGS)
        self.root("ssm").put_parameter(Name="/a/parameter", Value="x", Type="String", Tags=TAGS)
        self.root("secretsmanager").create_secret(Name="/secret", SecretString="hidden", Tags=TAGS)
        self.root("events").put_rule(Name="rule", ScheduleExpression="rate(1 day)", Tags=TAGS)
        self.root("cloudwatch").put_metric_alarm(
            AlarmName="alarm",
            Namespace="n",
            MetricName="m",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            Tags=TAGS,
        )
        specification = {"ResourceType": "security-group", "Tags": TAGS}
        self.group = ec2.create_security_group(GroupName="g", Description="d", TagSpecifications=[specification])
        self.root("sqs").create_queue(QueueName="other", tags={KEY: "two", "more": "yes"})
        self.root("iam").tag_role(RoleName="function", Tags=TAGS)


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inventory]:
    folder = tmp_path_factory.mktemp("inventory")
    running = local_cloud(folder).up("inventory", port=0)
    try:
        yield Inventory(running, folder)
    finally:
        running.stop()


def found(inventory: Inventory, **asked: Any) -> list[str]:
    pages = inventory.root("resourcegroupstaggingapi").get_paginator("get_resources").paginate(**asked)
    return [item["ResourceARN"] for page in pages for item in page["ResourceTagMappingList"]]


def test_every_tagged_resource_is_found_and_identities_are_not(inventory: Inventory) -> None:
    names = found(inventory, TagFilters=[{"Key": KEY, "Values": ["one"]}])
    secret = names.pop(next(place for place, name in enumerate(names) if ":secretsmanager:" in name))
    assert secret.startswith(f"arn:aws:secretsmanager:{PLACE}:secret:/secret-")
    assert names == [
        f"arn:aws:cloudwatch:{PLACE}:alarm:alarm",
        f"arn:aws:dynamodb:{PLACE}:table/table",
        f"arn:aws:ec2:{PLACE}:security-group/{inventory.group['GroupId']}",
        f"arn:aws:events:{PLACE}:rule/rule",
        f"arn:aws:lambda:{PLACE}:function:function",
        f"arn:aws:logs:{PLACE}:log-group:/log",
        "arn:aws:s3:::tagged",
        f"arn:aws:sns:{PLACE}:topic",
        f"arn:aws:sqs:{PLACE}:queue",
        f"arn:aws:ssm:{PLACE}:parameter/a/parameter",
    ]


def test_filters_are_all_met_and_within_one_any_value_will_do(inventory: Inventory) -> None:
    both = [{"Key": KEY, "Values": ["one", "two"]}]
    assert len(found(inventory, TagFilters=both, ResourceTypeFilters=["sqs"])) == 2
    assert found(inventory, TagFilters=[*both, {"Key": "more"}]) == [f"arn:aws:sqs:{PLACE}:other"]
    assert found(inventory, TagFilters=[{"Key": "more", "Values": ["no"]}]) == []
    assert found(inventory, ResourceTypeFilters=["s3", "lambda:function"]) == [
        f"arn:aws:lambda:{PLACE}:function:function",
        "arn:aws:s3:::tagged",
    ]
    assert found(inventory, ResourceARNList=["arn:aws:s3:::tagged", "arn:aws:s3:::plain"]) == ["arn:aws:s3:::tagged"]


def test_pages_join_to_the_whole(inventory: Inventory) -> None:
    whole = found(inventory)
    assert found(inventory, ResourcesPerPage=3) == whole
    first = inventory.root("resourcegroupstaggingapi").get_resources(ResourcesPerPage=3)
    assert len(first["ResourceTagMappingList"]) == 3
    assert first["PaginationToken"]


def test_keys_and_values_of_tags_are_listed(inventory: Inventory) -> None:
    tagging = inventory.root("resourcegroupstaggingapi")
    assert tagging.get_tag_keys()["TagKeys"] == ["more", KEY]
    assert tagging.get_tag_values(Key=KEY)["TagValues"] == ["one", "two"]


def test_finding_by_tag_needs_its_own_right(inventory: Inventory) -> None:
    iam = inventory.root("iam")
    iam.create_user(UserName="looker")
    key = iam.create_access_key(UserName="looker")["AccessKey"]
    keys = (key["AccessKeyId"], key["SecretAccessKey"])
    tagging = client(inventory.cloud.endpoint, "resourcegroupstaggingapi", *keys)
    with pytest.raises(ClientError, match="tag:GetResources"):
        tagging.get_resources()
    statement = {"Effect": "Allow", "Action": "tag:GetResources", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName="looker", PolicyName="look", PolicyDocument=policy)
    assert tagging.get_resources(ResourceTypeFilters=["s3"])["ResourceTagMappingList"]


def test_setting_tags_across_services_is_refused_by_name(inventory: Inventory) -> None:
    with pytest.raises(ClientError, match="TagResources"):
        inventory.root("resourcegroupstaggingapi").tag_resources(
            ResourceARNList=["arn:aws:s3:::plain"], Tags={"a": "b"}
        )


def test_quotas_are_what_holds_here_and_defaults_are_awss(inventory: Inventory) -> None:
    quotas = inventory.root("service-quotas")
    standard = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
    largest = 192  # vCPUs of m7i.48xlarge: as many of them run at once as there are cores
    assert quotas.get_service_quota(**standard)["Quota"]["Value"] == float(largest * len(available_cores()))
    assert quotas.get_aws_default_service_quota(**standard)["Quota"]["Value"] == 5.0
    by_name = {item["QuotaName"]: item["Value"] for item in quotas.list_service_quotas(ServiceCode="iam")["Quotas"]}
    summary = inventory.root("iam").get_account_summary()["SummaryMap"]
    assert by_name["Groups per account"] == float(summary["GroupsQuota"])
    inventory.root("iam").create_instance_profile(InstanceProfileName="counted")
    assert inventory.root("iam").get_account_summary()["SummaryMap"]["InstanceProfiles"] == 1
    assert summary["InstanceProfilesQuota"] == 1000
    concurrency = quotas.get_service_quota(ServiceCode="lambda", QuotaCode="L-B99A9384")["Quota"]["Value"]
    settings = inventory.root("lambda").get_account_settings()["AccountLimit"]
    assert concurrency == float(settings["ConcurrentExecutions"])


@pytest.mark.parametrize(("service", "quota"), [("ec2", "L-00000000"), ("eks", "L-1194D53C")])
def test_a_quota_nobody_stands_for_is_refused_by_name(inventory: Inventory, service: str, quota: str) -> None:
    with pytest.raises(ClientError, match="NoSuchResource") as caught:
        inventory.root("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=quota)
    assert "now" in caught.value.response["Error"]["Message"], "what it does know is told"


def test_faults_are_armed_by_root_only(inventory: Inventory) -> None:
    record = inventory.cloud.record
    asked = {"kind": "throttle", "operation": "DescribeVpcs", "times": 1}
    assert ask_faults(record, "POST", asked)["faults"] == [{**asked, "code": "RequestLimitExceeded"}]
    with pytest.raises(ClientError, match="RequestLimitExceeded"):
        inventory.root("ec2").describe_vpcs()
    assert ask_faults(record, "GET")["faults"] == []
    iam = inventory.root("iam")
    iam.create_user(UserName="meddler")
    key = iam.create_access_key(UserName="meddler")["AccessKey"]
    for access, secret, code in (
        (key["AccessKeyId"], key["SecretAccessKey"], "AccessDenied"),
        (record.access_key_id, "guessed", "SignatureDoesNotMatch"),
    ):
        stranger = CloudRecord(**{**record.__dict__, "access_key_id": access, "secret_access_key": secret})
        with pytest.raises(ServiceError) as caught:
            ask_faults(stranger, "POST", asked)
        assert caught.value.code == code
    assert ask_faults(record, "GET")["faults"] == []


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "fire"},
        {"kind": "capacity", "times": 0},
        {"kind": "capacity", "types": "m7i.large"},
        {"kind": "capacity", "zones": ["mars-1a"]},
        {"kind": "capacity", "market": "used"},
        {"kind": "lose"},
        {"kind": "interrupt", "instance": "i-0123456789abcdef0", "after": -1},
    ],
)
def test_a_fault_that_cannot_be_is_refused(inventory: Inventory, asked: dict[str, Any]) -> None:
    with pytest.raises(ServiceError):
        ask_faults(inventory.cloud.record, "POST", asked)


def test_the_command_arms_lists_and_clears(
    inventory: Inventory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEUROCAAS_HOME", str(inventory.folder))
    words = ["local", "fault", "--name", "inventory", "--output", "json"]
    zone = ["--type", "m7i.large", "--zone", "us-east-1a", "--market", "spot", "--times", "2"]
    assert main([*words, "capacity", *zone]) == 0
    armed = json.loads(capsys.readouterr().out)["faults"]
    assert armed == [
        {
            "kind": "capacity",
            "code": "InsufficientInstanceCapacity",
            "times": 2,
            "types": ["m7i.large"],
            "zones": ["us-east-1a"],
            "market": "spot",
        }
    ]
    assert main([*words, "clear"]) == 0
    assert json.loads(capsys.readouterr().out)["faults"] == []
    assert main([*words, "lose"]) == 2
    assert main(["local", "fault", "list", "--name", "nowhere"]) == 7
