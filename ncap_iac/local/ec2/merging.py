"""How a launch template and a RunInstances request become one request (LaunchTemplate in the EC2 user guide). Pure.

What the request says wins; tags, metadata options and volumes are merged piece by piece, as EC2 does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ncap_iac.local.ec2.model import LaunchTemplate, TemplateVersion
from ncap_iac.local.ec2.requests import Parameters
from ncap_iac.local.service import ServiceError

GROUP_PARAMETERS = ("SecurityGroupIds", "SecurityGroups")


@dataclass(frozen=True)
class Merged:
    """A request with its template filled in."""

    parameters: Mapping[str, Any]
    from_template: frozenset[str]
    """Parameters that stand in the template and not in the request (`ec2:IsLaunchTemplateResource`)."""


def find_version(template: LaunchTemplate, version: str | None) -> TemplateVersion:
    """The version of a number, `$Latest` or `$Default`. Raises InvalidLaunchTemplateId.VersionNotFound."""
    wanted = {"$Latest": template.latest_version, "$Default": template.default_version, None: template.default_version}
    text = str(version) if version not in (None, "") else None
    number = wanted.get(text) if text in wanted else (int(text) if text and text.isdigit() else None)
    for candidate in template.versions:
        if candidate.number == number:
            return candidate
    raise ServiceError(
        "InvalidLaunchTemplateId.VersionNotFound",
        f"Could not find launch template version {version} of {template.template_id}: it is one of $Latest, $Default, "
        + ", ".join(str(candidate.number) for candidate in template.versions),
    )


def merge(data: Parameters, request: Parameters) -> Merged:
    """`request` over the template's `data`."""
    own = {name: value for name, value in request.items() if value not in (None, "", [], {})}
    base = dict(data)
    if any(name in own for name in GROUP_PARAMETERS):
        for name in GROUP_PARAMETERS:
            base.pop(name, None)
    merged = {**base, **own}
    if "MetadataOptions" in base and "MetadataOptions" in own:
        merged["MetadataOptions"] = {**base["MetadataOptions"], **own["MetadataOptions"]}
    if "BlockDeviceMappings" in base and "BlockDeviceMappings" in own:
        merged["BlockDeviceMappings"] = _by_key(base, own, "BlockDeviceMappings", "DeviceName")
    if "TagSpecifications" in base and "TagSpecifications" in own:
        merged["TagSpecifications"] = _merge_tags(base["TagSpecifications"], own["TagSpecifications"])
    return Merged(merged, frozenset(base) - frozenset(own))


def _by_key(base: Parameters, own: Parameters, name: str, key: str) -> list[Mapping[str, Any]]:
    return list({item.get(key): item for item in (*base[name], *own[name])}.values())


def _merge_tags(base: list[Parameters], own: list[Parameters]) -> list[dict[str, Any]]:
    """A resource type of both has the tags of both; of one key the request's."""
    kinds = dict.fromkeys(specification.get("ResourceType") for specification in (*base, *own))
    merged = []
    for kind in kinds:
        below = {tag["Key"]: tag for part in base if part.get("ResourceType") == kind for tag in part.get("Tags") or ()}
        above = [tag for part in own if part.get("ResourceType") == kind for tag in part.get("Tags") or ()]
        named = {tag.get("Key") for tag in above}
        merged.append(
            {"ResourceType": kind, "Tags": [*(tag for key, tag in below.items() if key not in named), *above]}
        )
    return merged
