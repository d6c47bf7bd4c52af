"""A whole folder as a dataset: its list is taken as it is, nothing is written outside, sizes and ETags are checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workflow.command import command_values
from workflow.folder import Part, fetch_parts_of, read_parts
from workflow.manifest import Attempt, Manifest, Place, Source, parse_manifest
from workflow.storage import StorageError, Trouble

PREFIX = "demo/inputs/session/"


class FakeStorage:
    """Objects in a mapping; says which ETag it was asked for."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.asked: dict[str, str] = {}

    def fetch(self, key: str, path: Path, *, etag: str = "") -> int:
        self.asked[key] = etag
        return path.write_bytes(self.objects[key])


def fetch(objects: dict[str, bytes], folder: Path, parts: tuple[Part, ...] | None = None) -> FakeStorage:
    storage: Any = FakeStorage(objects)
    listed = parts or tuple(Part(key, f"etag of {key}", len(body)) for key, body in objects.items())
    fetch_parts_of(storage, PREFIX, listed, folder, lambda seen, total: None)
    return storage  # type: ignore[no-any-return]


def test_a_list_shared_with_other_datasets_gives_only_the_own_files() -> None:
    listed = [{"key": f"demo/inputs/{name}", "etag": "e", "size": 1} for name in ("session/a", "session2/a", "x")]
    assert read_parts(json.dumps(listed).encode(), PREFIX) == (Part(f"{PREFIX}a", "e", 1),)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'[{"key": "x"}]'])
def test_a_list_that_cannot_be_read_is_told(body: bytes) -> None:
    if body == b"{}":
        assert read_parts(body, PREFIX) == ()
        return
    with pytest.raises(StorageError, match="cannot be read"):
        read_parts(body, PREFIX)


def test_the_tree_is_kept_and_every_file_asked_for_by_its_etag(tmp_path: Path) -> None:
    objects = {f"{PREFIX}a.npy": b"1", f"{PREFIX}deep/er/b.npy": b"22", f"{PREFIX}c d+é.txt": b""}
    storage = fetch(objects, tmp_path / "session")
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {f"session/{key.removeprefix(PREFIX)}": body for key, body in objects.items()}
    assert storage.asked == {key: f"etag of {key}" for key in objects}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "a//b", "a/./../b", "\0", "n" * 256])
def test_a_key_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError) as caught:
        fetch({f"{PREFIX}{name}": b"x"}, tmp_path / "in" / "session")
    assert caught.value.trouble is Trouble.UNUSABLE
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_name_that_is_a_file_and_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="a file and a folder at once"):
        fetch({f"{PREFIX}a": b"x", f"{PREFIX}a/b": b"y"}, tmp_path / "session")


def test_a_file_of_another_size_is_a_change(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        fetch({f"{PREFIX}a": b"xy"}, tmp_path / "session", (Part(f"{PREFIX}a", "e", 1),))
    assert caught.value.trouble is Trouble.CHANGED


def manifest(**changes: Any) -> Manifest:
    document = {
        "schemaVersion": 1,
        "bucket": "spikes",
        "group": "demo",
        "job": "job__spikes_1",
        "resultPrefix": "demo/results/job__spikes_1",
        "environment": "e",
        "config": {"key": "demo/configs/c.json", "etag": "e"},
        "durationMinutes": 1,
        "attempts": [
            {"index": 7, "attempt": 2, "dataset": "demo/inputs/a.csv", "etag": "e", "label": "a.csv"},
            {
                "index": 9,
                "attempt": 1,
                "dataset": "raw/f/",
                "etag": "e",
                "label": "f",
                "bucket": "archive",
                "parts": "p",
            },
        ],
    }
    return parse_manifest(json.dumps(document | changes).encode())


def test_an_instance_takes_the_attempt_at_its_place_whatever_the_datasets_number() -> None:
    found = manifest()
    assert (found.attempt_of(0).index, found.attempt_of(1).index) == (7, 9)
    assert found.attempt_of(1).dataset == Source("raw/f/", "e", bucket="archive")
    assert found.attempt_of(1).parts == "p"
    assert found.reaches_out


def test_where_results_go_is_read() -> None:
    found = manifest(resultAddress={"bucket": "archive", "prefix": "out/job/process_results"}, last=["*.npy"])
    assert found.result_place == Place("archive", "out/job/process_results")
    assert found.last == ("*.npy",)


@pytest.mark.parametrize(
    ("index", "changes", "values"),
    [
        (0, {}, ("spikes", "demo/inputs/a.csv", "results/job__spikes_1", "demo/configs/c.json")),
        (
            1,
            {},
            ("archive", "raw/f/", "s3://spikes/demo/results/job__spikes_1", "s3://spikes/demo/configs/c.json"),
        ),
        (
            0,
            {"resultAddress": {"bucket": "archive", "prefix": "out/job__spikes_1/process_results"}},
            ("spikes", "demo/inputs/a.csv", "s3://archive/out/job__spikes_1", "demo/configs/c.json"),
        ),
        (0, {"protocol": "widefield"}, ("spikes", "demo/inputs/", "a.csv")),
        (1, {"protocol": "widefield"}, ("archive", "raw/f/", "")),
    ],
)
def test_a_command_gets_addresses_for_what_is_not_in_the_datasets_bucket(
    index: int, changes: dict[str, Any], values: tuple[str, ...]
) -> None:
    found = manifest(**changes)
    attempt: Attempt = found.attempt_of(index)
    assert command_values(found, attempt) == values
