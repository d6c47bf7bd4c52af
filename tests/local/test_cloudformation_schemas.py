"""What providers declare agrees with CloudFormation's own published schemas, as cfn-lint carries them."""

from __future__ import annotations

from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from ncap_iac.local.cloudformation.provider import Provider
from ncap_iac.local.cloudformation.providers import PROVIDERS

NAMES_THAT_REPLACE = {"AWS::DynamoDB::Table": {"KeySchema"}}
"""Changes that replace only in some cases by the schema, and always here."""
ASKED_FOR = {"AWS::Lambda::Function": {"Handler", "Runtime"}, "AWS::DynamoDB::Table": {"AttributeDefinitions"}}
ASKED_FOR |= {"AWS::CloudWatch::Alarm": {"ComparisonOperator", "EvaluationPeriods"}}
ASKED_FOR |= {"AWS::SNS::Subscription": {"Endpoint"}}
"""Required here although the schema allows forms without (functions from images, tables from imports)."""
OTHER_ATTRIBUTES = {
    "AWS::EC2::SecurityGroup": {"VpcId"},
    "AWS::SQS::Queue": {"QueueName"},
    "AWS::SNS::Topic": {"TopicName"},
    "AWS::SSM::Parameter": {"Type", "Value"},
}
"""Attributes that the schema lists as plain properties."""


def names(schema: dict[str, Any], member: str) -> set[str]:
    """Top-level names of a list of pointers."""
    return {pointer.removeprefix("/properties/") for pointer in schema.get(member, ())}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.type)
def test_a_provider_agrees_with_the_published_schema(provider: type[Provider]) -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", provider.type).schema
    kind = provider.type
    assert provider.properties <= set(schema["properties"])
    assert not provider.properties & names(schema, "readOnlyProperties")
    replacing = names(schema, "createOnlyProperties") & provider.properties
    assert provider.create_only == replacing | NAMES_THAT_REPLACE.get(kind, set())
    assert provider.required == set(schema.get("required", ())) | ASKED_FOR.get(kind, set())
    assert provider.attributes <= names(schema, "readOnlyProperties") | OTHER_ATTRIBUTES.get(kind, set())
    assert provider.changing <= provider.attributes
    assert set(provider.held) | set(provider.defaults) | provider.secret <= provider.properties
    if provider.tags is not None:
        assert provider.tags.property in provider.properties
    if provider.name is not None:
        assert provider.name.property in provider.create_only
