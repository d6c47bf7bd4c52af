"""S3 as the instance sees it: one bucket, whole objects, large ones in parallel parts.

The only module that uses the AWS SDK; it is imported when a client is first made, because importing it takes longer
than everything else this package does. It must not decide what is stored where.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from workflow.parallel import each

PART_BYTES = 16 * 2**20
"""Objects above this are moved in parts of this size, several at once."""

MAX_PARTS = 10_000
"""S3 accepts no more parts in one upload (Amazon S3 User Guide, multipart upload limits)."""

THREADS = 8

Progress = Callable[[int, int], None]
"""Told bytes so far and bytes in all."""


class Trouble(Enum):
    """Why an object could not be read or written."""

    MISSING = "missing"
    CHANGED = "changed"
    DENIED = "denied"
    DISK = "disk"
    OTHER = "other"


class StorageError(Exception):
    """An S3 call failed for good; ``trouble`` is its kind, the message names bucket and key."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


class Storage:
    """The objects of one bucket. ``client`` is a botocore S3 client."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def read(self, key: str) -> bytes:
        """The bytes of a small object. Raises StorageError."""
        with self._calling("read", key):
            body: bytes = self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            return body

    def fetch(self, key: str, path: Path, *, etag: str = "", progress: Progress | None = None) -> int:
        """Download an object into ``path``; returns its size in bytes.

        With ``etag``, exactly the object that had this ETag: if the key was written over since, that version of it.
        Raises StorageError.
        """
        with self._calling("read", key):
            which: dict[str, str] = {"IfMatch": _quoted(etag)} if etag else {}
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key, **which)
            except self._client.exceptions.ClientError as error:
                if not etag or _status(error) not in (404, 412):
                    raise
                which = {"VersionId": self._version_with(key, etag)}
                answer = self._client.get_object(Bucket=self.bucket, Key=key, **which)
            size = int(answer["ContentLength"])
            counter = _Counter(size, progress)
            if size <= PART_BYTES:
                with path.open("wb") as file:
                    for chunk in answer["Body"].iter_chunks(2**20):
                        counter.add(file.write(chunk))
            else:
                answer["Body"].close()
                self._fetch_parts(key, path, which or {"IfMatch": answer["ETag"]}, counter)
            if counter.seen != size:
                raise StorageError(
                    Trouble.OTHER, f"'{key}' arrived with {counter.seen} of {size} bytes; send it again."
                )
            return size

    def put(self, key: str, body: bytes, *, content_type: str = "text/plain; charset=utf-8") -> None:
        """Write a small object. Raises StorageError."""
        with self._calling("write", key):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    def put_file(self, key: str, path: Path, *, labels: Mapping[str, str] | None = None, replace: bool = False) -> bool:
        """Store a file; without ``replace`` only if the key is free: False when it is taken. Raises StorageError."""
        condition = {} if replace else {"IfNoneMatch": "*"}
        metadata = dict(labels or {})
        with self._calling("write", key):
            try:
                if path.stat().st_size <= PART_BYTES:
                    body = path.read_bytes()
                    self._client.put_object(Bucket=self.bucket, Key=key, Body=body, Metadata=metadata, **condition)
                elif replace or self.labels(key) is None:
                    self._put_parts(key, path, metadata, condition)
                else:
                    return False
            except self._client.exceptions.ClientError as error:
                if _status(error) != 412:
                    raise
                return False
            return True

    def labels(self, key: str) -> dict[str, str] | None:
        """The user metadata of an object, None when there is none to be seen. Raises StorageError.

        S3 answers 403 for a missing key to whoever may not list the bucket, which an instance may not.
        """
        with self._calling("look up", key):
            try:
                answer = self._client.head_object(Bucket=self.bucket, Key=key)
            except self._client.exceptions.ClientError as error:
                if _status(error) in (403, 404):
                    return None
                raise
            return dict(answer.get("Metadata", {}))

    def _fetch_parts(self, key: str, path: Path, which: Mapping[str, str], counter: _Counter) -> None:
        with path.open("wb") as file:
            file.truncate(counter.total)

            def part(start: int) -> None:
                end = min(start + PART_BYTES, counter.total) - 1
                got = self._client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={start}-{end}", **which)
                counter.add(os.pwrite(file.fileno(), got["Body"].read(), start))

            each(part, range(0, counter.total, PART_BYTES), threads=THREADS)

    def _put_parts(self, key: str, path: Path, metadata: dict[str, str], condition: Mapping[str, str]) -> None:
        """Multipart upload; the condition is checked by S3 at its completion. Left-overs are removed on failure."""
        size = path.stat().st_size
        part_bytes = max(PART_BYTES, -(-size // MAX_PARTS))
        where = {"Bucket": self.bucket, "Key": key}
        upload = self._client.create_multipart_upload(**where, Metadata=metadata)
        where["UploadId"] = upload["UploadId"]
        try:
            with path.open("rb") as file:

                def part(start: int) -> dict[str, Any]:
                    number = start // part_bytes + 1
                    body = os.pread(file.fileno(), part_bytes, start)
                    sent = self._client.upload_part(**where, PartNumber=number, Body=body)
                    checksums = {name: value for name, value in sent.items() if name.startswith("Checksum")}
                    checksums.pop("ChecksumType", None)
                    return {"PartNumber": number, "ETag": sent["ETag"], **checksums}

                parts = each(part, range(0, size, part_bytes), threads=THREADS)
            self._client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts}, **condition)
        except BaseException:
            self._client.abort_multipart_upload(**where)
            raise

    def _version_with(self, key: str, etag: str) -> str:
        """The version of ``key`` that has this ETag. Raises StorageError when it is gone."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=key)
        for page in pages:
            for version in page.get("Versions", []):
                if version["Key"] == key and version["ETag"] == _quoted(etag):
                    return str(version["VersionId"])
        raise StorageError(
            Trouble.CHANGED,
            f"'{key}' is no longer what it was when the job was submitted; submit again to use its present content.",
        )

    @contextmanager
    def _calling(self, doing: str, key: str) -> Iterator[None]:
        """Turn the SDK's and the disk's errors into StorageError."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = _status(error)
            kinds = {404: Trouble.MISSING, 412: Trouble.CHANGED, 403: Trouble.DENIED}
            said = {404: "it does not exist", 403: "access was denied", 412: "it was changed meanwhile"}
            reason = said.get(status, f"S3 answered {status} {code}")
            raise StorageError(
                kinds.get(status, Trouble.OTHER), f"Could not {doing} 's3://{self.bucket}/{key}': {reason}."
            ) from error
        except (BotoCoreError, HTTPClientError) as error:
            raise StorageError(
                Trouble.OTHER, f"Could not {doing} 's3://{self.bucket}/{key}': {type(error).__name__}: {error}."
            ) from error
        except OSError as error:
            raise StorageError(
                Trouble.DISK, f"Could not {doing} 's3://{self.bucket}/{key}': {error.strerror or error}."
            ) from error


class _Counter:
    """Bytes moved so far, counted from several threads."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total = total
        self.seen = 0
        self._progress = progress
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.seen += count
            if self._progress:
                self._progress(self.seen, self.total)


def open_storage(bucket: str, *, region: str) -> Storage:
    """A client with the SDK's standard credential chain (the instance role) and standard endpoint variables."""
    import botocore.session
    from botocore.config import Config

    config = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 6},
        max_pool_connections=4 * THREADS,
    )
    session = botocore.session.get_session()
    return Storage(session.create_client("s3", region_name=region, config=config), bucket)


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``. Raises ValueError for anything else."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket or not key:
        raise ValueError(f"{url!r} is not an S3 address of the form s3://bucket/key.")
    return bucket, key


def _quoted(etag: str) -> str:
    return f'"{etag.strip(chr(34))}"'


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
