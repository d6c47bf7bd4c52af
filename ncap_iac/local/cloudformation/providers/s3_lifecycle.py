"""Lifecycle rules between CloudFormation's shape and the S3 API's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SIZES = ("ObjectSizeGreaterThan", "ObjectSizeLessThan")
_SAME = ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")


def lifecycle_to_api(value: Mapping[str, Any]) -> dict[str, Any]:
    """LifecycleConfiguration as PutBucketLifecycleConfiguration takes it."""
    return {"Rules": [_rule_to_api(rule) for rule in value["Rules"]]}


def lifecycle_from_api(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What GetBucketLifecycleConfiguration says, as a property."""
    return {"Rules": [_rule_from_api(rule) for rule in answer["Rules"]]}


def _numbers(value: Any) -> Any:
    """Whole numbers given as text, as numbers."""
    if isinstance(value, Mapping):
        return {key: _numbers(item) for key, item in value.items()}
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _rule_to_api(rule: Mapping[str, Any]) -> dict[str, Any]:
    made = {name: _numbers(rule[name]) for name in _SAME if name in rule}
    if "Id" in rule:
        made["ID"] = rule["Id"]
    made["Filter"] = _filter_to_api(rule)
    expiration = {
        "Days": _numbers(rule.get("ExpirationInDays")),
        "Date": rule.get("ExpirationDate"),
        "ExpiredObjectDeleteMarker": rule.get("ExpiredObjectDeleteMarker"),
    }
    given = {name: item for name, item in expiration.items() if item is not None}
    if given:
        made["Expiration"] = given
    if "Transitions" in rule:
        made["Transitions"] = [_renamed(item, {"TransitionInDays": "Days"}) for item in rule["Transitions"]]
        for item in made["Transitions"]:
            if "TransitionDate" in item:
                item["Date"] = item.pop("TransitionDate")
    if "NoncurrentVersionTransitions" in rule:
        made["NoncurrentVersionTransitions"] = [
            _renamed(item, {"TransitionInDays": "NoncurrentDays"}) for item in rule["NoncurrentVersionTransitions"]
        ]
    if "NoncurrentVersionExpirationInDays" in rule:
        made["NoncurrentVersionExpiration"] = {"NoncurrentDays": _numbers(rule["NoncurrentVersionExpirationInDays"])}
    return made


def _renamed(item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): _numbers(value) for key, value in item.items()}


def _filter_to_api(rule: Mapping[str, Any]) -> dict[str, Any]:
    tags = list(rule.get("TagFilters", ()))
    parts: dict[str, Any] = {name: int(rule[name]) for name in _SIZES if name in rule}
    if "Prefix" in rule:
        parts["Prefix"] = rule["Prefix"]
    if len(parts) + len(tags) > 1:
        return {"And": {**parts, **({"Tags": tags} if tags else {})}}
    if tags:
        return {"Tag": tags[0]}
    return parts or {"Prefix": ""}


def _rule_from_api(rule: Mapping[str, Any]) -> dict[str, Any]:
    made = {name: rule[name] for name in _SAME if name in rule}
    made["Id"] = rule.get("ID")
    chosen = rule.get("Filter") or {}
    parts = chosen.get("And", chosen)
    made |= {name: parts[name] for name in ("Prefix", *_SIZES) if parts.get(name)}
    tags = parts.get("Tags") or ([chosen["Tag"]] if "Tag" in chosen else [])
    if tags:
        made["TagFilters"] = tags
    expiration = rule.get("Expiration", {})
    for own, api in (
        ("ExpirationInDays", "Days"),
        ("ExpirationDate", "Date"),
        ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker"),
    ):
        if api in expiration:
            value = expiration[api]
            made[own] = value.strftime("%Y-%m-%dT%H:%M:%SZ") if api == "Date" else value
    if "Transitions" in rule:
        names = {"Days": "TransitionInDays", "Date": "TransitionDate"}
        made["Transitions"] = [_renamed(item, names) for item in rule["Transitions"]]
    if "NoncurrentVersionTransitions" in rule:
        made["NoncurrentVersionTransitions"] = [
            _renamed(item, {"NoncurrentDays": "TransitionInDays"}) for item in rule["NoncurrentVersionTransitions"]
        ]
    if "NoncurrentDays" in made.get("NoncurrentVersionExpiration", {}):
        made["NoncurrentVersionExpirationInDays"] = made["NoncurrentVersionExpiration"]["NoncurrentDays"]
    return made
