"""The parameters of the stacks: what each changes, and that without any of them nothing of it is there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ncap_compiler import names
from ncap_compiler.blueprint import load_blueprint
from ncap_compiler.errors import DocumentError
from tests.compiler import compiled
from tests.compiler.documents import minimal_blueprint, text
from tests.compiler.iam import identity_statements, made, may

KEY = "arn:aws:kms:us-east-1:123456789012:key/mrk-11111111222233334444555555555555"
SHARED = {"PermissionsBoundary", "KmsKeyArn"}
BUCKETS = SHARED | {"RequireTls", "AccessLogBucket"}
PARAMETERS = {
    "account": BUCKETS | {"WithFunctions", "VpcId", "SubnetIds", "NotificationEmail", "MonthlyBudget"},
    "analysis": BUCKETS | {"ImageId", "RootDevice", "VersionId", "InstanceTypes", "EarlierImages"},
    "users": SHARED | {"WithIdentities"},
}


def parameters(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(compiled.every()[name])["Parameters"]
    return found


def outputs(**given: str) -> dict[str, Any]:
    """What the account stack exports."""
    template = json.loads(compiled.account())
    template["Resources"] = {"Outputs": {"Type": "x", "Properties": template["Outputs"]}}
    properties = made(json.dumps(template), **given)["Outputs"]["Properties"]
    return {output["Export"]["Name"]: output["Value"] for output in properties.values()}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameters_are_those_of_the_contract(name: str) -> None:
    found = parameters(name)
    assert set(found) == PARAMETERS[name]
    for parameter in found.values():
        assert parameter["Description"].endswith(".")


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_default_is_accepted_by_its_own_pattern(name: str) -> None:
    for title, parameter in parameters(name).items():
        if "AllowedPattern" in parameter and "Default" in parameter:
            assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"]), title


@pytest.mark.parametrize(
    ("stack", "parameter", "accepted", "refused"),
    [
        ("users", "PermissionsBoundary", "arn:aws:iam::123456789012:policy/a/limit", "limit"),
        ("users", "KmsKeyArn", KEY, "alias/my-key"),
        ("account", "SubnetIds", "subnet-0a1,subnet-0b2", "subnet-0a1, subnet-0b2"),
        ("account", "VpcId", "vpc-0a1", "subnet-0a1"),
        ("account", "AccessLogBucket", "my-logs", "My_Logs"),
        ("analysis", "VersionId", "v-0123456789abcdef", "0123456789abcdef"),
        ("analysis", "InstanceTypes", "m7i.large,g4dn.xlarge,u-6tb1.metal", "m7i"),
        (
            "analysis",
            "EarlierImages",
            "arn:aws:ec2:us-east-1::image/ami-0a,arn:aws-cn:ec2:cn-north-1::image/ami-0b",
            "ami-0a",
        ),
    ],
)
def test_a_parameter_takes_what_it_says(stack: str, parameter: str, accepted: str, refused: str) -> None:
    pattern = parameters(stack)[parameter]["AllowedPattern"]
    assert re.fullmatch(pattern, accepted)
    assert not re.fullmatch(pattern, refused)


def test_instances_start_in_the_default_network_unless_subnets_are_named() -> None:
    assert outputs()["neurocaas-subnets"] == "default"
    assert outputs(VpcId="vpc-1", SubnetIds="subnet-1,subnet-2")["neurocaas-subnets"] == "subnet-1,subnet-2"
    assert "VpcId" not in made(compiled.account())["Instances"]["Properties"]
    assert made(compiled.account(), VpcId="vpc-1")["Instances"]["Properties"]["VpcId"] == "vpc-1"


def test_the_version_served_by_default_is_the_compiled_one_until_a_parameter_says_another() -> None:
    def served(**given: str) -> str:
        variables = made(compiled.analysis().template, **given)["SubmitFunction"]["Properties"]["Environment"]
        return str(variables["Variables"]["VERSION_ID"])

    assert served() == compiled.analysis().version_id
    assert served(VersionId="v-0123456789abcdef") == "v-0123456789abcdef"


def test_the_types_the_job_manager_may_start_are_a_parameter() -> None:
    assert parameters("analysis")["InstanceTypes"]["Default"] == "m7i.large,m7i.xlarge"
    policy = identity_statements(
        made(compiled.analysis().template, InstanceTypes="m7i.large,c7i.large"), "Role", "neurocaas-submit-spikes"
    )
    context = {"ec2:MetadataHttpTokens": "required", "aws:RequestTag/analysis": "spikes"}
    allowed = {
        kind: may(
            policy,
            "ec2:RunInstances",
            "arn:aws:ec2:us-east-1:123456789012:instance/*",
            context | {"ec2:InstanceType": kind},
        )
        for kind in ("m7i.large", "c7i.large", "m7i.xlarge")
    }
    assert allowed == {"m7i.large": True, "c7i.large": True, "m7i.xlarge": False}


def test_without_options_no_property_of_an_option_is_there() -> None:
    for name, template in compiled.every().items():
        said = json.dumps(made(template))
        for word in (
            "PermissionsBoundary",
            "KmsMasterKeyId",
            "KmsKeyId",
            "KmsKeyArn",
            "BucketKeyEnabled",
            "kms:",
            "LoggingConfiguration",
        ):
            assert word not in said, (name, word)


def test_with_an_own_key_buckets_use_bucket_keys_and_the_queue_not_its_own_encryption() -> None:
    bucket = made(compiled.analysis().template, KmsKeyArn=KEY)["Bucket"]["Properties"]
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"] == [
        {
            "BucketKeyEnabled": True,
            "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
        }
    ]
    account = made(compiled.account(), KmsKeyArn=KEY)
    assert account["DeadLetters"]["Properties"]["SqsManagedSseEnabled"] is False
    assert account["Ledger"]["Properties"]["SSESpecification"] == {
        "SSEEnabled": True,
        "SSEType": "KMS",
        "KMSMasterKeyId": KEY,
    }


def test_access_logs_go_to_the_bucket_named_each_under_its_own_name() -> None:
    for template, bucket, prefix in (
        (compiled.account(), "Artifacts", "neurocaas-artifacts/"),
        (compiled.analysis().template, "Bucket", "spikes/"),
    ):
        properties = made(template, AccessLogBucket="my-logs")[bucket]["Properties"]
        assert properties["LoggingConfiguration"] == {"DestinationBucketName": "my-logs", "LogFilePrefix": prefix}


# --- the largest blueprint ---


def blueprint_of(count: int, length: int) -> str:
    document = minimal_blueprint() | {"PipelineName": "a" * 63}
    named = [f"group-{number:04d}".ljust(length, "g") for number in range(count)]
    document["UXData"]["Affiliates"] = [{"AffiliateName": name} for name in named]
    return text(document)


def test_the_largest_blueprint_passes_exactly_its_groups_roles() -> None:
    found = made(compiled.large_blueprint())
    policy = identity_statements(found, "Role", names.submit_function("a" * 63))
    base = "arn:aws:iam::123456789012:role/neurocaas/instances/neurocaas-instance-group-"
    to_ec2 = {"iam:PassedToService": "ec2.amazonaws.com"}
    passing = [statement for statement in policy if statement["Action"] == "iam:PassRole"]
    passed = [role for statement in passing for role in statement["Resource"]]
    assert sorted(passed) == [f"{base}{number:04d}{'g' * 17}" for number in range(500)]
    assert all(statement["Condition"] == {"StringEquals": to_ec2} for statement in passing)
    rules = found["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert len([rule for rule in rules if "ExpirationInDays" in rule]) == 500


@pytest.mark.parametrize(("count", "length", "problem_id"), [(501, 12, "B107"), (500, 29, "B211"), (450, 45, "B211")])
def test_one_more_than_a_blueprint_can_hold_is_a_problem_with_place_and_remedy(
    count: int, length: int, problem_id: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        load_blueprint(blueprint_of(count, length), file="b.json")
    (problem,) = caught.value.problems
    assert (problem.id, problem.file, problem.pointer) == (problem_id, "b.json", "/UXData/Affiliates")
    assert problem.line
    assert problem.hint
