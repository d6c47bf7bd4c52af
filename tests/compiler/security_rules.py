"""What every template must hold whatever a scanner sees: rules over the resources CloudFormation would make.

Each rule yields a sentence for everything that breaks it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Resources = Mapping[str, dict[str, Any]]
Rule = Callable[[Resources], Iterator[str]]

READING_WITHOUT_RESOURCE = {"ec2:DescribeInstances", "ec2:DescribeSpotPriceHistory", "pricing:GetProducts"}
"""Actions for which AWS knows no resource: they may have `*`, and only read."""
CLOSED = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
POLICY_HOLDERS = ("AWS::IAM::Role", "AWS::IAM::Group", "AWS::IAM::User", "AWS::IAM::ManagedPolicy")


def of(resources: Resources, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Logical id and properties of the resources of these types."""
    return ((name, resource.get("Properties", {})) for name, resource in resources.items() if resource["Type"] in types)


def listed(value: Any) -> list[Any]:
    """IAM's shorthand undone: one value is a list of one."""
    return value if isinstance(value, list) else [value]


def identity_policies(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of roles, groups, users and managed policies."""
    for name, held in of(resources, *POLICY_HOLDERS):
        documents = [policy["PolicyDocument"] for policy in held.get("Policies", [])]
        documents += [held["PolicyDocument"]] if "PolicyDocument" in held else []
        for document in documents:
            for statement in document["Statement"]:
                yield name, statement


def no_wildcard_action(resources: Resources) -> Iterator[str]:
    """Every action is named."""
    for name, statement in identity_policies(resources):
        for action in listed(statement["Action"]):
            if "*" in action or "NotAction" in statement:
                yield f"{name} allows {action}"


def no_open_resource(resources: Resources) -> Iterator[str]:
    """Nothing but reading is allowed on `*`."""
    for name, statement in identity_policies(resources):
        everything = "NotResource" in statement or "*" in listed(statement.get("Resource", "*"))
        if everything and not set(listed(statement["Action"])) <= READING_WITHOUT_RESOURCE:
            yield f"{name} allows {statement['Action']} on everything"


def no_bought_policy(resources: Resources) -> Iterator[str]:
    """No managed policy of AWS's, nor any other that is not in the template."""
    for name, held in of(resources, *POLICY_HOLDERS):
        if "ManagedPolicyArns" in held:
            yield f"{name} has {held['ManagedPolicyArns']}"


def scoped_pass_role(resources: Resources) -> Iterator[str]:
    """Roles are passed one by one, to EC2 only, from the path of instance roles."""
    for name, statement in identity_policies(resources):
        if "iam:PassRole" not in listed(statement["Action"]):
            continue
        if statement.get("Condition") != {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}:
            yield f"{name} passes roles to any service"
        exact = r"arn:aws:iam::[0-9]{12}:role/neurocaas/instances/neurocaas-instance-[A-Za-z0-9._@+-]+"
        yield from (
            f"{name} passes {role}" for role in listed(statement["Resource"]) if not re.fullmatch(exact, str(role))
        )


JOB_MANAGER = r"arn:aws:iam::[0-9]{12}:role/neurocaas/neurocaas-submit-[a-z0-9*-]+"


def named_trust(resources: Resources) -> Iterator[str]:
    """A role is taken by one service of AWS; a group's role by job managers as well, told by a condition."""
    for name, held in of(resources, "AWS::IAM::Role"):
        for statement in held["AssumeRolePolicyDocument"]["Statement"]:
            told = statement.get("Condition", {}).get("ArnLike", {}).get("aws:PrincipalArn", [])
            if held.get("Path") == "/neurocaas/instances/" and told:
                yield from (
                    f"{name} can be taken by {who}" for who in listed(told) if not re.fullmatch(JOB_MANAGER, who)
                )
                continue
            service = statement["Principal"].get("Service") if isinstance(statement["Principal"], dict) else None
            if service not in ("ec2.amazonaws.com", "lambda.amazonaws.com") or statement["Action"] != "sts:AssumeRole":
                yield f"{name} can be taken by {statement['Principal']}"


def closed_buckets(resources: Resources) -> Iterator[str]:
    """No bucket is public: blocked, without ACLs, and no policy speaks to everybody but to deny."""
    for name, held in of(resources, "AWS::S3::Bucket"):
        block = held.get("PublicAccessBlockConfiguration", {})
        if not all(block.get(flag) is True for flag in CLOSED) or "AccessControl" in held:
            yield f"{name} can be made public"
        if held.get("OwnershipControls", {}).get("Rules") != [{"ObjectOwnership": "BucketOwnerEnforced"}]:
            yield f"{name} has ACLs"
    for name, held in of(resources, "AWS::S3::BucketPolicy"):
        for statement in held["PolicyDocument"]["Statement"]:
            everybody = statement["Principal"] == "*" or "*" in listed(statement["Principal"].get("AWS", []))
            if statement["Effect"] == "Allow" and everybody:
                yield f"{name} speaks to everybody"


def only_tls(resources: Resources) -> Iterator[str]:
    """Every bucket refuses plain HTTP, for itself and for what is in it."""
    denied: dict[str, set[str]] = {}
    for _, held in of(resources, "AWS::S3::BucketPolicy"):
        for statement in held["PolicyDocument"]["Statement"]:
            tls = statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
            if (
                statement["Effect"] == "Deny"
                and statement["Principal"] == "*"
                and statement["Action"] == "s3:*"
                and tls
            ):
                denied[held["Bucket"]["Ref"]] = set(listed(statement["Resource"]))
    for name, held in of(resources, "AWS::S3::Bucket"):
        arn = f"arn:aws:s3:::{held['BucketName']}"
        if denied.get(name) != {arn, f"{arn}/*"}:
            yield f"{name} answers plain HTTP"


def encrypted(resources: Resources) -> Iterator[str]:
    """What holds data says how it is encrypted."""
    for name, held in of(resources, "AWS::S3::Bucket"):
        rules = held.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [{}])
        if rules[0].get("ServerSideEncryptionByDefault", {}).get("SSEAlgorithm") not in ("AES256", "aws:kms"):
            yield f"{name} is not encrypted"
    for name, held in of(resources, "AWS::DynamoDB::Table"):
        if held.get("SSESpecification", {}).get("SSEEnabled") is not True:
            yield f"{name} is not encrypted"
    for name, held in of(resources, "AWS::SQS::Queue"):
        if held.get("SqsManagedSseEnabled") is not True and "KmsMasterKeyId" not in held:
            yield f"{name} is not encrypted"
    for name, held in of(resources, "AWS::EC2::LaunchTemplate"):
        disks = [mapping.get("Ebs", {}) for mapping in held["LaunchTemplateData"].get("BlockDeviceMappings", [])]
        if not disks or not all(disk.get("Encrypted") is True for disk in disks):
            yield f"{name} starts instances with a disk in clear"


KEYS = {
    "AWS::S3::Bucket": '"KMSMasterKeyID": "{key}"',
    "AWS::DynamoDB::Table": '"KMSMasterKeyId": "{key}"',
    "AWS::SNS::Topic": '"KmsMasterKeyId": "{key}"',
    "AWS::SQS::Queue": '"KmsMasterKeyId": "{key}"',
    "AWS::Logs::LogGroup": '"KmsKeyId": "{key}"',
    "AWS::Lambda::Function": '"KmsKeyArn": "{key}"',
    "AWS::SecretsManager::Secret": '"KmsKeyId": "{key}"',
    "AWS::EC2::LaunchTemplate": '"KmsKeyId": "{key}"',
}
"""How each type that holds data names its key."""


def under_the_own_key(resources: Resources, key: str) -> Iterator[str]:
    """With an own key everything that holds data is under it."""
    for name, resource in resources.items():
        wanted = KEYS.get(resource["Type"], "").replace("{key}", key)
        if wanted.lower() not in json.dumps(resource).lower():
            yield f"{name} is not under the own key"


def safe_instances(resources: Resources) -> Iterator[str]:
    """IMDSv2 only, one hop, no key pair, gone when they stop; and nothing reaches them."""
    for name, held in of(resources, "AWS::EC2::LaunchTemplate"):
        data = held["LaunchTemplateData"]
        options = data.get("MetadataOptions", {})
        if (options.get("HttpTokens"), options.get("HttpPutResponseHopLimit")) != ("required", 1):
            yield f"{name} gives credentials to whoever asks the metadata service"
        if "KeyName" in data or data.get("InstanceInitiatedShutdownBehavior") != "terminate":
            yield f"{name} starts instances people log into, or that stay"
    for name, held in of(resources, "AWS::EC2::SecurityGroup"):
        if held.get("SecurityGroupIngress"):
            yield f"{name} lets somebody in"
        if any((rule["FromPort"], rule["ToPort"]) != (443, 443) for rule in held["SecurityGroupEgress"]):
            yield f"{name} lets more out than HTTPS"
    yield from (f"{name} is a rule of its own" for name, _ in of(resources, "AWS::EC2::SecurityGroupIngress"))
    yield from (f"{name} is no launch template" for name, _ in of(resources, "AWS::EC2::Instance"))


def bound_invocations(resources: Resources) -> Iterator[str]:
    """A service starts a function only for a source of this account."""
    for name, held in of(resources, "AWS::Lambda::Permission"):
        if held.get("SourceAccount") != "123456789012" or not held.get("SourceArn") or held["Principal"] == "*":
            yield f"{name} lets any source start the function"


def bounded(resources: Resources, boundary: str) -> Iterator[str]:
    """With a permissions boundary every role and user has it."""
    for name, held in of(resources, "AWS::IAM::Role", "AWS::IAM::User"):
        if held.get("PermissionsBoundary") != boundary:
            yield f"{name} has no boundary"


RULES: tuple[Rule, ...] = (
    no_wildcard_action,
    no_open_resource,
    no_bought_policy,
    scoped_pass_role,
    named_trust,
    closed_buckets,
    only_tls,
    encrypted,
    safe_instances,
    bound_invocations,
)
