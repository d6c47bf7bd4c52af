"""What a stack costs a month when nothing runs: list prices and a rule a resource type. Pure; an estimate.

Counts what AWS bills for being there: secrets, alarms, keys, scheduled invocations. What grows with use (stored bytes,
requests, log lines) is named, with its price, not guessed. Free tiers and regional differences are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ncap_iac.deploy.resolved import resolve_template

PRICES_DATE = "2026-11-22"
PRICES_REGION = "us-east-1"
PRICES_SOURCE = "list prices, https://aws.amazon.com/<service>/pricing/, from general knowledge; not queried"
"""Where each figure below is published, and when it was written down."""

HOURS_A_MONTH = 730
"""AWS's own month."""
FIXED: dict[str, tuple[str, Decimal]] = {
    "AWS::CloudWatch::Alarm": ("alarm", Decimal("0.10")),
    "AWS::KMS::Key": ("KMS key", Decimal("1.00")),
    "AWS::SecretsManager::Secret": ("secret", Decimal("0.40")),
}
"""What is billed for being there: name and USD a month each. Sources: cloudwatch, kms, secrets-manager."""
PARAMETER_ADVANCED = Decimal("0.05")
"""USD a month for an advanced parameter (systems-manager); standard ones are free."""
INVOCATION = Decimal("0.20") / 1_000_000
"""USD a Lambda request (lambda)."""
GIB_SECOND = Decimal("0.0000166667")
"""USD a GiB and second of Lambda on x86 (lambda)."""
IDLE_RUN_S = Decimal("0.3")
"""Seconds a scheduled function is assumed to be billed for when it finds nothing to do."""

BY_USE: dict[str, str] = {
    "AWS::DynamoDB::Table": "table: 0.25 USD/GB stored, with point-in-time recovery 0.20 more; requests",
    "AWS::Lambda::Function": "function: requests and GB-seconds",
    "AWS::Logs::LogGroup": "log: 0.50 USD/GB written, 0.03 USD/GB stored",
    "AWS::S3::Bucket": "bucket: 0.023 USD/GB stored; requests",
    "AWS::SNS::Topic": "topic: messages",
    "AWS::SQS::Queue": "queue: requests",
}
"""What is billed by use, with the price a month where one figure says it (dynamodb, cloudwatch, s3)."""
FREE = re.compile(
    r"AWS::(IAM::\w+|EC2::(LaunchTemplate|SecurityGroup(Ingress|Egress)?)|Lambda::(EventInvokeConfig|Permission)"
    r"|S3::BucketPolicy|SNS::(Subscription|TopicPolicy)|SQS::QueuePolicy|Events::Rule|Budgets::Budget"
    r"|SSM::Parameter|SecretsManager::ResourcePolicy|CloudFormation::\w+)"
)
"""What costs nothing by itself."""
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_HOURS = {"minute": Decimal(1) / 60, "hour": Decimal(1), "day": Decimal(24)}


@dataclass(frozen=True)
class IdleLine:
    """One kind of thing that is billed for being there."""

    what: str
    count: int
    usd: Decimal
    """A month, all of them."""


@dataclass(frozen=True)
class IdleCost:
    """The idle cost of one stack; `unknown` are resource types the table has no price for."""

    lines: tuple[IdleLine, ...] = ()
    by_use: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def usd(self) -> Decimal:
        """USD a month, to the cent."""
        return sum((line.usd for line in self.lines), Decimal(0)).quantize(Decimal("0.01"))


def idle_cost(template: Mapping[str, Any] | None, parameters: Mapping[str, str]) -> IdleCost:
    """What a stack of this template and parameters costs a month when nothing runs; None: no stack, no cost."""
    if template is None:
        return IdleCost()
    resources: Mapping[str, Mapping[str, Any]] = resolve_template(template, parameters)["Resources"]
    kinds = Counter(str(resource.get("Type")) for resource in resources.values())
    fixed = [
        IdleLine(FIXED[kind][0], count, FIXED[kind][1] * count)
        for kind, count in sorted(kinds.items())
        if kind in FIXED
    ]
    known = {*FIXED, *BY_USE}
    return IdleCost(
        lines=(*fixed, *_advanced_parameters(resources), *_schedules(resources)),
        by_use=tuple(BY_USE[kind] for kind in sorted(kinds) if kind in BY_USE),
        unknown=tuple(kind for kind in sorted(kinds) if kind not in known and not FREE.fullmatch(kind)),
    )


def _advanced_parameters(resources: Mapping[str, Mapping[str, Any]]) -> Iterator[IdleLine]:
    count = sum(
        resource.get("Type") == "AWS::SSM::Parameter" and resource.get("Properties", {}).get("Tier") == "Advanced"
        for resource in resources.values()
    )
    if count:
        yield IdleLine("advanced parameter", count, PARAMETER_ADVANCED * count)


def _schedules(resources: Mapping[str, Mapping[str, Any]]) -> Iterator[IdleLine]:
    """Functions that rules of the stack start by the clock."""
    for name, resource in sorted(resources.items()):
        properties = resource.get("Properties", {})
        rate = _RATE.fullmatch(str(properties.get("ScheduleExpression", "")))
        if resource.get("Type") != "AWS::Events::Rule" or properties.get("State") == "DISABLED" or rate is None:
            continue
        runs = round(HOURS_A_MONTH / (int(rate[1]) * _HOURS[rate[2]]))
        memory_gib = sum(
            Decimal(resources[target].get("Properties", {}).get("MemorySize", 128)) / 1024
            for target in _targets(properties)
            if target in resources
        )
        usd = runs * (INVOCATION + GIB_SECOND * memory_gib * IDLE_RUN_S)
        yield IdleLine(f"scheduled run ({name})", runs, usd)


def _targets(rule: Mapping[str, Any]) -> Iterator[str]:
    for target in rule.get("Targets", ()):
        arn = target.get("Arn", {})
        attribute = arn.get("Fn::GetAtt") if isinstance(arn, Mapping) else None
        if attribute:
            yield str(attribute[0] if isinstance(attribute, list) else attribute.partition(".")[0])
