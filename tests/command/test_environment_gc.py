"""Collecting images: what is needed stays, whoever needs it; the rest goes, with its size told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncap_iac.environments.garbage import judge, leftovers, remove, remove_leftovers
from ncap_iac.environments.manifest import Interpreter
from ncap_iac.environments.seal import seal_image
from ncap_iac.environments.store import build_lock, list_images
from ncap_iac.local.filelock import exclusive
from ncap_iac.local.runner.firmware import remove_tree
from ncap_iac.local.store import Store

HERE, THERE = "a" * 64, "b" * 64


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    for digest in (HERE, THERE):
        folder = tmp_path / "images" / f"{digest}-cp311-test"
        folder.mkdir(parents=True)
        (folder / "file.bin").write_bytes(b"x" * 1000)
        interpreter = Interpreter("3.11.0", sys.executable, ())
        seal_image(
            folder,
            name=f"env-{digest[0]}",
            recipe_digest=digest,
            interpreter=interpreter,
            platform="test",
            built="2026-01-01T00:00:00+00:00",
        )
    yield tmp_path
    remove_tree(tmp_path / "images")


def needed(place: Path, named: dict[str, list[str]] | None = None, keep: tuple[str, ...] = ()) -> dict[str, str]:
    found = judge(place / "images", place / "clouds", named or {}, keep)
    return {item.image.seal.recipe_digest: ", ".join(item.kept_by) for item in found}


def test_an_image_a_blueprint_names_is_needed(place: Path) -> None:
    assert needed(place, {HERE: ["blueprint a"]}) == {HERE: "blueprint a", THERE: ""}


def test_an_image_a_stopped_cloud_knows_is_needed(place: Path) -> None:
    cloud = place / "clouds" / "lab"
    cloud.mkdir(parents=True)
    store = Store(cloud / "edge.db")
    store.put("ec2-images", "ami-1", {"folder": f"{THERE}-cp311-test"})
    assert needed(place)[THERE] == "local cloud 'lab'"
    store.close()
    assert needed(place)[THERE] == "local cloud 'lab'"


def test_a_cloud_that_cannot_be_read_stops_everything(place: Path) -> None:
    cloud = place / "clouds" / "lab"
    cloud.mkdir(parents=True)
    (cloud / "edge.db").write_bytes(b"not a database, and certainly longer than a header of SQLite" * 40)
    with pytest.raises(OSError, match="nothing is removed"):
        needed(place)


@pytest.mark.parametrize("word", ["env-a", HERE[:8], f"sha256:{HERE}", f"iae:env-a@sha256:{HERE}"])
def test_what_the_user_wants_kept_is_kept_by_name_or_digest(place: Path, word: str) -> None:
    assert needed(place, keep=(word,)) == {HERE: "--keep", THERE: ""}


def test_an_image_a_process_works_in_is_needed(place: Path) -> None:
    folder = place / "images" / f"{HERE}-cp311-test"
    process = subprocess.Popen([sys.executable, "-c", "input()"], cwd=folder, stdin=subprocess.PIPE)
    try:
        assert needed(place) == {HERE: "a running process", THERE: ""}
    finally:
        process.communicate(b"\n")
    assert needed(place) == {HERE: "", THERE: ""}


def test_an_image_nobody_needs_goes_and_the_other_stays(place: Path) -> None:
    for verdict in judge(place / "images", place / "clouds", {HERE: ["blueprint a"]}, ()):
        if not verdict.kept_by:
            assert verdict.size_bytes == 1000
            assert remove(verdict, place / "images")
    assert [image.seal.recipe_digest for image in list_images(place / "images")] == [HERE]


def test_an_image_somebody_builds_is_left_alone(place: Path) -> None:
    verdict = next(item for item in judge(place / "images", place / "clouds", {}, ()))
    with exclusive(build_lock(place / "images", verdict.image.seal.recipe_digest), timeout_s=0):
        assert not remove(verdict, place / "images")
    assert len(list_images(place / "images")) == 2


def test_emulators_of_earlier_versions_go_and_the_current_one_stays(place: Path) -> None:
    base = place / "base"
    for name in ("current", "earlier"):
        (base / name).mkdir(parents=True)
        (base / name / "file").write_bytes(b"x" * 10)
    found = leftovers(base, "current")
    assert ([path.name for path in found.folders], found.size_bytes) == (["earlier"], 10)
    remove_leftovers(found, place / "images")
    assert [path.name for path in base.iterdir()] == ["current"]
