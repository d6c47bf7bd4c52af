"""AWS in memory, for thousands of jobs in seconds: versioned objects, computers, parameters, and the tables beside it.

Knows only the calls the job manager and these tests make; every call's arguments are checked by botocore's own models.
"""

from __future__ import annotations

import bisect
import hashlib
import io
import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from tests.fakes.memory_tables import Tables

LAUNCH_TIME = datetime(2026, 11, 22, 10, tzinfo=UTC)


def _error(operation: str, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "in memory"}}, operation)


class Objects:
    """The calls of an S3 client, on versioned buckets that are there when they are first used, or `gone`."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._buckets: dict[str, _Bucket] = {}
        self.gone: set[str] = set()

    def bucket(self, name: str) -> _Bucket:
        if name in self.gone:
            raise _error("Any", "NoSuchBucket")
        return self._buckets.setdefault(name, _Bucket(self._numbers))

    @property
    def bytes_written(self) -> int:
        return sum(bucket.bytes_written for bucket in self._buckets.values())

    def create_bucket(self, **_: Any) -> Any:
        return {}

    def put_bucket_versioning(self, **_: Any) -> Any:
        return {}

    def put_object(self, **request: Any) -> Any:
        return self.bucket(request["Bucket"]).put_object(**request)

    def get_object(self, **request: Any) -> Any:
        return self.bucket(request["Bucket"]).get_object(**request)

    def head_object(self, **request: Any) -> Any:
        return self.bucket(request["Bucket"]).head_object(**request)

    def delete_object(self, **request: Any) -> Any:
        return self.bucket(request["Bucket"]).delete_object(**request)

    def list_objects_v2(self, **request: Any) -> Any:
        return self.bucket(request["Bucket"]).list_objects_v2(**request)

    def list_object_versions(self, **request: Any) -> Any:
        return self.bucket(request["Bucket"]).list_object_versions()


class _Bucket:
    """One bucket's objects."""

    def __init__(self, numbers: itertools.count[int]) -> None:
        self._versions: dict[str, list[tuple[str, bytes | None]]] = {}
        self._keys: list[str] = []
        self._numbers = numbers
        self.bytes_written = 0

    def put_object(self, **request: Any) -> Any:
        key, body = request["Key"], request["Body"]
        if len(key.encode()) > 1024:
            raise _error("PutObject", "KeyTooLongError")
        if request.get("IfNoneMatch") == "*" and self._body(key) is not None:
            raise _error("PutObject", "PreconditionFailed")
        version = f"version{next(self._numbers):08d}"
        self._store(key, version, bytes(body))
        self.bytes_written += len(body)
        return {"VersionId": version, "ETag": _etag(body)}

    def _store(self, key: str, version: str, body: bytes | None) -> None:
        if key not in self._versions:
            bisect.insort(self._keys, key, key=lambda it: it.encode())
        self._versions.setdefault(key, []).append((version, body))

    def _body(self, key: str, version: str | None = None) -> bytes | None:
        versions = self._versions.get(key, [])
        if version is None:
            return versions[-1][1] if versions else None
        return next((body for name, body in versions if name == version), None)

    def get_object(self, **request: Any) -> Any:
        body = self._body(request["Key"], request.get("VersionId"))
        if body is None:
            raise _error("GetObject", "NoSuchVersion" if "VersionId" in request else "NoSuchKey")
        return {"Body": io.BytesIO(body), "ETag": _etag(body), "ContentLength": len(body)}

    def head_object(self, **request: Any) -> Any:
        body = self._body(request["Key"])
        if body is None:
            raise _error("HeadObject", "404")
        return {"ETag": _etag(body), "ContentLength": len(body)}

    def delete_object(self, **request: Any) -> Any:
        if self._body(request["Key"]) is not None:
            self._store(request["Key"], f"version{next(self._numbers):08d}", None)
        return {}

    def list_objects_v2(self, **request: Any) -> Any:
        prefix, after = request.get("Prefix", ""), request.get("StartAfter", "")
        start = bisect.bisect_right(self._keys, max(prefix, after).encode(), key=lambda it: it.encode())
        start -= start > 0 and self._keys[start - 1] == prefix and not after
        found: list[dict[str, Any]] = []
        for key in self._keys[start:]:
            if not key.startswith(prefix):
                break
            body = self._body(key)
            if body is None or key <= after:
                continue
            if len(found) == 1000:
                return {"Contents": found, "IsTruncated": True}
            found.append({"Key": key, "ETag": _etag(body), "Size": len(body)})
        return {"Contents": found, "IsTruncated": False}

    def list_object_versions(self) -> Any:
        return {
            "Versions": [
                {"Key": key, "VersionId": name}
                for key, versions in self._versions.items()
                for name, body in versions
                if body is not None
            ]
        }

    def all_keys(self) -> list[str]:
        return [key for key in self._keys if self._body(key) is not None]


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


class Computers:
    """The calls of an EC2 client. Instances run at once and end at once, as moto's do."""

    def __init__(self) -> None:
        self._instances: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)

    def run_instances(self, **request: Any) -> Any:
        tags = next(it["Tags"] for it in request["TagSpecifications"] if it["ResourceType"] == "instance")
        if len(tags) > 50 or any(len(tag["Value"]) > 256 for tag in tags):
            raise _error("RunInstances", "InvalidParameterValue")
        made = [
            {
                "InstanceId": f"i-{next(self._numbers):017x}",
                "State": {"Name": "running"},
                "LaunchTime": LAUNCH_TIME,
                "InstanceType": request["InstanceType"],
                "AmiLaunchIndex": index,
                "Tags": tags,
                "SubnetId": request.get("SubnetId", ""),
            }
            for index in range(request["MaxCount"])
        ]
        self._instances |= {str(item["InstanceId"]): item for item in made}
        return {"Instances": made}

    def describe_instances(self, **request: Any) -> Any:
        if "InstanceIds" in request:
            unknown = [it for it in request["InstanceIds"] if it not in self._instances]
            if unknown:
                raise _error("DescribeInstances", "InvalidInstanceID.NotFound")
            found = [self._instances[it] for it in request["InstanceIds"]]
        else:
            found = [item for item in self._instances.values() if _matches(item, request.get("Filters", ()))]
        start = int(request.get("NextToken", 0))
        size = request.get("MaxResults", len(found) or 1)
        page = {"Reservations": [{"Instances": [dict(item) for item in found[start : start + size]]}]}
        return page | ({"NextToken": str(start + size)} if len(found) > start + size else {})

    def terminate_instances(self, **request: Any) -> Any:
        return self._change(request["InstanceIds"], "TerminateInstances", "terminated")

    def stop_instances(self, **request: Any) -> Any:
        return self._change(request["InstanceIds"], "StopInstances", "stopped")

    def _change(self, names: list[str], operation: str, state: str) -> Any:
        if any(name not in self._instances for name in names):
            raise _error(operation, "InvalidInstanceID.NotFound")
        for name in names:
            self._instances[name]["State"] = {"Name": state}
        return {}


def _matches(item: dict[str, Any], filters: Any) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
    return all(tags.get(wanted["Name"].removeprefix("tag:")) in wanted["Values"] for wanted in filters)


class Parameters:
    """The calls of an SSM client."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def put_parameter(self, **request: Any) -> Any:
        self._values[request["Name"]] = request["Value"]
        return {}

    def get_parameters(self, **request: Any) -> Any:
        names = request["Names"]
        if len(names) > 10:
            raise _error("GetParameters", "ValidationException")
        return {
            "Parameters": [{"Name": name, "Value": self._values[name]} for name in names if name in self._values],
            "InvalidParameters": [name for name in names if name not in self._values],
        }


class MemoryAws:
    """One account; `client` has the shape of `boto3.Session.client`."""

    def __init__(self) -> None:
        self.objects, self.tables, self.computers = Objects(), Tables(), Computers()
        self._services: dict[str, Any] = {
            "s3": self.objects,
            "dynamodb": self.tables,
            "ec2": self.computers,
            "ssm": Parameters(),
        }

    def client(self, service: str) -> Any:
        return _Checked(service, self._services[service])


class _Checked:
    def __init__(self, service: str, target: Any) -> None:
        self._service, self._target = service, target

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        call: Callable[..., Any] = getattr(self._target, operation)

        def checked(**arguments: Any) -> Any:
            check_arguments(self._service, operation, arguments)
            return call(**arguments)

        return checked


def check_arguments(service: str, operation: str, arguments: dict[str, Any]) -> None:
    """Fail on arguments AWS's own model of the operation does not know. `operation` as boto3 spells it."""
    shape = _shapes(service)[operation.replace("_", "")]
    report = ParamValidator().validate(arguments, shape)
    if report.has_errors():
        raise AssertionError(f"{service}.{operation}: {report.generate_report()}")


@cache
def _shapes(service: str) -> dict[str, Any]:
    model = botocore.session.get_session().get_service_model(service)
    return {name.lower(): model.operation_model(name).input_shape for name in model.operation_names}
