"""The gateway: every call to AWS, as typed methods. The only module that imports boto3, and only when it is called.

One session, a client a service made on first use, the SDK's standard retries. Decides nothing about jobs.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from jobmanager.errors import NO_ANSWER, AwsError, CancelledBy, MissingError, TakenError, TransactionError, Value
from jobmanager.expressions import (
    Update,
    Write,
    from_item,
    key_item,
    to_attribute,
    transaction_item,
    update_arguments,
)
from jobmanager.observed import Instance, Listing, ObjectBody, ObjectFacts
from jobmanager.times import to_text

_MISSING = frozenset({"404", "NoSuchKey", "NotFound", "ParameterNotFound", "NoSuchVersion"})
_TAKEN = frozenset({"412", "PreconditionFailed", "ConditionalCheckFailedException"})
_BUSY = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"})
_TRIES = 8
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.04, 1.5
_READERS = 8
_LARGEST_REPORT = 16 * 1024 * 1024
_PRICE_FILTERS = {
    "operatingSystem": "Linux",
    "preInstalledSw": "NA",
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}
"""Which of a type's many prices is the one of an ordinary Linux instance."""


class Gateway:
    """AWS as the job manager needs it. `session` is anything with boto3's `Session.client`.

    A busy service is asked five times by the SDK, with pauses of any length up to 1, 2, 4 and 8 s ("full jitter").
    """

    def __init__(self, session: Any = None, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._session = session
        self._clients: dict[str, Any] = {}
        self._sleep = sleep

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            import boto3
            from botocore.config import Config

            self._session = self._session or boto3.Session()
            retries = Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=_READERS + 2)
            where = {"region_name": self._price_region()} if service == "pricing" else {}
            self._clients[service] = self._session.client(service, config=retries, **where)
        return self._clients[service]

    def _price_region(self) -> str:
        """The nearest region with a price service: AWS has it in few (docs.aws.amazon.com/general/latest/gr)."""
        return "eu-central-1" if str(self._session.region_name).startswith("eu-") else "us-east-1"

    def _call(self, service: str, operation: str, **arguments: Any) -> Any:
        client = getattr(self._client(service), operation)
        from botocore.exceptions import ClientError, HTTPClientError

        try:
            return client(**arguments)
        except ClientError as error:
            raise _translated(operation, error.response) from error
        except HTTPClientError as error:  # no answer: whether it took effect is not known
            raise AwsError(operation, NO_ANSWER, str(error)) from error

    # S3

    def get_object(
        self, bucket: str, key: str, *, version_id: str | None = None, limit: int | None = None
    ) -> ObjectBody:
        """An object, or of one larger than `limit` the first limit + 1 bytes. Raises MissingError."""
        named = {"VersionId": version_id} if version_id else {}
        found = self._call("s3", "get_object", Bucket=bucket, Key=key, **named)
        body = found["Body"].read(limit + 1) if limit is not None else found["Body"].read()
        return ObjectBody(ObjectFacts(key, found["ETag"].strip('"'), found["ContentLength"]), body)

    def head_object(self, bucket: str, key: str) -> ObjectFacts | None:
        """An object's facts, or None when there is none."""
        try:
            found = self._call("s3", "head_object", Bucket=bucket, Key=key)
        except MissingError:
            return None
        return ObjectFacts(key, found["ETag"].strip('"'), found["ContentLength"])

    def list_objects(self, bucket: str, prefix: str, *, start_after: str) -> Listing:
        """Up to 1 000 objects below a prefix whose keys come after one."""
        page = self._call("s3", "list_objects_v2", Bucket=bucket, Prefix=prefix, StartAfter=start_after)
        return Listing(tuple(map(_listed, page.get("Contents", ()))), not page.get("IsTruncated"))

    def put_object(self, bucket: str, key: str, body: bytes, content_type: str) -> None:
        """Write an object, whatever was there."""
        self._call("s3", "put_object", Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def put_once(self, bucket: str, key: str, body: bytes, content_type: str) -> bool:
        """Write an object if there is none; whether this call wrote it."""
        for turn in range(_TRIES):
            try:
                self._call(
                    "s3", "put_object", Bucket=bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*"
                )
                return True
            except TakenError:
                return False
            except AwsError as error:
                if error.code not in ("ConditionalRequestConflict", "409") or turn == _TRIES - 1:
                    raise
                self._wait(turn)
        return False

    def read_many(self, bucket: str, keys: Sequence[str]) -> dict[str, bytes]:
        """The bodies of those objects that exist, several at a time; of a huge one only the first part."""
        if not keys:
            return {}
        self._client("s3")  # made before the threads start: making clients is not safe among them
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(_READERS, len(keys))) as pool:
            bodies = pool.map(lambda key: self._body_or_none(bucket, key), keys)
            return {key: body for key, body in zip(keys, bodies, strict=True) if body is not None}

    def _body_or_none(self, bucket: str, key: str) -> bytes | None:
        try:
            return self.get_object(bucket, key, limit=_LARGEST_REPORT).body
        except MissingError:
            return None

    def delete_object(self, bucket: str, key: str) -> None:
        """Remove an object, whether it is there or not."""
        self._call("s3", "delete_object", Bucket=bucket, Key=key)

    # The ledger

    def get_row(self, table: str, key: tuple[str, str]) -> dict[str, Value] | None:
        """A row, read consistently, or None."""
        found = self._call("dynamodb", "get_item", TableName=table, Key=key_item(key), ConsistentRead=True)
        return from_item(found["Item"]) if "Item" in found else None

    def partition(self, table: str, pk: str) -> Iterator[dict[str, Value]]:
        """All rows of a partition, in the order of their sort keys, read consistently."""
        return self._query(
            TableName=table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": to_attribute(pk)},
            ConsistentRead=True,
        )

    def indexed(self, table: str, index: str, attribute: str, value: str) -> Iterator[dict[str, Value]]:
        """All rows of an index with this value of its hash attribute; may be a moment behind."""
        return self._query(
            TableName=table,
            IndexName=index,
            KeyConditionExpression="#hash = :hash",
            ExpressionAttributeNames={"#hash": attribute},
            ExpressionAttributeValues={":hash": to_attribute(value)},
        )

    def _query(self, **arguments: Any) -> Iterator[dict[str, Value]]:
        while True:
            page = self._call("dynamodb", "query", **arguments)
            yield from map(from_item, page["Items"])
            if not page.get("LastEvaluatedKey"):
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def update_row(self, table: str, update: Update) -> dict[str, Value]:
        """Change a row and return it as it is now. Raises TakenError when a condition does not hold."""
        arguments = update_arguments(table, update) | {"ReturnValues": "ALL_NEW"}
        for turn in range(_TRIES - 1):
            try:
                return from_item(self._call("dynamodb", "update_item", **arguments)["Attributes"])
            except AwsError as error:
                if error.code != "TransactionConflictException":
                    raise
                self._wait(turn)
        return from_item(self._call("dynamodb", "update_item", **arguments)["Attributes"])

    def put_row(self, table: str, row: Mapping[str, Value]) -> None:
        """Write a row, whatever was there."""
        self._call("dynamodb", "put_item", TableName=table, Item={k: to_attribute(v) for k, v in row.items()})

    def transact(self, table: str, writes: Sequence[Write]) -> None:
        """All writes (at most 100) or none. Raises TransactionError when a condition does not hold.

        Other transactions on the same rows are waited for, with pauses of any length up to one that doubles.
        """
        items = [transaction_item(table, write) for write in writes]
        for turn in range(_TRIES):
            try:
                self._call("dynamodb", "transact_write_items", TransactItems=items)
                return
            except TransactionError as error:
                refused = {reason.code for reason in error.reasons} - {"None"}
                if "ConditionalCheckFailed" in refused or not refused & _BUSY or turn == _TRIES - 1:
                    raise
                self._wait(turn)

    def _wait(self, turn: int) -> None:
        self._sleep(random.uniform(0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**turn)))

    # EC2 and the rest

    def run_instances(self, arguments: Mapping[str, Any]) -> tuple[Instance, ...]:
        """Launch instances; the same client token returns the same instances. Raises AwsError."""
        found = self._call("ec2", "run_instances", **arguments)
        return tuple(_instance(item) for item in found["Instances"])

    def find_instances(self, tags: Mapping[str, str]) -> tuple[Instance, ...]:
        """All instances with these tags, also those that ended within about an hour."""
        filters = [{"Name": f"tag:{name}", "Values": [value]} for name, value in tags.items()]
        pages = self._client("ec2").get_paginator("describe_instances")
        found: list[Instance] = []
        for page in self._pages(pages.paginate(Filters=filters, PaginationConfig={"PageSize": 1000})):
            found += [_instance(item) for group in page["Reservations"] for item in group["Instances"]]
        return tuple(found)

    def _pages(self, pages: Any) -> Iterator[Any]:
        from botocore.exceptions import ClientError

        try:
            yield from pages
        except ClientError as error:
            raise _translated("describe_instances", error.response) from error

    def describe_instance(self, instance: str) -> Instance | None:
        """One instance, or None when EC2 does not know it (or not yet)."""
        try:
            found = self._call("ec2", "describe_instances", InstanceIds=[instance])
        except AwsError as error:
            if error.code in ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"):
                return None
            raise
        return next((_instance(item) for group in found["Reservations"] for item in group["Instances"]), None)

    def spot_prices(self, now: datetime, types: Sequence[str] = ()) -> Iterator[Mapping[str, Any]]:
        """The spot prices in force, Linux, by type and zone; of some types only, if named."""
        asked: dict[str, Any] = {"StartTime": now, "ProductDescriptions": ["Linux/UNIX"]}
        asked |= {"InstanceTypes": list(types)} if types else {}
        while True:
            page = self._call("ec2", "describe_spot_price_history", **asked)
            yield from page["SpotPriceHistory"]
            if not page.get("NextToken"):
                return
            asked["NextToken"] = page["NextToken"]

    def on_demand_prices(self, region: str) -> Iterator[str]:
        """The products of AWS's Price List that are Linux instances of a region, on demand, as JSON texts."""
        wanted = _PRICE_FILTERS | {"regionCode": region}
        filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
        asked: dict[str, Any] = {"ServiceCode": "AmazonEC2", "Filters": filters, "FormatVersion": "aws_v1"}
        while True:
            page = self._call("pricing", "get_products", **asked)
            yield from page["PriceList"]
            if not page.get("NextToken"):
                return
            asked["NextToken"] = page["NextToken"]

    def terminate_instances(self, instances: Sequence[str]) -> None:
        """End instances. One unknown id spoils a whole call, so such a call is repeated one by one without it."""
        for start in range(0, len(instances), 100):
            batch = list(instances[start : start + 100])
            try:
                self._call("ec2", "terminate_instances", InstanceIds=batch)
            except AwsError as error:
                if not error.code.startswith("InvalidInstanceID"):
                    raise
                for instance in batch if len(batch) > 1 else ():
                    self.terminate_instances([instance])

    def stop_instance(self, instance: str) -> None:
        """Switch an instance off; its disk stays."""
        self._call("ec2", "stop_instances", InstanceIds=[instance])

    def parameters(self, names: Sequence[str]) -> dict[str, str]:
        """The values of those parameters (at most 10) that exist, in one call."""
        found = self._call("ssm", "get_parameters", Names=list(names))
        return {item["Name"]: str(item["Value"]) for item in found["Parameters"]}

    def assume_role(self, role: str, *, session: str, policy: str, seconds: int) -> Gateway:
        """A gateway with the rights of a role, as narrow as the policy. Raises AwsError."""
        found = self._call(
            "sts", "assume_role", RoleArn=role, RoleSessionName=session, Policy=policy, DurationSeconds=seconds
        )["Credentials"]
        keys = {
            "aws_access_key_id": found["AccessKeyId"],
            "aws_secret_access_key": found["SecretAccessKey"],
            "aws_session_token": found["SessionToken"],
        }
        return Gateway(_RoleSession(self._session, keys), sleep=self._sleep)

    def invoke(self, function: str, payload: Mapping[str, Any]) -> None:
        """Start a function without waiting for it."""
        self._call(
            "lambda", "invoke", FunctionName=function, InvocationType="Event", Payload=json.dumps(payload).encode()
        )

    def publish(self, topic: str, subject: str, text: str) -> None:
        """Send a notification."""
        self._call("sns", "publish", TopicArn=topic, Subject=subject, Message=text)


class _RoleSession:
    """A session whose clients have the temporary credentials of a role."""

    def __init__(self, session: Any, keys: Mapping[str, str]) -> None:
        self._session = session
        self._keys = keys

    def client(self, service: str, config: object = None) -> Any:
        """A client of a service."""
        return self._session.client(service, config=config, **self._keys)


def _listed(item: Mapping[str, Any]) -> ObjectFacts:
    written = item.get("LastModified")
    return ObjectFacts(item["Key"], item["ETag"].strip('"'), item["Size"], written.isoformat() if written else "")


def _translated(operation: str, response: Mapping[str, Any]) -> AwsError:
    code, message = str(response["Error"].get("Code", "")), str(response["Error"].get("Message", ""))
    if code in _MISSING:
        return MissingError(operation, code, message)
    if code in _TAKEN:
        return TakenError(operation, code, message)
    if code == "TransactionCanceledException":
        reasons = tuple(
            CancelledBy(str(reason.get("Code", "None")), from_item(reason["Item"]) if reason.get("Item") else None)
            for reason in response.get("CancellationReasons", ())
        )
        return TransactionError(operation, code, message, reasons)
    return AwsError(operation, code, message)


def _instance(item: Mapping[str, Any]) -> Instance:
    return Instance(
        instance=item["InstanceId"],
        state=item["State"]["Name"],
        launched_at=to_text(item["LaunchTime"]),
        instance_type=item["InstanceType"],
        launch_index=item.get("AmiLaunchIndex", 0),
        tags={tag["Key"]: tag["Value"] for tag in item.get("Tags", ())},
        ended_at=_ended_at(item.get("StateTransitionReason") or ""),
        reason=item.get("StateReason", {}).get("Message", ""),
        zone=item.get("Placement", {}).get("AvailabilityZone", ""),
        is_spot=item.get("InstanceLifecycle") == "spot",
    )


def _ended_at(reason: str) -> str | None:
    """EC2 writes the moment into a sentence: `User initiated (2026-11-22 10:00:00 GMT)`."""
    _, bracket, rest = reason.partition("(")
    try:
        return to_text(datetime.fromisoformat(f"{rest[:19]}+00:00")) if bracket else None
    except ValueError:
        return None
