"""AWS::SNS::Topic, AWS::SNS::TopicPolicy and AWS::SNS::Subscription."""

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
    tag_list,
    tag_map,
)
from ncap_iac.local.cloudformation.providers.shared_policies import SharedPolicyProvider
from ncap_iac.local.cloudformation.template import scalar_text
from ncap_iac.local.cloudformation.values import Properties

_TOPIC_DEFAULTS: Mapping[str, str] = {
    "ContentBasedDeduplication": "false",
    "DisplayName": "",
    "KmsMasterKeyId": "",
    "SignatureVersion": "1",
    "TracingConfig": "PassThrough",
}
_SUBSCRIPTION_DEFAULTS: Mapping[str, str] = {
    "DeliveryPolicy": "",
    "FilterPolicy": "",
    "FilterPolicyScope": "MessageAttributes",
    "RawMessageDelivery": "false",
    "RedrivePolicy": "",
    "SubscriptionRoleArn": "",
}


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (dict, list)) else scalar_text(value)


class TopicProvider(Provider):
    """AWS::SNS::Topic. Ref is its ARN."""

    type = "AWS::SNS::Topic"
    properties = frozenset({"FifoTopic", "Subscription", "Tags", "TopicName", *_TOPIC_DEFAULTS})
    create_only = frozenset({"FifoTopic", "TopicName"})
    attributes = frozenset({"TopicArn", "TopicName"})
    name = NameRule("TopicName", 256)
    defaults = _TOPIC_DEFAULTS
    tags = TagRule()

    def find(self, properties: Properties) -> str | None:
        """ARN of the topic of that name."""
        place = self._place
        arn = f"arn:{place.partition}:sns:{place.region}:{place.account_id}:{properties['TopicName']}"
        return None if present(lambda: self._client("sns").get_topic_attributes(TopicArn=arn)) is None else arn

    def create(self, properties: Properties) -> Created:
        """CreateTopic; subscriptions follow."""
        settings = {name: _text(properties[name]) for name in (*_TOPIC_DEFAULTS, "FifoTopic") if name in properties}
        arn = self._client("sns").create_topic(
            Name=properties["TopicName"], Attributes=settings, Tags=tag_list(tag_map(properties.get("Tags")))
        )["TopicArn"]
        applied = {name: value for name, value in properties.items() if name != "Subscription"}
        return Created(arn, {"TopicArn": arn, "TopicName": properties["TopicName"]}, applied)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Attributes, subscriptions, tags."""
        client = self._client("sns")
        for name, default in _TOPIC_DEFAULTS.items():
            if changed(previous, wanted, name):
                value = _text(wanted.get(name, default))
                client.set_topic_attributes(TopicArn=physical_id, AttributeName=name, AttributeValue=value)
        had, wants = previous.get("Subscription", []), wanted.get("Subscription", [])
        for item in wants:
            if item not in had:
                client.subscribe(TopicArn=physical_id, Protocol=item["Protocol"], Endpoint=item["Endpoint"])
        for item in had:
            if item not in wants:
                self._unsubscribe(physical_id, item)
        change = tag_change(previous, wanted)
        if change.remove:
            client.untag_resource(ResourceArn=physical_id, TagKeys=list(change.remove))
        if change.put:
            client.tag_resource(ResourceArn=physical_id, Tags=tag_list(change.put))
        return {}

    def _unsubscribe(self, arn: str, item: Mapping[str, Any]) -> None:
        for found in self._client("sns").list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]:
            if (found["Protocol"], found["Endpoint"]) == (item["Protocol"], item["Endpoint"]):
                self._client("sns").unsubscribe(SubscriptionArn=found["SubscriptionArn"])

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteTopic; its subscriptions go with it."""
        present(lambda: self._client("sns").delete_topic(TopicArn=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetTopicAttributes, subscriptions and tags."""
        client = self._client("sns")
        answer = present(lambda: client.get_topic_attributes(TopicArn=physical_id))
        if answer is None:
            return None
        attributes = answer["Attributes"]
        found: dict[str, Any] = {name: attributes.get(name) for name in (*_TOPIC_DEFAULTS, "FifoTopic")}
        found["TopicName"] = physical_id.rsplit(":", 1)[-1]
        found["Tags"] = client.list_tags_for_resource(ResourceArn=physical_id)["Tags"]
        if "Subscription" in wanted:
            known = client.list_subscriptions_by_topic(TopicArn=physical_id)["Subscriptions"]
            pairs = [{"Protocol": item["Protocol"], "Endpoint": item["Endpoint"]} for item in known]
            found["Subscription"] = [item for item in wanted["Subscription"] if item in pairs]
        return found


class TopicPolicyProvider(SharedPolicyProvider):
    """AWS::SNS::TopicPolicy: one policy for one or more topics; without it a topic has SNS's default policy."""

    type = "AWS::SNS::TopicPolicy"
    properties = frozenset({"PolicyDocument", "Topics"})
    required = properties
    owners = "Topics"
    id_prefix = "topic-policy"

    def put_policy(self, owner: str, policy: str) -> None:
        """SetTopicAttributes."""
        client = self._client("sns")
        present(lambda: client.set_topic_attributes(TopicArn=owner, AttributeName="Policy", AttributeValue=policy))

    def get_policy(self, owner: str) -> str | None:
        """GetTopicAttributes."""
        answer = present(lambda: self._client("sns").get_topic_attributes(TopicArn=owner))
        return None if answer is None else str(answer["Attributes"]["Policy"])

    def default_policy(self, owner: str) -> str:
        """The policy SNS gives a topic: the account may do everything."""
        actions = ("AddPermission", "DeleteTopic", "GetTopicAttributes", "ListSubscriptionsByTopic", "Publish")
        more = ("RemovePermission", "SetTopicAttributes", "Subscribe")
        statement = {
            "Sid": "__default_statement_ID",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": [f"SNS:{name}" for name in (*actions, *more)],
            "Resource": owner,
            "Condition": {"StringEquals": {"AWS:SourceOwner": self._place.account_id}},
        }
        return json.dumps({"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]})


class SubscriptionProvider(Provider):
    """AWS::SNS::Subscription. Ref is its ARN."""

    type = "AWS::SNS::Subscription"
    properties = frozenset({"Endpoint", "Protocol", "TopicArn", *_SUBSCRIPTION_DEFAULTS})
    required = frozenset({"Endpoint", "Protocol", "TopicArn"})
    create_only = frozenset({"Endpoint", "Protocol", "TopicArn"})
    attributes = frozenset({"Arn"})
    defaults = _SUBSCRIPTION_DEFAULTS
    exact = frozenset({"FilterPolicy"})

    def find(self, properties: Properties) -> str | None:
        """The subscription of the same endpoint to the same topic."""
        topic = properties["TopicArn"]
        answer = present(lambda: self._client("sns").list_subscriptions_by_topic(TopicArn=topic))
        for found in answer["Subscriptions"] if answer else ():
            if (found["Protocol"], found["Endpoint"]) == (properties["Protocol"], properties["Endpoint"]):
                return str(found["SubscriptionArn"])
        return None

    def create(self, properties: Properties) -> Created:
        """Subscribe with every attribute."""
        settings = {name: _text(properties[name]) for name in _SUBSCRIPTION_DEFAULTS if name in properties}
        arn = self._client("sns").subscribe(
            TopicArn=properties["TopicArn"],
            Protocol=properties["Protocol"],
            Endpoint=properties["Endpoint"],
            Attributes=settings,
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        return Created(arn, {"Arn": arn}, properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """SetSubscriptionAttributes."""
        client = self._client("sns")
        for name, default in _SUBSCRIPTION_DEFAULTS.items():
            if changed(previous, wanted, name):
                value = _text(wanted.get(name, default))
                client.set_subscription_attributes(
                    SubscriptionArn=physical_id, AttributeName=name, AttributeValue=value
                )
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Unsubscribe."""
        present(lambda: self._client("sns").unsubscribe(SubscriptionArn=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetSubscriptionAttributes."""
        answer = present(lambda: self._client("sns").get_subscription_attributes(SubscriptionArn=physical_id))
        return None if answer is None else dict(answer["Attributes"])
