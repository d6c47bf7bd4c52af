"""Rights of the instances that build and try AMIs: the environment stack's two roles. Nothing else is decided here."""

from __future__ import annotations

from ncap_compiler import names
from ncap_compiler.policies import OWN_KEY, OWN_KEY_GIVEN
from ncap_compiler.statements import Statement, arn, objects

AGENT_CHANNELS = (
    "ec2messages:AcknowledgeMessage",
    "ec2messages:DeleteMessage",
    "ec2messages:FailMessage",
    "ec2messages:GetEndpoint",
    "ec2messages:GetMessages",
    "ec2messages:SendReply",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
"""How Systems Manager speaks to an instance; these services know no resources to limit them to."""


def build_image(build: str, archive: str) -> tuple[Statement, ...]:
    """The building instance of `build`: its archive, Image Builder's own programs, its component, its log.

    What AWS's policies EC2InstanceProfileForImageBuilder and AmazonSSMManagedInstanceCore give beyond is left out.
    """
    artifact = names.artifact_bucket()
    log = arn("logs", f"log-group:/aws/imagebuilder/{build}:*")
    return (
        Statement("ReadArchive", ("s3:GetObject",), objects(artifact, archive)),
        Statement("ReadBuilderPrograms", ("s3:GetObject",), ("arn:${AWS::Partition}:s3:::ec2imagebuilder-*/*",)),
        Statement("ReadComponent", ("imagebuilder:GetComponent",), (arn("imagebuilder", f"component/{build}/*"),)),
        Statement("Log", ("logs:CreateLogStream", "logs:PutLogEvents"), (log,)),
        Statement("ReportToAgent", ("ssm:UpdateInstanceInformation",), (arn("ec2", "instance/*"),)),
        Statement("TakeOrders", AGENT_CHANNELS, ("*",)),
        _own_key(),
    )


def try_image(environment: str) -> tuple[Statement, ...]:
    """An instance that tries an AMI of `environment`: reads the sample brought for it, writes what came of it."""
    artifact, prefix = names.artifact_bucket(), names.verification_prefix(environment)
    return (
        Statement("ReadSample", ("s3:GetObject", "s3:GetObjectVersion"), objects(artifact, f"{prefix}*")),
        Statement(
            "WriteResults", ("s3:AbortMultipartUpload", "s3:PutObject"), objects(artifact, f"{prefix}*/results/*")
        ),
        _own_key(),
    )


def _own_key() -> Statement:
    """The own key, through S3, where the artifact bucket is under it."""
    via = (("StringEquals", "kms:ViaService", ("s3.${AWS::Region}.amazonaws.com",)),)
    return Statement("OwnKey", ("kms:Decrypt", "kms:GenerateDataKey"), OWN_KEY, via, when=OWN_KEY_GIVEN)
