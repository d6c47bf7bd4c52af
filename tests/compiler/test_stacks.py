"""The compiled stacks: what they hold, and what they never hold."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncap_compiler.compiler import compile_account, compile_analysis
from tests.compiler import compiled
from tests.compiler.documents import BUNDLE, legacy_blueprint, minimal_blueprint, text
from tests.compiler.iam import filled, made

STATEFUL = {
    "AWS::S3::Bucket": ("RetainExceptOnCreate", "Retain"),
    "AWS::DynamoDB::Table": ("RetainExceptOnCreate", "Retain"),
    "AWS::SQS::Queue": ("Delete", "Delete"),
    "AWS::Logs::LogGroup": ("Delete", "Delete"),
    "AWS::SecretsManager::Secret": ("Delete", "Delete"),
}


def resources(template: str, type_: str | None = None) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(template)["Resources"]
    return {name: resource for name, resource in found.items() if type_ in (None, resource["Type"])}


def properties(template: str, type_: str) -> dict[str, Any]:
    (resource,) = resources(template, type_).values()
    found: dict[str, Any] = resource["Properties"]
    return found


@pytest.fixture(params=sorted(compiled.every()))
def template(request: pytest.FixtureRequest) -> str:
    return compiled.every()[request.param]


def test_what_holds_data_outlives_its_stack_and_everything_stateful_says_so(template: str) -> None:
    for name, resource in resources(template).items():
        if resource["Type"] in STATEFUL:
            wanted = STATEFUL[resource["Type"]]
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == wanted, name


def test_every_resource_that_takes_tags_says_its_stack(template: str) -> None:
    untagged = {"AWS::IAM::Group", "AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy", "AWS::IAM::AccessKey"}
    untagged |= {"AWS::Lambda::Permission", "AWS::Lambda::EventInvokeConfig", "AWS::S3::BucketPolicy"}
    untagged |= {"AWS::SNS::TopicPolicy", "AWS::SNS::Subscription", "AWS::Budgets::Budget"}
    said = set()
    for resource in resources(template).values():
        held = resource["Properties"]
        if resource["Type"] not in untagged:
            tags = held.get("Tags") or held["TagSpecifications"][0]["Tags"]
            pairs = tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags}
            said.add(pairs["neurocaas:stack"])
    buckets = [bucket["Properties"]["BucketName"] for bucket in resources(template, "AWS::S3::Bucket").values()]
    named = [name for name in buckets if isinstance(name, str)]
    (stack,) = said
    assert stack in (named or ["neurocaas-account"]) if buckets else stack.startswith("neurocaas-users-")


def test_the_functions_run_the_bundle_with_a_place_for_failures() -> None:
    for text_ in (compiled.account(), compiled.analysis().template):
        functions = resources(text_, "AWS::Lambda::Function")
        failures = resources(text_, "AWS::Lambda::EventInvokeConfig")
        assert len(functions) == len(failures) > 0
        for function in functions.values():
            held = function["Properties"]
            assert (held["Runtime"], held["MemorySize"]) == ("python3.13", 512)
            assert held["Code"]["S3Key"] == f"bundles/{BUNDLE}.zip"
            assert held["ReservedConcurrentExecutions"] >= 1
        for failure in failures.values():
            assert failure["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]


def test_a_function_learns_what_the_contract_says_and_nothing_else() -> None:
    said = {
        "ANALYSIS_BUCKET": "spikes",
        "VERSION_ID": compiled.analysis().version_id,
        "LEDGER_TABLE": "neurocaas-ledger",
        "SUBNET_IDS": "neurocaas-subnets",
    }
    key = "arn:aws:kms:us-east-1:123456789012:key/k"
    for given, more in (({}, {}), ({"KmsKeyArn": key}, {"VOLUME_KEY_ARN": key})):
        submit = made(compiled.analysis().template, **given)["SubmitFunction"]["Properties"]
        assert submit["Environment"]["Variables"] == said | more
    for function in resources(compiled.account(), "AWS::Lambda::Function").values():
        assert function["Properties"]["Environment"]["Variables"] == {"LEDGER_TABLE": "neurocaas-ledger"}


def test_the_account_stack_exports_what_the_others_import() -> None:
    exported = {output["Export"]["Name"] for output in json.loads(compiled.account())["Outputs"].values()}
    wanted = {"artifact-bucket", "security-group", "ledger-arn", "dead-letter-arn", "topic-arn", "subnets"}
    assert exported == {f"neurocaas-{name}" for name in wanted}
    for other in compiled.every().values():
        assert set(_imports(json.loads(other))) <= exported


def _imports(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "Fn::ImportValue" in value:
            yield value["Fn::ImportValue"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _imports(item)


def test_without_code_the_account_stack_makes_everything_but_what_needs_it() -> None:
    conditional = {
        name for name, found in resources(compiled.account()).items() if found.get("Condition") == "FunctionsWanted"
    }
    assert {resources(compiled.account())[name]["Type"] for name in conditional} == {
        "AWS::Lambda::Function",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Permission",
        "AWS::Events::Rule",
    }


def test_instances_cannot_be_reached_and_reach_https_only() -> None:
    held = properties(compiled.account(), "AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in held
    assert {(rule["FromPort"], rule["ToPort"]) for rule in held["SecurityGroupEgress"]} == {(443, 443)}


def test_the_ledger_has_the_keys_of_the_contract() -> None:
    held = properties(compiled.account(), "AWS::DynamoDB::Table")
    assert [key["AttributeName"] for key in held["KeySchema"]] == ["pk", "sk"]
    (index,) = held["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "open"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["open_pk", "deadline"]
    assert held["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert held["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_the_launch_template_keeps_instances_safe_and_mortal() -> None:
    held = properties(compiled.analysis().template, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert held["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert (held["MetadataOptions"]["HttpTokens"], held["MetadataOptions"]["HttpPutResponseHopLimit"]) == (
        "required",
        1,
    )
    (disk,) = held["BlockDeviceMappings"]
    assert (disk["Ebs"]["Encrypted"], disk["Ebs"]["VolumeType"]) == (True, "gp3")


def test_submissions_start_the_submit_function_and_only_its_bucket_may() -> None:
    template = compiled.analysis().template
    (listener,) = properties(template, "AWS::S3::Bucket")["NotificationConfiguration"]["LambdaConfigurations"]
    assert listener["Filter"]["S3Key"]["Rules"] == [{"Name": "suffix", "Value": "submit.json"}]
    permission = properties(template, "AWS::Lambda::Permission")
    assert filled(permission["SourceArn"]) == "arn:aws:s3:::spikes"
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    bucket = resources(template, "AWS::S3::Bucket")["Bucket"]
    assert bucket["DependsOn"] == ["SubmitFunctionPermission"]


def test_plain_http_is_denied_unless_the_parameter_says_otherwise() -> None:
    for text_ in (compiled.account(), compiled.analysis().template):
        document = json.loads(text_)
        assert document["Parameters"]["RequireTls"]["Default"] == "true"
        (policy,) = resources(text_, "AWS::S3::BucketPolicy").values()
        denied = [
            statement
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if policy.get("Condition") == "TlsRequired" or "Fn::If" in statement
        ]
        assert len(denied) == 1


def test_the_image_is_preset_only_for_a_literal_ami() -> None:
    from ncap_compiler.blueprint import load_blueprint

    legacy = compile_analysis(load_blueprint(text(legacy_blueprint()), file="b.json"), bundle_sha256=BUNDLE)
    assert json.loads(legacy.template)["Parameters"]["ImageId"]["Default"] == "ami-0123456789abcdef0"
    assert "Default" not in json.loads(compiled.analysis().template)["Parameters"]["ImageId"]


def test_a_post_handler_brings_a_function_of_its_own() -> None:
    template = compiled.post()
    functions = {found["Properties"]["FunctionName"] for found in resources(template, "AWS::Lambda::Function").values()}
    assert functions == {"neurocaas-submit-spikes", "neurocaas-postprocess-spikes"}
    (bucket,) = resources(template, "AWS::S3::Bucket").values()
    listeners = bucket["Properties"]["NotificationConfiguration"]["LambdaConfigurations"]
    assert [listener["Filter"]["S3Key"]["Rules"][0]["Value"] for listener in listeners] == ["submit.json", "end.txt"]


def test_retention_lets_results_of_each_group_go() -> None:
    held = properties(compiled.post(), "AWS::S3::Bucket")
    (rule,) = [rule for rule in held["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule]
    assert (rule["Prefix"], rule["ExpirationInDays"]) == ("lab/results/", 90)


def test_secret_keys_go_to_secrets_and_nowhere_else() -> None:
    document = json.loads(compiled.users())
    assert "Outputs" not in document
    assert set(document["Parameters"]) == {"KmsKeyArn", "PermissionsBoundary", "WithIdentities"}
    secrets = resources(compiled.users(), "AWS::SecretsManager::Secret")
    assert {secret["Properties"]["Name"] for secret in secrets.values()} == {
        f"/neurocaas/members/{member}" for member in ("ann", "bob@x.org", "cho", "dan")
    }
    for name, resource in resources(compiled.users()).items():
        assert ("SecretAccessKey" in json.dumps(resource)) == (name in secrets)
    keys = resources(compiled.users(), "AWS::IAM::AccessKey")
    assert sorted(key["Properties"]["Serial"] for key in keys.values()) == [1, 1, 1, 3]


def test_a_secret_is_json_once_the_key_is_filled_in() -> None:
    for secret in resources(compiled.users(), "AWS::SecretsManager::Secret").values():
        content = json.loads(secret["Properties"]["SecretString"]["Fn::Sub"])
        assert set(content) == {"AccessKeyId", "SecretAccessKey", "group"}


def test_budgets_are_parameters_the_job_manager_finds() -> None:
    held = [found["Properties"] for found in resources(compiled.users(), "AWS::SSM::Parameter").values()]
    assert {parameter["Name"]: parameter["Value"] for parameter in held} == {
        "/neurocaas/budgets/lab/spikes": "25",
        "/neurocaas/budgets/lab/total": "100",
    }


def test_compiling_twice_gives_the_same_text() -> None:
    assert compile_account(BUNDLE) == compiled.account()
    assert compile_analysis(compiled.blueprint(), bundle_sha256=BUNDLE) == compiled.analysis()
    assert compiled.account().endswith("}\n")


@pytest.mark.parametrize("digest", ["", "B" * 64, "b" * 63, "../x"])
def test_a_digest_that_is_none_is_a_mistake_of_the_caller(digest: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        compile_account(digest)


def test_checking_a_document_does_not_load_troposphere(project_root: Path) -> None:
    program = (
        "import sys, json; from ncap_compiler import load_blueprint, load_profile\n"
        "load_blueprint(sys.argv[1], file='b'); load_profile(sys.argv[2], file='p')\n"
        "print(json.dumps(sorted({'troposphere', 'boto3', 'yaml'} & set(sys.modules))))"
    )
    from tests.compiler.documents import minimal_profile

    arguments = [sys.executable, "-c", program, text(minimal_blueprint()), text(minimal_profile())]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=project_root / "utils")
    assert json.loads(done.stdout) == []
