"""AWS::SSM::Parameter, of type String or StringList."""

from __future__ import annotations

from typing import ClassVar

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

_SETTINGS = ("AllowedPattern", "DataType", "Description", "Tier", "Type", "Value")


class ParameterProvider(Provider):
    """AWS::SSM::Parameter."""

    type = "AWS::SSM::Parameter"
    properties = frozenset({"Name", "Tags", *_SETTINGS})
    required = frozenset({"Type", "Value"})
    create_only = frozenset({"Name"})
    attributes = frozenset({"Type", "Value"})
    changing = frozenset({"Type", "Value"})
    name = NameRule("Name", 512)
    defaults: ClassVar[Properties] = {"DataType": "text", "Tier": "Standard"}
    tags = TagRule(form="map")
    exact = frozenset({"Tags"})

    def find(self, properties: Properties) -> str | None:
        """The parameter of that name."""
        name = str(properties["Name"])
        return None if present(lambda: self._client("ssm").get_parameter(Name=name)) is None else name

    def create(self, properties: Properties) -> Created:
        """PutParameter; tags too."""
        settings = chosen(properties, "Name", *_SETTINGS)
        settings["Value"] = str(settings["Value"])
        self._client("ssm").put_parameter(Tags=tag_list(tag_map(properties.get("Tags"))), **settings)
        return Created(properties["Name"], chosen(settings, "Type", "Value"), properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """PutParameter again, tags one by one."""
        client = self._client("ssm")
        if changed(previous, wanted, *_SETTINGS):
            settings = {**chosen(wanted, *_SETTINGS), "Value": str(wanted["Value"])}
            settings.setdefault("Description", "")
            client.put_parameter(Name=physical_id, Overwrite=True, **settings)
        change = tag_change(previous, wanted)
        target = {"ResourceType": "Parameter", "ResourceId": physical_id}
        if change.remove:
            client.remove_tags_from_resource(**target, TagKeys=list(change.remove))
        if change.put:
            client.add_tags_to_resource(**target, Tags=tag_list(change.put))
        return {"Type": wanted["Type"], "Value": str(wanted["Value"])}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteParameter."""
        present(lambda: self._client("ssm").delete_parameter(Name=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetParameter, its description and tags."""
        client = self._client("ssm")
        answer = present(lambda: client.get_parameter(Name=physical_id))
        if answer is None:
            return None
        found = chosen(answer["Parameter"], "Name", "Type", "Value", "DataType")
        described = client.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": [physical_id]}])
        for item in described["Parameters"]:
            found |= chosen(item, "AllowedPattern", "Description", "Tier")
        tags = client.list_tags_for_resource(ResourceType="Parameter", ResourceId=physical_id)
        found["Tags"] = tag_map(tags["TagList"])
        return found
