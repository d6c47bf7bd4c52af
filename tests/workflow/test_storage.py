"""Objects and results against moto's S3: conditions, versions, parts, and keys that two datasets want."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from workflow.results import Target, store_result, store_results
from workflow.storage import PART_BYTES, Storage, StorageError, Trouble, split_url


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """One client for the module: making one takes longer than a test."""
    with mock_aws():
        yield boto3.client("s3", region_name="us-east-1")


@pytest.fixture
def s3(client: Any) -> Iterator[Any]:
    client.create_bucket(Bucket="lds")
    client.put_bucket_versioning(Bucket="lds", VersioningConfiguration={"Status": "Enabled"})
    yield client
    found = client.list_object_versions(Bucket="lds")
    for version in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
        client.delete_object(Bucket="lds", Key=version["Key"], VersionId=version["VersionId"])
    client.delete_bucket(Bucket="lds")


@pytest.fixture
def storage(s3: Any) -> Storage:
    return Storage(s3, "lds")


def etag_of(answer: dict[str, str]) -> str:
    return answer["ETag"].strip('"')


def test_a_dataset_that_was_written_over_is_fetched_as_it_was_at_submission(
    s3: Any, storage: Storage, tmp_path: Path
) -> None:
    etag = etag_of(s3.put_object(Bucket="lds", Key="g/inputs/x", Body=b"then"))
    s3.put_object(Bucket="lds", Key="g/inputs/x", Body=b"now, longer")
    storage.fetch("g/inputs/x", tmp_path / "x", etag=etag)
    assert (tmp_path / "x").read_bytes() == b"then"


def test_a_dataset_that_was_deleted_is_fetched_as_it_was_at_submission(
    s3: Any, storage: Storage, tmp_path: Path
) -> None:
    etag = etag_of(s3.put_object(Bucket="lds", Key="g/inputs/x", Body=b"then"))
    s3.delete_object(Bucket="lds", Key="g/inputs/x")
    storage.fetch("g/inputs/x", tmp_path / "x", etag=etag)
    assert (tmp_path / "x").read_bytes() == b"then"


def test_a_dataset_whose_version_is_gone_is_told_apart_from_a_missing_one(
    s3: Any, storage: Storage, tmp_path: Path
) -> None:
    s3.put_object(Bucket="lds", Key="g/inputs/x", Body=b"now")
    with pytest.raises(StorageError, match="submit again") as changed:
        storage.fetch("g/inputs/x", tmp_path / "x", etag="0" * 32)
    assert changed.value.trouble is Trouble.CHANGED
    with pytest.raises(StorageError, match="does not exist") as missing:
        storage.fetch("g/inputs/y", tmp_path / "y")
    assert missing.value.trouble is Trouble.MISSING


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, 2 * PART_BYTES + 5])
def test_files_of_any_size_come_back_as_they_were(storage: Storage, tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / "a").write_bytes(content)
    seen: list[tuple[int, int]] = []
    assert storage.put_file("g/a", tmp_path / "a")
    got = storage.fetch("g/a", tmp_path / "b", progress=lambda done, total: seen.append((done, total)))
    assert got == size
    assert (tmp_path / "b").read_bytes() == content
    assert seen[-1:] == ([(size, size)] if size else [])


@pytest.mark.parametrize("size", [3, PART_BYTES + 1])
def test_a_taken_key_is_left_alone_unless_replacing_is_meant(
    s3: Any, storage: Storage, tmp_path: Path, size: int
) -> None:
    s3.put_object(Bucket="lds", Key="g/a", Body=b"theirs")
    (tmp_path / "a").write_bytes(b"o" * size)
    assert not storage.put_file("g/a", tmp_path / "a")
    assert storage.read("g/a") == b"theirs"
    assert storage.put_file("g/a", tmp_path / "a", replace=True)
    assert len(storage.read("g/a")) == size


def test_a_full_disk_is_told_as_such(s3: Any, storage: Storage) -> None:
    s3.put_object(Bucket="lds", Key="g/a", Body=b"x" * 100_000)
    with pytest.raises(StorageError, match="No space left") as full:
        storage.fetch("g/a", Path("/dev/full"))
    assert full.value.trouble is Trouble.DISK


def put(storage: Storage, tmp_path: Path, name: str, label: str, text: str) -> str:
    (tmp_path / "file").write_text(text)
    return store_result(storage, tmp_path / "file", name, Target("g/results/j/process_results", label))


def test_two_datasets_that_write_one_name_both_keep_their_file(storage: Storage, tmp_path: Path) -> None:
    prefix = "g/results/j/process_results"
    assert put(storage, tmp_path, "out.txt", "x.csv", "x") == f"{prefix}/out.txt"
    assert put(storage, tmp_path, "out.txt", "y.csv", "y") == f"{prefix}/y/out.txt"
    assert put(storage, tmp_path, "out.txt", "y.npy", "npy") == f"{prefix}/y.npy/out.txt"
    assert storage.read(f"{prefix}/out.txt") == b"x"
    assert storage.read(f"{prefix}/y/out.txt") == b"y"


def test_a_second_attempt_at_a_dataset_replaces_what_the_first_stored(storage: Storage, tmp_path: Path) -> None:
    first = put(storage, tmp_path, "out.txt", "x.csv", "half")
    assert put(storage, tmp_path, "out.txt", "x.csv", "whole") == first
    assert storage.read(first) == b"whole"


@pytest.mark.parametrize("name", ["end.txt", "update.txt"])
def test_a_result_cannot_pose_as_a_marker_of_the_platform(storage: Storage, tmp_path: Path, name: str) -> None:
    assert put(storage, tmp_path, name, "x.csv", "") == f"g/results/j/process_results/x/{name}"


def test_a_tree_is_stored_with_its_folders_and_odd_names(storage: Storage, tmp_path: Path) -> None:
    tree = tmp_path / "results"
    (tree / "a b" / "ü").mkdir(parents=True)
    (tree / "a b" / "ü" / "c;'d.txt").write_text("1")
    (tree / "link").symlink_to(tree / "a b" / "ü" / "c;'d.txt")
    (tree / "broken").symlink_to(tree / "nowhere")
    stored = store_results(storage, tree, Target("g/p", "x.csv"))
    assert (stored.count, stored.problems) == (2, ())
    assert storage.read("g/p/a b/ü/c;'d.txt") == b"1"
    assert storage.read("g/p/link") == b"1"


def test_only_s3_addresses_with_bucket_and_key_are_split() -> None:
    assert split_url("s3://b/k/l") == ("b", "k/l")
    for wrong in ("b/k", "s3://b", "s3:///k", "https://b/k"):
        with pytest.raises(ValueError, match="S3 address"):
            split_url(wrong)
