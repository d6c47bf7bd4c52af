"""Rights of development instances: Systems Manager's agent, and the test jobs of developers. Nothing else is here."""

from __future__ import annotations

from ncap_compiler import names
from ncap_compiler.image_policies import AGENT_CHANNELS
from ncap_compiler.policies import OWN_KEY, OWN_KEY_GIVEN
from ncap_compiler.statements import Statement, arn, bucket_arn, objects


def develop() -> tuple[Statement, ...]:
    """An instance a developer works on: it can be reached through Systems Manager and run test jobs, no more.

    What AWS's policy AmazonSSMManagedInstanceCore gives beyond (parameters, documents, inventory, patches) is left out.
    """
    artifact, prefix = names.artifact_bucket(), f"{names.DEVELOPMENT}*"
    below = (("StringLike", "s3:prefix", (prefix,)),)
    via = (("StringEquals", "kms:ViaService", ("s3.${AWS::Region}.amazonaws.com",)),)
    return (
        Statement("ListTestJobs", ("s3:ListBucket",), (bucket_arn(artifact),), below),
        Statement("ReadTestJobs", ("s3:GetObject", "s3:GetObjectVersion"), objects(artifact, prefix)),
        Statement("WriteTestJobs", ("s3:AbortMultipartUpload", "s3:PutObject"), objects(artifact, prefix)),
        Statement("ReportToAgent", ("ssm:UpdateInstanceInformation",), (arn("ec2", "instance/*"),)),
        Statement("TakeOrders", AGENT_CHANNELS, ("*",)),
        Statement("OwnKey", ("kms:Decrypt", "kms:GenerateDataKey"), OWN_KEY, via, when=OWN_KEY_GIVEN),
    )
