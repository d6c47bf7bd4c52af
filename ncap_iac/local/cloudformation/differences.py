"""Where a property of a template means less in the local cloud than on AWS: one list, for documentation and for tests.

Everything else that a provider takes is applied by a service and read back. What is not in the providers' lists of
types and properties is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ncap_iac.local.cloudformation.providers import PROVIDERS


class Extent(StrEnum):
    """How far the local cloud goes with a property."""

    HELD = "recorded with the stack only"
    STORED = "kept and shown by the service, not acted on"


@dataclass(frozen=True)
class Difference:
    """One property, or a whole type when `property` is empty."""

    type: str
    property: str
    extent: Extent
    reason: str


_STORED = (
    ("AWS::Budgets::Budget", "", "No cost is measured and no notice is sent."),
    ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification", "There is no recovery to a point in time."),
    ("AWS::DynamoDB::Table", "SSESpecification", "Tables are files of this computer's user, not encrypted."),
    ("AWS::EC2::LaunchTemplate", "LaunchTemplateData", "Volumes are folders, not encrypted whatever `KmsKeyId` says."),
    ("AWS::EC2::SecurityGroup", "SecurityGroupEgress", "Instances are local processes; no packet filter is set."),
    ("AWS::EC2::SecurityGroup", "SecurityGroupIngress", "Instances are local processes; no packet filter is set."),
    ("AWS::Events::Rule", "RoleArn", "Targets are called with the emulator's own rights."),
    ("AWS::ImageBuilder::Component", "Data", "The image is built from the archive by ncap itself, not by a shell."),
    (
        *("AWS::ImageBuilder::DistributionConfiguration", "Distributions"),
        "The AMI is in the cloud's own region only; there is no other.",
    ),
    (
        *("AWS::ImageBuilder::Image", "ImageTestsConfiguration"),
        "The seal is checked; no test instance is started by Image Builder.",
    ),
    ("AWS::ImageBuilder::ImageRecipe", "BlockDeviceMappings", "An image is a folder; it has no volumes."),
    ("AWS::ImageBuilder::ImageRecipe", "ParentImage", "The image is made for this computer's own system."),
    (
        *("AWS::ImageBuilder::InfrastructureConfiguration", ""),
        "The local cloud builds by itself, with the root credentials, not on an instance.",
    ),
    ("AWS::KMS::Key", "EnableKeyRotation", "Keys do not change."),
    ("AWS::Lambda::Function", "Architectures", "Code runs on this computer's processor."),
    ("AWS::Lambda::Function", "EphemeralStorage", "The temporary folder has no limit of its own."),
    ("AWS::Lambda::Function", "KmsKeyArn", "Environment variables are in a file only this computer's user can read."),
    ("AWS::Lambda::Function", "MemorySize", "The function is told the number; nothing limits it."),
    ("AWS::Lambda::Function", "Runtime", "Code runs on the interpreter the emulator runs on."),
    ("AWS::Lambda::Function", "TracingConfig", "Traces go nowhere."),
    ("AWS::Logs::LogGroup", "RetentionInDays", "Log events stay until the cloud's folder is removed."),
    ("AWS::S3::Bucket", "BucketEncryption", "Objects are files of this computer's user, not encrypted."),
    ("AWS::S3::Bucket", "LifecycleConfiguration", "No object expires or moves to another storage class."),
    ("AWS::S3::Bucket", "LoggingConfiguration", "No access log is written."),
    ("AWS::SNS::Subscription", "Protocol", "Messages to e-mail addresses and telephones are not sent."),
    ("AWS::SNS::Topic", "KmsMasterKeyId", "Messages are not encrypted."),
    ("AWS::SQS::Queue", "KmsMasterKeyId", "Messages are not encrypted."),
    ("AWS::SQS::Queue", "SqsManagedSseEnabled", "Messages are not encrypted."),
    ("AWS::SecretsManager::Secret", "KmsKeyId", "Secrets are in a file that only this computer's user can read."),
)

DIFFERENCES: tuple[Difference, ...] = (
    *(
        Difference(provider.type, name, Extent.HELD, reason)
        for provider in PROVIDERS
        for name, reason in sorted(provider.held.items())
    ),
    *(Difference(kind, name, Extent.STORED, reason) for kind, name, reason in _STORED),
)
"""Every known difference of a property's meaning."""

ENGINE_DIFFERENCES: tuple[str, ...] = (
    "Resources are made, and read to detect drift, with the root credentials of the local cloud, whoever asked; AWS "
    "uses the caller's rights or a service role's. A caller still needs the right to the operation itself.",
    "Deleting a stack whose exports others import is refused with a ValidationError at once; AWS accepts the request "
    "and cancels it in an event.",
    "Every declared property is read back from the service; a difference fails the resource. AWS trusts its services.",
    "A stack that was in progress when the local cloud stopped is rolled back, or its deletion finished, at the next "
    "start.",
    "`aws:cloudformation:*` tags are not set where the local service refuses them: alarms, keys, security groups, "
    "launch templates.",
    "Nested stacks, macros, rules, stack policies, rollback triggers, notification ARNs, imports of resources and "
    "service roles are refused by name.",
)
"""How the engine itself differs from AWS."""
