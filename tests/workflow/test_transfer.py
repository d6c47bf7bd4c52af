"""Large objects: parts, going on after a kill, and content that is not what S3 stores. Against moto's S3."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from workflow.checksum import agrees, part_count
from workflow.partfile import PartFile
from workflow.storage import Storage, StorageError

PART = 5 * 2**20
"""The smallest S3 accepts."""
SIZE = 2 * PART + 17


class Client:
    """The client of moto, with calls counted and, where told, failing or answering with other bytes."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: list[str] = []
        self.fails = ""
        self.spoil = 0
        self.forgotten = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name == "exceptions":
            return found

        def call(*arguments: Any, **words: Any) -> Any:
            shown = f"{name} {words['Range']}" if "Range" in words else f"{name} {words.get('PartNumber', '')}".strip()
            self.calls.append(shown)
            if shown == self.fails:
                time.sleep(0.3)  # the parts beside it arrive
                raise ConnectionError("the machine is gone")
            if self.forgotten and name in ("complete_multipart_upload", "abort_multipart_upload"):
                self.forgotten = name != "abort_multipart_upload"
                raise ClientError({"Error": {"Code": "NoSuchUpload"}}, name)
            answer = found(*arguments, **words)
            if self.spoil and name == "get_object":
                self.spoil -= 1
                body = answer["Body"].read()
                answer["Body"] = Body(bytes(len(body)))
            return answer

        return call


class Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self) -> bytes:
        return self._body

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def real() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="lds")
        yield client


@pytest.fixture
def client(real: Any) -> Client:
    return Client(real)


@pytest.fixture
def storage(client: Client) -> Storage:
    return Storage(client, "lds", part_bytes=PART)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(SIZE))
    return path


def test_a_large_file_goes_there_and_back_in_parts(client: Client, storage: Storage, source: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert storage.put_file("g/a", source, replace=True, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (SIZE, SIZE)
    assert sum("upload_part" in call for call in client.calls) == 3
    target = source.with_name("target")
    assert storage.fetch("g/a", target) == SIZE
    assert target.read_bytes() == source.read_bytes()
    assert sum("bytes=" in call for call in client.calls) == 3
    assert {path.name for path in source.parent.iterdir()} == {"source", "target"}


def test_a_download_that_was_killed_goes_on_with_the_missing_parts(
    client: Client, storage: Storage, source: Path
) -> None:
    storage.put_file("g/a", source, replace=True)
    target = source.with_name("target")
    client.fails = f"get_object bytes={PART}-{2 * PART - 1}"
    with pytest.raises(StorageError):
        storage.fetch("g/a", target)
    assert not target.exists()
    client.fails = ""
    client.calls.clear()
    storage.fetch("g/a", target)
    assert [call for call in client.calls if "bytes=" in call] == [f"get_object bytes={PART}-{2 * PART - 1}"]
    assert target.read_bytes() == source.read_bytes()


def test_a_download_of_an_object_that_changed_starts_anew(client: Client, storage: Storage, source: Path) -> None:
    storage.put_file("g/a", source, replace=True)
    target = source.with_name("target")
    client.fails = f"get_object bytes={PART}-{2 * PART - 1}"
    with pytest.raises(StorageError):
        storage.fetch("g/a", target)
    client.fails = ""
    source.write_bytes(os.urandom(SIZE))
    storage.put_file("g/a", source, replace=True)
    storage.fetch("g/a", target)
    assert target.read_bytes() == source.read_bytes()


def test_an_upload_that_was_killed_goes_on_with_the_missing_parts(
    client: Client, storage: Storage, source: Path
) -> None:
    journals = source.with_name("journals")
    client.fails = "upload_part 2"
    with pytest.raises(StorageError):
        storage.put_file("g/up", source, replace=True, journals=journals)
    client.fails = ""
    client.calls.clear()
    assert storage.put_file("g/up", source, replace=True, journals=journals)
    assert "create_multipart_upload" not in client.calls
    assert [call for call in client.calls if "upload_part" in call] == ["upload_part 2"]
    assert storage.read("g/up") == source.read_bytes()
    assert list(journals.iterdir()) == []


def test_an_upload_without_a_journal_leaves_nothing_behind(
    real: Any, client: Client, storage: Storage, source: Path
) -> None:
    client.fails = "upload_part 2"
    with pytest.raises(StorageError):
        storage.put_file("g/gone", source, replace=True)
    assert client.calls.count("abort_multipart_upload") == 1
    assert "Uploads" not in real.list_multipart_uploads(Bucket="lds", Prefix="g/gone")


def test_an_upload_that_s3_forgot_starts_anew(storage: Storage, client: Client, source: Path) -> None:
    journals = source.with_name("journals")
    client.fails = "complete_multipart_upload"
    with pytest.raises(StorageError):
        storage.put_file("g/lost", source, replace=True, journals=journals)
    client.fails = ""
    client.forgotten = True
    assert storage.put_file("g/lost", source, replace=True, journals=journals)
    assert storage.read("g/lost") == source.read_bytes()


@pytest.mark.parametrize("size", [1000, SIZE])
def test_content_that_arrives_changed_is_fetched_again(
    client: Client, storage: Storage, source: Path, size: int
) -> None:
    source.write_bytes(os.urandom(size))
    storage.put_file("g/a", source, replace=True)
    client.spoil = 1 if size < PART else 4
    target = source.with_name("target")
    assert storage.fetch("g/a", target) == size
    assert target.read_bytes() == source.read_bytes()


def test_content_that_stays_changed_is_refused(client: Client, storage: Storage, source: Path) -> None:
    storage.put_file("g/a", source, replace=True)
    client.spoil = 100
    with pytest.raises(StorageError, match="as it is stored"):
        storage.fetch("g/a", source.with_name("target"))


def test_an_etag_that_is_no_digest_of_the_content_tells_nothing(source: Path) -> None:
    assert agrees(source, '"abc"', part_bytes=PART) is None
    assert agrees(source, "0" * 32, part_bytes=0) is False
    assert agrees(source, "0" * 32 + "-3", part_bytes=PART) is False
    assert agrees(source, "0" * 32 + "-3", part_bytes=PART * 10) is None
    assert [part_count(etag) for etag in ("0" * 32, "0" * 32 + "-12", "x-3")] == [0, 12, 0]


def test_a_part_too_short_is_refused(tmp_path: Path) -> None:
    with PartFile(tmp_path / "a", etag="e", size=10, part_bytes=4) as partial:
        assert partial.missing() == [0, 4, 8]
        assert partial.write(8, b"xy") == 2
        with pytest.raises(OSError, match="4 bytes arrived with 3"):
            partial.write(0, b"abc")
        assert partial.missing() == [0, 4, 8]
    with PartFile(tmp_path / "a", etag="e", size=10, part_bytes=4) as partial:
        assert partial.missing() == [0, 4]
    with PartFile(tmp_path / "a", etag="other", size=10, part_bytes=4) as partial:
        assert partial.missing() == [0, 4, 8]
