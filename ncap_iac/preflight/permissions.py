"""What deploying has to be allowed to do: resource types of our stacks → actions, on the names we give. Pure.

CloudFormation acts with the caller's permissions. The actions are those the handlers of the resource types call for
the properties our templates use (AWS's resource type schemas, `handlers.permissions`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ncap_compiler import names
from ncap_iac.preflight.facts import Needs

# fmt: off
STACK_ACTIONS = (
    "cloudformation:CreateChangeSet", "cloudformation:DeleteChangeSet", "cloudformation:DeleteStack",
    "cloudformation:DescribeChangeSet", "cloudformation:DescribeStackEvents", "cloudformation:DescribeStacks",
    "cloudformation:ExecuteChangeSet", "cloudformation:GetTemplate", "cloudformation:ListStackResources",
)
OBJECT_ACTIONS = ("s3:GetObject", "s3:PutObject")
READ_ACTIONS = (
    "ec2:DescribeImages", "ec2:DescribeLaunchTemplates", "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
)

ACTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "AWS::Budgets::Budget": ("budgets::{account}:budget/" + names.BUDGET, (
        "budgets:ModifyBudget", "budgets:ViewBudget")),
    "AWS::CloudWatch::Alarm": ("cloudwatch:{region}:{account}:alarm:neurocaas-preflight", (
        "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource")),
    "AWS::DynamoDB::Table": ("dynamodb:{region}:{account}:table/" + names.LEDGER_TABLE, (
        "dynamodb:CreateTable", "dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive", "dynamodb:TagResource", "dynamodb:UpdateContinuousBackups",
        "dynamodb:UpdateTable", "dynamodb:UpdateTimeToLive")),
    "AWS::EC2::LaunchTemplate": ("ec2:{region}:{account}:launch-template/*", (
        "ec2:CreateLaunchTemplate", "ec2:CreateLaunchTemplateVersion", "ec2:CreateTags",
        "ec2:DeleteLaunchTemplate")),
    "AWS::EC2::SecurityGroup": ("ec2:{region}:{account}:security-group/*", (
        "ec2:AuthorizeSecurityGroupEgress", "ec2:CreateSecurityGroup", "ec2:CreateTags", "ec2:DeleteSecurityGroup",
        "ec2:RevokeSecurityGroupEgress")),
    "AWS::Events::Rule": ("events:{region}:{account}:rule/neurocaas-preflight", (
        "events:DeleteRule", "events:DescribeRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets",
        "events:TagResource")),
    "AWS::IAM::AccessKey": ("iam::{account}:user" + names.PATH + "preflight", (
        "iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:ListAccessKeys", "iam:UpdateAccessKey")),
    "AWS::IAM::Group": ("iam::{account}:group" + names.PATH + "neurocaas-preflight", (
        "iam:AttachGroupPolicy", "iam:CreateGroup", "iam:DeleteGroup", "iam:DeleteGroupPolicy",
        "iam:DetachGroupPolicy", "iam:GetGroup", "iam:PutGroupPolicy")),
    "AWS::IAM::InstanceProfile": ("iam::{account}:instance-profile" + names.INSTANCE_PATH + "neurocaas-preflight", (
        "iam:AddRoleToInstanceProfile", "iam:CreateInstanceProfile", "iam:DeleteInstanceProfile",
        "iam:GetInstanceProfile", "iam:RemoveRoleFromInstanceProfile")),
    "AWS::IAM::ManagedPolicy": ("iam::{account}:policy" + names.PATH + "neurocaas-preflight", (
        "iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion",
        "iam:GetPolicy", "iam:ListPolicyVersions")),
    "AWS::IAM::Role": ("iam::{account}:role" + names.PATH + "neurocaas-preflight", (
        "iam:AttachRolePolicy", "iam:CreateRole", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy",
        "iam:GetRole", "iam:PassRole", "iam:PutRolePolicy", "iam:TagRole", "iam:UpdateAssumeRolePolicy")),
    "AWS::IAM::User": ("iam::{account}:user" + names.PATH + "preflight", (
        "iam:CreateUser", "iam:DeleteUser", "iam:GetUser", "iam:TagUser")),
    "AWS::IAM::UserToGroupAddition": ("iam::{account}:group" + names.PATH + "neurocaas-preflight", (
        "iam:AddUserToGroup", "iam:RemoveUserFromGroup")),
    "AWS::Lambda::EventInvokeConfig": ("lambda:{region}:{account}:function:neurocaas-preflight", (
        "lambda:DeleteFunctionEventInvokeConfig", "lambda:PutFunctionEventInvokeConfig")),
    "AWS::Lambda::Function": ("lambda:{region}:{account}:function:neurocaas-preflight", (
        "lambda:CreateFunction", "lambda:DeleteFunction", "lambda:GetFunction", "lambda:PutFunctionConcurrency",
        "lambda:TagResource", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration")),
    "AWS::Lambda::Permission": ("lambda:{region}:{account}:function:neurocaas-preflight", (
        "lambda:AddPermission", "lambda:RemovePermission")),
    "AWS::Logs::LogGroup": ("logs:{region}:{account}:log-group:/aws/lambda/neurocaas-preflight", (
        "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:TagResource")),
    "AWS::S3::Bucket": ("s3:::{bucket}", (
        "s3:CreateBucket", "s3:GetBucketLocation", "s3:ListBucket", "s3:PutBucketNotification",
        "s3:PutBucketOwnershipControls", "s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging",
        "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration")),
    "AWS::S3::BucketPolicy": ("s3:::{bucket}", ("s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy")),
    "AWS::SNS::Subscription": ("sns:{region}:{account}:" + names.TOPIC, ("sns:Subscribe", "sns:Unsubscribe")),
    "AWS::SNS::Topic": ("sns:{region}:{account}:" + names.TOPIC, (
        "sns:CreateTopic", "sns:DeleteTopic", "sns:GetTopicAttributes", "sns:SetTopicAttributes", "sns:TagResource")),
    "AWS::SQS::Queue": ("sqs:{region}:{account}:" + names.DEAD_LETTER_QUEUE, (
        "sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes", "sqs:TagQueue")),
    "AWS::SSM::Parameter": ("ssm:{region}:{account}:parameter/neurocaas/budgets/preflight", (
        "ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:GetParameters", "ssm:PutParameter")),
    "AWS::SecretsManager::Secret": ("secretsmanager:{region}:{account}:secret:/neurocaas/members/preflight", (
        "secretsmanager:CreateSecret", "secretsmanager:DeleteSecret", "secretsmanager:DescribeSecret",
        "secretsmanager:PutSecretValue", "secretsmanager:TagResource", "secretsmanager:UpdateSecret")),
}
# fmt: on
"""Resource type → ARN behind the partition, and actions on it."""

WITHOUT_ACTIONS = frozenset({"AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"})
"""Types whose handlers call actions already asked about for what they belong to."""


@dataclass(frozen=True)
class Asked:
    """Actions on one resource."""

    resource: str
    actions: tuple[str, ...]


def asked_of(needs: Needs, *, account: str, region: str, partition: str) -> tuple[Asked, ...]:
    """What the caller has to be allowed, for the resource types the documents compile to."""
    return tuple(_asked(needs, account, region, partition))


def _asked(needs: Needs, account: str, region: str, partition: str) -> Iterator[Asked]:
    bucket = needs.buckets[0] if needs.buckets else names.artifact_bucket(account, region)
    stack = f"arn:{partition}:cloudformation:{region}:{account}:stack/{names.ACCOUNT_STACK}/preflight"
    yield Asked(stack, STACK_ACTIONS)
    yield Asked("*", READ_ACTIONS)
    yield Asked(f"arn:{partition}:s3:::{names.artifact_bucket(account, region)}/bundles/preflight.zip", OBJECT_ACTIONS)
    yield Asked(f"arn:{partition}:s3:::{bucket}/versions/preflight.json", OBJECT_ACTIONS)
    for kind in sorted(needs.resource_types):
        if kind in ACTIONS:
            place, actions = ACTIONS[kind]
            filled = place.format(account=account, region=region, bucket=bucket)
            yield Asked(f"arn:{partition}:{filled}", actions)


def principal_of(arn: str) -> tuple[str, str]:
    """What kind of caller an ARN names, and the name to look it up by.

    Kinds: `user`, `role` (assumed, also by single sign-on: the ARN leaves out the role's path), `root`, `federated`.
    Source: IAM user guide, IAM identifiers.
    """
    resource = arn.split(":", 5)[5]
    kind, _, rest = resource.partition("/")
    if kind == "assumed-role":
        return "role", rest.partition("/")[0]
    if kind == "user":
        return "user", rest.rpartition("/")[2]
    return ("root", "") if kind == "root" else ("federated", rest)
