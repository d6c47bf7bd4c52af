"""Small parts of a cloud's life: folders, locks, when to save, the record."""

from __future__ import annotations

import json
import stat
import threading
import time
from pathlib import Path

import pytest

from ncap_iac.local.cloud_record import CloudRecord, read_record, root_keys, write_record
from ncap_iac.local.filelock import LockedError, exclusive
from ncap_iac.local.paths import CloudPlaces, places
from ncap_iac.local.snapshots import SnapshotTimer
from tests.local.cloud_rig import until

HOME = Path("/home/ann")


def test_folders_are_where_xdg_says() -> None:
    found = places({}, HOME)
    assert found.cloud("default").folder == HOME / ".local/share/neurocaas/clouds/default"
    assert found.images == HOME / ".cache/neurocaas/images"
    found = places({"XDG_DATA_HOME": "/data", "XDG_CACHE_HOME": "/cache"}, HOME)
    assert (found.data, found.cache) == (Path("/data/neurocaas"), Path("/cache/neurocaas"))
    found = places({"XDG_DATA_HOME": "relative", "XDG_CACHE_HOME": ""}, HOME)
    assert (found.data, found.cache) == (HOME / ".local/share/neurocaas", HOME / ".cache/neurocaas")


def test_one_variable_moves_everything() -> None:
    found = places({"NEUROCAAS_HOME": "/n", "XDG_DATA_HOME": "/data"}, HOME)
    assert found.cloud("c").record == Path("/n/clouds/c/cloud.json")
    assert (found.images, found.base, found.uv) == (Path("/n/cache/images"), Path("/n/cache/base"), Path("/n/cache/uv"))


def test_the_sockets_path_is_always_short_enough(tmp_path: Path) -> None:
    assert CloudPlaces(Path("/a")).socket == Path("/a/base/base.sock")
    deep = CloudPlaces(tmp_path / ("x" * 120))
    assert len(bytes(deep.socket)) < 100
    assert deep.socket != CloudPlaces(tmp_path / ("y" * 120)).socket


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "lock"
    with exclusive(lock, timeout_s=0), pytest.raises(LockedError), exclusive(lock, timeout_s=0.05):
        pass
    with exclusive(lock, timeout_s=0):
        pass


def test_who_waits_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    order: list[str] = []

    def wait() -> None:
        with exclusive(tmp_path / "lock", timeout_s=5):
            order.append("second")

    with exclusive(tmp_path / "lock", timeout_s=0):
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.1)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_changes_are_saved_soon_after_the_last_one() -> None:
    saved: list[float] = []
    timer = SnapshotTimer(lambda: saved.append(time.monotonic()), time.monotonic, quiet_s=0.15, at_most_s=10)
    timer.start()
    for _ in range(5):
        timer.touch()
        last = time.monotonic()
        time.sleep(0.03)
    assert until(lambda: saved)
    time.sleep(0.3)
    timer.stop()
    assert len(saved) == 1
    assert saved[0] >= last + 0.15


def test_changes_that_never_pause_are_saved_regularly() -> None:
    saved: list[float] = []
    timer = SnapshotTimer(lambda: saved.append(time.monotonic()), time.monotonic, quiet_s=5, at_most_s=0.1)
    timer.start()
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        timer.touch()
        time.sleep(0.01)
    timer.stop()
    assert 2 <= len(saved) <= 6


def test_the_record_makes_the_round_trip_and_is_its_owners_only(tmp_path: Path) -> None:
    record = CloudRecord("c", 1, "http://127.0.0.1:1", "us-east-1", "000000000000", "AKIA", "secret", 1.5)
    file = tmp_path / "cloud.json"
    write_record(file, record)
    assert read_record(file) == record
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "secret" not in repr(record)
    assert [path.name for path in tmp_path.iterdir()] == ["cloud.json"]


@pytest.mark.parametrize("text", ["", "[]", '{"name": "c"}', "null"])
def test_a_record_that_is_not_one_does_not_count(tmp_path: Path, text: str) -> None:
    (tmp_path / "cloud.json").write_text(text)
    assert read_record(tmp_path / "cloud.json") is None


def test_root_keys_are_random_look_like_keys_and_stay(tmp_path: Path) -> None:
    one, other = root_keys(tmp_path / "one"), root_keys(tmp_path / "other")
    assert one != other
    assert (one.access_key_id[:4], len(one.access_key_id), len(one.secret_access_key)) == ("AKIA", 20, 40)
    assert root_keys(tmp_path / "one") == one
    assert json.loads((tmp_path / "one").read_text())["access_key_id"] == one.access_key_id
