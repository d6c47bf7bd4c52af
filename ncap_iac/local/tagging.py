"""Resource Groups Tagging API of the local cloud: find resources by tag, whatever service they are of.

Reads only; tags are set through each service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ncap_iac.local.service import Call, Permission, ServiceError, Surroundings
from ncap_iac.local.tagged_resources import Place, TaggedResource, tagged_resources

Shape = dict[str, Any]
Request = Mapping[str, Any]

_PAGE = 50
_MOST = 100
"""Resources of one answer, by default and at most (GetResources, API reference)."""
_NEUTRAL = {"IncludeComplianceDetails": (False,), "ExcludeCompliantResources": (False,), "TagsPerPage": ()}
"""Parameters the local cloud does not support, with the values that ask for nothing."""


class TaggingService:
    """GetResources, GetTagKeys and GetTagValues."""

    name = "resourcegroupstaggingapi"

    def __init__(self, surroundings: Surroundings) -> None:
        self._client = surroundings.client
        self._place = Place(surroundings.region, surroundings.account_id)
        self._operations: Mapping[str, Callable[[Request], Shape]] = {
            "GetResources": self._resources,
            "GetTagKeys": self._keys,
            "GetTagValues": self._values,
        }

    def start(self) -> None:
        """Nothing to take up."""

    def stop(self) -> None:
        """Nothing to end."""

    def permissions(self, call: Call) -> Sequence[Permission]:
        """`tag:GetResources` and the like; they have no resources of their own."""
        return [Permission(f"tag:{call.operation}", "*")]

    def perform(self, call: Call) -> Mapping[str, Any]:
        """Answer one call. Raises ServiceError."""
        operation = self._operations.get(call.operation)
        if operation is None:
            message = f"The local cloud does not support {call.operation}: set tags through the resource's service."
            raise ServiceError("UnsupportedOperation", message)
        for name, harmless in _NEUTRAL.items():
            if name in call.parameters and call.parameters[name] not in harmless:
                raise ServiceError("UnsupportedOperation", f"The local cloud does not support {name}. Leave it out.")
        return operation(call.parameters)

    def _resources(self, asked: Request) -> Shape:
        arns = asked.get("ResourceARNList") or ()
        if arns and (asked.get("TagFilters") or asked.get("ResourceTypeFilters")):
            raise _invalid("ResourceARNList cannot be combined with TagFilters or ResourceTypeFilters")
        types = asked.get("ResourceTypeFilters") or ()
        found = [
            resource
            for resource in self._all(lambda kind: not types or any(_is_of(kind, given) for given in types))
            if _has(resource, asked.get("TagFilters") or ()) and (not arns or resource.arn in arns)
        ]
        page, token = _page(sorted(found, key=lambda resource: resource.arn), asked)
        shown = [
            {
                "ResourceARN": resource.arn,
                "Tags": [{"Key": key, "Value": value} for key, value in sorted(resource.tags.items())],
            }
            for resource in page
        ]
        return {"PaginationToken": token, "ResourceTagMappingList": shown}

    def _keys(self, asked: Request) -> Shape:
        keys = {key for resource in self._all(lambda _: True) for key in resource.tags}
        return {"PaginationToken": "", "TagKeys": sorted(keys)}

    def _values(self, asked: Request) -> Shape:
        key = asked["Key"]
        values = {resource.tags[key] for resource in self._all(lambda _: True) if key in resource.tags}
        return {"PaginationToken": "", "TagValues": sorted(values)}

    def _all(self, wanted: Callable[[str], bool]) -> list[TaggedResource]:
        return list(tagged_resources(self._client, self._place, wanted=wanted))


def _is_of(kind: str, given: str) -> bool:
    return given in (kind, kind.partition(":")[0])


def _has(resource: TaggedResource, filters: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every filter's key is there, with one of its values if it names any."""
    return all(
        item["Key"] in resource.tags and (not item.get("Values") or resource.tags[item["Key"]] in item["Values"])
        for item in filters
    )


def _page(resources: list[TaggedResource], asked: Request) -> tuple[list[TaggedResource], str]:
    """One page and the token of the next, which is the last ARN of this one; no token at the end."""
    size = int(asked.get("ResourcesPerPage", _PAGE))
    if not 1 <= size <= _MOST:
        raise _invalid(f"ResourcesPerPage must be from 1 to {_MOST}")
    token = str(asked.get("PaginationToken", ""))
    left = [resource for resource in resources if resource.arn > token]
    return left[:size], left[size - 1].arn if len(left) > size else ""


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterException", message)
