"""AWS::SecretsManager::Secret. Its value is compared, never shown."""

from __future__ import annotations

from ncap_iac.local.cloudformation.provider import (
    Created,
    NameRule,
    Provider,
    TagRule,
    changed,
    chosen,
    present,
    tag_change,
    tag_list,
    tag_map,
)
from ncap_iac.local.cloudformation.values import Properties

_AWS_KEY = "alias/aws/secretsmanager"
"""The key of a secret that names none."""


class SecretProvider(Provider):
    """AWS::SecretsManager::Secret. Ref is its ARN. Deleted at once, as CloudFormation does, without a waiting time."""

    type = "AWS::SecretsManager::Secret"
    properties = frozenset({"Description", "KmsKeyId", "Name", "SecretString", "Tags"})
    create_only = frozenset({"Name"})
    attributes = frozenset({"Id"})
    name = NameRule("Name", 512)
    tags = TagRule()
    secret = frozenset({"SecretString"})

    def find(self, properties: Properties) -> str | None:
        """ARN of the secret of that name."""
        answer = present(lambda: self._client("secretsmanager").describe_secret(SecretId=properties["Name"]))
        return None if answer is None else str(answer["ARN"])

    def create(self, properties: Properties) -> Created:
        """CreateSecret."""
        settings = chosen(properties, "Description", "KmsKeyId", "Name", "SecretString")
        tags = tag_list(tag_map(properties.get("Tags")))
        arn = self._client("secretsmanager").create_secret(Tags=tags, **settings)["ARN"]
        return Created(arn, {"Id": arn}, properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """UpdateSecret and tags."""
        client = self._client("secretsmanager")
        if changed(previous, wanted, "Description", "KmsKeyId", "SecretString"):
            settings = {"Description": "", **chosen(wanted, "Description", "KmsKeyId", "SecretString")}
            if "KmsKeyId" in previous and "KmsKeyId" not in wanted:
                settings["KmsKeyId"] = _AWS_KEY
            client.update_secret(SecretId=physical_id, **settings)
        change = tag_change(previous, wanted)
        if change.remove:
            client.untag_resource(SecretId=physical_id, TagKeys=list(change.remove))
        if change.put:
            client.tag_resource(SecretId=physical_id, Tags=tag_list(change.put))
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteSecret without recovery."""
        client = self._client("secretsmanager")
        present(lambda: client.delete_secret(SecretId=physical_id, ForceDeleteWithoutRecovery=True))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """DescribeSecret, and the value if one is declared."""
        client = self._client("secretsmanager")
        answer = present(lambda: client.describe_secret(SecretId=physical_id))
        if answer is None:
            return None
        found = chosen(answer, "Name", "Description", "KmsKeyId", "Tags")
        if "SecretString" in wanted:
            value = present(lambda: client.get_secret_value(SecretId=physical_id))
            found["SecretString"] = value.get("SecretString") if value else None
        return found
