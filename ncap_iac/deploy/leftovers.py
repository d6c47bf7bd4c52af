"""What is left of stacks: found things × existing stacks → kept on purpose, or not to be there. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from ncap_compiler import names

RUNNING = frozenset({"pending", "running", "stopping", "stopped", "shutting-down"})
"""States of an instance that is still there."""


class Standing(Enum):
    """What a thing's being there means, in the order people are told."""

    UNEXPECTED = "should not be there"
    KEPT = "kept on purpose"
    ELSEWHERE = "of a stack in another region"


@dataclass(frozen=True)
class Thing:
    """Something found by tag, by IAM path, or as an instance. `stack` is its tag; None: it has none."""

    kind: str
    name: str
    stack: str | None
    arn: str = ""
    state: str = ""


@dataclass(frozen=True)
class Stack:
    """A stack that exists, in some region, and what it holds: kinds and names."""

    name: str
    region: str
    status: str
    holds: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Leftover:
    """One thing no existing stack holds; `command` removes it, `why` says what it is."""

    thing: Thing
    standing: Standing
    why: str
    command: str


# fmt: off
KINDS: dict[tuple[str, str], str] = {
    ("budgets", "budget"): "budget", ("cloudformation", "stack"): "stack", ("cloudwatch", "alarm"): "alarm",
    ("dynamodb", "table"): "table", ("ec2", "image"): "image", ("ec2", "instance"): "instance",
    ("ec2", "launch-template"): "launch template", ("ec2", "network-interface"): "network interface",
    ("ec2", "security-group"): "security group", ("ec2", "snapshot"): "snapshot", ("ec2", "volume"): "volume",
    ("events", "rule"): "rule", ("iam", "group"): "IAM group", ("iam", "instance-profile"): "instance profile",
    ("iam", "policy"): "IAM policy", ("iam", "role"): "role", ("iam", "user"): "user",
    ("kms", "key"): "key", ("lambda", "function"): "function", ("logs", "log-group"): "log group",
    ("secretsmanager", "secret"): "secret", ("ssm", "parameter"): "parameter",
}
"""Service and resource type of an ARN → what people call it; S3, SNS and SQS have ARNs without a type."""
BARE = {"s3": "bucket", "sns": "topic", "sqs": "queue"}

REMOVALS: dict[str, str] = {
    "IAM group": "aws iam delete-group --group-name {name}",
    "IAM policy": "aws iam delete-policy --policy-arn {arn}",
    "alarm": "aws cloudwatch delete-alarms --alarm-names {name}",
    "bucket": "aws s3 rb s3://{name}",
    "function": "aws lambda delete-function --function-name {name}",
    "image": "aws ec2 deregister-image --image-id {name}",
    "instance": "aws ec2 terminate-instances --instance-ids {name}",
    "instance profile": "aws iam delete-instance-profile --instance-profile-name {name}",
    "launch template": "aws ec2 delete-launch-template --launch-template-id {name}",
    "log group": "aws logs delete-log-group --log-group-name {name}",
    "network interface": "aws ec2 delete-network-interface --network-interface-id {name}",
    "parameter": "aws ssm delete-parameter --name {name}",
    "queue": "aws sqs delete-queue --queue-url {url}",
    "role": "aws iam delete-role --role-name {name}",
    "rule": "aws events delete-rule --name {name}",
    "secret": "aws secretsmanager delete-secret --secret-id {arn} --force-delete-without-recovery",
    "security group": "aws ec2 delete-security-group --group-id {name}",
    "snapshot": "aws ec2 delete-snapshot --snapshot-id {name}",
    "stack": "aws cloudformation delete-stack --stack-name {name}",
    "table": "aws dynamodb delete-table --table-name {name}",
    "topic": "aws sns delete-topic --topic-arn {arn}",
    "user": "aws iam delete-user --user-name {name}",
    "volume": "aws ec2 delete-volume --volume-id {name}",
}
# fmt: on
"""The command that removes a thing, by kind."""

KEPT: dict[str, str] = {
    "bucket": "what users put there and got; to remove it, empty it with all its versions first",
    "table": "the ledger: what jobs were run and what they cost",
}
"""Kinds that outlive their stack on purpose, and what they hold."""

CODE = "templates and code of earlier deployments; to remove it, empty it with all its versions first"
"""What the artifact bucket holds."""
MADE_BY_JOBS = frozenset({"instance", "network interface", "volume"})
"""Kinds that are tagged with a stack and held by none: jobs make and remove them."""
GLOBAL = frozenset({"IAM group", "IAM policy", "instance profile", "role", "user"})
"""Kinds that are one for all regions of an account."""


def thing_of(arn: str, stack: str | None, *, state: str = "") -> Thing:
    """A thing by its ARN. Source: the AWS general reference, ARN formats."""
    service, resource = arn.split(":", 5)[2], arn.split(":", 5)[5]
    if service in BARE:
        return Thing(BARE[service], resource, stack, arn, state)
    separator = min((mark for mark in "/:" if mark in resource), key=resource.index, default="/")
    kind, _, name = resource.partition(separator)
    known = KINDS.get((service, kind), f"{service} {kind}")
    return Thing(known, _name(known, name), stack, arn, state)


def _name(kind: str, rest: str) -> str:
    """The name commands take, of what an ARN has behind its type."""
    if kind in GLOBAL or kind == "rule":
        return rest.rpartition("/")[2]
    if kind == "stack":
        return rest.partition("/")[0]
    if kind == "log group":
        return rest.removesuffix(":*")
    if kind == "parameter" and "/" in rest:
        return f"/{rest}"
    return rest


def leftovers(
    things: Iterable[Thing], stacks: Iterable[Stack], *, region: str, within: frozenset[str] | None = None
) -> tuple[Leftover, ...]:
    """What no stack holds, what should not be there first. `within`: only of these stacks (by tag)."""
    known = tuple(stacks)
    here = {stack.name: stack for stack in known if stack.region == region}
    holders = {held: stack for stack in known for held in stack.holds}
    judged = (_judged(thing, here, holders, region) for thing in things if within is None or thing.stack in within)
    order = list(Standing)
    return tuple(
        sorted(
            (item for item in judged if item is not None),
            key=lambda item: (order.index(item.standing), item.thing.kind, item.thing.name),
        )
    )


def _judged(
    thing: Thing, here: Mapping[str, Stack], holders: Mapping[tuple[str, str], Stack], region: str
) -> Leftover | None:
    """A thing's standing; None if it is where it belongs."""
    if thing.kind == "stack":
        return _judged_stack(thing, here)
    if thing.kind == "instance" and thing.state and thing.state not in RUNNING:
        return None
    holder = holders.get((thing.kind, thing.name)) or holders.get((thing.kind, thing.arn))
    if holder is not None:
        if holder.region == region:
            return None
        return Leftover(thing, Standing.ELSEWHERE, f"stack {holder.name} in {holder.region} holds it", "")
    if thing.kind in MADE_BY_JOBS and thing.stack in here:
        return None
    gone = f"stack {thing.stack}" + (" does not hold it" if thing.stack in here else " does not exist")
    why = gone if thing.stack else "no stack holds it"
    command = removal(thing)
    if thing.kind in KEPT:
        holds = CODE if thing.name.startswith(f"{names.RESERVED_PREFIX}artifacts-") else KEPT[thing.kind]
        return Leftover(thing, Standing.KEPT, f"{why}; {holds}", command)
    return Leftover(thing, Standing.UNEXPECTED, why, command)


def _judged_stack(thing: Thing, here: Mapping[str, Stack]) -> Leftover | None:
    status = here[thing.name].status if thing.name in here else ""
    if not status.endswith("_FAILED") and status != "ROLLBACK_COMPLETE":
        return None
    return Leftover(thing, Standing.UNEXPECTED, f"it is {status}", removal(thing))


def removal(thing: Thing) -> str:
    """The command that removes a thing; empty for kinds it knows none for."""
    parts = thing.arn.split(":")
    url = f"https://sqs.{parts[3]}.amazonaws.com/{parts[4]}/{thing.name}" if len(parts) > 5 else thing.name
    values = {"name": thing.name, "arn": thing.arn or thing.name, "url": url}
    return REMOVALS.get(thing.kind, "").format(**{key: shlex.quote(value) for key, value in values.items()})


# fmt: off
HELD: dict[str, str] = {
    "AWS::Budgets::Budget": "budget", "AWS::CloudWatch::Alarm": "alarm", "AWS::DynamoDB::Table": "table",
    "AWS::EC2::LaunchTemplate": "launch template", "AWS::EC2::SecurityGroup": "security group",
    "AWS::Events::Rule": "rule", "AWS::IAM::Group": "IAM group", "AWS::IAM::InstanceProfile": "instance profile",
    "AWS::IAM::ManagedPolicy": "IAM policy", "AWS::IAM::Role": "role", "AWS::IAM::User": "user",
    "AWS::KMS::Key": "key", "AWS::Lambda::Function": "function", "AWS::Logs::LogGroup": "log group",
    "AWS::S3::Bucket": "bucket", "AWS::SNS::Topic": "topic", "AWS::SQS::Queue": "queue",
    "AWS::SSM::Parameter": "parameter", "AWS::SecretsManager::Secret": "secret",
}
# fmt: on
"""Resource type → kind; the others are no things of their own."""


def held(resource_type: str, physical_id: str) -> frozenset[tuple[str, str]]:
    """What a resource of a stack is called here: by CloudFormation's physical id, and by what that ends in."""
    kind = HELD.get(resource_type)
    if kind is None or not physical_id:
        return frozenset()
    # A queue's id is its URL, a rule's may be `bus|name`.
    last = re.split(r"[/|]", physical_id)[-1] if kind in ("queue", "rule") else physical_id
    return frozenset({(kind, physical_id), (kind, last)})
