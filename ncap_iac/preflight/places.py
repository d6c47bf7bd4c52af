"""Facts about hardware, images, names and network → findings. Pure: the second half of `preflight_checks`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ncap_compiler import names
from ncap_iac.deploy.state import Phase, phase_of
from ncap_iac.preflight import facts
from ncap_iac.preflight.checks import ARCHITECTURE, Cause, Finding, Verdict
from ncap_iac.preflight.facts import Holder, Needs, Way


def judge_types(needs: Needs, types: Sequence[facts.MachineType]) -> Iterator[Finding]:
    """Whether the region offers the instance types blueprints name."""
    offered = {fact.name: fact.zones for fact in types if fact.zones}
    for analysis in needs.analyses:
        missing = [kind for kind in analysis.allowed_types if kind not in offered]
        default = [kind for kind in analysis.instance_types if kind in offered]
        zones = sorted({zone for kind in default for zone in offered[kind]})
        if not default:
            yield Finding(
                "instance types", analysis.name, Verdict.PROBLEM,
                f"none of {', '.join(analysis.instance_types)} is offered here", "no job could start",
                "Name types this region has in INSTANCE_TYPE, or choose another region.",
            )  # fmt: skip
        elif missing:
            yield Finding(
                "instance types", analysis.name, Verdict.WARNING, f"not offered here: {', '.join(missing)}",
                "jobs that ask for them are refused by EC2; others are used instead where the blueprint lists them",
                "Take them out of the blueprint, or choose another region.",
            )  # fmt: skip
        else:
            yield Finding("instance types", analysis.name, Verdict.OK, f"all offered, in {', '.join(zones)}")


def judge_image(analysis: facts.Analysis, fact: facts.Image, *, is_local: bool) -> Iterator[Finding]:
    """Whether an analysis's environment is here and can be started."""
    subject = analysis.name
    if fact.image_id is None:
        literal = fact.environment.startswith("ami-")
        if is_local and not literal:
            yield Finding("image", subject, Verdict.OK, "none yet; deploying builds it on this computer")
            return
        advice = (
            "Have it shared with this account, or name another."
            if literal
            else f"Run `ncap environment build {subject}` for this target before deploying."
        )
        found = f"{fact.environment} is no image this account sees in this region"
        yield Finding("image", subject, Verdict.PROBLEM, found, "deploying would stop there", advice)
        return
    faults = list(_image_faults(analysis, fact))
    if not faults:
        yield Finding("image", subject, Verdict.OK, f"{fact.image_id}, {fact.architecture}, root {fact.root_device}")
    for found, meaning, advice in faults:
        yield Finding("image", subject, Verdict.PROBLEM, f"{fact.image_id}: {found}", meaning, advice)


def _image_faults(analysis: facts.Analysis, fact: facts.Image) -> Iterator[tuple[str, str, str]]:
    if fact.state not in ("", "available"):
        yield f"it is {fact.state}", "no instance can start from it", "Wait until it is available, or build it again."
    if fact.architecture not in ("", ARCHITECTURE):
        said = f"it is for {fact.architecture}, the platform's instances are {ARCHITECTURE}"
        yield said, "no instance can start from it", f"Build it for {ARCHITECTURE}."
    if fact.root_device_type not in ("", "ebs"):
        yield f"its root is {fact.root_device_type}", "its disk cannot be encrypted or sized", "Make one backed by EBS."
    if fact.root_gib > analysis.volume_gib:
        said = f"its root disk has {fact.root_gib} GiB, VOLUME_SIZE is {analysis.volume_gib}"
        yield said, "EC2 refuses a disk smaller than the image's", f"Set VOLUME_SIZE to at least {fact.root_gib}."


def judge_bucket(fact: facts.Bucket) -> Iterator[Finding]:
    """Whether a bucket's name can be ours. Bucket names are one for all accounts."""
    if fact.holder is Holder.FREE:
        yield Finding("bucket", fact.name, Verdict.OK, "the name is free")
    elif fact.holder is Holder.OURS and fact.managed:
        yield Finding("bucket", fact.name, Verdict.OK, "ours, and in its stack")
    elif fact.holder is Holder.OURS:
        yield Finding(
            "bucket", fact.name, Verdict.WARNING, "ours, outside any stack",
            "deploying takes it over with everything in it", "Look whether that is meant, or choose another name.",
        )  # fmt: skip
    elif fact.holder is Holder.ELSEWHERE:
        yield Finding(
            "bucket", fact.name, Verdict.PROBLEM, "the name is in use in another region",
            "a bucket cannot be in two regions", "Choose another name, or that region.",
        )  # fmt: skip
    else:
        yield Finding(
            "bucket", fact.name, Verdict.PROBLEM, "the name is another account's, or you may not see it",
            "bucket names are one for the whole of AWS", "Choose another PipelineName, or ask for s3:ListBucket.",
        )  # fmt: skip


def judge_network(fact: facts.Network) -> Iterator[Finding]:
    """Whether instances would find S3."""
    named = "the default network" if fact.is_default else "the network"
    if fact.vpc is None:
        yield Finding(
            "network", named, Verdict.PROBLEM, "there is none", "no instance could start",
            "Give one with --parameter VpcId=vpc-… --parameter SubnetIds=subnet-…,subnet-…",
        )  # fmt: skip
        return
    if not fact.subnets:
        yield Finding("network", fact.vpc, Verdict.PROBLEM, "it has no subnet", "no instance could start",
                      "Add a subnet, or name others with --parameter SubnetIds=…")  # fmt: skip
    for subnet in fact.subnets:
        yield _subnet(subnet)


def _subnet(subnet: facts.Subnet) -> Finding:
    found = f"{subnet.zone}, default route: {subnet.way.value}"
    reaches = subnet.way is Way.NAT or (subnet.way is Way.INTERNET and subnet.public_addresses)
    if reaches or subnet.s3_endpoint:
        return Finding("network", subnet.id, Verdict.OK, f"{found}{', S3 endpoint' if subnet.s3_endpoint else ''}")
    if subnet.way is Way.OTHER:
        meaning = "whether instances reach S3 by it cannot be seen from here"
        return Finding("network", subnet.id, Verdict.UNKNOWN, found, meaning, "Add an S3 gateway endpoint to be sure.")
    no_address = subnet.way is Way.INTERNET
    return Finding(
        "network", subnet.id, Verdict.PROBLEM, f"{found}{', no public addresses' if no_address else ''}",
        "instances could neither fetch their data nor report",
        "Let the subnet give public addresses, or add a NAT or an S3 gateway endpoint to its route table.",
    )  # fmt: skip


def judge_boundary(fact: facts.Boundary) -> Iterator[Finding]:
    """Whether the permissions boundary given is there."""
    if fact.exists:
        yield Finding("boundary", fact.arn, Verdict.OK, "exists")
    else:
        yield Finding("boundary", fact.arn, Verdict.PROBLEM, "does not exist", "no role could be made",
                      "Make the policy first, or mend its ARN.", Cause.ACCESS)  # fmt: skip


def judge_key(fact: facts.Key, region: str) -> Iterator[Finding]:
    """Whether the KMS key given can encrypt what the stacks hold."""
    faults = []
    if not fact.state:
        faults.append("it does not exist, or you may not see it")
    elif fact.state != "Enabled":
        faults.append(f"it is {fact.state}")
    if fact.state and (fact.usage, fact.spec) != ("ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"):
        faults.append(f"it is for {fact.usage}, {fact.spec}")
    if f":{region}:" not in fact.arn:
        faults.append(f"it is not in {region}")
    if not faults:
        yield Finding("key", fact.arn, Verdict.OK, "enabled, symmetric")
    for found in faults:
        yield Finding("key", fact.arn, Verdict.PROBLEM, found, "nothing could be encrypted with it",
                      "Name an enabled symmetric key of this region.")  # fmt: skip


def judge_deployment(fact: facts.Deployment) -> Iterator[Finding]:
    """Whether something of an earlier deployment stands in the way."""
    stacks = dict(fact.stacks)
    for stack, status in fact.stacks:
        phase = phase_of(status)
        if phase is Phase.STUCK:
            yield Finding(
                "earlier deployment", stack, Verdict.PROBLEM, status, "it can be neither updated nor rolled back",
                f"Mend what its events say, then `aws cloudformation continue-update-rollback --stack-name {stack}`.",
            )  # fmt: skip
        elif phase in (Phase.SPOILT, Phase.BUSY):
            meaning = "deploying removes it and makes it again" if phase is Phase.SPOILT else "deploying waits for it"
            yield Finding("earlier deployment", stack, Verdict.WARNING, status, meaning)
        elif phase is Phase.READY:
            yield Finding("earlier deployment", stack, Verdict.OK, status)
    if names.ACCOUNT_STACK in stacks and phase_of(stacks[names.ACCOUNT_STACK]) is not Phase.ABSENT:
        return
    if fact.ledger and fact.artifact_bucket:
        yield Finding("earlier deployment", names.LEDGER_TABLE, Verdict.OK, "kept by a deleted account stack",
                      "deploying takes it over with its rows")  # fmt: skip
    elif fact.ledger:
        yield Finding(
            "earlier deployment", names.LEDGER_TABLE, Verdict.PROBLEM, "the table is there, its stack is not",
            "CloudFormation refuses to make a table that exists",
            f"Import it, or delete it: `aws dynamodb delete-table --table-name {names.LEDGER_TABLE}`.",
        )  # fmt: skip
