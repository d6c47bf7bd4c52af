"""Two templates -> what changes, resource by resource, and who may do more or less by it, in words.

Compares texts; it does not know what is really deployed, nor what a change costs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from ncap_compiler.document import Json
from ncap_compiler.permissions import Resources, permissions
from ncap_compiler.words import describe_statement

__all__ = ["CREATE_ONLY", "Change", "Verb", "compare_templates", "describe_statement"]


class Verb(Enum):
    """What happens to a resource."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that becomes different.

    `properties` are the names of the properties (and attributes such as `DeletionPolicy`) that differ; `replaces`
    says that CloudFormation makes another resource and removes this one; `keeps` that the removed one stays, outside
    any stack. `granted` and `revoked` are permissions in words.
    """

    resource: str
    type: str
    verb: Verb
    properties: tuple[str, ...] = ()
    replaces: bool = False
    keeps: bool = False
    granted: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()


CREATE_ONLY: dict[str, frozenset[str]] = {
    "AWS::Budgets::Budget": frozenset({"Budget/BudgetName", "NotificationsWithSubscribers"}),
    "AWS::CloudWatch::Alarm": frozenset({"AlarmName"}),
    "AWS::DynamoDB::Table": frozenset({"ImportSourceSpecification", "TableName"}),
    "AWS::EC2::LaunchTemplate": frozenset({"LaunchTemplateName"}),
    "AWS::EC2::SecurityGroup": frozenset({"GroupDescription", "GroupName", "VpcId"}),
    "AWS::Events::Rule": frozenset({"Name"}),
    "AWS::IAM::AccessKey": frozenset({"Serial", "UserName"}),
    "AWS::IAM::Group": frozenset({"GroupName"}),
    "AWS::IAM::InstanceProfile": frozenset({"InstanceProfileName", "Path"}),
    "AWS::IAM::ManagedPolicy": frozenset({"Description", "ManagedPolicyName", "Path"}),
    "AWS::IAM::Role": frozenset({"Path", "RoleName"}),
    "AWS::IAM::User": frozenset({"UserName"}),
    "AWS::IAM::UserToGroupAddition": frozenset(),
    "AWS::Lambda::EventInvokeConfig": frozenset({"FunctionName", "Qualifier"}),
    "AWS::Lambda::Function": frozenset({"FunctionName", "PackageType", "TenancyConfig"}),
    "AWS::Lambda::Permission": frozenset(
        {"Action", "EventSourceToken", "FunctionName", "FunctionUrlAuthType", "InvokedViaFunctionUrl"}
        | {"Principal", "PrincipalOrgID", "SourceAccount", "SourceArn"}
    ),
    "AWS::Logs::LogGroup": frozenset({"LogGroupName"}),
    "AWS::S3::Bucket": frozenset({"BucketName", "BucketNamePrefix", "BucketNamespace"}),
    "AWS::S3::BucketPolicy": frozenset({"Bucket"}),
    "AWS::SNS::Subscription": frozenset({"Endpoint", "Protocol", "TopicArn"}),
    "AWS::SNS::Topic": frozenset({"FifoTopic", "TopicName"}),
    "AWS::SNS::TopicPolicy": frozenset(),
    "AWS::SQS::Queue": frozenset({"FifoQueue", "QueueName"}),
    "AWS::SSM::Parameter": frozenset({"Name"}),
    "AWS::SecretsManager::Secret": frozenset({"Name"}),
}
"""Properties CloudFormation cannot change in place, for each type our stacks use; `/` goes into a property."""


def compare_templates(before: str | None, after: str | None) -> tuple[Change, ...]:
    """What becomes different from `before` to `after` (None: no stack), by logical id."""
    deployed, wanted = _resources(before), _resources(after)
    return tuple(
        change for name in sorted({*deployed, *wanted}) if (change := _change(name, deployed, wanted)) is not None
    )


def _resources(template: str | None) -> Resources:
    found: Json = json.loads(template).get("Resources", {}) if template else {}
    if not isinstance(found, dict):
        return {}
    return {name: resource for name, resource in found.items() if isinstance(resource, dict)}


def _change(name: str, deployed: Resources, wanted: Resources) -> Change | None:
    before, after = deployed.get(name), wanted.get(name)
    if before == after:
        return None
    had, has = permissions(name, deployed), permissions(name, wanted)
    granted = tuple(line for line in has if line not in had)
    revoked = tuple(line for line in had if line not in has)
    if before is None or after is None:
        present = after if after is not None else before or {}
        return Change(
            resource=name,
            type=str(present.get("Type")),
            verb=Verb.ADDED if before is None else Verb.REMOVED,
            keeps=before is not None and str(before.get("DeletionPolicy", "")).startswith("Retain"),
            granted=granted,
            revoked=revoked,
        )
    kind = str(after.get("Type"))
    properties = tuple(sorted({*_differing(_properties(before), _properties(after)), *_attributes(before, after)}))
    fixed = CREATE_ONLY.get(kind, frozenset())
    replaces = kind != before.get("Type") or any(_at(before, path) != _at(after, path) for path in fixed)
    keeps = replaces and before.get("UpdateReplacePolicy") == "Retain"
    return Change(name, kind, Verb.CHANGED, properties, replaces, keeps, granted, revoked)


def _properties(resource: Mapping[str, Json]) -> dict[str, Json]:
    found = resource.get("Properties")
    return found if isinstance(found, dict) else {}


def _at(resource: Mapping[str, Json], path: str) -> Json:
    found: Json = _properties(resource)
    for name in path.split("/"):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _differing(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[str]:
    return (name for name in {*before, *after} if before.get(name) != after.get(name))


def _attributes(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[str]:
    return (name for name in _differing(before, after) if name != "Properties")
