"""AWS::SQS::Queue and AWS::SQS::QueuePolicy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ncap_iac.local.cloudformation.provider import (
    Created,
    NameRule,
    Provider,
    TagRule,
    changed,
    present,
    tag_change,
    tag_map,
)
from ncap_iac.local.cloudformation.providers.shared_policies import SharedPolicyProvider
from ncap_iac.local.cloudformation.template import scalar_text
from ncap_iac.local.cloudformation.values import Properties

_DEFAULTS: Mapping[str, str] = {
    "DelaySeconds": "0",
    "KmsDataKeyReusePeriodSeconds": "300",
    "KmsMasterKeyId": "",
    "MaximumMessageSize": "262144",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "RedriveAllowPolicy": "",
    "RedrivePolicy": "",
    "SqsManagedSseEnabled": "true",
    "VisibilityTimeout": "30",
}
"""Queue attributes and what they return to when a template no longer names them (SQS's own defaults)."""
_FIFO = ("ContentBasedDeduplication", "DeduplicationScope", "FifoQueue", "FifoThroughputLimit")


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (dict, list)) else scalar_text(value)


class QueueProvider(Provider):
    """AWS::SQS::Queue. Ref is its URL."""

    type = "AWS::SQS::Queue"
    properties = frozenset({"QueueName", "Tags", *_DEFAULTS, *_FIFO})
    create_only = frozenset({"FifoQueue", "QueueName"})
    attributes = frozenset({"Arn", "QueueName", "QueueUrl"})
    name = NameRule("QueueName", 80)
    defaults = _DEFAULTS
    tags = TagRule()

    def find(self, properties: Properties) -> str | None:
        """URL of the queue of that name."""
        answer = present(lambda: self._client("sqs").get_queue_url(QueueName=properties["QueueName"]))
        return None if answer is None else str(answer["QueueUrl"])

    def create(self, properties: Properties) -> Created:
        """CreateQueue with every attribute."""
        client = self._client("sqs")
        settings = {name: _text(properties[name]) for name in (*_DEFAULTS, *_FIFO) if name in properties}
        url = client.create_queue(
            QueueName=properties["QueueName"], Attributes=settings, tags=tag_map(properties.get("Tags"))
        )["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return Created(url, {"Arn": arn, "QueueName": properties["QueueName"], "QueueUrl": url}, properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """SetQueueAttributes and tags."""
        client = self._client("sqs")
        settings = {
            name: _text(wanted[name]) if name in wanted else _DEFAULTS.get(name, "")
            for name in (*_DEFAULTS, *_FIFO)
            if name != "FifoQueue" and changed(previous, wanted, name)
        }
        if "KmsMasterKeyId" in wanted and "SqsManagedSseEnabled" not in wanted:
            # One kind of encryption ends the other; SQS itself does so, the local one has to be told.
            settings["SqsManagedSseEnabled"] = "false"
        if settings:
            client.set_queue_attributes(QueueUrl=physical_id, Attributes=settings)
        change = tag_change(previous, wanted)
        if change.remove:
            client.untag_queue(QueueUrl=physical_id, TagKeys=list(change.remove))
        if change.put:
            client.tag_queue(QueueUrl=physical_id, Tags=dict(change.put))
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteQueue."""
        present(lambda: self._client("sqs").delete_queue(QueueUrl=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetQueueAttributes and tags."""
        client = self._client("sqs")
        answer = present(lambda: client.get_queue_attributes(QueueUrl=physical_id, AttributeNames=["All"]))
        if answer is None:
            return None
        found: dict[str, Any] = dict(answer["Attributes"])
        for name in ("RedrivePolicy", "RedriveAllowPolicy"):
            if found.get(name):
                found[name] = json.loads(found[name])
        tags = client.list_queue_tags(QueueUrl=physical_id).get("Tags", {})
        found["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        found["QueueName"] = found["QueueArn"].rsplit(":", 1)[-1]
        return found


class QueuePolicyProvider(SharedPolicyProvider):
    """AWS::SQS::QueuePolicy: one policy for one or more queues; without it a queue has none."""

    type = "AWS::SQS::QueuePolicy"
    properties = frozenset({"PolicyDocument", "Queues"})
    required = properties
    owners = "Queues"
    id_prefix = "queue-policy"

    def put_policy(self, owner: str, policy: str) -> None:
        """SetQueueAttributes."""
        client = self._client("sqs")
        present(lambda: client.set_queue_attributes(QueueUrl=owner, Attributes={"Policy": policy}))

    def get_policy(self, owner: str) -> str | None:
        """GetQueueAttributes."""
        client = self._client("sqs")
        answer = present(lambda: client.get_queue_attributes(QueueUrl=owner, AttributeNames=["Policy"]))
        return answer.get("Attributes", {}).get("Policy") if answer else None

    def default_policy(self, owner: str) -> str:
        """None, which SQS writes as an empty text."""
        return ""
