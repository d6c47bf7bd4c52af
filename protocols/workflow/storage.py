"""S3 as the instance sees it: one bucket, whole objects, large ones in parallel parts.

The only module that uses the AWS SDK; it is imported when a client is first made, because importing it takes longer
than everything else this package does. It must not decide what is stored where.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from workflow.checksum import agrees, part_count
from workflow.problem import WorkflowError
from workflow.transfer import (
    THREADS,
    Counter,
    Place,
    Progress,
    Sending,
    UploadJournal,
    fetch_parts,
    read_whole,
    send_parts,
)

PART_BYTES = 16 * 2**20
"""Objects above this are moved in parts of this size, several at once."""

MAX_PARTS = 10_000
"""S3 accepts no more parts in one upload (Amazon S3 User Guide, multipart upload limits)."""

CONTENT_TRIES = 2
"""How often an object is fetched that arrives with other content than its ETag says."""


class Trouble(Enum):
    """Why an object could not be read or written."""

    MISSING = "missing"
    CHANGED = "changed"
    DENIED = "denied"
    UNUSABLE = "unusable"
    DISK = "disk"
    OTHER = "other"


class StorageError(WorkflowError):
    """An S3 call failed for good; ``trouble`` is its kind, the message names bucket and key."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


class Storage:
    """The objects of one bucket. ``client`` is a botocore S3 client; above ``part_bytes`` objects move in parts."""

    def __init__(self, client: Any, bucket: str, *, part_bytes: int = PART_BYTES) -> None:
        self._client = client
        self._part_bytes = part_bytes
        self.bucket = bucket

    def of(self, bucket: str) -> Storage:
        """The objects of another bucket, or with an empty name of this one."""
        same = not bucket or bucket == self.bucket
        return self if same else Storage(self._client, bucket, part_bytes=self._part_bytes)

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
                # Who may not list a bucket is answered 403 for a key that is gone: its version may still be there.
                if not etag or _status(error) not in (403, 404, 412):
                    raise
                which = {"VersionId": self._version_with(key, etag)}
                answer = self._client.get_object(Bucket=self.bucket, Key=key, **which)
            pinned = which or {"IfMatch": answer["ETag"]}
            size = int(answer["ContentLength"])
            for _ in range(CONTENT_TRIES):
                counter = Counter(size, progress)
                self._take(key, path, answer, pinned, counter)
                if counter.seen == size and self._is_whole(key, path, answer, pinned):
                    return size
                answer = self._client.get_object(Bucket=self.bucket, Key=key, **pinned)
            raise StorageError(
                Trouble.OTHER, f"'{key}' did not arrive as it is stored ({counter.seen} of {size} bytes); try again."
            )

    def put(self, key: str, body: bytes, *, content_type: str = "text/plain; charset=utf-8") -> None:
        """Write a small object. Raises StorageError."""
        with self._calling("write", key):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    def put_file(
        self,
        key: str,
        path: Path,
        *,
        labels: Mapping[str, str] | None = None,
        replace: bool = False,
        progress: Progress | None = None,
        journals: Path | None = None,
    ) -> bool:
        """Store a file; without ``replace`` only if the key is free: False when it is taken. Raises StorageError.

        In the folder ``journals`` is remembered what of a large file is stored, so that a second call goes on.
        """
        condition = {} if replace else {"IfNoneMatch": "*"}
        metadata = dict(labels or {})
        with self._calling("write", key):
            try:
                counter = Counter(path.stat().st_size, progress)
                if counter.total <= self._part_bytes:
                    body = path.read_bytes()
                    self._client.put_object(Bucket=self.bucket, Key=key, Body=body, Metadata=metadata, **condition)
                    counter.add(len(body))
                elif replace or self.labels(key) is None:
                    place, part_bytes = Place(self._client, self.bucket, key), self._part_bytes_of(counter.total)
                    journal = UploadJournal(journals, place, path, part_bytes)
                    send_parts(place, path, Sending(metadata, condition, part_bytes, counter, journal))
                else:
                    return False
            except self._client.exceptions.ClientError as error:
                if _status(error) != 412:
                    raise
                return False
            return True

    def _part_bytes_of(self, size: int) -> int:
        return max(self._part_bytes, -(-size // MAX_PARTS))

    def below(self, prefix: str) -> list[str]:
        """Keys of all objects whose key starts with ``prefix``, in order. Raises StorageError.

        Asked as a list of versions, because that is the listing instances are allowed.
        """
        with self._calling("list", prefix):
            pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix)
            return [found["Key"] for page in pages for found in page.get("Versions", []) if found["IsLatest"]]

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

    def _take(
        self, key: str, path: Path, answer: Mapping[str, Any], pinned: Mapping[str, str], counter: Counter
    ) -> None:
        """Bring the object that ``answer`` began to ``path``."""
        place = Place(self._client, self.bucket, key)
        if counter.total > self._part_bytes:
            answer["Body"].close()
            fetch_parts(place, path, which=pinned, etag=answer["ETag"], part_bytes=self._part_bytes, counter=counter)
        else:
            counter.add(path.write_bytes(read_whole(place, begun=answer, **pinned)))

    def _is_whole(self, key: str, path: Path, answer: Mapping[str, Any], pinned: Mapping[str, str]) -> bool:
        """Whether the file is what the object's ETag says; true where it says nothing (KMS, parts of odd sizes)."""
        if "kms" in str(answer.get("ServerSideEncryption", "")):
            return True
        part_bytes = 0
        if part_count(answer["ETag"]):
            version = {name: value for name, value in pinned.items() if name == "VersionId"}
            head = self._client.head_object(Bucket=self.bucket, Key=key, PartNumber=1, **version)
            part_bytes = int(head["ContentLength"])
        return agrees(path, answer["ETag"], part_bytes=part_bytes) is not False

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
