"""Which tagged resources the cloud holds: asked of each service by its own listing calls. Filters nothing.

IAM's users, roles and groups are not among them, as on AWS; nor are its policies and instance profiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

Client = Any
_GONE = ("notfound", "nosuch", "nonexistent", "notexist")
"""Parts of the error codes that say a resource went away, or has no tags, between the listing and the question."""


@dataclass(frozen=True)
class Place:
    """Where the resources are."""

    region: str
    account_id: str

    def arn(self, service: str, rest: str) -> str:
        """An ARN of this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{rest}"


@dataclass(frozen=True)
class TaggedResource:
    """One resource that has tags."""

    arn: str
    type: str
    """As ResourceTypeFilters names it: `s3:bucket`."""
    tags: Mapping[str, str]


@dataclass(frozen=True)
class _Question:
    """How to ask for one resource's tags."""

    call: Callable[..., Any]
    parameters: Mapping[str, Any]
    member: str
    """Where they are in the answer."""


Found = Iterator[tuple[str, _Question]]
"""ARN and question, of each resource of one type."""


def _pages(client: Client, operation: str, member: str) -> Iterator[Any]:
    for page in client.get_paginator(operation).paginate():
        yield from page.get(member, ())


def _buckets(s3: Client, _: Place) -> Found:
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        yield f"arn:aws:s3:::{name}", _Question(s3.get_bucket_tagging, {"Bucket": name}, "TagSet")


def _tables(dynamodb: Client, place: Place) -> Found:
    for name in _pages(dynamodb, "list_tables", "TableNames"):
        arn = place.arn("dynamodb", f"table/{name}")
        yield arn, _Question(dynamodb.list_tags_of_resource, {"ResourceArn": arn}, "Tags")


def _functions(functions: Client, _: Place) -> Found:
    for item in _pages(functions, "list_functions", "Functions"):
        arn = item["FunctionArn"]
        yield arn, _Question(functions.list_tags, {"Resource": arn}, "Tags")


def _log_groups(logs: Client, _: Place) -> Found:
    for item in _pages(logs, "describe_log_groups", "logGroups"):
        arn = item["arn"].removesuffix(":*")
        yield arn, _Question(logs.list_tags_for_resource, {"resourceArn": arn}, "tags")


def _queues(sqs: Client, place: Place) -> Found:
    for url in _pages(sqs, "list_queues", "QueueUrls"):
        arn = place.arn("sqs", url.rpartition("/")[2])
        yield arn, _Question(sqs.list_queue_tags, {"QueueUrl": url}, "Tags")


def _topics(sns: Client, _: Place) -> Found:
    for item in _pages(sns, "list_topics", "Topics"):
        arn = item["TopicArn"]
        yield arn, _Question(sns.list_tags_for_resource, {"ResourceArn": arn}, "Tags")


def _parameters(ssm: Client, place: Place) -> Found:
    for item in _pages(ssm, "describe_parameters", "Parameters"):
        name = item["Name"]
        arn = place.arn("ssm", f"parameter/{name.removeprefix('/')}")
        asked = {"ResourceType": "Parameter", "ResourceId": name}
        yield arn, _Question(ssm.list_tags_for_resource, asked, "TagList")


def _secrets(secrets: Client, _: Place) -> Found:
    for item in _pages(secrets, "list_secrets", "SecretList"):
        yield item["ARN"], _Question(dict, item, "Tags")


def _rules(events: Client, _: Place) -> Found:
    for item in _pages(events, "list_rules", "Rules"):
        arn = item["Arn"]
        yield arn, _Question(events.list_tags_for_resource, {"ResourceARN": arn}, "Tags")


def _alarms(cloudwatch: Client, _: Place) -> Found:
    for item in _pages(cloudwatch, "describe_alarms", "MetricAlarms"):
        arn = item["AlarmArn"]
        yield arn, _Question(cloudwatch.list_tags_for_resource, {"ResourceARN": arn}, "Tags")


def _keys(kms: Client, _: Place) -> Found:
    for item in _pages(kms, "list_keys", "Keys"):
        key = item["KeyId"]
        yield item["KeyArn"], _Question(kms.list_resource_tags, {"KeyId": key}, "Tags")


_SOURCES: Mapping[str, tuple[str, Callable[[Client, Place], Found]]] = {
    "cloudwatch:alarm": ("cloudwatch", _alarms),
    "dynamodb:table": ("dynamodb", _tables),
    "events:rule": ("events", _rules),
    "kms:key": ("kms", _keys),
    "lambda:function": ("lambda", _functions),
    "logs:log-group": ("logs", _log_groups),
    "s3:bucket": ("s3", _buckets),
    "secretsmanager:secret": ("secretsmanager", _secrets),
    "sns:topic": ("sns", _topics),
    "sqs:queue": ("sqs", _queues),
    "ssm:parameter": ("ssm", _parameters),
}
"""By type: boto3's client and what lists its resources. EC2's tags come in one answer."""


def tagged_resources(
    client: Callable[[str], Client], place: Place, *, wanted: Callable[[str], bool]
) -> Iterator[TaggedResource]:
    """Every resource with tags whose type (`s3:bucket`, `ec2:instance`) is wanted, in no order."""
    for kind, (service, find) in _SOURCES.items():
        if not wanted(kind):
            continue
        for arn, question in find(client(service), place):
            tags = _tags(question)
            if tags:
                yield TaggedResource(arn, kind, tags)
    yield from _of_ec2(client("ec2"), place, wanted)


def _of_ec2(ec2: Client, place: Place, wanted: Callable[[str], bool]) -> Iterator[TaggedResource]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for item in _pages(ec2, "describe_tags", "Tags"):
        tags = found.setdefault((item["ResourceType"], item["ResourceId"]), {})
        tags[item["Key"]] = item["Value"]
    for (kind, name), tags in found.items():
        if wanted(f"ec2:{kind}"):
            account = "" if kind == "image" else place.account_id
            yield TaggedResource(f"arn:aws:ec2:{place.region}:{account}:{kind}/{name}", f"ec2:{kind}", tags)


def _tags(question: _Question) -> dict[str, str]:
    """Tags of either form; none of what is gone meanwhile."""
    try:
        tags = question.call(**question.parameters).get(question.member, ())
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "")).lower()
        if any(word in code for word in _GONE):
            return {}
        raise
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}
    names = ("Key", "Value") if not tags or "Key" in tags[0] else ("TagKey", "TagValue")
    return {str(tag[names[0]]): str(tag[names[1]]) for tag in tags}
