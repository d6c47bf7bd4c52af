"""One group never sees another's data: with members' keys, presigned URLs, and from inside an instance."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.stories.laboratory import Laboratory

pytestmark = pytest.mark.cloud

BUCKET = "faulty"
SECRET_KEY = "neighbours/inputs/secret.txt"

SPY = """#!/bin/sh
cat > spy.py <<'END'
import boto3, botocore, os
session = boto3.Session(region_name=os.environ["AWS_REGION"])
s3 = session.client("s3")
def attempt(name, call, **arguments):
    try:
        call(**arguments)
        print("SPY", name, "allowed", flush=True)
    except botocore.exceptions.ClientError as error:
        print("SPY", name, error.response["Error"]["Code"], flush=True)
print("SPY identity", session.client("sts").get_caller_identity()["Arn"], flush=True)
attempt("own-input", s3.get_object, Bucket="faulty", Key="demo/inputs/own.txt")
attempt("own-result", s3.put_object, Bucket="faulty", Key="demo/results/spy/x.txt", Body=b"x")
attempt("foreign-input", s3.get_object, Bucket="faulty", Key="neighbours/inputs/secret.txt")
attempt("foreign-result", s3.put_object, Bucket="faulty", Key="neighbours/results/spy/x.txt", Body=b"x")
attempt("foreign-list", s3.list_objects_v2, Bucket="faulty", Prefix="neighbours/")
attempt("root-list", s3.list_objects_v2, Bucket="faulty")
attempt("own-submission", s3.put_object, Bucket="faulty", Key="demo/submissions/submit.json", Body=b"{}")
attempt("delete-bucket", s3.delete_bucket, Bucket="faulty")
attempt("bucket-policy", s3.put_bucket_policy, Bucket="faulty", Policy="{}")
attempt("ledger", session.client("dynamodb").scan, TableName="neurocaas-ledger")
attempt("launch", session.client("ec2").run_instances, ImageId="ami-1", InstanceType="t3.large", MinCount=1, MaxCount=1)
attempt("terminate", session.client("ec2").terminate_instances, InstanceIds=["i-0123456789abcdef0"])
secrets = session.client("secretsmanager")
attempt("credentials", secrets.get_secret_value, SecretId="/neurocaas/members/neighbour-member")
END
"$NEUROCAAS_IMAGE/tool/bin/python" spy.py
shutdown -h now
"""


@pytest.fixture(autouse=True)
def data_of_both_groups(laboratory: Laboratory) -> None:
    root = laboratory.client("s3")
    root.put_object(Bucket=BUCKET, Key=SECRET_KEY, Body=b"secret")
    root.put_object(Bucket=BUCKET, Key="demo/inputs/own.txt", Body=b"own")


def code_of(call: Any, **arguments: Any) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "allowed"


def test_a_member_reaches_only_the_folders_of_the_own_group(laboratory: Laboratory) -> None:
    s3 = laboratory.client("s3", laboratory.member_key("demo-member"))

    answers = {
        "list own": code_of(s3.list_objects_v2, Bucket=BUCKET, Prefix="demo/inputs/"),
        "put own input": code_of(s3.put_object, Bucket=BUCKET, Key="demo/inputs/mine.txt", Body=b"x"),
        "list foreign": code_of(s3.list_objects_v2, Bucket=BUCKET, Prefix="neighbours/"),
        "list foreign inputs": code_of(s3.list_objects_v2, Bucket=BUCKET, Prefix="neighbours/inputs/"),
        "list root": code_of(s3.list_objects_v2, Bucket=BUCKET),
        "list a prefix of both": code_of(s3.list_objects_v2, Bucket=BUCKET, Prefix=""),
        "get foreign": code_of(s3.get_object, Bucket=BUCKET, Key=SECRET_KEY),
        "copy foreign": code_of(
            s3.copy_object,
            Bucket=BUCKET,
            Key="demo/inputs/stolen.txt",
            CopySource={"Bucket": BUCKET, "Key": SECRET_KEY},
        ),
        "put foreign": code_of(s3.put_object, Bucket=BUCKET, Key="neighbours/inputs/x", Body=b"x"),
        "submit for others": code_of(
            s3.put_object, Bucket=BUCKET, Key="neighbours/submissions/submit.json", Body=b"{}"
        ),
        "delete foreign": code_of(s3.delete_object, Bucket=BUCKET, Key=SECRET_KEY),
        "forge a usage record": code_of(s3.put_object, Bucket=BUCKET, Key="logs/demo/i-0.json", Body=b"{}"),
        "forge a result": code_of(s3.put_object, Bucket=BUCKET, Key="demo/results/x/end.txt", Body=b"x"),
        "read launch manifests": code_of(s3.list_objects_v2, Bucket=BUCKET, Prefix="demo/jobs/"),
    }

    assert answers == {
        question: "allowed" if question in {"list own", "put own input"} else "AccessDenied" for question in answers
    }


def test_a_member_has_no_right_beyond_s3(laboratory: Laboratory) -> None:
    key = laboratory.member_key("demo-member")

    answers = {
        code_of(laboratory.client("ec2", key).describe_instances),
        code_of(laboratory.client("ec2", key).terminate_instances, InstanceIds=["i-0123456789abcdef0"]),
        code_of(laboratory.client("cloudformation", key).describe_stacks),
        code_of(laboratory.client("dynamodb", key).scan, TableName="neurocaas-ledger"),
        code_of(laboratory.client("ssm", key).get_parameter, Name="/neurocaas/budgets/demo/faulty"),
        code_of(
            laboratory.client("ssm", key).put_parameter, Name="/neurocaas/budgets/demo/faulty", Value="9", Type="String"
        ),
        code_of(laboratory.client("iam", key).create_access_key, UserName="neighbour-member"),
    }

    assert answers <= {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


def test_a_presigned_url_gives_no_more_than_its_signer_has(laboratory: Laboratory) -> None:
    s3 = laboratory.client("s3", laboratory.member_key("demo-member"))
    s3.put_object(Bucket=BUCKET, Key="demo/configs/mine.json", Body=b"{}")
    own = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "demo/configs/mine.json"})
    foreign = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": SECRET_KEY})
    expired = s3.generate_presigned_url(
        "get_object", Params={"Bucket": BUCKET, "Key": "demo/configs/mine.json"}, ExpiresIn=1
    )

    assert urllib.request.urlopen(own).read() == b"{}"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(foreign)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(own.replace("mine.json", "other.json"))
    time.sleep(2)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(expired)


def test_wrong_secrets_and_unsigned_requests_are_refused(laboratory: Laboratory) -> None:
    key = dict(laboratory.member_key("demo-member"))
    key["SecretAccessKey"] = "x" * 40

    assert (
        code_of(laboratory.client("s3", key).list_objects_v2, Bucket=BUCKET, Prefix="demo/") == "SignatureDoesNotMatch"
    )
    assert code_of(laboratory.client("ec2", key).describe_instances) in {"AuthFailure", "SignatureDoesNotMatch"}
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{laboratory.record()['endpoint']}/{BUCKET}/{SECRET_KEY}")


def test_an_instance_has_the_rights_of_its_group_and_no_more(laboratory: Laboratory) -> None:
    """The credentials come from the metadata service and the instance role, as on AWS."""
    ec2 = laboratory.client("ec2")
    image = ec2.describe_images(Owners=["self"], Filters=[{"Name": "tag:neurocaas:environment", "Values": ["faulty"]}])
    started = ec2.run_instances(
        ImageId=image["Images"][0]["ImageId"],
        InstanceType="m7i.large",
        MinCount=1,
        MaxCount=1,
        UserData=SPY,
        IamInstanceProfile={"Name": "neurocaas-instance-demo"},
        MetadataOptions={"HttpTokens": "required"},
        InstanceInitiatedShutdownBehavior="terminate",
    )["Instances"][0]["InstanceId"]

    said = console_when_ended(ec2, started)

    answers = dict(line.split(" ")[1:3] for line in said.splitlines() if line.startswith("SPY "))
    assert f"assumed-role/neurocaas-instance-demo/{started}" in answers.pop("identity")
    assert {name for name, answer in answers.items() if answer == "allowed"} == {"own-input", "own-result"}, said
    assert len(answers) == 13


def console_when_ended(ec2: Any, instance: str) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        state = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["State"]["Name"]
        if state == "terminated":
            output = ec2.get_console_output(InstanceId=instance)["Output"]
            return output if "SPY" in output else base64.b64decode(output).decode()
        time.sleep(0.2)
    raise AssertionError("the instance did not end")


def test_no_secret_is_in_a_template_an_output_or_a_log(laboratory: Laboratory) -> None:
    """Members' and root's secrets are looked for wherever text is kept that people read or copy."""
    secrets = [laboratory.member_key(m)["SecretAccessKey"] for m in ("demo-member", "neighbour-member")]
    secrets.append(laboratory.record()["secret_access_key"])
    cloudformation = laboratory.client("cloudformation")
    texts = []
    for stack in cloudformation.describe_stacks()["Stacks"]:
        texts.append(json.dumps(stack, default=str))
        texts.append(json.dumps(cloudformation.get_template(StackName=stack["StackName"])["TemplateBody"]))
        texts.append(json.dumps(cloudformation.describe_stack_events(StackName=stack["StackName"]), default=str))
    folder = laboratory.home / "clouds" / laboratory.cloud
    texts += [path.read_text(errors="replace") for path in folder.rglob("*.log")]

    assert [secret[:4] for secret in secrets for text in texts if secret in text] == []
