"""Who may do what, asked of the compiled templates: a row for each question."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.compiler import compiled
from tests.compiler.iam import bucket_statements, may, statements

BUCKET = "arn:aws:s3:::spikes"
EC2 = "arn:aws:ec2:us-east-1:123456789012"
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table"
LOGS = "arn:aws:logs:us-east-1:123456789012:log-group"
SSM = "arn:aws:ssm:us-east-1:123456789012:parameter"
IAM = "arn:aws:iam::123456789012"

ROLE, GROUP = "AWS::IAM::Role", "AWS::IAM::Group"
WHO: dict[str, tuple[Callable[[], str], str, str]] = {
    "member": (compiled.users, GROUP, "neurocaas-lab"),
    "instance": (compiled.users, ROLE, "neurocaas-instance-lab"),
    "manager": (lambda: compiled.analysis().template, ROLE, "neurocaas-submit-spikes"),
    "monitor": (compiled.account, ROLE, "neurocaas-monitor"),
    "sweeper": (compiled.account, ROLE, "neurocaas-sweeper"),
}

LAUNCH = {
    "ec2:InstanceType": "m7i.large",
    "ec2:MetadataHttpTokens": "required",
    "aws:RequestTag/analysis": "spikes",
}
OURS = {"aws:ResourceTag/PriceTracking": "On", "aws:ResourceTag/analysis": "spikes"}
TO_EC2 = {"iam:PassedToService": "ec2.amazonaws.com"}
Context = Mapping[str, str]

QUESTIONS: list[tuple[str, str, str, Context, bool]] = [
    # members
    ("member", "s3:PutObject", f"{BUCKET}/lab/inputs/a", {}, True),
    ("member", "s3:GetObject", f"{BUCKET}/lab/inputs/a", {}, False),
    ("member", "s3:DeleteObject", f"{BUCKET}/lab/inputs/a", {}, True),
    ("member", "s3:AbortMultipartUpload", f"{BUCKET}/lab/inputs/a", {}, True),
    ("member", "s3:GetObject", f"{BUCKET}/lab/configs/a", {}, True),
    ("member", "s3:PutObject", f"{BUCKET}/lab/configs/a", {}, True),
    ("member", "s3:DeleteObject", f"{BUCKET}/lab/configs/a", {}, True),
    ("member", "s3:PutObject", f"{BUCKET}/lab/submissions/submit.json", {}, True),
    ("member", "s3:GetObject", f"{BUCKET}/lab/results/job/x", {}, True),
    ("member", "s3:DeleteObject", f"{BUCKET}/lab/results/job/x", {}, True),
    ("member", "s3:PutObject", f"{BUCKET}/lab/results/job/x", {}, False),
    ("member", "s3:GetObject", f"{BUCKET}/lab/jobs/job/launch-0.json", {}, False),
    ("member", "s3:PutObject", f"{BUCKET}/lab/jobs/job/launch-0.json", {}, False),
    ("member", "s3:GetBucketLocation", BUCKET, {}, True),
    ("member", "s3:ListBucket", BUCKET, {"s3:prefix": "lab/inputs/"}, True),
    ("member", "s3:ListBucket", BUCKET, {"s3:prefix": "lab/results/job/"}, True),
    ("member", "s3:ListBucket", BUCKET, {"s3:prefix": "lab/", "s3:delimiter": "/"}, True),
    ("member", "s3:ListBucket", BUCKET, {"s3:prefix": "lab/"}, False),
    ("member", "s3:ListBucket", BUCKET, {"s3:prefix": "lab/jobs/"}, False),
    ("member", "s3:ListBucket", BUCKET, {}, False),
    ("member", "s3:ListBucket", BUCKET, {"s3:prefix": "", "s3:delimiter": "/"}, False),
    ("member", "s3:ListBucket", BUCKET, {"s3:prefix": "other/inputs/"}, False),
    ("member", "s3:ListBucket", BUCKET, {"s3:prefix": "lab2/inputs/"}, False),
    ("member", "s3:GetObject", f"{BUCKET}/other/results/x", {}, False),
    ("member", "s3:PutObject", f"{BUCKET}/other/submissions/submit.json", {}, False),
    ("member", "s3:PutObject", f"{BUCKET}/lab2/submissions/submit.json", {}, False),
    ("member", "s3:PutObject", f"{BUCKET}/logs/lab/i-1.json", {}, False),
    ("member", "s3:PutObject", f"{BUCKET}/versions/v-1.json", {}, False),
    ("member", "s3:GetObject", "arn:aws:s3:::poses/lab/results/x", {}, False),
    ("member", "s3:PutBucketPolicy", BUCKET, {}, False),
    ("member", "ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS, False),
    ("member", "ssm:PutParameter", f"{SSM}/neurocaas/budgets/lab/spikes", {}, False),
    ("member", "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:123456789012:secret:x", {}, False),
    ("member", "iam:PassRole", f"{IAM}:role/neurocaas/instances/neurocaas-instance-lab", TO_EC2, False),
    ("member", "sts:AssumeRole", f"{IAM}:role/neurocaas/neurocaas-submit-spikes", {}, False),
    # instances
    ("instance", "s3:GetObject", f"{BUCKET}/lab/inputs/a", {}, True),
    ("instance", "s3:GetObjectVersion", f"{BUCKET}/lab/configs/a", {}, True),
    ("instance", "s3:GetObject", f"{BUCKET}/lab/jobs/job/launch-0.json", {}, True),
    ("instance", "s3:ListBucketVersions", BUCKET, {"s3:prefix": "lab/inputs/a"}, True),
    ("instance", "s3:ListBucketVersions", BUCKET, {"s3:prefix": "other/inputs/a"}, False),
    ("instance", "s3:ListBucketVersions", BUCKET, {}, False),
    ("instance", "s3:PutObject", f"{BUCKET}/lab/results/job/process_results/x", {}, True),
    ("instance", "s3:PutObject", f"{BUCKET}/lab/inputs/a", {}, False),
    ("instance", "s3:PutObject", f"{BUCKET}/lab/submissions/submit.json", {}, False),
    ("instance", "s3:PutObject", f"{BUCKET}/other/results/x", {}, False),
    ("instance", "s3:GetObject", f"{BUCKET}/other/inputs/a", {}, False),
    ("instance", "s3:DeleteObject", f"{BUCKET}/lab/results/job/x", {}, False),
    ("instance", "s3:DeleteBucket", BUCKET, {}, False),
    ("instance", "s3:PutBucketPolicy", BUCKET, {}, False),
    ("instance", "ssm:GetParameter", f"{SSM}/neurocaas/budgets/lab/spikes", {}, False),
    ("instance", "ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS, False),
    ("instance", "ec2:RunInstances", f"{EC2}:instance/*", LAUNCH, False),
    ("instance", "dynamodb:PutItem", f"{TABLE}/neurocaas-ledger", {}, False),
    # the job manager
    ("manager", "s3:ListBucket", BUCKET, {}, True),
    ("manager", "s3:ListBucket", "arn:aws:s3:::poses", {}, False),
    ("manager", "s3:GetObject", f"{BUCKET}/lab/submissions/submit.json", {}, True),
    ("manager", "s3:GetObject", f"{BUCKET}/lab/inputs/a", {}, True),
    ("manager", "s3:GetObject", f"{BUCKET}/versions/v-1.json", {}, True),
    ("manager", "s3:GetObject", f"{BUCKET}/lab/results/job/logs/DATASET_NAME:a_STATUS.txt", {}, True),
    ("manager", "s3:GetObject", f"{BUCKET}/lab/results/job/process_results/x", {}, False),
    ("manager", "s3:DeleteObject", f"{BUCKET}/logs/active/i-1.json", {}, True),
    ("manager", "s3:DeleteObject", f"{BUCKET}/logs/lab/i-1.json", {}, False),
    ("manager", "s3:PutObject", f"{BUCKET}/logs/lab/i-1.json", {}, False),
    ("manager", "ec2:DescribeInstances", "*", {}, True),
    ("manager", "s3:PutObject", f"{BUCKET}/versions/v-1.json", {}, False),
    ("manager", "s3:PutObject", f"{BUCKET}/lab/jobs/job/launch-0.json", {}, True),
    ("manager", "s3:PutObject", f"{BUCKET}/lab/results/job/logs/certificate.txt", {}, True),
    ("manager", "s3:PutObject", f"{BUCKET}/lab/results/job/process_results/end.txt", {}, True),
    ("manager", "s3:PutObject", f"{BUCKET}/lab/results/job/process_results/x", {}, False),
    ("manager", "s3:PutObject", f"{BUCKET}/lab/submissions/submit.json", {}, False),
    ("manager", "s3:DeleteObject", f"{BUCKET}/lab/inputs/a", {}, False),
    ("manager", "s3:DeleteBucket", BUCKET, {}, False),
    ("manager", "s3:GetObject", "arn:aws:s3:::poses/lab/inputs/a", {}, False),
    ("manager", "dynamodb:PutItem", f"{TABLE}/neurocaas-ledger", {}, True),
    ("manager", "dynamodb:DeleteTable", f"{TABLE}/neurocaas-ledger", {}, False),
    ("manager", "dynamodb:PutItem", f"{TABLE}/another", {}, False),
    ("manager", "ssm:GetParameter", f"{SSM}/neurocaas/budgets/lab/spikes", {}, True),
    ("manager", "ssm:GetParameter", f"{SSM}/neurocaas/budgets/lab/poses", {}, False),
    ("manager", "ssm:PutParameter", f"{SSM}/neurocaas/budgets/lab/spikes", {}, False),
    ("manager", "ec2:RunInstances", f"{EC2}:instance/*", LAUNCH, True),
    ("manager", "ec2:RunInstances", f"{EC2}:instance/*", LAUNCH | {"ec2:InstanceType": "m7i.xlarge"}, True),
    ("manager", "ec2:RunInstances", f"{EC2}:instance/*", LAUNCH | {"ec2:InstanceType": "p4d.24xlarge"}, False),
    ("manager", "ec2:RunInstances", f"{EC2}:instance/*", LAUNCH | {"ec2:MetadataHttpTokens": "optional"}, False),
    ("manager", "ec2:RunInstances", f"{EC2}:instance/*", LAUNCH | {"aws:RequestTag/analysis": "poses"}, False),
    ("manager", "ec2:RunInstances", f"{EC2}:instance/*", {}, False),
    ("manager", "ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-0123456789abcdef0", {}, True),
    ("manager", "ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-0fffffffffffffff0", {}, False),
    (
        "manager",
        "ec2:RunInstances",
        "arn:aws:ec2:us-east-1::image/ami-0fffffffffffffff0",
        {"ec2:ResourceTag/neurocaas:environment": "spikes"},
        True,
    ),
    ("manager", "ec2:RunInstances", f"{EC2}:launch-template/lt-0123456789abcdef0", {}, True),
    ("manager", "ec2:RunInstances", f"{EC2}:launch-template/lt-0fffffffffffffff0", {}, False),
    ("manager", "ec2:RunInstances", f"{EC2}:security-group/neurocaas-security-group", {}, True),
    ("manager", "ec2:RunInstances", f"{EC2}:security-group/sg-0fffffffffffffff0", {}, False),
    ("manager", "ec2:RunInstances", f"{EC2}:subnet/subnet-1", {}, True),
    ("manager", "ec2:CreateTags", f"{EC2}:instance/i-1", {"ec2:CreateAction": "RunInstances"}, True),
    ("manager", "ec2:CreateTags", f"{EC2}:instance/i-1", {}, False),
    ("manager", "ec2:DeleteTags", f"{EC2}:instance/i-1", OURS, False),
    ("manager", "ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS, True),
    ("manager", "ec2:TerminateInstances", f"{EC2}:instance/i-1", {"aws:ResourceTag/analysis": "poses"}, False),
    ("manager", "ec2:TerminateInstances", f"{EC2}:instance/i-1", {}, False),
    ("manager", "iam:PassRole", f"{IAM}:role/neurocaas/instances/neurocaas-instance-lab", TO_EC2, True),
    ("manager", "iam:PassRole", f"{IAM}:role/neurocaas/instances/neurocaas-instance-third", TO_EC2, False),
    ("manager", "iam:PassRole", f"{IAM}:role/admin", TO_EC2, False),
    (
        "manager",
        "iam:PassRole",
        f"{IAM}:role/neurocaas/instances/neurocaas-instance-lab",
        {"iam:PassedToService": "lambda.amazonaws.com"},
        False,
    ),
    ("manager", "iam:CreateAccessKey", f"{IAM}:user/neurocaas/ann", {}, False),
    ("manager", "lambda:InvokeFunction", f"{LAMBDA}:neurocaas-submit-spikes", {}, True),
    ("manager", "lambda:InvokeFunction", f"{LAMBDA}:neurocaas-submit-poses", {}, False),
    ("manager", "lambda:UpdateFunctionCode", f"{LAMBDA}:neurocaas-submit-spikes", {}, False),
    ("manager", "logs:PutLogEvents", f"{LOGS}:/aws/lambda/neurocaas-submit-spikes:log-stream:x", {}, True),
    ("manager", "logs:CreateLogGroup", f"{LOGS}:/aws/lambda/neurocaas-submit-spikes", {}, False),
    ("manager", "sns:Publish", "neurocaas-topic-arn", {}, True),
    ("manager", "sqs:SendMessage", "neurocaas-dead-letter-arn", {}, True),
    # monitor and sweeper
    ("monitor", "ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS, True),
    ("monitor", "ec2:TerminateInstances", f"{EC2}:instance/i-1", {}, False),
    ("monitor", "ec2:TerminateInstances", f"{EC2}:instance/i-1", {"aws:ResourceTag/PriceTracking": "On"}, False),
    ("monitor", "ec2:DescribeInstances", "*", {}, True),
    ("monitor", "lambda:InvokeFunction", f"{LAMBDA}:neurocaas-submit-spikes", {}, True),
    ("monitor", "lambda:InvokeFunction", f"{LAMBDA}:something-else", {}, False),
    ("monitor", "s3:GetObject", f"{BUCKET}/lab/inputs/a", {}, False),
    ("monitor", "events:DeleteRule", "arn:aws:events:us-east-1:123456789012:rule/x", {}, False),
    ("monitor", "dynamodb:UpdateItem", f"{TABLE}/neurocaas-ledger", {}, True),
    ("monitor", "logs:PutLogEvents", f"{LOGS}:/aws/lambda/neurocaas-instance-monitor:log-stream:x", {}, True),
    ("monitor", "logs:PutLogEvents", f"{LOGS}:/aws/lambda/neurocaas-instance-sweeper:log-stream:x", {}, False),
    ("monitor", "sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:neurocaas-dead-letters", {}, True),
    ("monitor", "sns:Publish", "arn:aws:sns:us-east-1:123456789012:neurocaas-notifications", {}, True),
    ("sweeper", "ec2:DescribeInstances", "*", {}, True),
    ("sweeper", "lambda:InvokeFunction", f"{LAMBDA}:neurocaas-submit-spikes", {}, True),
    ("sweeper", "logs:PutLogEvents", f"{LOGS}:/aws/lambda/neurocaas-instance-sweeper:log-stream:x", {}, True),
    ("sweeper", "sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:neurocaas-dead-letters", {}, True),
    ("sweeper", "sns:Publish", "arn:aws:sns:us-east-1:123456789012:neurocaas-notifications", {}, True),
    ("sweeper", "dynamodb:Query", f"{TABLE}/neurocaas-ledger/index/open", {}, True),
    ("sweeper", "ec2:TerminateInstances", f"{EC2}:instance/i-1", OURS, True),
    ("sweeper", "ec2:RunInstances", f"{EC2}:instance/*", LAUNCH, False),
    ("sweeper", "iam:PassRole", f"{IAM}:role/neurocaas/instances/neurocaas-instance-lab", TO_EC2, False),
]


@pytest.mark.parametrize(("who", "action", "resource", "context", "wanted"), QUESTIONS)
def test_isolation(who: str, action: str, resource: str, context: Context, wanted: bool) -> None:
    template, type_, name = WHO[who]
    policy = statements(template(), type_, name)
    assert may(policy, action, resource, context) is wanted


CONTROL_PLANE: list[tuple[str, str, bool]] = [
    ("s3:GetObject", f"{BUCKET}/lab/results/job/logs/DATASET_NAME:a_STATUS.txt", True),
    ("s3:GetObject", f"{BUCKET}/lab/jobs/job/attempts.json", True),
    ("s3:GetObject", f"{BUCKET}/versions/v-1.json", True),
    ("s3:GetObject", f"{BUCKET}/logs/active/i-1.json", True),
    ("s3:GetObject", f"{BUCKET}/lab/inputs/a", False),
    ("s3:GetObject", f"{BUCKET}/lab/results/job/process_results/x", False),
    ("s3:PutObject", f"{BUCKET}/lab/results/job/logs/certificate.txt", True),
    ("s3:PutObject", f"{BUCKET}/lab/results/job/process_results/end.txt", True),
    ("s3:PutObject", f"{BUCKET}/logs/lab/i-1.json", True),
    ("s3:PutObject", f"{BUCKET}/lab/results/job/process_results/x", False),
    ("s3:PutObject", f"{BUCKET}/lab/submissions/submit.json", False),
    ("s3:DeleteObject", f"{BUCKET}/logs/active/i-1.json", True),
    ("s3:DeleteObject", f"{BUCKET}/logs/lab/i-1.json", False),
    ("s3:ListBucket", BUCKET, True),
    ("s3:ListBucket", "arn:aws:s3:::poses", False),
]


@pytest.mark.parametrize("role", ["neurocaas-monitor", "neurocaas-sweeper"])
@pytest.mark.parametrize(("action", "resource", "wanted"), CONTROL_PLANE)
def test_what_a_bucket_lets_monitor_and_sweeper_do(role: str, action: str, resource: str, wanted: bool) -> None:
    granted = bucket_statements(compiled.analysis().template, f"arn:aws:iam::123456789012:role/neurocaas/{role}")
    assert may(granted, action, resource) is wanted


def test_a_bucket_grants_nothing_to_anyone_else() -> None:
    assert bucket_statements(compiled.analysis().template, "arn:aws:iam::123456789012:role/other") == []


@pytest.mark.parametrize("who", WHO)
def test_every_statement_is_needed_by_a_question(who: str) -> None:
    """Taking a statement away must turn an answer: otherwise nobody would notice it widening."""
    template, type_, name = WHO[who]
    policy = statements(template(), type_, name)
    asked = [question for question in QUESTIONS if question[0] == who and question[4]]
    for statement in policy:
        rest = [other for other in policy if other is not statement]
        turned = [question for question in asked if not may(rest, question[1], question[2], question[3])]
        assert turned, statement["Sid"]
