"""Pieces several stacks are built of: a function with its role and log, tags, a bucket's fixed properties.

Only shapes of resources; who may do what is in `policies`, names are in `names`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from troposphere import (
    AWSHelperFn,
    AWSObject,
    Equals,
    GetAtt,
    If,
    ImportValue,
    Not,
    NoValue,
    Parameter,
    Ref,
    Sub,
    Tags,
    Template,
    awslambda,
    ec2,
    iam,
    logs,
    s3,
)

from ncap_compiler import defaults, names, policies
from ncap_compiler.document import Json
from ncap_compiler.spread import Policy, Spread
from ncap_compiler.statements import Statement

Text: TypeAlias = str | AWSHelperFn
"""Text known now, or filled in by CloudFormation."""

DELETE = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
"""For what can be made again."""
RETAIN = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
"""For what holds people's data or the platform's records."""


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A function of the bundle. `title` begins the logical ids; `dead_letters` is the queue's ARN."""

    title: str
    name: str
    role: str
    handler: str
    bundle_sha256: str
    artifact_bucket: Text
    timeout_s: int
    concurrency: int
    environment: Mapping[str, Text]
    policy: Spread
    dead_letters: Text
    description: str
    condition: str | None = None
    depends_on: Sequence[str] = field(default=())


def tags(stack: str, **more: str) -> Tags:
    """The tag every resource carries, and `more`."""
    return Tags({names.STACK_TAG: stack, **more})


def text(value: str) -> Text:
    """`value`, through `Fn::Sub` when CloudFormation has to fill something in."""
    return Sub(value) if "${" in value else value


def add_function(template: Template, spec: FunctionSpec, stack: str) -> AWSObject:
    """Add a function with its role, its log group and what happens to events it cannot handle."""
    shared = {"Condition": spec.condition} if spec.condition else {}
    log = template.add_resource(
        logs.LogGroup(
            f"{spec.title}Log",
            LogGroupName=names.log_group(spec.name),
            RetentionInDays=defaults.LOG_RETENTION_DAYS,
            KmsKeyId=own_key(),
            Tags=tags(stack),
            **DELETE,
        )
    )
    role = template.add_resource(
        iam.Role(
            f"{spec.title}Role",
            RoleName=text(spec.role),
            Path=names.PATH,
            AssumeRolePolicyDocument=policies.trust("lambda.amazonaws.com"),
            PermissionsBoundary=boundary(),
            Policies=[inline_policy(spec.policy.inline)],
            Tags=tags(stack),
        )
    )
    for policy in further_policies(role, spec.role, spec.policy.managed):
        template.add_resource(policy)
    function = template.add_resource(
        awslambda.Function(
            f"{spec.title}Function",
            FunctionName=spec.name,
            Description=spec.description,
            Runtime=defaults.RUNTIME,
            Architectures=[defaults.ARCHITECTURE],
            Handler=spec.handler,
            Code=awslambda.Code(S3Bucket=spec.artifact_bucket, S3Key=names.bundle_key(spec.bundle_sha256)),
            Role=GetAtt(role, "Arn"),
            MemorySize=defaults.MEMORY_MIB,
            Timeout=spec.timeout_s,
            ReservedConcurrentExecutions=spec.concurrency,
            Environment=awslambda.Environment(Variables=dict(spec.environment)),
            KmsKeyArn=own_key(),
            Tags=tags(stack),
            DependsOn=[log.title, *spec.depends_on],
            **shared,
        )
    )
    template.add_resource(
        awslambda.EventInvokeConfig(
            f"{spec.title}Failures",
            FunctionName=Ref(function),
            Qualifier="$LATEST",
            MaximumRetryAttempts=defaults.RETRIES,
            MaximumEventAgeInSeconds=defaults.MAX_EVENT_AGE_S,
            DestinationConfig=awslambda.DestinationConfig(OnFailure=awslambda.OnFailure(Destination=spec.dead_letters)),
            **shared,
        )
    )
    return function


def inline_policy(document: Policy) -> iam.Policy:
    """The one inline policy of a role or group."""
    return iam.Policy(PolicyName="neurocaas", PolicyDocument=document)


def further_policies(holder: AWSObject, name: str, documents: Sequence[Policy], **shared: Text) -> list[AWSObject]:
    """Managed policies of the role or group `holder`, which is called `name`, with the attributes `shared`."""
    return [
        iam.ManagedPolicy(
            f"{holder.title}Policy{number}",
            ManagedPolicyName=text(names.further_policy(name, number)),
            Path=names.PATH,
            PolicyDocument=document,
            **{"Roles" if isinstance(holder, iam.Role) else "Groups": [Ref(holder)]},
            **shared,
        )
        for number, document in enumerate(documents, start=2)
    ]


def add_shared_parameters(template: Template) -> None:
    """Parameters every stack has: the boundary of its roles and users, and the own key of its data."""
    template.add_parameter(
        Parameter(
            "PermissionsBoundary",
            Type="String",
            Default="",
            AllowedPattern="(arn:[a-z-]+:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+)?",
            Description="ARN of the policy no role or user made here may exceed. Empty: none.",
        )
    )
    template.add_parameter(
        Parameter(
            "KmsKeyArn",
            Type="String",
            Default="",
            AllowedPattern="(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?",
            Description="ARN of the KMS key everything at rest is kept under. Empty: keys of AWS.",
        )
    )
    template.add_condition("BoundaryGiven", Not(Equals(Ref("PermissionsBoundary"), "")))
    template.add_condition(policies.OWN_KEY_GIVEN, Not(Equals(Ref("KmsKeyArn"), "")))


def boundary() -> AWSHelperFn:
    """The boundary of a role or user, if there is one."""
    return If("BoundaryGiven", Ref("PermissionsBoundary"), NoValue)


def own_key() -> AWSHelperFn:
    """The own key, if there is one."""
    return with_own_key(Ref("KmsKeyArn"))


def with_own_key(value: object, otherwise: object = NoValue) -> AWSHelperFn:
    """`value` with an own key, `otherwise` without."""
    return If(policies.OWN_KEY_GIVEN, value, otherwise)


def bucket_protection(name: str) -> dict[str, object]:
    """Properties of every bucket: encrypted, versioned, owned by the account, closed to the public.

    `name` begins the keys of its access logs, which several buckets write into one.
    """
    own = s3.ServerSideEncryptionByDefault(SSEAlgorithm="aws:kms", KMSMasterKeyID=Ref("KmsKeyArn"))
    aws = s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
    rules = [
        s3.ServerSideEncryptionRule(ServerSideEncryptionByDefault=own, BucketKeyEnabled=True),
        s3.ServerSideEncryptionRule(ServerSideEncryptionByDefault=aws),
    ]
    logging = s3.LoggingConfiguration(DestinationBucketName=Ref("AccessLogBucket"), LogFilePrefix=f"{name}/")
    return {
        "BucketEncryption": with_own_key(
            *(s3.BucketEncryption(ServerSideEncryptionConfiguration=[rule]) for rule in rules)
        ),
        "LoggingConfiguration": If("AccessLogsWanted", logging, NoValue),
        "OwnershipControls": s3.OwnershipControls(
            Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
        ),
        "PublicAccessBlockConfiguration": s3.PublicAccessBlockConfiguration(
            BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
        ),
        "VersioningConfiguration": s3.VersioningConfiguration(Status="Enabled"),
    }


def housekeeping_rules() -> list[AWSObject]:
    """Lifecycle of every bucket: abandoned uploads and overwritten versions do not stay for ever."""
    return [
        s3.LifecycleRule(
            Id="abandoned-uploads",
            Status="Enabled",
            AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(
                DaysAfterInitiation=defaults.ABANDONED_UPLOAD_DAYS
            ),
        ),
        s3.LifecycleRule(
            Id="overwritten-versions",
            Status="Enabled",
            NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=defaults.NONCURRENT_DAYS),
        ),
    ]


def add_bucket_parameters(template: Template) -> None:
    """Parameters of stacks with buckets.

    Plain HTTP is refused; a cloud on the loopback interface cannot do without. Access logs go to a bucket of the
    operator's, if one is named.
    """
    template.add_parameter(
        Parameter(
            "AccessLogBucket",
            Type="String",
            Default="",
            AllowedPattern="([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?",
            Description="Bucket that takes the access logs of buckets made here. Empty: no access logs.",
        )
    )
    template.add_condition("AccessLogsWanted", Not(Equals(Ref("AccessLogBucket"), "")))
    template.add_parameter(
        Parameter(
            "RequireTls",
            Type="String",
            Default="true",
            AllowedValues=["true", "false"],
            Description="Refuse plain HTTP to buckets. Only a cloud on the loopback interface needs false.",
        )
    )
    template.add_condition("TlsRequired", Equals(Ref("RequireTls"), "true"))


def bucket_policy(title: str, bucket: AWSObject, secure: Statement, others: Sequence[Statement] = ()) -> AWSObject:
    """A bucket's policy: `others` always, `secure` when TLS is required."""
    guarded = If("TlsRequired", secure.document(), NoValue)
    statements = [*(statement.document() for statement in others), guarded]
    document = {"Version": "2012-10-17", "Statement": statements}
    shared = {} if others else {"Condition": "TlsRequired"}
    if not others:
        document = {"Version": "2012-10-17", "Statement": [secure.document()]}
    return s3.BucketPolicy(title, Bucket=Ref(bucket), PolicyDocument=document, **shared, **DELETE)


def add_outgoing_group(template: Template, stack: str, *, description: str, ports: Mapping[int, str]) -> AWSObject:
    """A security group that lets nothing in, and out by these ports only; in the network `VpcId` if that is named."""
    return template.add_resource(
        ec2.SecurityGroup(
            "SecurityGroup",
            GroupDescription=description,
            VpcId=If("VpcNamed", Ref("VpcId"), NoValue),
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0", Description=why)
                for port, why in ports.items()
            ],
            Tags=tags(stack),
        )
    )


def imported(export: str) -> AWSHelperFn:
    """What another stack exports under this name."""
    return ImportValue(export)


def structure(template: Template) -> dict[str, Json]:
    """The finished template as JSON values."""
    found: dict[str, Json] = template.to_dict()
    return found
