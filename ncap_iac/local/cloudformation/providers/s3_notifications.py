"""A bucket's notifications between CloudFormation's shape and the S3 API's, and the check S3 makes of targets.

S3 refuses a function that does not let it in; the base behind the local cloud does not, so it is checked here.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from typing import Any

from ncap_iac.local.cloudformation.provider import Client, ResourceError, present

_KINDS = (
    ("LambdaConfigurations", "Function", "LambdaFunctionConfigurations", "LambdaFunctionArn"),
    ("QueueConfigurations", "Queue", "QueueConfigurations", "QueueArn"),
    ("TopicConfigurations", "Topic", "TopicConfigurations", "TopicArn"),
)
"""CloudFormation's list and target member, the API's list and target member."""


def notifications_to_api(value: Mapping[str, Any]) -> dict[str, Any]:
    """NotificationConfiguration as PutBucketNotificationConfiguration takes it."""
    made: dict[str, Any] = {}
    for own_list, own_target, api_list, api_target in _KINDS:
        if own_list in value:
            made[api_list] = [_entry_to_api(item, own_target, api_target) for item in value[own_list]]
    bridge = value.get("EventBridgeConfiguration")
    if bridge is not None and str(bridge.get("EventBridgeEnabled", True)).lower() == "true":
        made["EventBridgeConfiguration"] = {}
    return made


def _entry_to_api(item: Mapping[str, Any], own_target: str, api_target: str) -> dict[str, Any]:
    made: dict[str, Any] = {api_target: item[own_target], "Events": [item["Event"]]}
    rules = item.get("Filter", {}).get("S3Key", {}).get("Rules")
    if rules:
        made["Filter"] = {"Key": {"FilterRules": list(rules)}}
    return made


def notifications_from_api(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """What GetBucketNotificationConfiguration says, as a property; None if there is nothing."""
    made: dict[str, Any] = {}
    for own_list, own_target, api_list, api_target in _KINDS:
        entries = [
            _entry_from_api(item, event, (own_target, api_target))
            for item in answer.get(api_list, ())
            for event in item["Events"]
        ]
        if entries:
            made[own_list] = entries
    if answer.get("EventBridgeConfiguration") is not None:
        made["EventBridgeConfiguration"] = {"EventBridgeEnabled": True}
    return made or None


def _entry_from_api(item: Mapping[str, Any], event: str, targets: tuple[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {targets[0]: item[targets[1]], "Event": event}
    rules = item.get("Filter", {}).get("Key", {}).get("FilterRules")
    if rules:
        made["Filter"] = {"S3Key": {"Rules": [{"Name": r["Name"].lower(), "Value": r["Value"]} for r in rules]}}
    return made


def check_destinations(functions: Client, bucket: str, value: Mapping[str, Any]) -> None:
    """Raises ResourceError for a function that S3 may not invoke for this bucket."""
    for item in value.get("LambdaConfigurations", ()):
        arn = item["Function"]
        answer = present(lambda arn=arn: functions.get_policy(FunctionName=arn))  # type: ignore[misc]
        statements = json.loads(answer["Policy"])["Statement"] if answer else []
        if not any(_lets_in(statement, f"arn:aws:s3:::{bucket}") for statement in statements):
            raise ResourceError(
                "Unable to validate the following destination configurations: "
                f"{arn} has no permission that lets s3.amazonaws.com invoke it for bucket {bucket}. "
                "Add an AWS::Lambda::Permission and make the bucket depend on it."
            )


def _lets_in(statement: Mapping[str, Any], bucket_arn: str) -> bool:
    principal = statement.get("Principal")
    service = principal.get("Service") if isinstance(principal, Mapping) else principal
    if service not in ("s3.amazonaws.com", "*") or statement.get("Effect") != "Allow":
        return False
    condition = statement.get("Condition", {})
    sources = [
        value for operator in condition.values() for key, value in operator.items() if key.lower() == "aws:sourcearn"
    ]
    return all(fnmatch.fnmatchcase(bucket_arn, source) for source in sources)
