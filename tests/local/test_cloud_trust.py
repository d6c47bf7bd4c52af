"""Who may take a group's role on a running cloud: a job manager both sides name, and with the narrowed rights only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from jobmanager.grouproles import NARROWED
from ncap_compiler import group_roles
from ncap_iac.local.cloud import RunningCloud
from tests.compiler.iam import filled
from tests.local.cloud_rig import make_function, root_client, running_cloud

pytestmark = pytest.mark.cloud
ACCOUNT = "000000000000"
GROUP_ROLE = f"arn:aws:iam::{ACCOUNT}:role/neurocaas/instances/neurocaas-instance-lab"
PROBE = """
import boto3
from botocore.exceptions import ClientError

def tried(call, **arguments):
    try:
        call(**arguments)
        return "allowed"
    except ClientError as error:
        return error.response["Error"]["Code"]

def handler(event, context):
    narrowed = {"Policy": event["policy"]} if event["policy"] else {}
    try:
        taken = boto3.client("sts").assume_role(
            RoleArn=event["role"], RoleSessionName="probe", DurationSeconds=900, **narrowed)["Credentials"]
    except ClientError as error:
        return {"role": error.response["Error"]["Code"]}
    s3 = boto3.client("s3", aws_access_key_id=taken["AccessKeyId"], aws_secret_access_key=taken["SecretAccessKey"],
                      aws_session_token=taken["SessionToken"])
    answers = {"role": "allowed"}
    for name, operation, arguments in event["questions"]:
        answers[name] = tried(getattr(s3, operation), **arguments)
    return answers
"""
OURS = {"Bucket": "archive", "Key": "lab/x.csv"}
QUESTIONS = [
    ("its data", "get_object", OURS),
    ("its folder", "list_objects_v2", {"Bucket": "archive", "Prefix": "lab/"}),
    ("trying to write", "put_object", {"Bucket": "archive", "Key": "lab/job/process_results/.neurocaas", "Body": "x"}),
    ("writing", "put_object", {"Bucket": "archive", "Key": "lab/job/process_results/x", "Body": "x"}),
    ("others' data", "get_object", {"Bucket": "archive", "Key": "other/x.csv"}),
    ("others' folder", "list_objects_v2", {"Bucket": "archive", "Prefix": "other/"}),
]


def statement(action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), "trust") as (found, _):
        s3, iam, functions = (root_client(found, name) for name in ("s3", "iam", "lambda"))
        s3.create_bucket(Bucket="archive")
        for key in ("lab/x.csv", "other/x.csv"):
            s3.put_object(Bucket="archive", Key=key, Body=b"1")
        trust = json.dumps(filled(group_roles.instance_trust(["spikes"]))).replace("123456789012", ACCOUNT)
        iam.create_role(Path="/neurocaas/instances/", RoleName="neurocaas-instance-lab", AssumeRolePolicyDocument=trust)
        own = document(
            statement(["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::archive/lab/*"),
            statement("s3:ListBucket", "arn:aws:s3:::archive", Condition={"StringLike": {"s3:prefix": "lab/*"}}),
        )
        iam.put_role_policy(RoleName="neurocaas-instance-lab", PolicyName="inline", PolicyDocument=own)
        may_take = document(statement("sts:AssumeRole", GROUP_ROLE))
        by_lambda = document(
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        )
        for name, path, policy in (
            ("neurocaas-submit-spikes", "/neurocaas/", may_take),
            ("neurocaas-submit-poses", "/neurocaas/", may_take),
            ("neurocaas-monitor-us-east-1", "/neurocaas/", may_take),
        ):
            role = iam.create_role(Path=path, RoleName=name, AssumeRolePolicyDocument=by_lambda)["Role"]
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy)
            make_function(functions, name, role["Arn"], PROBE)
        yield found


def ask(cloud: RunningCloud, function: str, policy: str = "") -> dict[str, str]:
    payload = json.dumps({"role": GROUP_ROLE, "policy": policy, "questions": QUESTIONS}).encode()
    answer = root_client(cloud, "lambda").invoke(FunctionName=function, Payload=payload)
    found: dict[str, str] = json.loads(answer["Payload"].read())
    return found


def test_the_job_manager_of_the_groups_analysis_looks_with_the_groups_rights_and_no_more(cloud: RunningCloud) -> None:
    assert ask(cloud, "neurocaas-submit-spikes", NARROWED) == {
        "role": "allowed",
        "its data": "allowed",
        "its folder": "allowed",
        "trying to write": "allowed",
        "writing": "AccessDenied",
        "others' data": "AccessDenied",
        "others' folder": "AccessDenied",
    }


@pytest.mark.parametrize("function", ["neurocaas-submit-poses", "neurocaas-monitor-us-east-1"])
def test_whoever_the_trust_does_not_name_is_refused_though_his_own_policy_says_he_may(
    cloud: RunningCloud, function: str
) -> None:
    assert ask(cloud, function) == {"role": "AccessDenied"}


def test_whoever_has_no_right_of_his_own_is_refused_though_the_trust_names_him(cloud: RunningCloud) -> None:
    iam = root_client(cloud, "iam")
    iam.put_role_policy(
        RoleName="neurocaas-submit-spikes",
        PolicyName="inline",
        PolicyDocument=document(statement("s3:ListAllMyBuckets", "*")),
    )
    assert ask(cloud, "neurocaas-submit-spikes") == {"role": "AccessDenied"}


def test_a_member_takes_no_role(cloud: RunningCloud) -> None:
    from tests.local.edge_rig import client

    iam = root_client(cloud, "iam")
    iam.create_user(UserName="ann")
    iam.put_user_policy(
        UserName="ann", PolicyName="inline", PolicyDocument=document(statement("sts:AssumeRole", GROUP_ROLE))
    )
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    sts = client(cloud.endpoint, "sts", key["AccessKeyId"], key["SecretAccessKey"])
    with pytest.raises(sts.exceptions.ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=GROUP_ROLE, RoleSessionName="ann")
