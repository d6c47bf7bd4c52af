"""AWS::ImageBuilder::Component, ImageRecipe, InfrastructureConfiguration, DistributionConfiguration, Image.

CloudFormation writes Image Builder's members with a capital, the service without; that is nearly all there is to it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from ncap_iac.local.cloudformation.provider import (
    Created,
    Provider,
    ResourceError,
    TagRule,
    present,
    tag_change,
    tag_map,
)
from ncap_iac.local.cloudformation.values import Properties

_POLL_S = 0.2
_LONGEST_S = 3600.0
_UNDER_WAY = ("PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING")
_PLAIN_MAPS = ("tags", "resourcetags", "amitags")
"""Members whose keys are the user's own."""
_BOOLEANS = {"true": True, "false": False}


def to_api(name: str, value: Any) -> Any:
    """A property's value as the service has it."""
    if isinstance(value, Mapping):
        if name.lower() in _PLAIN_MAPS:
            return {str(key): str(item) for key, item in value.items()}
        return {key[:1].lower() + key[1:]: to_api(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_api(name, item) for item in value]
    if name.lower() in ("volumesize", "iops", "throughput", "httpputresponsehoplimit", "timeoutminutes"):
        return int(value)
    return _BOOLEANS.get(value, value) if isinstance(value, str) else value


def from_api(name: str, value: Any) -> Any:
    """The service's value as a property has it."""
    if isinstance(value, Mapping):
        if name.lower() in _PLAIN_MAPS:
            return dict(value)
        return {key[:1].upper() + key[1:]: from_api(key, item) for key, item in value.items()}
    return [from_api(name, item) for item in value] if isinstance(value, list) else value


class ImageBuilderProvider(Provider):
    """What all types share; physical ids are ARNs."""

    tags = TagRule(form="map", reserved=False)
    exact = frozenset({"Tags"})
    ordered = frozenset({"Components"})
    operation: ClassVar[str]
    """Ending of its operations in boto3: `image_recipe`."""
    member: ClassVar[str]
    """Its name in answers."""
    named_by: ClassVar[str]
    """The member that holds its ARN in requests and in the answer of its creation."""

    def _call(self, verb: str, **parameters: Any) -> Any:
        return getattr(self._client("imagebuilder"), f"{verb}_{self.operation}")(**parameters)

    def _settings(self, properties: Properties) -> dict[str, Any]:
        found: dict[str, Any] = to_api("", properties)
        if "version" in found:
            found["semanticVersion"] = found.pop("version")
        return found

    def create(self, properties: Properties) -> Created:
        """Create…"""
        answer = self._call("create", clientToken=str(uuid.uuid4()), **self._settings(properties))
        arn = str(answer[self.named_by])
        return Created(arn, {"Arn": arn}, properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Update…, where the type has it; tags one by one."""
        before, after = ({key: it[key] for key in it if key != "Tags"} for it in (previous, wanted))
        if before != after:
            settings = {key: value for key, value in self._settings(after).items() if key != "name"}
            self._call("update", clientToken=str(uuid.uuid4()), **{self.named_by: physical_id}, **settings)
        change = tag_change(previous, wanted)
        client = self._client("imagebuilder")
        if change.remove:
            client.untag_resource(resourceArn=physical_id, tagKeys=list(change.remove))
        if change.put:
            client.tag_resource(resourceArn=physical_id, tags=dict(change.put))
        return {"Arn": physical_id}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Delete…"""
        present(lambda: self._call("delete", **{self.named_by: physical_id}))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """Get…"""
        answer = present(lambda: self._call("get", **{self.named_by: physical_id}))
        if answer is None:
            return None
        found: dict[str, Any] = from_api("", answer[self.member])
        return {**found, "Tags": tag_map(found.get("Tags"))}


class ComponentProvider(ImageBuilderProvider):
    """AWS::ImageBuilder::Component."""

    type = "AWS::ImageBuilder::Component"
    operation, member, named_by = "component", "component", "componentBuildVersionArn"
    create_only = frozenset({"Name", "Version", "Description", "Platform", "Data", "SupportedOsVersions"})
    properties = create_only | {"Tags"}
    required = frozenset({"Name", "Platform", "Version"})
    attributes = frozenset({"Arn"})
    write_only = frozenset({"Data"})


class ImageRecipeProvider(ImageBuilderProvider):
    """AWS::ImageBuilder::ImageRecipe."""

    type = "AWS::ImageBuilder::ImageRecipe"
    operation, member, named_by = "image_recipe", "imageRecipe", "imageRecipeArn"
    create_only = frozenset(
        {"Name", "Version", "Components", "ParentImage", "Description", "BlockDeviceMappings", "WorkingDirectory"}
    )
    properties = create_only | {"Tags"}
    required = frozenset({"Name", "Version", "ParentImage"})
    attributes = frozenset({"Arn"})


class InfrastructureConfigurationProvider(ImageBuilderProvider):
    """AWS::ImageBuilder::InfrastructureConfiguration."""

    type = "AWS::ImageBuilder::InfrastructureConfiguration"
    operation, member = "infrastructure_configuration", "infrastructureConfiguration"
    named_by = "infrastructureConfigurationArn"
    create_only = frozenset({"Name"})
    properties = frozenset(
        {"Name", "Description", "InstanceProfileName", "InstanceTypes", "SecurityGroupIds", "SubnetId"}
        | {"TerminateInstanceOnFailure", "InstanceMetadataOptions", "ResourceTags", "Tags"}
    )
    required = frozenset({"Name", "InstanceProfileName"})
    attributes = frozenset({"Arn"})


class DistributionConfigurationProvider(ImageBuilderProvider):
    """AWS::ImageBuilder::DistributionConfiguration."""

    type = "AWS::ImageBuilder::DistributionConfiguration"
    operation, member = "distribution_configuration", "distributionConfiguration"
    named_by = "distributionConfigurationArn"
    create_only = frozenset({"Name"})
    properties = frozenset({"Name", "Description", "Distributions", "Tags"})
    required = frozenset({"Name", "Distributions"})
    attributes = frozenset({"Arn"})


class ImageProvider(ImageBuilderProvider):
    """AWS::ImageBuilder::Image: made when it is available; its AMIs outlive it."""

    type = "AWS::ImageBuilder::Image"
    operation, member, named_by = "image", "image", "imageBuildVersionArn"
    create_only = frozenset(
        {"ImageRecipeArn", "InfrastructureConfigurationArn", "DistributionConfigurationArn"}
        | {"ImageTestsConfiguration", "EnhancedImageMetadataEnabled"}
    )
    properties = create_only | {"Tags"}
    attributes = frozenset({"Arn", "ImageId", "Name"})

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """Wait until it is available, then tags. Raises ResourceError with Image Builder's reason."""
        image = self._settle(physical_id)
        super().apply(physical_id, {"Tags": previous.get("Tags")}, {"Tags": wanted.get("Tags")})
        amis = image["outputResources"]["amis"]
        here = next((str(ami["image"]) for ami in amis if ami["region"] == self._place.region), "")
        return {"Arn": physical_id, "ImageId": here, "Name": str(image["name"])}

    def _settle(self, arn: str) -> Mapping[str, Any]:
        for _ in range(int(_LONGEST_S / _POLL_S)):
            image: Mapping[str, Any] = self._call("get", imageBuildVersionArn=arn)["image"]
            state = image["state"]
            if state["status"] == "AVAILABLE":
                return image
            if state["status"] not in _UNDER_WAY:
                raise ResourceError(f"the image is {state['status']}: {state.get('reason', 'no reason is given')}")
            self._surface.sleep(_POLL_S)
        raise ResourceError(f"the image was not available within {_LONGEST_S:.0f} s")

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """GetImage; what it was made from, by ARN."""
        found = super().read(physical_id, wanted)
        if found is None:
            return None
        parts = ("ImageRecipe", "InfrastructureConfiguration", "DistributionConfiguration")
        return {**found, **{f"{part}Arn": found[part]["Arn"] for part in parts if part in found}}
