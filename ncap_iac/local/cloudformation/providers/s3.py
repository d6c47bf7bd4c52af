"""AWS::S3::Bucket and AWS::S3::BucketPolicy: each property is one bucket setting with its own put, get and delete."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ncap_iac.local.cloudformation.provider import (
    Client,
    Created,
    NameRule,
    Provider,
    TagRule,
    changed,
    present,
    tag_list,
    tag_map,
)
from ncap_iac.local.cloudformation.providers.s3_lifecycle import lifecycle_from_api, lifecycle_to_api
from ncap_iac.local.cloudformation.providers.s3_notifications import (
    check_destinations,
    notifications_from_api,
    notifications_to_api,
)
from ncap_iac.local.cloudformation.values import Properties

Call = Callable[[Client, str], Any]


@dataclass(frozen=True)
class _Setting:
    """How one property is written, taken back and read."""

    put: Callable[[Client, str, Any], Any]
    clear: Call
    read: Call
    """The property's value in CloudFormation's shape, None if it is not set."""


def _encryption_to_api(value: Mapping[str, Any]) -> dict[str, Any]:
    rules = []
    for rule in value["ServerSideEncryptionConfiguration"]:
        entry = {key: item for key, item in rule.items() if key != "ServerSideEncryptionByDefault"}
        if "ServerSideEncryptionByDefault" in rule:
            entry["ApplyServerSideEncryptionByDefault"] = rule["ServerSideEncryptionByDefault"]
        rules.append(entry)
    return {"Rules": rules}


def _encryption_from_api(answer: Mapping[str, Any]) -> dict[str, Any]:
    rules = []
    for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]:
        entry = {key: item for key, item in rule.items() if key != "ApplyServerSideEncryptionByDefault"}
        entry["ServerSideEncryptionByDefault"] = rule.get("ApplyServerSideEncryptionByDefault")
        rules.append(entry)
    return {"ServerSideEncryptionConfiguration": rules}


_CORS_NAMES = {"ExposedHeaders": "ExposeHeaders", "MaxAge": "MaxAgeSeconds", "Id": "ID"}
_CORS_BACK = {api: own for own, api in _CORS_NAMES.items()}


def _cors_to_api(value: Mapping[str, Any]) -> dict[str, Any]:
    rules = [{_CORS_NAMES.get(key, key): item for key, item in rule.items()} for rule in value["CorsRules"]]
    for rule in rules:
        if "MaxAgeSeconds" in rule:
            rule["MaxAgeSeconds"] = int(rule["MaxAgeSeconds"])
    return {"CORSRules": rules}


def _cors_from_api(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"CorsRules": [{_CORS_BACK.get(key, key): item for key, item in r.items()} for r in answer["CORSRules"]]}


def _logging_to_api(value: Mapping[str, Any]) -> dict[str, Any]:
    target = {"TargetBucket": value["DestinationBucketName"], "TargetPrefix": value.get("LogFilePrefix", "")}
    return {"LoggingEnabled": target}


def _logging_from_api(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    enabled = answer.get("LoggingEnabled")
    if not enabled:
        return None
    return {"DestinationBucketName": enabled["TargetBucket"], "LogFilePrefix": enabled.get("TargetPrefix")}


def _got(call: Callable[[Client], Callable[..., Any]], turn: Callable[[Any], Any]) -> Call:
    def read(client: Client, bucket: str) -> Any:
        answer = present(lambda: call(client)(Bucket=bucket))
        return None if answer is None else turn(answer)

    return read


def _truths(value: Mapping[str, Any]) -> dict[str, bool]:
    return {key: str(item).lower() == "true" for key, item in value.items()}


_SETTINGS: Mapping[str, _Setting] = {
    "BucketEncryption": _Setting(
        lambda s3, bucket, value: s3.put_bucket_encryption(
            Bucket=bucket, ServerSideEncryptionConfiguration=_encryption_to_api(value)
        ),
        lambda s3, bucket: s3.delete_bucket_encryption(Bucket=bucket),
        _got(lambda s3: s3.get_bucket_encryption, _encryption_from_api),
    ),
    "VersioningConfiguration": _Setting(
        lambda s3, bucket, value: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=dict(value)),
        lambda s3, bucket: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}),
        _got(lambda s3: s3.get_bucket_versioning, lambda answer: {"Status": answer.get("Status")}),
    ),
    "PublicAccessBlockConfiguration": _Setting(
        lambda s3, bucket, value: s3.put_public_access_block(
            Bucket=bucket, PublicAccessBlockConfiguration=_truths(value)
        ),
        lambda s3, bucket: s3.delete_public_access_block(Bucket=bucket),
        _got(lambda s3: s3.get_public_access_block, lambda answer: answer["PublicAccessBlockConfiguration"]),
    ),
    "OwnershipControls": _Setting(
        lambda s3, bucket, value: s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=dict(value)),
        lambda s3, bucket: s3.delete_bucket_ownership_controls(Bucket=bucket),
        _got(lambda s3: s3.get_bucket_ownership_controls, lambda answer: answer["OwnershipControls"]),
    ),
    "LifecycleConfiguration": _Setting(
        lambda s3, bucket, value: s3.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration=lifecycle_to_api(value)
        ),
        lambda s3, bucket: s3.delete_bucket_lifecycle(Bucket=bucket),
        _got(lambda s3: s3.get_bucket_lifecycle_configuration, lifecycle_from_api),
    ),
    "NotificationConfiguration": _Setting(
        lambda s3, bucket, value: s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=notifications_to_api(value)
        ),
        lambda s3, bucket: s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={}),
        _got(lambda s3: s3.get_bucket_notification_configuration, notifications_from_api),
    ),
    "CorsConfiguration": _Setting(
        lambda s3, bucket, value: s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=_cors_to_api(value)),
        lambda s3, bucket: s3.delete_bucket_cors(Bucket=bucket),
        _got(lambda s3: s3.get_bucket_cors, _cors_from_api),
    ),
    "LoggingConfiguration": _Setting(
        lambda s3, bucket, value: s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=_logging_to_api(value)),
        lambda s3, bucket: s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={}),
        _got(lambda s3: s3.get_bucket_logging, _logging_from_api),
    ),
    "Tags": _Setting(
        lambda s3, bucket, value: s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_list(tag_map(value))}),
        lambda s3, bucket: s3.delete_bucket_tagging(Bucket=bucket),
        _got(lambda s3: s3.get_bucket_tagging, lambda answer: answer["TagSet"]),
    ),
}


class BucketProvider(Provider):
    """AWS::S3::Bucket. A bucket that holds anything, an old version too, is not deleted."""

    type = "AWS::S3::Bucket"
    properties = frozenset({"BucketName", *_SETTINGS})
    create_only = frozenset({"BucketName"})
    attributes = frozenset({"Arn", "DomainName", "DualStackDomainName", "RegionalDomainName"})
    name = NameRule("BucketName", 63, lower=True)
    defaults: ClassVar[Properties] = {"VersioningConfiguration": {"Status": "Suspended"}}
    tags = TagRule()
    ordered = frozenset({"CorsRules"})

    def find(self, properties: Properties) -> str | None:
        """The bucket, whoever owns it."""
        name = properties["BucketName"]
        return None if present(lambda: self._client("s3").head_bucket(Bucket=name)) is None else str(name)

    def create(self, properties: Properties) -> Created:
        """CreateBucket."""
        name, region = properties["BucketName"], self._place.region
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self._client("s3").create_bucket(Bucket=name, **place)
        return self._created(name)

    def adopt(self, properties: Properties) -> Created:
        """A bucket that exists; every setting is made again."""
        return self._created(properties["BucketName"])

    def _created(self, name: str) -> Created:
        suffix, region = self._place.url_suffix, self._place.region
        attributes = {
            "Arn": f"arn:{self._place.partition}:s3:::{name}",
            "DomainName": f"{name}.s3.{suffix}",
            "DualStackDomainName": f"{name}.s3.dualstack.{region}.{suffix}",
            "RegionalDomainName": f"{name}.s3.{region}.{suffix}",
        }
        return Created(name, attributes, {"BucketName": name})

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """One call a changed setting."""
        s3 = self._client("s3")
        for name, setting in _SETTINGS.items():
            if not changed(previous, wanted, name):
                continue
            if name not in wanted:
                setting.clear(s3, physical_id)
                continue
            if name == "NotificationConfiguration":
                check_destinations(self._client("lambda"), physical_id, wanted[name])
            setting.put(s3, physical_id, wanted[name])
        return {}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteBucket; refused by S3 while anything is in it."""
        present(lambda: self._client("s3").delete_bucket(Bucket=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """Every setting S3 has."""
        s3 = self._client("s3")
        if self.find({"BucketName": physical_id}) is None:
            return None
        values = {name: setting.read(s3, physical_id) for name, setting in _SETTINGS.items()}
        return {"BucketName": physical_id, **{name: value for name, value in values.items() if value is not None}}


class BucketPolicyProvider(Provider):
    """AWS::S3::BucketPolicy: the one policy of a bucket."""

    type = "AWS::S3::BucketPolicy"
    properties = frozenset({"Bucket", "PolicyDocument"})
    required = properties
    create_only = frozenset({"Bucket"})
    exact = frozenset({"PolicyDocument"})

    def find(self, properties: Properties) -> str | None:
        """The bucket's name if it has a policy."""
        bucket = str(properties["Bucket"])
        return None if self.read(bucket, {}) is None else bucket

    def create(self, properties: Properties) -> Created:
        """PutBucketPolicy."""
        self._put(properties["Bucket"], properties)
        return Created(properties["Bucket"], {}, properties)

    def apply(self, physical_id: str, previous: Properties, wanted: Properties) -> Properties:
        """PutBucketPolicy again."""
        if changed(previous, wanted, "PolicyDocument"):
            self._put(physical_id, wanted)
        return {}

    def _put(self, bucket: str, properties: Properties) -> None:
        self._client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(properties["PolicyDocument"]))

    def delete(self, physical_id: str, properties: Properties) -> None:
        """DeleteBucketPolicy."""
        present(lambda: self._client("s3").delete_bucket_policy(Bucket=physical_id))

    def read(self, physical_id: str, wanted: Properties) -> Properties | None:
        """The policy as S3 keeps it."""
        answer = present(lambda: self._client("s3").get_bucket_policy(Bucket=physical_id))
        if answer is None:
            return None
        return {"Bucket": physical_id, "PolicyDocument": json.loads(answer["Policy"])}
