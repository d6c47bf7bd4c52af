"""The gateway: one session, clients on first use, a method an operation we use, AWS's errors in our words.

The only module of `ncap_iac` that makes clients. Decides nothing; knows no document and prints nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions as aws_exceptions
from boto3.exceptions import Boto3Error, S3UploadFailedError
from botocore.config import Config

from ncap_compiler.names import STACK_TAG
from ncap_iac.errors import (
    AccessError,
    AlreadyExistsError,
    AwsError,
    CloudError,
    LimitError,
    NcapError,
    NotFoundError,
    UsageError,
)
from ncap_iac.stacks import Stacks
from ncap_iac.stores import Analyses, Ledger, Parameters
from ncap_iac.target import Target

# fmt: off
DENIED = frozenset({
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "InvalidAccessKeyId", "SignatureDoesNotMatch",
    "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure",
})
ABSENT = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchEntity", "NotFound", "404", "ResourceNotFoundException"})
LIMITED = frozenset({
    "LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "TooManyBuckets",
    "InstanceLimitExceeded", "VcpuLimitExceeded",
})
TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
# fmt: on

Client = Any
"""A boto3 client: its methods are made at run time from AWS's models."""


@dataclass(frozen=True)
class StoredObject:
    """One object of a listing."""

    key: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Content:
    """One object that was read."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class Listing:
    """What is under a prefix: objects, and the next level's prefixes when a delimiter was given."""

    objects: tuple[StoredObject, ...]
    prefixes: tuple[str, ...]


class Session:
    """One AWS session at a target; thread safe."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._lock = threading.Lock()
        self._clients: dict[str, Client] = {}
        self._session: Any = None

    def client(self, service: str) -> Client:
        """The client of a service, made on first use. Raises AccessError, UsageError."""
        with self._lock, self.translated(service):
            if self._session is None:
                self._session = boto3.session.Session(
                    profile_name=self.target.profile,
                    region_name=self.target.region,
                    aws_access_key_id=self.target.access_key_id,
                    aws_secret_access_key=self.target.secret_access_key,
                )
            if service not in self._clients:
                path_style = {"addressing_style": "path"} if self.target.endpoint_url else {}
                self._clients[service] = self._session.client(
                    service,
                    endpoint_url=self.target.endpoint_url,
                    config=Config(
                        connect_timeout=5,
                        read_timeout=60,
                        retries={"mode": "standard", "max_attempts": 4},
                        max_pool_connections=16,
                        s3=path_style,
                    ),
                )
            return self._clients[service]

    @property
    def region(self) -> str:
        """The region calls go to. Raises UsageError if none is configured."""
        # Without one, services that are one for the whole world still get a client, of a region that is none.
        self.client("sts")
        region = self.target.region or self._session.region_name
        if not region:
            raise UsageError(
                "no region is configured", where=self.target.name, hint="Give --region, or set AWS_DEFAULT_REGION."
            )
        return str(region)

    @contextmanager
    def translated(self, where: str) -> Iterator[None]:
        """Turn botocore's exceptions into ours, saying where."""
        try:
            yield
        except aws_exceptions.ClientError as error:
            raise _from_client_error(error, where) from error
        except (aws_exceptions.NoCredentialsError, aws_exceptions.PartialCredentialsError) as error:
            raise AccessError(
                "there are no AWS credentials",
                where=where,
                hint="Name a profile with --profile, or run `aws configure`.",
            ) from error
        except (aws_exceptions.ProfileNotFound, aws_exceptions.NoRegionError) as error:
            raise UsageError(str(error), where=where, hint="Give --profile and --region.") from error
        except (aws_exceptions.EndpointConnectionError, aws_exceptions.ConnectTimeoutError) as error:
            raise self._unreachable(where, error) from error
        except (aws_exceptions.BotoCoreError, Boto3Error, S3UploadFailedError) as error:
            if isinstance(error.__cause__ or error.__context__, aws_exceptions.ClientError):
                raise _from_client_error(error.__cause__ or error.__context__, where) from error
            raise AwsError(str(error), code=type(error).__name__, where=where) from error

    def _unreachable(self, where: str, error: Exception) -> NcapError:
        if self.target.cloud is not None:
            return CloudError(
                f"{self.target.name} does not answer at {self.target.endpoint_url}",
                where=where,
                hint="See `ncap local status`; start it again with `ncap local up --background`.",
            )
        return AwsError(str(error), code="Unreachable", where=where, hint="Check the network and --endpoint-url.")


def _from_client_error(error: Any, where: str) -> NcapError:
    details = error.response.get("Error", {})
    code = str(details.get("Code", "Unknown"))
    message = str(details.get("Message") or code)
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    place = f"{where} ({error.operation_name})"
    if code in TAKEN or status == "412":
        return AlreadyExistsError(message, code=code, where=place)
    if code in DENIED or status in ("401", "403"):
        return AccessError(
            f"{code}: {message}", where=place, hint="Check which credentials are used, and what they may do."
        )
    if code in ABSENT or (code == "ValidationError" and "does not exist" in message):
        return NotFoundError(f"{code}: {message}" if code != "404" else "does not exist", where=place)
    if code in LIMITED:
        return LimitError(f"{code}: {message}", where=place, hint="Ask for a higher quota, or free some of it.")
    return AwsError(f"{code}: {message}", code=code, where=place)


def _stored(item: Mapping[str, Any]) -> StoredObject:
    return StoredObject(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"])


class Objects:
    """S3, as this project uses it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, bucket: str, prefix: str = "", *, delimiter: str = "") -> Listing:
        """Everything under a prefix, all pages. Raises NotFoundError for a missing bucket."""
        objects: list[StoredObject] = []
        prefixes: list[str] = []
        with self._session.translated(f"s3://{bucket}/{prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix, Delimiter=delimiter
            )
            for page in pages:
                prefixes += [str(item["Prefix"]) for item in page.get("CommonPrefixes", [])]
                objects += [_stored(item) for item in page.get("Contents", [])]
        return Listing(tuple(objects), tuple(prefixes))

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """The object with this key; for a key that ends in `/`, the first object below it. One call."""
        with self._session.translated(f"s3://{bucket}/{key}"):
            # The key itself comes before every longer one that begins with it.
            page = self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        found = [_stored(item) for item in page.get("Contents", [])]
        return next((item for item in found if item.key == key or key.endswith("/")), None)

    def read(self, bucket: str, key: str) -> Content:
        """One object whole. Raises NotFoundError, AccessError."""
        with self._session.translated(f"s3://{bucket}/{key}"):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            return Content(body=answer["Body"].read(), etag=str(answer["ETag"]).strip('"'))

    def put(self, bucket: str, key: str, body: bytes, *, content_type: str = "", only_if_absent: bool = False) -> None:
        """Write one object. Raises AlreadyExistsError if it exists and `only_if_absent`."""
        extra = {"ContentType": content_type} if content_type else {}
        if only_if_absent:
            extra["IfNoneMatch"] = "*"
        with self._session.translated(f"s3://{bucket}/{key}"):
            self._client.put_object(Bucket=bucket, Key=key, Body=body, **extra)

    def upload(self, path: Path, bucket: str, key: str, *, moved: Callable[[int], None]) -> None:
        """Upload a file of any size; `moved` is told bytes as they go, from several threads."""
        with self._session.translated(f"s3://{bucket}/{key}"):
            self._client.upload_file(str(path), bucket, key, Callback=moved)

    def download(self, bucket: str, key: str, path: Path, *, moved: Callable[[int], None]) -> None:
        """Download one object of any size to a path whose folder exists."""
        with self._session.translated(f"s3://{bucket}/{key}"):
            self._client.download_file(bucket, key, str(path), Callback=moved)

    def has_bucket(self, bucket: str) -> bool:
        """Whether a bucket exists and is ours to see."""
        try:
            with self._session.translated(f"s3://{bucket}"):
                self._client.head_bucket(Bucket=bucket)
        except NotFoundError:
            return False
        return True

    @property
    def _client(self) -> Client:
        return self._session.client("s3")


class Gateway:
    """Everything commands may ask of one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.session = Session(target)
        self.objects = Objects(self.session)
        self.stacks = Stacks(self.session)
        self.analyses = Analyses(self.session)
        self.ledger = Ledger(self.session)
        self.parameters = Parameters(self.session)

    @property
    def region(self) -> str:
        """The region calls go to."""
        return self.session.region

    @property
    def partition(self) -> str:
        """The part of AWS the region is in, as ARNs name it: `aws` nearly everywhere."""
        return str(self.session.client("sts").meta.partition)

    def identity(self) -> tuple[str, str]:
        """Account id and ARN of the caller. Raises AccessError."""
        client = self.session.client("sts")
        with self.session.translated("your credentials"):
            answer = client.get_caller_identity()
            return str(answer["Account"]), str(answer["Arn"])

    def images(self, digest: str) -> tuple[str, ...]:
        """The available images of our own tagged with an environment's digest (`sha256:…`), the latest first."""
        client = self.session.client("ec2")
        with self.session.translated("images"):
            answer = client.describe_images(
                Owners=["self"],
                Filters=[
                    {"Name": "tag:neurocaas:environment-digest", "Values": [digest]},
                    {"Name": "state", "Values": ["available"]},
                ],
            )
        images = sorted(answer["Images"], key=lambda image: str(image.get("CreationDate", "")), reverse=True)
        return tuple(str(image["ImageId"]) for image in images)

    def root_devices(self, images: Sequence[str]) -> dict[str, str]:
        """The root device of each of these images that is available here, whoever owns it. 200 an AWS call."""
        client = self.session.client("ec2")
        found: dict[str, str] = {}
        with self.session.translated("images"):
            for start in range(0, len(images), 200):
                answer = client.describe_images(
                    Filters=[
                        {"Name": "image-id", "Values": list(images[start : start + 200])},
                        {"Name": "state", "Values": ["available"]},
                    ]
                )
                found |= {str(image["ImageId"]): str(image["RootDeviceName"]) for image in answer["Images"]}
        return found

    def role_stack(self, name: str) -> str | None:
        """The stack a role says it belongs to; None if there is no such role, or it says nothing."""
        client = self.session.client("iam")
        try:
            with self.session.translated(f"role {name}"):
                tags = client.get_role(RoleName=name)["Role"].get("Tags", [])
        except NotFoundError:
            return None
        return next((str(tag["Value"]) for tag in tags if tag["Key"] == STACK_TAG), None)

    def secret(self, name: str) -> str:
        """A secret's text. Raises NotFoundError, AccessError."""
        client = self.session.client("secretsmanager")
        with self.session.translated(f"secret {name}"):
            return str(client.get_secret_value(SecretId=name)["SecretString"])
